//! One epoch: what the rules make of it, against what the contracts said.

use std::collections::BTreeMap;

use aiarena_chain::ledger::{self, Flight, Stage, Task};
use aiarena_mechanism::{
    Score,
    settle::{EpochInput, Payment, Settlement, settle},
};
use aiarena_node::settlement::epoch_input;
use alloy::primitives::{Address, U256};

use super::finding::{Findings, Kind, Place};

/// An epoch by the rules.
#[derive(Debug, Clone)]
pub struct Recomputed {
    /// The task.
    pub task: u64,
    /// The epoch.
    pub epoch: u32,
    /// Its place among the settled epochs of its task; none while it is in flight.
    pub settled: Option<usize>,
    /// Stakes, submissions and scores that decide it.
    pub input: EpochInput,
    /// What follows from them.
    pub settlement: Settlement,
}

/// What the vault says at the end of an epoch: paid, returned to the reserve, returned to the bounty.
pub(super) type End = (U256, U256, U256);

/// Settles an epoch by the rules and compares all that the contracts said of it. An epoch in flight is compared as far as
/// it is, and whole with what is said at its `end`.
pub(super) fn recompute(
    task: &Task,
    flight: &Flight,
    end: Option<End>,
    findings: &mut Findings,
) -> Option<Recomputed> {
    let place = Place::default().task(task.number).epoch(flight.epoch);
    let by_rule = epoch_input(task, flight).and_then(|input| Ok((settle(&input)?, input)));
    let (settlement, input) = match by_rule {
        Ok(by_rule) => by_rule,
        Err(error) => {
            let message = format!("the rules have no result for this epoch: {error}");
            findings.push(Kind::Reveal, "M-15", place, message);
            return None;
        }
    };
    let mut comparison = Comparison { flight, input: &input, settlement: &settlement, place, findings };
    comparison.tallies();
    comparison.ranking();
    comparison.nodes();
    comparison.weights();
    comparison.validators();
    if let Some(end) = end {
        comparison.completeness(end);
    }
    let settled = end.map(|_| task.settled.len());
    Some(Recomputed { task: task.number, epoch: flight.epoch, settled, input, settlement })
}

struct Comparison<'a> {
    flight: &'a Flight,
    input: &'a EpochInput,
    settlement: &'a Settlement,
    place: Place,
    findings: &'a mut Findings,
}

impl Comparison<'_> {
    /// Tallies of all scores of a submission. One that leaves some out will be replaced, and was looked at when it came.
    fn tallies(&mut self) {
        let mut revealed: BTreeMap<u32, u32> = BTreeMap::new();
        for (entry, score) in self.input.validators.iter().flat_map(|validator| &validator.scores) {
            *revealed.entry(*entry).or_default() += u32::from(score.is_some());
        }
        let entries = (0_u32..).zip(&self.flight.entries);
        for ((at, entry), by_rule) in entries.zip(&self.settlement.submissions) {
            let Some(tally) = self.flight.outcome.tallies.get(&entry.node) else { continue };
            let all = revealed.get(&at).copied().unwrap_or(0);
            if tally.counted < all && self.flight.stage() == Stage::Scoring {
                continue;
            }
            let place = self.place.of(entry.node);
            let about = (Kind::Consensus, "M-7");
            self.findings.equal(about, place, "the number of scores that are counted", all, tally.counted);
            let consensus = by_rule.consensus.map_or(0, Score::get);
            let (quorum, stake) = (by_rule.consensus.is_some(), by_rule.stake);
            self.findings.equal(about, place, "the quorum", quorum, tally.scored);
            self.findings.equal(about, place, "the consensus score", consensus, tally.consensus);
            let about = (Kind::Stake, "M-13");
            self.findings.equal(about, place, "the effective stake", stake, tally.stake);
        }
    }

    /// How many submissions are ranked, and the scores at the quarters of their stake (M-8).
    fn ranking(&mut self) {
        let Some(said) = self.flight.outcome.ranked else { return };
        let (about, place) = ((Kind::Rank, "M-5"), self.place);
        let ranked = self.settlement.order.len();
        self.findings.equal(about, place, "the number of ranked submissions", ranked, said.ranked as usize);
        for (what, quarters, found) in [
            ("the score at a quarter of the ranked stake", 1, said.upper_score),
            ("the score at three quarters of the ranked stake", 3, said.lower_score),
        ] {
            let expected = score_at(self.settlement, quarters).unwrap_or(0);
            self.findings.equal((Kind::Rank, "M-8"), place, what, expected, found);
        }
    }

    fn nodes(&mut self) {
        let expected: Vec<(Address, Payment)> = self
            .settlement
            .order
            .iter()
            .map(|entry| *entry as usize)
            .map(|entry| {
                (self.input.submissions[entry].pool.operator, self.settlement.submissions[entry].payment)
            })
            .collect();
        self.payments("M-5", &self.flight.outcome.nodes, &expected);
    }

    fn validators(&mut self) {
        let expected: Vec<(Address, Payment)> = self
            .input
            .validators
            .iter()
            .zip(&self.settlement.validators)
            .map(|(validator, by_rule)| (validator.pool.operator, by_rule.payment))
            .collect();
        self.payments("M-8", &self.flight.outcome.validators, &expected);
    }

    /// Payments of one side in their order, as far as they were made: the reward, and its split with the delegators.
    fn payments(&mut self, rule: &'static str, said: &[ledger::Payment], expected: &[(Address, Payment)]) {
        for (said, (operator, by_rule)) in said.iter().zip(expected) {
            let (about, place) = ((Kind::Payment, rule), self.place.of(*operator));
            self.findings.equal(about, place, "who is paid", *operator, said.operator);
            let reward = by_rule.reward;
            self.findings.equal(about, place, "the reward", reward.with_delegation, said.with_delegation);
            let delegators = said.with_delegation.saturating_sub(said.operator_amount);
            for (what, expected, found) in [
                ("the reward without delegation", reward.without_delegation, said.without_delegation),
                ("the operator's part", by_rule.operator, said.operator_amount),
                ("the delegators' part", by_rule.delegators, delegators),
            ] {
                self.findings.equal((Kind::Payment, "M-6"), place, what, expected, found);
            }
        }
        let (said, expected) = (said.len(), expected.len());
        self.findings.check(said <= expected, Kind::Payment, rule, self.place, || {
            format!("{said} payments were made, {expected} are due")
        });
    }

    /// Weight of each sheet of scores (M-8).
    fn weights(&mut self) {
        for (validator, by_rule) in self.input.validators.iter().zip(&self.settlement.validators) {
            let operator = validator.pool.operator;
            let Some(said) = self.flight.outcome.weights.get(&operator) else { continue };
            let place = self.place.of(operator);
            self.findings.equal((Kind::Weight, "M-8"), place, "the weight", by_rule.weight, *said);
        }
    }

    /// A settled epoch left nothing out, and the rest of its budget went where the rules say.
    fn completeness(&mut self, (paid, to_reserve, to_bounty): End) {
        let (outcome, place) = (&self.flight.outcome, self.place);
        let Self { flight, settlement, .. } = self;
        // Where no submission can be ranked, nothing is said of a ranking.
        let ranked = usize::from(!settlement.order.is_empty());
        // Where no score earned any weight, there is nothing to pay to validators.
        let validators = if settlement.validator_weight.is_zero() {
            outcome.validators.len()
        } else {
            settlement.validators.len()
        };
        for (kind, rule, what, expected, found) in [
            (Kind::Consensus, "M-7", "tallied entries", flight.entries.len(), outcome.tallies.len()),
            (Kind::Rank, "M-5", "rankings", ranked, usize::from(outcome.ranked.is_some())),
            (Kind::Payment, "M-5", "paid nodes", settlement.order.len(), outcome.nodes.len()),
            (Kind::Weight, "M-8", "weighed sheets", flight.revealers.len(), outcome.weights.len()),
            (Kind::Payment, "M-8", "paid validators", validators, outcome.validators.len()),
        ] {
            let what = format!("the number of {what}");
            self.findings.equal((kind, rule), place, what, expected, found);
        }
        let unpaid = settlement.unpaid;
        for (what, expected, found) in [
            ("the sum of all payments", settlement.paid, paid),
            ("what returns to the reserve", unpaid.emission, to_reserve),
            ("what returns to the bounty", unpaid.bounty, to_bounty),
        ] {
            self.findings.equal((Kind::Budget, "M-15"), place, what, expected, found);
        }
    }
}

/// The consensus score at which so many quarters of the ranked stake are reached, from the best one on.
fn score_at(settlement: &Settlement, quarters: u64) -> Option<u32> {
    let mut walked = U256::ZERO;
    let goal = settlement.ranked_stake.saturating_mul(U256::from(quarters));
    settlement.order.iter().find_map(|place| {
        let submission = settlement.submissions.get(*place as usize)?;
        walked = walked.saturating_add(submission.stake);
        let reached = walked.saturating_mul(U256::from(4)) >= goal;
        reached.then(|| submission.consensus.map_or(0, Score::get))
    })
}
