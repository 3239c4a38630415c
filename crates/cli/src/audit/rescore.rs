//! Evaluates every artifact again and compares with the consensus.

use aiarena_chain::ledger::{Flight, Ledger, Stage, Task};
use aiarena_ml::{Dataset, Rows};
use aiarena_node::{
    evaluator::InProcess,
    judge::{Judge, Verdict, drawn_rows},
};
use aiarena_store::FolderStore;

use super::finding::{Findings, Kind, Place};
use crate::{
    demo::stage::{TaskDescription, evaluation_root},
    ui::Ui,
};

/// What is needed to evaluate again.
#[derive(Debug)]
pub struct Rescore {
    /// The evaluation data.
    pub data: Dataset,
    /// The artifacts.
    pub store: FolderStore,
    /// What creators say of their tasks. Of each task the one that hashes to its metadata is used.
    pub descriptions: Vec<TaskDescription>,
}

/// Evaluates the artifacts of all tallied epochs again; returns how many consensus scores were compared.
pub(super) fn rescore(with: &Rescore, ledger: &Ledger, ui: Option<&Ui>, findings: &mut Findings) -> u64 {
    let tasks: Vec<(&Task, &TaskDescription)> =
        ledger.tasks.values().filter_map(|task| Some((task, description(with, task, findings)?))).collect();
    let all = tasks.iter().flat_map(|(task, _)| flights(task)).map(|flight| flight.listed.len()).sum();
    let bar = ui.map(|ui| ui.bar("evaluating again", all));
    let mut compared = 0;
    for (task, description) in tasks {
        let mut evaluator = InProcess::new(&with.store);
        let mut judge = Judge::new(task, &mut evaluator);
        for flight in flights(task) {
            let rows = drawn_rows(flight, &with.data.evaluation, description.slice);
            for entry in &flight.listed {
                compared += u64::from(compare(&mut judge, task, flight, *entry as usize, &rows, findings));
                if let Some(bar) = &bar {
                    bar.inc(1);
                }
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish();
    }
    compared
}

/// Settled epochs, and the one in flight once no tally can be replaced any more.
fn flights(task: &Task) -> impl Iterator<Item = &Flight> {
    let tallied = task.flight.iter().filter(|flight| flight.stage() > Stage::Scoring);
    task.settled.iter().chain(tallied)
}

/// The description that the task's metadata names, if the data are those that it names in turn.
fn description<'a>(with: &'a Rescore, task: &Task, findings: &mut Findings) -> Option<&'a TaskDescription> {
    let place = Place::default().task(task.number);
    let named = |description: &&TaskDescription| {
        description.digest().is_ok_and(|digest| digest == task.params.metadata)
    };
    let Some(description) = with.descriptions.iter().find(named) else {
        let message = format!(
            "it cannot be evaluated again without its description, whose SHA-256 is {}: put it as task.json beside the \
             evaluation data",
            task.params.metadata
        );
        findings.push(Kind::Data, "M-16", place, message);
        return None;
    };
    if !description.evaluation.is_public() {
        let message = "its evaluation data are sealed slices, which this audit does not evaluate again";
        findings.push(Kind::Data, "M-1", place, message);
        return None;
    }
    let (expected, found) = (description.data.clone(), with.data.digest_hex());
    let what = "the SHA-256 of the evaluation data";
    findings.equal((Kind::Data, "M-16"), place, what, expected, found);
    // A root of zero promises nothing.
    if !task.params.evaluation_root.is_zero() {
        let root =
            evaluation_root(&with.data).map_or_else(|error| error.to_string(), |root| root.to_string());
        let what = "the root of the tree over the evaluation rows";
        findings.equal((Kind::Data, "M-1"), place, what, task.params.evaluation_root.to_string(), root);
    }
    Some(description)
}

/// Compares one consensus score; false if there is none.
fn compare(
    judge: &mut Judge,
    task: &Task,
    flight: &Flight,
    place: usize,
    rows: &Rows,
    findings: &mut Findings,
) -> bool {
    let Some(entry) = flight.entries.get(place) else { return false };
    let Some(tally) = flight.outcome.tallies.get(&entry.node) else { return false };
    let place = Place::default().task(task.number).epoch(flight.epoch).of(entry.node);
    let verdict = judge.verdict(entry.node, entry.number, entry.content_hash, rows);
    if let Verdict::Unavailable(why) = &verdict {
        findings.push(Kind::Artifact, "M-7", place, why.clone());
        return false;
    }
    if !tally.scored {
        return false;
    }
    let own = verdict.report().map_or(0, |score| score.get());
    let valid = (own == 0) == (tally.consensus == 0);
    let within = own.abs_diff(tally.consensus) <= task.params.rules.tolerance;
    if !(valid && within) {
        let why = match &verdict {
            Verdict::Invalid(why) => format!(" ({why})"),
            _ => String::new(),
        };
        let what = format!("of artifact {}{why}, the consensus score", entry.content_hash);
        findings.equal((Kind::Rescore, "M-7, M-16"), place, what, own, tally.consensus);
    }
    true
}
