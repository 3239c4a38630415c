//! One epoch: what the rules make of it, against what the contracts said.

use std::collections::BTreeMap;

use aiarena_chain::ledger::{Flight, Task};
use aiarena_mechanism::{
    Error, Score,
    rewards::{accuracy, validator_weight},
    settle::{EpochInput, Payment, Settlement, Status, settle},
};
use aiarena_node::settlement::{CHUNK, assigned, epoch_input};
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

/// Settles an epoch by the rules and compares all that the contracts said of it. An epoch in flight is compared as far as
/// it is.
pub(super) fn recompute(
    task: &Task,
    flight: &Flight,
    settled: Option<usize>,
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
    let mut comparison = Comparison { task, flight, input: &input, settlement: &settlement, place, findings };
    comparison.tallies();
    comparison.counted();
    comparison.order();
    comparison.nodes();
    comparison.weights();
    comparison.validators();
    comparison.credits();
    if settled.is_some() {
        comparison.completeness();
    }
    Some(Recomputed { task: task.number, epoch: flight.epoch, settled, input, settlement })
}

struct Comparison<'a> {
    task: &'a Task,
    flight: &'a Flight,
    input: &'a EpochInput,
    settlement: &'a Settlement,
    place: Place,
    findings: &'a mut Findings,
}

impl Comparison<'_> {
    fn tallies(&mut self) {
        let said = self.flight.outcome.tallies.iter();
        let entries = self.flight.entries.iter();
        for ((tally, entry), by_rule) in said.zip(entries).zip(&self.settlement.submissions) {
            let place = self.place.of(entry.node);
            let consensus = by_rule.consensus.map_or(0, Score::get);
            let ranked = by_rule.status == Status::Ranked;
            let (quorum, stake) = (by_rule.consensus.is_some(), by_rule.stake);
            let about = (Kind::Consensus, "M-7");
            self.findings.equal(about, place, "the quorum", quorum, tally.scored);
            self.findings.equal(about, place, "the consensus score", consensus, tally.consensus);
            let about = (Kind::Stake, "M-13");
            self.findings.equal(about, place, "the effective stake", stake, tally.stake);
            let about = (Kind::Rank, "M-5, M-11");
            self.findings.equal(about, place, "whether it is ranked", ranked, tally.ranked);
        }
    }

    /// Scores that were counted ahead of a tally are no more than there are.
    fn counted(&mut self) {
        let mut revealed: BTreeMap<u32, u32> = BTreeMap::new();
        for (entry, score) in self.input.validators.iter().flat_map(|validator| &validator.scores) {
            *revealed.entry(*entry).or_default() += u32::from(score.is_some());
        }
        for ((entry, _), lanes) in &self.flight.outcome.counted {
            let all = revealed.get(entry).copied().unwrap_or(0);
            self.findings.check(*lanes <= all, Kind::Consensus, "M-7", self.place, || {
                format!("{lanes} scores of entry {entry} were counted, and {all} revealed")
            });
        }
    }

    fn order(&mut self) {
        let said = self.flight.outcome.order.iter();
        for (rank, (said, by_rule)) in (1..).zip(said.zip(&self.settlement.order)) {
            let what = format!("the entry at rank {rank}");
            self.findings.equal((Kind::Rank, "M-5"), self.place, what, *by_rule, *said);
        }
        let (said, by_rule) = (self.flight.outcome.order.len(), self.settlement.order.len());
        let more = || format!("{said} submissions are ranked, and {by_rule} can be");
        self.findings.check(said <= by_rule, Kind::Rank, "M-5", self.place, more);
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

    /// Payments of one side in their order, as far as they were made.
    fn payments(
        &mut self,
        rule: &'static str,
        said: &[aiarena_chain::ledger::Payment],
        expected: &[(Address, Payment)],
    ) {
        for (said, (operator, by_rule)) in said.iter().zip(expected) {
            let place = self.place.of(*operator);
            let reward = by_rule.reward;
            self.findings.equal((Kind::Payment, rule), place, "who is paid", *operator, said.operator);
            let about = (Kind::Payment, rule);
            self.findings.equal(about, place, "the reward", reward.with_delegation, said.with_delegation);
            let (by_rule, said) = (reward.without_delegation, said.without_delegation);
            let what = "the reward without delegation";
            self.findings.equal((Kind::Payment, "M-6"), place, what, by_rule, said);
        }
        let (said, expected) = (said.len(), expected.len());
        self.findings.check(said <= expected, Kind::Payment, rule, self.place, || {
            format!("{said} payments were made, {expected} are due")
        });
    }

    /// Weight of each chunk of scores (M-8).
    fn weights(&mut self) {
        for ((validator, chunk), said) in &self.flight.outcome.weights {
            let place = self.place.of(*validator);
            let what = format!("the weight of chunk {chunk}");
            match self.chunk_weight(*validator, *chunk) {
                Ok(weight) => _ = self.findings.equal((Kind::Weight, "M-8"), place, what, weight, *said),
                Err(error) => self.findings.push(Kind::Weight, "M-8", place, error.to_string()),
            }
        }
    }

    fn chunk_weight(&self, validator: Address, chunk: u32) -> Result<U256, Error> {
        let revealer = self.flight.revealers.iter().position(|revealer| *revealer == validator);
        let scores = self.flight.reveals.get(&validator).and_then(|reveals| reveals.chunks.get(&chunk));
        let Some((revealer, scores)) = revealer.zip(scores) else { return Ok(U256::ZERO) };
        let omega = self.settlement.validators[revealer].omega;
        let places = assigned(self.task, self.flight, validator)?;
        let owed = places.chunks(CHUNK).nth(chunk as usize).unwrap_or_default();
        let mut weight = U256::ZERO;
        for (place, word) in owed.iter().zip(scores) {
            let submission = &self.settlement.submissions[*place as usize];
            let (Some(score), Some(consensus)) = (Score::from_wire(*word)?, submission.consensus) else {
                continue;
            };
            let tolerance = self.input.task.tolerance;
            let accuracy = accuracy(score, consensus, tolerance, self.settlement.spread);
            let part = validator_weight(submission.stake, omega, accuracy)?;
            weight = weight.checked_add(part).ok_or(Error::Overflow)?;
        }
        Ok(weight)
    }

    /// What the vault credited: the split between operator and delegators, for everyone who was paid and nobody else.
    fn credits(&mut self) {
        let outcome = &self.flight.outcome;
        let mut due: BTreeMap<Address, Payment> = BTreeMap::new();
        let nodes = self.settlement.order.iter().map(|entry| *entry as usize).map(|entry| {
            (self.input.submissions[entry].pool.operator, self.settlement.submissions[entry].payment)
        });
        due.extend(nodes.take(outcome.nodes.len()));
        let validators = self.input.validators.iter().zip(&self.settlement.validators);
        let validators = validators.map(|(validator, by_rule)| (validator.pool.operator, by_rule.payment));
        due.extend(validators.take(outcome.validators.len()));
        for (operator, by_rule) in due {
            let said = outcome.credits.get(&operator).copied().unwrap_or_default();
            let (place, about) = (self.place.of(operator), (Kind::Payment, "M-6"));
            self.findings.equal(about, place, "the operator's part", by_rule.operator, said.0);
            self.findings.equal(about, place, "the delegators' part", by_rule.delegators, said.1);
        }
        let paid = outcome.nodes.iter().chain(&outcome.validators).map(|payment| payment.operator);
        let paid: Vec<Address> = paid.collect();
        for operator in outcome.credits.keys().filter(|operator| !paid.contains(operator)) {
            let place = self.place.of(*operator);
            self.findings.push(Kind::Payment, "M-6", place, "it is credited without being paid");
        }
    }

    /// A settled epoch left nothing out, and the rest of its budget went where the rules say.
    fn completeness(&mut self) {
        let (outcome, place) = (&self.flight.outcome, self.place);
        let Self { flight, settlement, .. } = self;
        let chunks = flight.chunks().count();
        // Where no score earned any weight, there is nothing to pay to validators.
        let validators = if settlement.validator_weight.is_zero() {
            outcome.validators.len()
        } else {
            settlement.validators.len()
        };
        for (kind, rule, what, expected, found) in [
            (Kind::Consensus, "M-7", "tallied entries", flight.entries.len(), outcome.tallies.len()),
            (Kind::Rank, "M-5", "ranks", settlement.order.len(), outcome.order.len()),
            (Kind::Payment, "M-5", "paid nodes", settlement.order.len(), outcome.nodes.len()),
            (Kind::Weight, "M-8", "weighed chunks", chunks, outcome.weights.len()),
            (Kind::Payment, "M-8", "paid validators", validators, outcome.validators.len()),
        ] {
            let what = format!("the number of {what}");
            self.findings.equal((kind, rule), place, what, expected, found);
        }
        let (paid, to_reserve, to_bounty) = outcome.settled.unwrap_or_default();
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
