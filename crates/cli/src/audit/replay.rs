//! Walks the history from its first event to its last, and recomputes every epoch on the way.

use std::collections::BTreeMap;

use aiarena_chain::{
    bindings::{
        Arena::ArenaEvents as A,
        Emission::EmissionEvents as E,
        Vault::{self as vault_abi, VaultEvents as V},
    },
    history::{Event, Record},
    ledger::{Flight, Ledger, Offence},
};
use aiarena_mechanism::{fixed_point::WAD, slashing::penalty};
use alloy::primitives::{Address, B256, U256, address};

use super::{
    arena::{Idle, Tallying, Watch},
    emission::Owner,
    evidence::{Evidence, Moved},
    finding::{Findings, Kind, Place},
    recompute::{Recomputed, recompute},
    sequence::Sequence,
    timing, vault,
};

/// Where burned tokens go: nobody has a key of it.
const GRAVE: Address = address!("000000000000000000000000000000000000dEaD");

/// A claim, as the vault paid it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimLine {
    /// The task.
    pub task: u64,
    /// Whose pool.
    pub operator: Address,
    /// Who claimed.
    pub account: Address,
    /// What it got, in base units.
    pub amount: U256,
    /// What the treasury got of it.
    pub fee: U256,
    /// The fee in WAD.
    pub fee_wad: U256,
    /// In which block.
    pub block: u64,
}

/// A slash, as the vault carried it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlashLine {
    /// The task.
    pub task: u64,
    /// The epoch in which it offended.
    pub epoch: u32,
    /// Whose pool.
    pub operator: Address,
    /// What it was reported for.
    pub offence: Offence,
    /// The effective stake with which it owed scores.
    pub stake: U256,
    /// What that costs.
    pub penalty: U256,
    /// Taken of the operator's stake.
    pub direct: U256,
    /// Taken of its unbonding stake.
    pub unbonding: U256,
    /// Taken of its delegators' stake.
    pub delegated: U256,
    /// What a share was worth before it, and from the next epoch on; in WAD.
    pub factors: (U256, U256),
    /// In which block.
    pub block: u64,
    /// When, in seconds since 1970.
    pub time: u64,
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
    /// All slashes, oldest first.
    pub slashes: Vec<SlashLine>,
    /// How many payments were compared.
    pub payments: u64,
}

/// Replays a history and recomputes everything that it pays, from what people did and nothing else.
///
/// An event that cannot have happened ends the walk: the state after it would mean nothing.
#[must_use]
pub fn replay(evidence: &Evidence, findings: &mut Findings) -> Replayed {
    let mut walk = Walk {
        evidence,
        ledger: Ledger::new(evidence.fixed.clock, evidence.fixed.constants),
        sequence: Sequence::default(),
        tallying: Tallying::new(),
        idle: Idle::new(),
        owners: 0,
        offence: Offence::Unrevealed,
        epochs: Vec::new(),
        claims: Vec::new(),
        slashes: Vec::new(),
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
    tallying: Tallying,
    idle: Idle,
    /// How often the emission changed hands.
    owners: u32,
    /// What was reported last.
    offence: Offence,
    epochs: Vec<Recomputed>,
    claims: Vec<ClaimLine>,
    slashes: Vec<SlashLine>,
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
        let (present, _) = self.ledger.clock.at(block.timestamp);
        match &record.event {
            Event::Arena(event) => Watch {
                deployment: &self.evidence.deployment,
                ledger: &self.ledger,
                record,
                block,
                tallying: &mut self.tallying,
                idle: &mut self.idle,
                findings: self.findings,
            }
            .check(event),
            Event::Vault(event) => vault::check(record, event, &self.ledger, present, self.findings),
            Event::Emission(event) => Owner {
                ledger: &self.ledger,
                place,
                present,
                first: self.evidence.fixed.owner,
                changes: self.owners,
                findings: self.findings,
            }
            .check(event),
        }
        self.before(record, block.timestamp);
        if let Err(error) = self.ledger.apply(record) {
            let late = if self.ledger.tasks.is_empty() {
                ": does the history begin too late? An earlier --from-block reads more of it"
            } else {
                ""
            };
            let message = format!("{}; the audit cannot go on{late}", error.what);
            self.findings.push(Kind::History, "", place, message);
            return None;
        }
        self.after(record);
        Some(Some(here))
    }

    /// What follows from the state before an event: the whole epoch that ends, and what was taken.
    fn before(&mut self, record: &Record, time: u64) {
        match &record.event {
            Event::Vault(V::Claimed(e)) => self.claims.push(ClaimLine {
                task: e.task.saturating_to(),
                operator: e.operator,
                account: e.account,
                amount: e.amount,
                fee: e.fee,
                fee_wad: self.ledger.fee_at(self.ledger.clock.at(time).0),
                block: record.block,
            }),
            Event::Vault(V::BudgetSettled(e)) => {
                let task = u64::try_from(e.task).ok().and_then(|task| self.ledger.tasks.get(&task));
                let Some((task, flight)) = task.and_then(|task| Some((task, task.flight.as_ref()?))) else {
                    return;
                };
                self.tallying.remove(&(task.number, flight.epoch));
                let end = Some((e.paid, e.toReserve, e.toBounty));
                self.payments += payments(flight);
                self.epochs.extend(recompute(task, flight, end, self.findings));
            }
            Event::Vault(V::Slashed(e)) => self.slashes.extend(self.slash(e, record.block, time)),
            _ => {}
        }
    }

    fn slash(&self, e: &vault_abi::Slashed, block: u64, time: u64) -> Option<SlashLine> {
        let task = self.ledger.tasks.get(&u64::try_from(e.task).ok()?)?;
        let stake = task.duty(e.operator)?;
        let before = task.pools.get(&e.operator).map_or(WAD, |pool| pool.factor_wad());
        Some(SlashLine {
            task: task.number,
            epoch: task.drawn()?.epoch,
            operator: e.operator,
            offence: self.offence,
            stake,
            penalty: penalty(stake, self.ledger.constants.slash_wad).unwrap_or_default(),
            direct: e.direct,
            unbonding: e.unbonding,
            delegated: e.delegated,
            factors: (before, e.factorWad),
            block,
            time,
        })
    }

    fn after(&mut self, record: &Record) {
        match &record.event {
            Event::Arena(A::UnrevealedReported(_)) => self.offence = Offence::Unrevealed,
            Event::Arena(A::SilenceReported(_)) => self.offence = Offence::Silent,
            Event::Emission(E::OwnershipTransferred(_)) => self.owners = self.owners.saturating_add(1),
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
        let Self { ledger, epochs, claims, slashes, payments, .. } = self;
        Replayed { ledger, complete, epochs, claims, slashes, payments }
    }
}

fn payments(flight: &Flight) -> u64 {
    (flight.outcome.nodes.len() + flight.outcome.validators.len()) as u64
}

/// What an event of the vault says that the token moved into it or out of it, and whose it was or became.
fn moved(event: &V) -> Option<(Address, Moved)> {
    let (account, into, out) = match event {
        V::TaskRegistered(e) => (e.terms.creator, e.bond, U256::ZERO),
        V::Funded(e) => (e.from, e.amount, U256::ZERO),
        V::EmissionFunded(e) => (e.from, e.amount, U256::ZERO),
        V::Staked(e) => (e.operator, e.amount, U256::ZERO),
        V::Delegated(e) => (e.delegator, e.amount, U256::ZERO),
        V::Withdrawn(e) => (e.account, U256::ZERO, e.amount),
        V::Claimed(e) => (e.account, U256::ZERO, e.amount),
        V::Reclaimed(e) => (e.account, U256::ZERO, e.bounty.saturating_add(e.bond)),
        V::Burned(e) => (GRAVE, U256::ZERO, e.amount),
        V::FeesCollected(e) => (e.treasury, U256::ZERO, e.amount),
        _ => return None,
    };
    Some((account, Moved { into, out }))
}

/// The token moved what the vault's events say, for everyone in each transaction. More may come in: anyone may give tokens
/// away.
fn compare_transfers(evidence: &Evidence, findings: &mut Findings) {
    let mut said: BTreeMap<(B256, Address), (Moved, u64)> = BTreeMap::new();
    for record in &evidence.records {
        let Event::Vault(event) = &record.event else { continue };
        let Some((account, part)) = moved(event) else { continue };
        let (all, block) = said.entry((record.transaction, account)).or_default();
        all.into = all.into.saturating_add(part.into);
        all.out = all.out.saturating_add(part.out);
        *block = record.block;
    }
    let nothing = Moved::default();
    for ((transaction, account), (said, block)) in &said {
        let moved = evidence.transfers.get(&(*transaction, *account)).unwrap_or(&nothing);
        let place = Place::block(*block).of(*account);
        let about = (Kind::Conservation, "M-15");
        let what = format!("what the token moved out of the vault in {transaction}");
        findings.equal(about, place, what, said.out, moved.out);
        findings.check(moved.into >= said.into, Kind::Conservation, "M-15", place, || {
            format!("the token moved {} into the vault in {transaction}, not {}", moved.into, said.into)
        });
    }
    for ((transaction, account), moved) in &evidence.transfers {
        let known = moved.out.is_zero() || said.contains_key(&(*transaction, *account));
        findings.check(known, Kind::Conservation, "M-15", Place::default().of(*account), || {
            format!(
                "the token moved {} out of the vault in {transaction}, of which the vault says nothing",
                moved.out
            )
        });
    }
}
