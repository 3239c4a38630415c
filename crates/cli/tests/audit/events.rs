//! Tampering with decoded events, the blocks taken as verified: recomputation alone must find it.

use std::collections::BTreeSet;

use aiarena_chain::{
    bindings::{
        Arena::{self as abi, ArenaEvents as A},
        Emission::EmissionEvents as E,
        Vault::VaultEvents as V,
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

use crate::{
    story::{FRESH, IDLE, NONE, SHORT, story},
    world::{WAD, tokens},
};

pub(crate) fn copy(record: &Record) -> Record {
    let event = match &record.event {
        Event::Arena(event) => Event::Arena(event.clone()),
        Event::Vault(event) => Event::Vault(event.clone()),
        Event::Emission(event) => Event::Emission(event.clone()),
    };
    Record { event, ..*record }
}

pub(crate) fn with(evidence: &Evidence, records: Vec<Record>) -> Evidence {
    Evidence {
        records,
        blocks: evidence.blocks.clone(),
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

/// Changes the first event of this name of a contract, or the first for which something holds.
macro_rules! change {
    ($contract:ident, $event:pat => $change:expr) => {
        change!($contract, $event, true => $change)
    };
    ($contract:ident, $event:pat, $holds:expr => $change:expr) => {
        |records: &mut Vec<Record>| {
            edit(records, |event| match event {
                Event::$contract($event) if $holds => Some($change),
                _ => None,
            })
        }
    };
}

type Row = (&'static str, Kind, fn(&mut Vec<Record>));

const ONE: U256 = U256::ONE;
const NOBODY: Address = Address::repeat_byte(7);

/// What is tampered with, and what it must be found as.
const ROWS: &[Row] = &[
    ("a node's reward", Kind::Payment, change!(Vault, V::Credited(e) => e.withDelegation += ONE)),
    (
        "a node's reward without delegation",
        Kind::Payment,
        change!(Vault, V::Credited(e) => e.withoutDelegation += ONE),
    ),
    ("who is paid", Kind::History, change!(Vault, V::Credited(e) => e.operator = NOBODY)),
    ("an operator's credit", Kind::Payment, change!(Vault, V::Credited(e) => e.operatorAmount -= ONE)),
    ("what was paid in all", Kind::Budget, change!(Vault, V::BudgetSettled(e) => e.paid += ONE)),
    ("what returns to the reserve", Kind::Budget, change!(Vault, V::BudgetSettled(e) => e.toReserve += ONE)),
    ("what returns to the bounty", Kind::Budget, change!(Vault, V::BudgetSettled(e) => e.toBounty += ONE)),
    ("an epoch's emission", Kind::Budget, change!(Vault, V::BudgetOpened(e) => e.emission += ONE)),
    ("an epoch's bounty", Kind::Budget, change!(Vault, V::BudgetOpened(e) => e.bounty -= ONE)),
    ("what all tasks share", Kind::Budget, change!(Emission, E::EmissionFixed(e) => e.amount += ONE)),
    ("what all tasks hold", Kind::Budget, change!(Emission, E::EmissionFixed(e) => e.totalStake += ONE)),
    ("when emission is fixed", Kind::Time, change!(Emission, E::EmissionFixed(e) => e.epoch += ONE)),
    ("when a task is admitted", Kind::Budget, change!(Emission, E::Admitted(e) => e.fromEpoch -= ONE)),
    ("which task is admitted", Kind::Budget, change!(Emission, E::Admitted(e) => e.task = U256::from(FRESH))),
    ("when a task is dismissed", Kind::Budget, change!(Emission, E::Dismissed(e) => e.untilEpoch += ONE)),
    (
        "which task is dismissed",
        Kind::State,
        change!(Emission, E::Dismissed(e) => e.task = U256::from(FRESH)),
    ),
    (
        "the owner before",
        Kind::History,
        change!(Emission, E::OwnershipTransferred(e) => e.previousOwner = NOBODY),
    ),
    (
        "who is offered the emission",
        Kind::History,
        change!(Emission, E::OwnershipTransferStarted(e) => e.newOwner = NOBODY),
    ),
    (
        "the nodes' budget",
        Kind::Budget,
        change!(Arena, A::SeedDrawn(e) => {
            e.nodeBudget += ONE;
            e.validatorBudget -= ONE;
        }),
    ),
    ("the seed", Kind::Seed, change!(Arena, A::SeedDrawn(e) => e.seed = B256::repeat_byte(1))),
    ("the validators' stake", Kind::Stake, change!(Arena, A::SeedDrawn(e) => e.validatorStake += ONE)),
    (
        "a revealed score",
        Kind::Commitment,
        change!(Arena, A::ScoresRevealed(e) => {
            let mut scores = e.scores.to_vec();
            scores[3] ^= 1;
            e.scores = scores.into();
        }),
    ),
    ("a missing score", Kind::Reveal, change!(Arena, A::ScoresRevealed(e) => e.scores = e.scores.slice(4..))),
    (
        "an illegal score",
        Kind::Reveal,
        change!(Arena, A::ScoresRevealed(e) => {
            let mut scores = e.scores.to_vec();
            scores[0] = 0x80;
            e.scores = scores.into();
        }),
    ),
    ("a salt", Kind::Commitment, change!(Arena, A::ScoresRevealed(e) => e.salt = B256::ZERO)),
    ("who revealed", Kind::Commitment, change!(Arena, A::ScoresRevealed(e) => e.validator = NOBODY)),
    (
        "a commitment to scores",
        Kind::Commitment,
        change!(Arena, A::ScoresCommitted(e) => e.commitment = B256::ZERO),
    ),
    (
        "a commitment to a submission",
        Kind::Commitment,
        change!(Arena, A::SubmissionCommitted(e) => e.commitment = B256::ZERO),
    ),
    (
        "an artifact's hash",
        Kind::Commitment,
        change!(Arena, A::SubmissionOpened(e) => e.contentHash = B256::ZERO),
    ),
    ("a commitment number", Kind::History, change!(Arena, A::SubmissionCommitted(e) => e.number += ONE)),
    ("an epoch", Kind::Time, change!(Arena, A::SubmissionCommitted(e) => e.epoch += ONE)),
    (
        "a consensus score",
        Kind::Consensus,
        change!(Arena, A::Tallied(e), e.counted > ONE => e.consensus += ONE),
    ),
    ("a quorum", Kind::Consensus, change!(Arena, A::Tallied(e), e.scored => e.scored = false)),
    (
        "a score without a quorum",
        Kind::Consensus,
        change!(Arena, A::Tallied(e), !e.scored => e.consensus += ONE),
    ),
    ("a quorum of too few", Kind::Consensus, change!(Arena, A::Tallied(e), !e.scored => e.scored = true)),
    (
        "a count of scores",
        Kind::Consensus,
        change!(Arena, A::Tallied(e), e.counted > ONE => e.counted += ONE),
    ),
    ("an effective stake", Kind::Stake, change!(Arena, A::Tallied(e) => e.stake += ONE)),
    ("a settler's count", Kind::Consensus, change!(Arena, A::PartlyTallied(e) => e.counted += U256::from(9))),
    ("how many are ranked", Kind::Rank, change!(Arena, A::Ranked(e) => e.ranked += ONE)),
    ("the upper score of the spread", Kind::Rank, change!(Arena, A::Ranked(e) => e.upperScore += ONE)),
    ("the lower score of the spread", Kind::Rank, change!(Arena, A::Ranked(e) => e.lowerScore += ONE)),
    ("a weight", Kind::Weight, change!(Arena, A::Weighed(e) => e.weight += ONE)),
    ("who is weighed", Kind::Weight, change!(Arena, A::Weighed(e) => e.validator = NOBODY)),
    ("who is reported", Kind::Slash, change!(Arena, A::UnrevealedReported(e) => e.validator = NOBODY)),
    ("a count of silence", Kind::Slash, change!(Arena, A::SilenceReported(e) => e.count += ONE)),
    ("what a slash takes", Kind::Slash, change!(Vault, V::Slashed(e) => e.direct -= ONE)),
    ("what a slash takes of unbonding", Kind::Slash, change!(Vault, V::Slashed(e) => e.unbonding += ONE)),
    ("what a slash takes of delegators", Kind::Slash, change!(Vault, V::Slashed(e) => e.delegated += ONE)),
    ("what a share is worth", Kind::Slash, change!(Vault, V::Slashed(e) => e.factorWad -= ONE)),
    ("what is burned", Kind::Slash, change!(Vault, V::Burned(e) => e.amount -= ONE)),
    ("a stake", Kind::Stake, change!(Vault, V::Staked(e) => e.amount += ONE)),
    (
        "a stake and the sum after it",
        Kind::Conservation,
        change!(Vault, V::Staked(e) => {
            e.amount += ONE;
            e.direct += ONE;
        }),
    ),
    ("a role", Kind::Stake, change!(Vault, V::Staked(e) => e.role = 2)),
    ("a delegation", Kind::History, change!(Vault, V::Delegated(e) => e.amount += ONE)),
    ("shares", Kind::History, change!(Vault, V::Delegated(e) => e.shares += ONE)),
    (
        "a delegation and its shares",
        Kind::Conservation,
        change!(Vault, V::Delegated(e) => {
            e.amount += ONE;
            e.shares += ONE;
        }),
    ),
    ("shares that leave", Kind::History, change!(Vault, V::Undelegated(e) => e.shares += ONE)),
    ("an unstaking", Kind::State, change!(Vault, V::Unstaked(e) => e.amount -= ONE)),
    ("more than was staked", Kind::Stake, change!(Vault, V::Unstaked(e) => e.amount = tokens(9_999))),
    ("when stake is released", Kind::Stake, change!(Vault, V::Unstaked(e) => e.releaseEpoch -= ONE)),
    (
        "when a delegation is released",
        Kind::Stake,
        change!(Vault, V::Undelegated(e) => e.releaseEpoch -= ONE),
    ),
    ("a commission", Kind::Stake, change!(Vault, V::CommissionSet(e) => e.commissionWad += ONE)),
    (
        "a legal commission",
        Kind::Payment,
        change!(Vault, V::CommissionSet(e), e.commissionWad == U256::from(WAD / 10) =>
            e.commissionWad += U256::from(WAD / 100)),
    ),
    ("when a commission begins", Kind::Stake, change!(Vault, V::CommissionSet(e) => e.effectiveEpoch -= ONE)),
    ("a claim", Kind::Claim, change!(Vault, V::Claimed(e) => e.amount += ONE)),
    (
        "a fee on a claim",
        Kind::Claim,
        change!(Vault, V::Claimed(e) => {
            e.amount -= ONE;
            e.fee += ONE;
        }),
    ),
    ("who claimed", Kind::Claim, change!(Vault, V::Claimed(e) => e.account = NOBODY)),
    ("the fee", Kind::Claim, change!(Vault, V::FeeSet(e) => e.feeWad += U256::from(WAD / 100))),
    ("a fee beyond the limit", Kind::Claim, change!(Vault, V::FeeSet(e) => e.feeWad = U256::from(WAD))),
    ("when a fee begins", Kind::Claim, change!(Vault, V::FeeSet(e) => e.fromEpoch -= ONE)),
    ("the treasury", Kind::Claim, change!(Vault, V::FeeSet(e) => e.treasury = NOBODY)),
    ("the fees", Kind::Claim, change!(Vault, V::FeesCollected(e) => e.amount -= ONE)),
    ("who gets the fees", Kind::Claim, change!(Vault, V::FeesCollected(e) => e.treasury = NOBODY)),
    ("a withdrawal", Kind::Stake, change!(Vault, V::Withdrawn(e) => e.amount -= ONE)),
    (
        "what a slash takes of a withdrawal",
        Kind::Slash,
        change!(Vault, V::Withdrawn(e) => {
            e.amount -= ONE;
            e.lost += ONE;
        }),
    ),
    ("funds", Kind::Conservation, change!(Vault, V::Funded(e) => e.amount += ONE)),
    ("whose funds", Kind::Conservation, change!(Vault, V::Funded(e) => e.from = NOBODY)),
    ("what is to be emitted", Kind::Conservation, change!(Vault, V::EmissionFunded(e) => e.amount += ONE)),
    ("who pays the emission", Kind::Conservation, change!(Vault, V::EmissionFunded(e) => e.from = NOBODY)),
    ("what a funder reclaims", Kind::Budget, change!(Vault, V::Reclaimed(e) => e.bounty += ONE)),
    ("what bond returns", Kind::Budget, change!(Vault, V::Reclaimed(e) => e.bond -= ONE)),
    ("who reclaims", Kind::Budget, change!(Vault, V::Reclaimed(e) => e.account = NOBODY)),
    (
        "the terms that the vault knows",
        Kind::History,
        change!(Vault, V::TaskRegistered(e) => e.terms.lastEpoch += 1),
    ),
    ("a bond", Kind::History, change!(Vault, V::TaskRegistered(e) => e.bond -= ONE)),
    ("a task's end", Kind::Time, change!(Arena, A::TaskCreated(e) => e.lastEpoch += ONE)),
    ("an early end", Kind::Time, change!(Arena, A::TaskEnded(e) => e.lastEpoch += ONE)),
    ("an early end in the vault", Kind::History, change!(Vault, V::TaskShortened(e) => e.lastEpoch += ONE)),
    ("a task's parameter", Kind::Budget, change!(Arena, A::TaskCreated(e) => e.params.gammaWad += 1)),
    (
        "a parameter out of its bounds",
        Kind::History,
        change!(Arena, A::TaskCreated(e) => e.params.phiWad = 1),
    ),
    ("a public key", Kind::State, change!(Arena, A::KeyRegistered(e) => e.key = B256::ZERO)),
    ("who was evicted", Kind::History, change!(Arena, A::SubmissionEvicted(e) => e.node = NOBODY)),
    ("who withdrew", Kind::History, change!(Arena, A::SubmissionWithdrawn(e) => e.node = NOBODY)),
    ("a removed payment", Kind::Payment, |records| {
        let at = position(records, |event| matches!(event, Event::Vault(V::Credited(_))));
        records.remove(at);
    }),
    ("a duplicated claim", Kind::History, |records| {
        let at = position(records, |event| matches!(event, Event::Vault(V::Claimed(_))));
        let again = copy(&records[at]);
        records.insert(at, again);
    }),
    ("two ranks swapped", Kind::Payment, |records| {
        let at = position(records, |event| matches!(event, Event::Vault(V::Credited(_))));
        swap(records, at, at + 1);
    }),
    ("a claim before its credit", Kind::Claim, |records| {
        let credit = position(records, |event| matches!(event, Event::Vault(V::Credited(_))));
        let claim = position(records, |event| matches!(event, Event::Vault(V::Claimed(_))));
        swap(records, credit, claim);
    }),
    ("a slash without its cause", Kind::History, |records| {
        let at = position(records, |event| matches!(event, Event::Arena(A::UnrevealedReported(_))));
        records.remove(at);
    }),
    ("an emission that was not fixed", Kind::History, |records| {
        let at = position(records, |event| matches!(event, Event::Emission(E::EmissionFixed(_))));
        records.remove(at);
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
        Event::Emission(event) => format!("{event:?}"),
    };
    text.split('(').next().unwrap_or_default().to_owned()
}

fn raw(event: &Event) -> LogData {
    match event {
        Event::Arena(event) => event.to_log_data(),
        Event::Vault(event) => event.to_log_data(),
        Event::Emission(event) => event.to_log_data(),
    }
}

fn decoded(like: &Event, raw: &LogData) -> Option<Event> {
    match like {
        Event::Arena(_) => A::decode_raw_log(raw.topics(), &raw.data).ok().map(Event::Arena),
        Event::Vault(_) => V::decode_raw_log(raw.topics(), &raw.data).ok().map(Event::Vault),
        Event::Emission(_) => E::decode_raw_log(raw.topics(), &raw.data).ok().map(Event::Emission),
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

/// Whether nothing depends on this change, no payment and no state: where an artifact is said to be, what a task is about
/// or would allow, what was committed to and never shown, and who counted what for a tally. The receipts of the block hold
/// it.
fn is_free(original: &Event, changed: &Event, silent: Address) -> bool {
    match (original, changed) {
        (Event::Arena(A::ScoresCommitted(old)), Event::Arena(A::ScoresCommitted(new))) => {
            let none = |task: U256| task > U256::from(SHORT);
            let hidden = old.validator == silent && new.task == old.task;
            // The arena keeps the upper 224 bits.
            let kept = |word: B256| tagged(word, 0);
            let same = hidden || kept(old.commitment) == kept(new.commitment);
            let of = |e: &abi::ScoresCommitted| (e.task, e.epoch, e.validator);
            (same && of(old) == of(new)) || (none(old.task) && none(new.task) && old.epoch == new.epoch)
        }
        (Event::Arena(A::SubmissionCommitted(old)), Event::Arena(A::SubmissionCommitted(new))) => {
            *new == abi::SubmissionCommitted { commitment: new.commitment, ..old.clone() } && is_silent(old)
        }
        (Event::Arena(A::SubmissionOpened(old)), Event::Arena(A::SubmissionOpened(new))) => {
            *new == abi::SubmissionOpened { uri: new.uri.clone(), ..old.clone() }
        }
        (Event::Arena(A::PartlyTallied(old)), Event::Arena(A::PartlyTallied(new))) => {
            (new.task, new.epoch) == (old.task, old.epoch) && new.counted <= old.counted
        }
        (Event::Arena(A::TaskCreated(old)), Event::Arena(A::TaskCreated(new))) => {
            let p = &new.params;
            // Of a task in which nothing happened, no rule was ever applied.
            let unused = if [IDLE, SHORT].map(U256::from).contains(&old.task) {
                new.params.clone()
            } else {
                let mut unused = old.params.clone();
                (unused.metadata, unused.evaluationRoot) = (p.metadata, p.evaluationRoot);
                (unused.lossCapWad, unused.maxSubmissions) = (p.lossCapWad, p.maxSubmissions);
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

/// Whether an event is a tally that another one replaced.
fn is_replaced(evidence: &Evidence, at: usize) -> bool {
    let Event::Arena(A::Tallied(e)) = &evidence.records[at].event else { return false };
    evidence.records[at + 1..].iter().any(|later| {
        matches!(&later.event, Event::Arena(A::Tallied(more))
            if (more.task, more.epoch, more.node) == (e.task, e.epoch, e.node))
    })
}

/// Whether a tally says the same, of another number of scores.
fn is_recounted(old: &Event, new: &Event) -> bool {
    let (Event::Arena(A::Tallied(old)), Event::Arena(A::Tallied(new))) = (old, new) else { return false };
    *new == abi::Tallied { counted: new.counted, ..old.clone() }
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
            let (old, new) = (&evidence.records[at].event, &records[at].event);
            if is_free(old, new, silent) || (is_replaced(&evidence, at) && is_recounted(old, new)) {
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
        // What leaves no trace but its event, which the block's receipts hold: commitments that are never opened, and what
        // was counted before others counted more.
        let silent = match event {
            Event::Arena(A::ScoresCommitted(e)) => e.task == U256::from(NONE),
            Event::Arena(A::SubmissionCommitted(e)) => is_silent(e),
            Event::Arena(A::PartlyTallied(_)) => true,
            Event::Arena(A::Tallied(_)) => is_replaced(&evidence, at),
            _ => false,
        };
        assert!(silent || !without.is_empty(), "without {event:?}");
    }
}
