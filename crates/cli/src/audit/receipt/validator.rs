//! The receipt of a validator for one epoch.

use aiarena_chain::ledger::Role;
use aiarena_mechanism::{
    Score,
    rewards::{accuracy, validator_weight},
};
use aiarena_node::settlement::pool;
use alloy::primitives::Address;

use super::{Page, Paper, percent, ratio};

pub(super) fn write(page: &Page, validator: Address, paper: &mut Paper) {
    let Page { task, flight, epoch } = page;
    let own = pool(task, validator, epoch.epoch);
    if own.direct.is_zero() {
        return;
    }
    paper.begin(page, &own, Role::Validator);
    let Some(place) = flight.revealers.iter().position(|revealer| *revealer == validator) else {
        let what = match flight.commitments.contains_key(&validator) {
            true => "committed to scores and revealed none",
            false => "committed to no scores",
        };
        paper.line("M-8", format!("it {what}: its weight is 0, and so is its reward"));
        return;
    };
    let (input, settled) = (&epoch.input.validators[place], &epoch.settlement.validators[place]);
    let rules = &task.params.rules;
    paper.line(
        "M-9",
        format!(
            "owes min(n, ⌈r × n × s / V⌉) = {} of n = {} scores, with r = {}, s = {}, V = {}",
            settled.assigned,
            epoch.settlement.listed,
            rules.redundancy,
            paper.tokens(settled.stake),
            paper.tokens(epoch.settlement.validator_stake)
        ),
    );
    paper.line(
        "M-10",
        format!("revealed {} scores; each weighs ω = {}", input.scores.len(), paper.tokens(settled.omega)),
    );
    let spread = epoch.settlement.spread;
    paper.line("M-8", format!("spread between submissions {spread}, tolerance {}", rules.tolerance));
    for (entry, score) in &input.scores {
        let submission = &epoch.settlement.submissions[*entry as usize];
        let node = flight.entries[*entry as usize].node;
        let text = match (score, submission.consensus) {
            (None, _) => "it abstained".to_owned(),
            (Some(score), None) => format!("{}, without a quorum", score.get()),
            (Some(score), Some(consensus)) => {
                let accuracy = accuracy(*score, consensus, rules.tolerance, spread);
                let weight = validator_weight(submission.stake, settled.omega, accuracy).unwrap_or_default();
                format!(
                    "{} against {}: accuracy {}, with its stake of {} that is {} of its weight",
                    score.get(),
                    Score::get(consensus),
                    ratio(accuracy),
                    paper.tokens(submission.stake),
                    percent(weight, settled.weight)
                )
            }
        };
        paper.more(format!("{node}: {text}"));
    }
    paper.budget(page, Role::Validator);
    paper.line(
        "M-8",
        format!(
            "its weight is {} of all validators': {}",
            percent(settled.weight, epoch.settlement.validator_weight),
            paper.tokens(settled.payment.reward.with_delegation)
        ),
    );
    paper.split(page, &own, &settled.payment);
}
