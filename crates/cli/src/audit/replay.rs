//! Walks the history from its first event to its last, and recomputes every epoch on the way.

use std::collections::{BTreeMap, BTreeSet};

use aiarena_chain::{
    bindings::{Arena::ArenaEvents as A, Vault::VaultEvents as V},
    history::{Event, Record},
    ledger::{Flight, Ledger, Task},
};
use aiarena_node::settlement::tree;
use alloy::primitives::{Address, B256, U256};

use super::{
    arena::Watch,
    evidence::{Evidence, Moved},
    finding::{Findings, Kind, Place},
    recompute::{Recomputed, recompute},
    sequence::Sequence,
    timing, vault,
};

/// A claim, as the vault paid it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimLine {
    /// The task.
    pub task: u64,
    /// Whose pool.
    pub operator: Address,
    /// Who claimed.
    pub account: Address,
    /// Base units.
    pub amount: U256,
    /// In which block.
    pub block: u64,
}

/// A history that was walked through.
#[derive(Debug)]
pub struct Replayed {
    /// The state after the last event that could be applied.
    pub ledger: Ledger,
    /// Whether that was the last event of all.
    pub complete: bool,
    /// Settled epochs and those in flight, recomputed, in the order in which they ended.
    pub epochs: Vec<Recomputed>,
    /// All claims, oldest first.
    pub claims: Vec<ClaimLine>,
    /// How many payments were compared.
    pub payments: u64,
    /// Commitments that could not be checked.
    pub notes: Vec<String>,
}

/// Replays a history and recomputes everything that it pays, from what people did and nothing else.
///
/// An event that cannot have happened ends the walk: the state after it would mean nothing.
#[must_use]
pub fn replay(evidence: &Evidence, findings: &mut Findings) -> Replayed {
    let mut walk = Walk {
        evidence,
        ledger: Ledger::new(evidence.clock),
        sequence: Sequence::default(),
        unproven: BTreeSet::new(),
        epochs: Vec::new(),
        claims: Vec::new(),
        payments: 0,
        findings,
    };
    let complete = evidence.records.iter().try_fold(None, |last, record| walk.step(last, record)).is_some();
    walk.finish(complete)
}

struct Walk<'a> {
    evidence: &'a Evidence,
    ledger: Ledger,
    sequence: Sequence,
    unproven: BTreeSet<(u64, u32, Address)>,
    epochs: Vec<Recomputed>,
    claims: Vec<ClaimLine>,
    payments: u64,
    findings: &'a mut Findings,
}

type Last = Option<(u64, u64)>;

impl Walk<'_> {
    /// Checks and applies one event; `None` ends the walk.
    fn step(&mut self, last: Last, record: &Record) -> Option<Last> {
        let place = Place::record(record);
        let here = (record.block, record.log_index);
        if last.is_some_and(|last| last >= here) {
            self.findings.push(
                Kind::History,
                "",
                place,
                "the event stands before the one that came before it",
            );
        }
        let Some(block) = self.evidence.blocks.get(&record.block) else {
            self.findings.push(Kind::Block, "", place, "the block of the event was not read");
            return None;
        };
        let about = (Kind::Block, "");
        self.findings.equal(about, place, "the hash of its block", block.hash, record.block_hash);
        self.sequence.step(record, self.findings);
        timing::check(record, block, &self.ledger, self.findings);
        match &record.event {
            Event::Arena(event) => Watch {
                deployment: &self.evidence.deployment,
                ledger: &self.ledger,
                record,
                block,
                proofs: &self.evidence.proofs,
                unproven: &mut self.unproven,
                findings: self.findings,
            }
            .check(event),
            Event::Vault(event) => {
                let (present, _) = self.ledger.clock.at(block.timestamp);
                vault::check(record, event, &self.ledger, present, self.findings);
            }
        }
        if let Err(error) = self.list_is_fixed(record).and_then(|()| {
            let applied = self.ledger.apply(record);
            applied.map_err(|error| error.what)
        }) {
            let late = if self.ledger.tasks.is_empty() {
                ": does the history begin too late? An earlier --from-block reads more of it"
            } else {
                ""
            };
            self.findings.push(Kind::History, "", place, format!("{error}; the audit cannot go on{late}"));
            return None;
        }
        self.after(record);
        Some(Some(here))
    }

    /// The list of a task does not change while its epoch is in flight (M-1).
    fn list_is_fixed(&self, record: &Record) -> Result<(), String> {
        let task = match &record.event {
            Event::Arena(A::SubmissionOpened(e)) => e.task,
            Event::Arena(A::SubmissionEvicted(e)) => e.task,
            _ => return Ok(()),
        };
        let task = u64::try_from(task).ok().and_then(|task| self.ledger.tasks.get(&task));
        match task.and_then(|task| task.flight.as_ref()) {
            Some(flight) => Err(format!("the list changes while epoch {} is in flight", flight.epoch)),
            None => Ok(()),
        }
    }

    fn after(&mut self, record: &Record) {
        match &record.event {
            Event::Vault(V::BudgetSettled(e)) => {
                let task = u64::try_from(e.task).ok().and_then(|task| self.ledger.tasks.get(&task));
                if let Some((task, flight)) = task.and_then(|task| Some((task, task.settled.last()?))) {
                    let done = recompute(task, flight, Some(task.settled.len() - 1), self.findings);
                    self.payments += payments(flight);
                    self.epochs.extend(done);
                }
            }
            Event::Vault(V::Claimed(e)) => self.claims.push(ClaimLine {
                task: e.task.saturating_to(),
                operator: e.operator,
                account: e.account,
                amount: e.amount,
                block: record.block,
            }),
            _ => {}
        }
    }

    fn finish(mut self, complete: bool) -> Replayed {
        if complete {
            std::mem::take(&mut self.sequence).finish(self.findings);
            compare_transfers(self.evidence, self.findings);
        }
        for task in self.ledger.tasks.values() {
            if let Some(flight) = &task.flight {
                let done = recompute(task, flight, None, self.findings);
                self.payments += payments(flight);
                self.epochs.extend(done);
            }
        }
        let notes = self.unproven.iter().filter_map(|reveal| unproven(&self.ledger, *reveal)).collect();
        let Self { ledger, epochs, claims, payments, .. } = self;
        Replayed { ledger, complete, epochs, claims, payments, notes }
    }
}

fn payments(flight: &Flight) -> u64 {
    (flight.outcome.nodes.len() + flight.outcome.validators.len()) as u64
}

/// A note if a reveal whose proof is not at hand does not prove itself: all chunks together give the root.
fn unproven(ledger: &Ledger, (number, epoch, validator): (u64, u32, Address)) -> Option<String> {
    let task: &Task = ledger.tasks.get(&number)?;
    let flight = task.epoch(epoch)?;
    let reveals = flight.reveals.get(&validator)?;
    let scores: Vec<u32> = reveals.chunks.values().flatten().copied().collect();
    let root = tree(task, flight, validator, &scores).map(|tree| tree.root());
    (root != Ok(reveals.root)).then(|| {
        format!(
            "scores of {validator} in task {number}, epoch {epoch}, could not be checked against its commitment: it did \
             not call the arena itself"
        )
    })
}

/// The token moved what the vault's events say, transaction by transaction. More may come in: anyone may give tokens away.
fn compare_transfers(evidence: &Evidence, findings: &mut Findings) {
    let mut said: BTreeMap<B256, (Moved, u64)> = BTreeMap::new();
    for record in &evidence.records {
        let Event::Vault(event) = &record.event else { continue };
        let (into, out) = match event {
            V::Funded(e) => (e.emission.saturating_add(e.bounty), U256::ZERO),
            V::Staked(e) => (e.amount, U256::ZERO),
            V::Delegated(e) => (e.amount, U256::ZERO),
            V::Withdrawn(e) => (U256::ZERO, e.amount),
            V::Claimed(e) => (U256::ZERO, e.amount),
            V::Reclaimed(e) => (U256::ZERO, e.amount),
            _ => continue,
        };
        let (moved, block) = said.entry(record.transaction).or_default();
        moved.into = moved.into.saturating_add(into);
        moved.out = moved.out.saturating_add(out);
        *block = record.block;
    }
    let nothing = Moved::default();
    for (transaction, (said, block)) in &said {
        let moved = evidence.transfers.get(transaction).unwrap_or(&nothing);
        let place = Place::block(*block);
        let about = (Kind::Conservation, "M-15");
        let what = format!("what the token moved out of the vault in {transaction}");
        findings.equal(about, place, what, said.out, moved.out);
        findings.check(moved.into >= said.into, Kind::Conservation, "M-15", place, || {
            format!("the token moved {} into the vault in {transaction}, not {}", moved.into, said.into)
        });
    }
    for (transaction, moved) in &evidence.transfers {
        let known = moved.out.is_zero() || said.contains_key(transaction);
        findings.check(known, Kind::Conservation, "M-15", Place::default(), || {
            format!(
                "the token moved {} out of the vault in {transaction}, of which the vault says nothing",
                moved.out
            )
        });
    }
}
