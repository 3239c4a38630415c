//! Evaluates every artifact again and compares with the consensus.

use std::collections::BTreeSet;

use aiarena_chain::ledger::{Flight, Ledger, Stage, Task};
use aiarena_ml::{Dataset, Rows};
use aiarena_node::{
    evaluator::InProcess,
    judge::{Judge, Verdict, drawn_rows},
    sealed::{self, EvaluationKind, MAX_SEALED_BYTES, is_published, open_published, published_name},
};
use aiarena_store::{ContentHash, FolderStore};
use alloy::primitives::Address;

use super::finding::{Findings, Kind, Place};
use crate::{
    description::{TaskDescription, evaluation_root},
    ui::Ui,
};

/// Slices of one task on which nothing was evaluated, and that are missed one by one.
const MOST_MISSING: u32 = 8;
/// Largest description that is read, in bytes.
const LARGEST_DESCRIPTION: u64 = 1 << 20;

/// What is needed to evaluate again.
#[derive(Debug)]
pub struct Rescore {
    /// The evaluation data of tasks where they are public.
    pub data: Dataset,
    /// The artifacts, and the slices that creators published.
    pub store: FolderStore,
    /// What creators say of their tasks. Of each task the one that hashes to its metadata is used.
    pub descriptions: Vec<TaskDescription>,
}

/// Where and when the history ends that is evaluated again.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// The chain.
    pub(super) chain_id: u64,
    /// The arena.
    pub(super) arena: Address,
    /// Time of the newest block, in seconds since 1970.
    pub(super) now: u64,
}

/// Evaluates the artifacts of all tallied epochs again; returns how many consensus scores were compared.
///
/// - `notes`: what cannot be evaluated again yet, which is nobody's fault.
pub(super) fn rescore(
    with: &Rescore,
    ledger: &Ledger,
    at: At,
    ui: Option<&Ui>,
    findings: &mut Findings,
    notes: &mut Vec<String>,
) -> u64 {
    let mut tasks: Vec<(&Task, TaskDescription)> =
        ledger.tasks.values().filter_map(|task| Some((task, description(with, task, findings)?))).collect();
    tasks.retain(|(task, description)| {
        let ready = description.evaluation.is_public() || is_published(task, &ledger.clock, at.now);
        if !ready {
            notes.push(format!(
                "task {}: epochs {} to {} cannot be evaluated again yet, for their sealed slices are published when the task \
                 is over",
                task.number, task.first_epoch, task.last_epoch
            ));
        }
        ready
    });
    let all = tasks.iter().flat_map(|(task, _)| flights(task)).map(|flight| flight.listed.len()).sum();
    let bar = ui.map(|ui| ui.bar("evaluating again", all));
    let mut compared = 0;
    for (task, description) in &tasks {
        let mut evaluator = InProcess::new(&with.store).up_to(description.largest_model);
        let mut judge = Judge::new(task, &mut evaluator);
        for flight in flights(task) {
            let rows = match description.evaluation {
                EvaluationKind::PublicRows => {
                    Some(drawn_rows(flight, &with.data.evaluation, description.slice))
                }
                EvaluationKind::SealedSlices => slice(with, task, flight.epoch, at, findings),
            };
            for entry in &flight.listed {
                if let Some(rows) = &rows {
                    let place = *entry as usize;
                    compared += u64::from(compare(&mut judge, task, flight, place, rows, findings));
                }
                if let Some(bar) = &bar {
                    bar.inc(1);
                }
            }
        }
        if !description.evaluation.is_public() {
            check_unused(with, task, at, findings);
        }
    }
    if let Some(bar) = bar {
        bar.finish();
    }
    compared
}

/// The slice of an epoch as its creator published it, if it is the one that it promised.
fn slice(with: &Rescore, task: &Task, epoch: u32, at: At, findings: &mut Findings) -> Option<Rows> {
    let what = Place::default().task(task.number).epoch(epoch);
    let place = sealed::Place::of(task, epoch)?;
    let name = published_name(at.chain_id, at.arena, task.number, epoch);
    let found = match with.store.get_named(&name, MAX_SEALED_BYTES as u64) {
        Ok(bytes) => {
            open_published(&bytes, &place).map_err(|error| format!("the published slice {name}: {error}"))
        }
        Err(aiarena_store::Error::NoObject { .. }) => Err(format!(
            "the task is over and its slice is not here: expected as {name} beside the artifacts; either it was not copied, or \
             its creator did not publish it"
        )),
        Err(error) => Err(format!("the published slice {name} cannot be read: {error}")),
    };
    match found {
        Ok(rows) => Some(rows),
        Err(why) => {
            findings.push(Kind::Data, "M-1", what, why);
            None
        }
    }
}

/// Looks also at slices on which nothing was evaluated, since nobody submitted or the task ended early.
///
/// It gives up after some that are missing: the number of epochs is the creator's choice, and may be millions.
fn check_unused(with: &Rescore, task: &Task, at: At, findings: &mut Findings) {
    let end = task.first_epoch.saturating_add(task.params.epochs);
    let used: BTreeSet<u32> = flights(task).map(|flight| flight.epoch).collect();
    let mut missing = 0;
    for epoch in (task.first_epoch..end).filter(|epoch| !used.contains(epoch)) {
        if missing == MOST_MISSING {
            let why = format!(
                "{missing} slices on which nothing was evaluated are missing, those of epochs {epoch} to {} were not looked for",
                end - 1
            );
            return findings.push(Kind::Data, "M-1", Place::default().task(task.number), why);
        }
        missing += u32::from(slice(with, task, epoch, at, findings).is_none());
    }
}

/// Settled epochs, and the one in flight once no tally can be replaced any more.
fn flights(task: &Task) -> impl Iterator<Item = &Flight> {
    let tallied = task.flight.iter().filter(|flight| flight.stage() > Stage::Scoring);
    task.settled.iter().chain(tallied)
}

/// The description that the task's metadata names, if the data are those that it names in turn.
///
/// It is one of those given, or lies among the artifacts, as its creator put it into the stores.
fn description(with: &Rescore, task: &Task, findings: &mut Findings) -> Option<TaskDescription> {
    let place = Place::default().task(task.number);
    let named = |description: &&TaskDescription| {
        description.digest().is_ok_and(|digest| digest == task.params.metadata)
    };
    let stored = || {
        let bytes = with.store.get(ContentHash(task.params.metadata.0), LARGEST_DESCRIPTION).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    let Some(description) = with.descriptions.iter().find(named).cloned().or_else(stored) else {
        let message = format!(
            "it cannot be evaluated again without its description, whose SHA-256 is {}: put it as task.json beside the \
             evaluation data",
            task.params.metadata
        );
        findings.push(Kind::Data, "M-16", place, message);
        return None;
    };
    if let Err(error) = description.check() {
        findings.push(Kind::Data, "M-16", place, format!("it cannot be evaluated again: {error}"));
        return None;
    }
    if !description.evaluation.is_public() {
        // Its slices are checked one by one, and whoever only evaluates needs no training rows.
        return Some(description);
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

#[cfg(test)]
mod tests {
    use aiarena_chain::ledger::TaskParams;
    use aiarena_mechanism::{ranking::RankingRule, settle::Task as Rules};
    use alloy::primitives::{B256, U256};

    use super::*;

    #[test]
    fn a_task_of_many_epochs_without_slices_does_not_flood_the_report() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path(), 1 << 20).unwrap();
        let with = Rescore { data: Dataset::embedded(), store, descriptions: Vec::new() };
        let rules = Rules {
            rule: RankingRule::StakeIntegral { phi_wad: U256::ONE },
            gamma_wad: U256::ZERO,
            epsilon_wad: U256::ZERO,
            tolerance: 0,
            redundancy: 1,
        };
        let params = TaskParams {
            metadata: B256::ZERO,
            evaluation_root: B256::ZERO,
            epochs: u32::MAX,
            min_node_stake: U256::ONE,
            min_validator_stake: U256::ONE,
            max_submissions: 8,
            fresh_data: true,
            rules,
        };
        let task = Task::new(1, Address::ZERO, (1, u32::MAX), params);
        let mut findings = Findings::default();
        check_unused(&with, &task, At { chain_id: 1, arena: Address::ZERO, now: 0 }, &mut findings);
        let said: Vec<String> = findings.list().iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 9, "{said:?}");
        assert!(said[8].contains("8 slices") && said[8].contains("epochs 9 to 4294967294"), "{}", said[8]);
    }
}
