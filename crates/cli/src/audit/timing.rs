//! When each event may happen (M-1, M-13).

use aiarena_chain::{
    bindings::{Arena::ArenaEvents as A, Emission::EmissionEvents as E, Vault::VaultEvents as V},
    history::{Event, Record},
    ledger::{Clock, Ledger, Phase},
};
use alloy::primitives::U256;

use super::{
    evidence::BlockFacts,
    finding::{Findings, Kind, Place},
};

/// What must hold of the task's lifetime.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Nothing.
    Any,
    /// The epoch is one of the task's.
    Running,
    /// The task has an epoch left after this one, in which what is given can count.
    BeforeLast,
}

/// What must hold of the time.
#[derive(Clone, Copy)]
enum When {
    /// The event's epoch is the present one, in one of these phases; none named is any.
    Now(&'static [Phase]),
    /// Not before the Settle of the event's epoch.
    Settling,
}

struct Timing {
    task: U256,
    epoch: U256,
    when: When,
    life: Life,
}

/// Checks that an event's epoch and phase are those of its block's time.
pub(super) fn check(record: &Record, block: &BlockFacts, ledger: &Ledger, findings: &mut Findings) {
    let Some(Timing { task, epoch, when, life }) = timing(&record.event) else { return };
    let clock = &ledger.clock;
    let (present, phase) = clock.at(block.timestamp);
    let place = Place::record(record);
    let about = (Kind::Time, "M-1");
    match when {
        When::Now(phases) => {
            findings.equal(about, place, "the epoch at the block's time", epoch, U256::from(present));
            let right = phases.is_empty() || phases.contains(&phase);
            findings
                .check(right, Kind::Time, "M-1", place, || format!("it is no part of the phase {phase:?}"));
        }
        When::Settling => {
            let over = epoch < U256::from(present);
            let right = over || (epoch == U256::from(present) && phase == Phase::Settle);
            findings.check(right, Kind::Time, "M-1", place, || format!("epoch {epoch} is not over yet"));
        }
    }
    let Some(task) = u64::try_from(task).ok().and_then(|task| ledger.tasks.get(&task)) else { return };
    let (first, last) = (U256::from(task.first_epoch), U256::from(task.last_epoch));
    let right = match life {
        Life::Any => true,
        Life::Running => first <= epoch && epoch <= last,
        Life::BeforeLast => epoch < last,
    };
    findings.check(right, Kind::Time, "M-13", place.task(task.number), || {
        format!("the task runs from epoch {first} to {last}, and this is epoch {epoch}")
    });
}

/// Whether the seed of the present epoch could be drawn at this time (M-9).
pub(super) fn seed_is_due(clock: &Clock, timestamp: u64) -> bool {
    let (present, _) = clock.at(timestamp);
    let elapsed = timestamp.saturating_sub(clock.start(present, Phase::Submit));
    let ends = clock.schedule;
    let earliest = u64::from(ends.disclose_end) + u64::from(ends.seed_delay);
    (earliest..u64::from(ends.seed_end)).contains(&elapsed)
}

fn timing(event: &Event) -> Option<Timing> {
    use Life::{Any, BeforeLast, Running};
    use When::{Now, Settling};
    let (task, epoch, when, life) = match event {
        Event::Arena(event) => match event {
            A::TaskCreated(_) | A::TaskEnded(_) | A::KeyRegistered(_) => return None,
            A::SubmissionCommitted(e) => (e.task, e.epoch, Now(&[Phase::Submit]), Running),
            A::SubmissionOpened(e) => (e.task, e.epoch, Now(&[Phase::Disclose]), Running),
            A::SubmissionWithdrawn(e) => (e.task, e.epoch, Now(&[]), Any),
            A::SubmissionEvicted(e) => (e.task, e.epoch, Now(&[Phase::Submit, Phase::Disclose]), Any),
            A::SeedDrawn(e) => (e.task, e.epoch, Now(&[Phase::Seed]), Running),
            // Whoever commits for nothing may.
            A::ScoresCommitted(e) => (e.task, e.epoch, Now(&[Phase::Commit]), Any),
            A::ScoresRevealed(e) => (e.task, e.epoch, Now(&[Phase::Reveal]), Running),
            A::Tallied(e) => (e.task, e.epoch, Settling, Running),
            A::PartlyTallied(e) => (e.task, e.epoch, Settling, Running),
            A::Ranked(e) => (e.task, e.epoch, Settling, Running),
            A::Weighed(e) => (e.task, e.epoch, Settling, Running),
            A::EpochSettled(e) => (e.task, e.epoch, Settling, Running),
            A::UnrevealedReported(e) => (e.task, e.epoch, Settling, Running),
            A::SilenceReported(e) => (e.task, e.epoch, Settling, Running),
        },
        Event::Vault(event) => match event {
            V::Funded(e) => (e.task, e.epoch, Now(&[]), BeforeLast),
            V::Staked(e) => (e.task, e.epoch, Now(&[]), BeforeLast),
            V::Unstaked(e) => (e.task, e.epoch, Now(&[]), Any),
            V::Delegated(e) => (e.task, e.epoch, Now(&[]), BeforeLast),
            V::Undelegated(e) => (e.task, e.epoch, Now(&[]), Any),
            V::Slashed(e) => (e.task, e.epoch, Now(&[]), Any),
            V::BudgetOpened(e) => (e.task, e.epoch, Now(&[Phase::Seed]), Running),
            V::Credited(e) => (e.task, e.epoch, Settling, Running),
            V::BudgetSettled(e) => (e.task, e.epoch, Settling, Running),
            V::TaskRegistered(_)
            | V::TaskShortened(_)
            | V::EmissionFunded(_)
            | V::FeeSet(_)
            | V::CommissionSet(_)
            | V::Withdrawn(_)
            | V::Claimed(_)
            | V::Reclaimed(_)
            | V::Burned(_)
            | V::FeesCollected(_) => return None,
        },
        Event::Emission(event) => match event {
            E::EmissionFixed(e) => (U256::ZERO, e.epoch, Now(&[Phase::Seed]), Any),
            E::Admitted(_)
            | E::Dismissed(_)
            | E::OwnershipTransferStarted(_)
            | E::OwnershipTransferred(_) => {
                return None;
            }
        },
    };
    Some(Timing { task, epoch, when, life })
}
