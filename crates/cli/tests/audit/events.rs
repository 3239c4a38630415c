//! Tampering with decoded events, the blocks taken as verified: recomputation alone must find it.

use std::collections::BTreeSet;

use aiarena_chain::{
    bindings::{
        Arena::{self as abi, ArenaEvents as A},
        Vault::{self, VaultEvents as V},
    },
    history::{Event, Record},
};
use aiarena_cli::audit::{Evidence, Findings, Kind, reckon};
use aiarena_mechanism::commitment::tagged;
use alloy::{
    primitives::{Address, B256, IntoLogData, LogData, U256},
    providers::DynProvider,
    sol_types::SolEventInterface,
};

use crate::story::{FRESH, IDLE, story};

pub(crate) fn copy(record: &Record) -> Record {
    let event = match &record.event {
        Event::Arena(event) => Event::Arena(event.clone()),
        Event::Vault(event) => Event::Vault(event.clone()),
    };
    Record { event, ..*record }
}

pub(crate) fn with(evidence: &Evidence, records: Vec<Record>) -> Evidence {
    Evidence {
        records,
        blocks: evidence.blocks.clone(),
        proofs: evidence.proofs.clone(),
        transfers: evidence.transfers.clone(),
        notes: Vec::new(),
        ..*evidence
    }
}

pub(crate) fn copies(evidence: &Evidence) -> Vec<Record> {
    evidence.records.iter().map(copy).collect()
}

async fn findings(provider: &DynProvider, mut evidence: Evidence) -> Findings {
    let mut findings = Findings::default();
    reckon(provider, &mut evidence, true, &mut findings).await.unwrap();
    findings
}

/// Changes the first event that `change` takes.
fn edit(records: &mut [Record], change: impl Fn(&mut Event) -> Option<()>) {
    assert!(records.iter_mut().any(|record| change(&mut record.event).is_some()), "there is such an event");
}

fn position(records: &[Record], is: impl Fn(&Event) -> bool) -> usize {
    records.iter().position(|record| is(&record.event)).expect("there is such an event")
}

/// Swaps what two events say, not where they stand.
pub(crate) fn swap(records: &mut [Record], i: usize, j: usize) {
    records.swap(i, j);
    let (left, right) = records.split_at_mut(j);
    let (a, b) = (&mut left[i], &mut right[0]);
    std::mem::swap(&mut a.block, &mut b.block);
    std::mem::swap(&mut a.block_hash, &mut b.block_hash);
    std::mem::swap(&mut a.transaction, &mut b.transaction);
    std::mem::swap(&mut a.log_index, &mut b.log_index);
}

/// Changes the first event of this name of the arena.
macro_rules! arena {
    ($event:ident, $e:ident => $change:expr) => {
        |records: &mut Vec<Record>| {
            edit(records, |event| match event {
                Event::Arena(A::$event($e)) => Some($change),
                _ => None,
            })
        }
    };
}

/// Changes the first event of this name of the vault.
macro_rules! vault {
    ($event:ident, $e:ident => $change:expr) => {
        |records: &mut Vec<Record>| {
            edit(records, |event| match event {
                Event::Vault(V::$event($e)) => Some($change),
                _ => None,
            })
        }
    };
}

type Row = (&'static str, Kind, fn(&mut Vec<Record>));

const ONE: U256 = U256::ONE;

/// What is tampered with, and what it must be found as.
const ROWS: &[Row] = &[
    ("a node's reward", Kind::Payment, arena!(NodePaid, e => e.withDelegation += ONE)),
    ("a node's reward without delegation", Kind::Payment, arena!(NodePaid, e => e.withoutDelegation += ONE)),
    ("who is paid", Kind::Payment, arena!(NodePaid, e => e.node = Address::repeat_byte(7))),
    ("a validator's reward", Kind::Payment, arena!(ValidatorPaid, e => e.withDelegation -= ONE)),
    (
        "an operator's credit",
        Kind::Payment,
        vault!(Credited, e => {
            e.operatorAmount -= ONE;
            e.delegatorsAmount += ONE;
        }),
    ),
    ("what was paid in all", Kind::Budget, vault!(BudgetSettled, e => e.paid += ONE)),
    ("what returns to the reserve", Kind::Budget, vault!(BudgetSettled, e => e.toReserve += ONE)),
    ("an epoch's emission", Kind::Budget, vault!(BudgetOpened, e => e.emission += ONE)),
    ("an epoch's bounty", Kind::Budget, vault!(BudgetOpened, e => e.bounty -= ONE)),
    (
        "the nodes' budget",
        Kind::Budget,
        arena!(SeedDrawn, e => {
            e.nodeBudget += ONE;
            e.validatorBudget -= ONE;
        }),
    ),
    ("the seed", Kind::Seed, arena!(SeedDrawn, e => e.seed = B256::repeat_byte(1))),
    ("the validators' stake", Kind::Stake, arena!(SeedDrawn, e => e.validatorStake += ONE)),
    (
        "a revealed score",
        Kind::Commitment,
        arena!(ScoresRevealed, e => {
            let mut scores = e.scores.to_vec();
            scores[3] ^= 1;
            e.scores = scores.into();
        }),
    ),
    ("a missing score", Kind::Reveal, arena!(ScoresRevealed, e => e.scores = e.scores.slice(4..))),
    (
        "an illegal score",
        Kind::Reveal,
        arena!(ScoresRevealed, e => {
            let mut scores = e.scores.to_vec();
            scores[0] = 0x80;
            e.scores = scores.into();
        }),
    ),
    ("a salt", Kind::Commitment, arena!(ScoresRevealed, e => e.salt = B256::ZERO)),
    ("a Merkle root", Kind::Commitment, arena!(ScoresRevealed, e => e.root = B256::ZERO)),
    ("who revealed", Kind::Commitment, arena!(ScoresRevealed, e => e.validator = Address::ZERO)),
    ("a commitment to scores", Kind::Commitment, arena!(ScoresCommitted, e => e.commitment = B256::ZERO)),
    (
        "a commitment to a submission",
        Kind::Commitment,
        arena!(SubmissionCommitted, e => {
            e.commitment = B256::ZERO;
        }),
    ),
    ("an artifact's hash", Kind::Commitment, arena!(SubmissionOpened, e => e.contentHash = B256::ZERO)),
    ("a commitment number", Kind::History, arena!(SubmissionCommitted, e => e.number += ONE)),
    ("an epoch", Kind::Time, arena!(SubmissionCommitted, e => e.epoch += ONE)),
    ("a consensus score", Kind::Consensus, arena!(Tallied, e => e.consensus += ONE)),
    ("a quorum", Kind::Consensus, arena!(Tallied, e => e.scored = false)),
    ("a ranking that leaves one out", Kind::Rank, arena!(Tallied, e => e.ranked = false)),
    ("an effective stake", Kind::Stake, arena!(Tallied, e => e.stake += ONE)),
    ("an entry at a rank", Kind::Rank, arena!(Ranked, e => e.entry += ONE)),
    ("a rank", Kind::History, arena!(Ranked, e => e.rank += ONE)),
    ("a weight", Kind::Weight, arena!(Weighed, e => e.weight += ONE)),
    ("a stake", Kind::Stake, vault!(Staked, e => e.amount += ONE)),
    (
        "a stake and the sum after it",
        Kind::Conservation,
        vault!(Staked, e => {
            e.amount += ONE;
            e.direct += ONE;
        }),
    ),
    ("a role", Kind::Stake, vault!(Staked, e => e.role = 2)),
    ("a delegation", Kind::Conservation, vault!(Delegated, e => e.amount += ONE)),
    ("an unstaking", Kind::Stake, vault!(Unstaked, e => e.amount += ONE)),
    ("a release from unbonding", Kind::Stake, vault!(Unbonding, e => e.releaseEpoch -= ONE)),
    ("a commission", Kind::Payment, vault!(CommissionSet, e => e.commissionWad += ONE)),
    ("when a commission begins", Kind::Stake, vault!(CommissionSet, e => e.effectiveEpoch -= ONE)),
    ("a claim", Kind::Claim, vault!(Claimed, e => e.amount += ONE)),
    ("who claimed", Kind::Claim, vault!(Claimed, e => e.account = Address::ZERO)),
    ("a withdrawal", Kind::Stake, vault!(Withdrawn, e => e.amount -= ONE)),
    ("funds", Kind::Conservation, vault!(Funded, e => e.bounty += ONE)),
    ("what a creator reclaims", Kind::Budget, vault!(Reclaimed, e => e.amount += ONE)),
    ("who reclaims", Kind::Budget, vault!(Reclaimed, e => e.creator = Address::ZERO)),
    ("the terms that the vault knows", Kind::History, vault!(TaskRegistered, e => e.terms.lastEpoch += 1)),
    ("a task's end", Kind::Time, arena!(TaskCreated, e => e.lastEpoch += ONE)),
    ("a task's parameter", Kind::Budget, arena!(TaskCreated, e => e.params.gammaWad += 1)),
    ("a parameter out of its bounds", Kind::History, arena!(TaskCreated, e => e.params.phiWad = 1)),
    ("who was evicted", Kind::History, arena!(SubmissionEvicted, e => e.node = Address::ZERO)),
    ("who withdrew", Kind::History, arena!(SubmissionWithdrawn, e => e.node = Address::ZERO)),
    ("a removed payment", Kind::History, |records| {
        let at = position(records, |event| matches!(event, Event::Vault(V::Credited(_))));
        records.remove(at);
    }),
    ("a duplicated claim", Kind::History, |records| {
        let at = position(records, |event| matches!(event, Event::Vault(V::Claimed(_))));
        let again = copy(&records[at]);
        records.insert(at, again);
    }),
    ("two ranks swapped", Kind::History, |records| {
        let at = position(records, |event| matches!(event, Event::Arena(A::Ranked(_))));
        swap(records, at, at + 1);
    }),
    ("a claim before its credit", Kind::Claim, |records| {
        let credit = position(records, |event| matches!(event, Event::Vault(V::Credited(_))));
        let claim = position(records, |event| matches!(event, Event::Vault(V::Claimed(_))));
        swap(records, credit, claim);
    }),
    ("the last events cut off", Kind::State, |records| {
        let claim = position(records, |event| matches!(event, Event::Vault(V::Claimed(_))));
        records.truncate(claim);
    }),
];

#[tokio::test]
async fn every_kind_of_tampering_is_found_by_recomputing() {
    let mut world = story().await;
    let (evidence, provider) = (world.evidence().await, world.provider());
    let honest = findings(&provider, with(&evidence, copies(&evidence))).await;
    assert!(honest.is_empty(), "{:?}", honest.list());
    for (what, kind, tamper) in ROWS {
        let mut records = copies(&evidence);
        tamper(&mut records);
        let found = findings(&provider, with(&evidence, records)).await;
        let kinds: BTreeSet<Kind> = found.list().iter().map(|finding| finding.kind).collect();
        assert!(kinds.contains(kind), "{what}: {kind:?} is not in {:#?}", found.list());
    }
}

#[tokio::test]
async fn tampering_with_time_and_randomness_is_found_by_recomputing() {
    let mut world = story().await;
    let (evidence, provider) = (world.evidence().await, world.provider());
    let drawn = position(&evidence.records, |event| matches!(event, Event::Arena(A::SeedDrawn(_))));
    let block = evidence.records[drawn].block;

    let mut tampered = with(&evidence, copies(&evidence));
    tampered.blocks.get_mut(&block).unwrap().prevrandao = B256::repeat_byte(9);
    let found = findings(&provider, tampered).await;
    assert!(found.list().iter().any(|finding| finding.kind == Kind::Seed), "{:?}", found.list());

    for shift in [-2_000_i64, 2_500, 6_000] {
        let mut tampered = with(&evidence, copies(&evidence));
        let facts = tampered.blocks.get_mut(&block).unwrap();
        facts.timestamp = facts.timestamp.saturating_add_signed(shift);
        let found = findings(&provider, tampered).await;
        assert!(found.list().iter().any(|finding| finding.kind == Kind::Time), "{shift}: {:?}", found.list());
    }
}

/// The name of an event.
fn name(event: &Event) -> String {
    let text = match event {
        Event::Arena(event) => format!("{event:?}"),
        Event::Vault(event) => format!("{event:?}"),
    };
    text.split('(').next().unwrap_or_default().to_owned()
}

fn raw(event: &Event) -> LogData {
    match event {
        Event::Arena(event) => event.to_log_data(),
        Event::Vault(event) => event.to_log_data(),
    }
}

fn decoded(like: &Event, raw: &LogData) -> Option<Event> {
    match like {
        Event::Arena(_) => A::decode_raw_log(raw.topics(), &raw.data).ok().map(Event::Arena),
        Event::Vault(_) => V::decode_raw_log(raw.topics(), &raw.data).ok().map(Event::Vault),
    }
}

/// All events that differ from this one in a single bit of one of their words.
pub(crate) fn neighbours(event: &Event) -> Vec<(String, Event)> {
    let original = raw(event);
    let mut found = Vec::new();
    let words = original.data.len() / 32;
    for word in 0..original.topics().len() - 1 + words {
        for byte in [0, 12, 31] {
            let mut topics = original.topics().to_vec();
            let mut data = original.data.to_vec();
            match topics.get_mut(word + 1) {
                Some(topic) => topic.0[byte] ^= 1,
                None => data[(word + 1 - topics.len()) * 32 + byte] ^= 1,
            }
            let changed = LogData::new_unchecked(topics, data.into());
            let Some(changed) = decoded(event, &changed) else { continue };
            if raw(&changed) != original {
                found.push((format!("{} word {word} byte {byte}", name(event)), changed));
            }
        }
    }
    found
}

/// Whether nothing depends on this change, no payment and no state: who gave funds, where an artifact is said to be, what
/// a task is about or would allow, and what was committed to and never shown. The receipts of the block hold it.
fn is_free(original: &Event, changed: &Event, silent: Address) -> bool {
    match (original, changed) {
        (Event::Arena(A::ScoresCommitted(old)), _) if old.validator == silent => true,
        (Event::Arena(A::ScoresCommitted(old)), Event::Arena(A::ScoresCommitted(new))) => {
            // The arena keeps the upper 224 bits.
            let kept = |word: B256| tagged(word, 0);
            let same = kept(old.commitment) == kept(new.commitment);
            same && (old.task, old.epoch, old.validator) == (new.task, new.epoch, new.validator)
        }
        (Event::Arena(A::SubmissionCommitted(old)), Event::Arena(A::SubmissionCommitted(new))) => {
            *new == abi::SubmissionCommitted { commitment: new.commitment, ..old.clone() } && is_silent(old)
        }
        (Event::Arena(A::SubmissionOpened(old)), Event::Arena(A::SubmissionOpened(new))) => {
            *new == abi::SubmissionOpened { uri: new.uri.clone(), ..old.clone() }
        }
        (Event::Vault(V::Funded(old)), Event::Vault(V::Funded(new))) => {
            *new == Vault::Funded { from: new.from, ..old.clone() }
        }
        (Event::Arena(A::TaskCreated(old)), Event::Arena(A::TaskCreated(new))) => {
            let p = &new.params;
            // Of a task in which nothing happened, no rule was ever applied.
            let unused = if old.task == U256::from(IDLE) {
                new.params.clone()
            } else {
                let mut unused = old.params.clone();
                (unused.metadata, unused.lossCapWad) = (p.metadata, p.lossCapWad);
                unused.maxSubmissions = p.maxSubmissions;
                match old.params.rule {
                    0 => {
                        (unused.qWad, unused.alphaWad, unused.rankCutoff) = (p.qWad, p.alphaWad, p.rankCutoff)
                    }
                    // The last decimal of an exponent is below the rounding of the power.
                    _ => (unused.phiWad, unused.alphaWad) = (p.phiWad, p.alphaWad),
                }
                unused
            };
            *new == abi::TaskCreated { params: unused, ..old.clone() }
        }
        _ => false,
    }
}

/// The commitment that its node never opened.
fn is_silent(event: &abi::SubmissionCommitted) -> bool {
    (event.task, event.epoch, event.number) == (U256::from(FRESH), U256::from(2), U256::from(8))
}

#[tokio::test]
async fn every_bit_of_every_event_counts() {
    let mut world = story().await;
    let (evidence, provider) = (world.evidence().await, world.provider());
    let silent = world.address("von");
    let mut unnoticed = BTreeSet::new();
    let mut tried = 0;
    for at in 0..evidence.records.len() {
        for (what, event) in neighbours(&evidence.records[at].event) {
            let mut records = copies(&evidence);
            records[at].event = event;
            tried += 1;
            if is_free(&evidence.records[at].event, &records[at].event, silent) {
                continue;
            }
            if findings(&provider, with(&evidence, records)).await.is_empty() {
                unnoticed.insert(what);
            }
        }
    }
    assert!(unnoticed.is_empty() && tried > 2_000, "of {tried}: {unnoticed:#?}");
}

#[tokio::test]
async fn no_event_can_be_left_out_or_told_twice() {
    let mut world = story().await;
    let (evidence, provider) = (world.evidence().await, world.provider());
    for at in 0..evidence.records.len() {
        let event = &evidence.records[at].event;
        let mut records = copies(&evidence);
        records.insert(at, copy(&evidence.records[at]));
        let twice = findings(&provider, with(&evidence, records)).await;
        assert!(!twice.is_empty(), "{event:?} twice");

        let mut records = copies(&evidence);
        records.remove(at);
        let without = findings(&provider, with(&evidence, records)).await;
        // What leaves no trace but its event, which the block's receipts hold: commitments that are never opened.
        let silent = match event {
            Event::Arena(A::ScoresCommitted(e)) => e.validator == world.address("von"),
            Event::Arena(A::SubmissionCommitted(e)) => is_silent(e),
            // No view tells how far the weighing of an epoch in flight is.
            Event::Arena(A::Weighed(e)) => e.epoch == U256::from(3),
            _ => false,
        };
        assert!(silent || !without.is_empty(), "without {event:?}");
    }
}
