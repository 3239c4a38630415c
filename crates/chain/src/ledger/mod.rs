//! The state of an arena, rebuilt from its events alone.
//!
//! Nodes and validators plan on it, the auditor recomputes payments from it. It keeps what people *did* (stakes,
//! commitments, disclosures, reveals) apart from what the contracts *said* follows from it ([`Outcome`]): the second is
//! never used to derive a payment, only to be compared with one.

mod apply;
mod pool;
mod task;
mod trace;

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};

pub use apply::LedgerError;
pub use pool::{Pool, Position, Role};
pub use task::{
    Disclosure, Entry, Flight, Origin, Outcome, Payment, Pledge, Reveals, Settled, Stage, Tally, Task,
    TaskParams,
};
pub use trace::Trace;

use crate::deploy::Schedule;

/// Phases of an epoch, in their order (M-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the rule M-1 names them")]
pub enum Phase {
    Submit,
    Disclose,
    Seed,
    Commit,
    Reveal,
    Settle,
}

/// Maps the chain's time to epochs and phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Start of epoch 1, in seconds since 1970. Epoch 0 is all time before it.
    pub genesis: u64,
    /// Seconds per epoch.
    pub epoch_length: u32,
    /// Epochs for which stake unbonds after the epoch of the request.
    pub unbonding_epochs: u32,
    /// Ends of the phases.
    pub schedule: Schedule,
}

impl Clock {
    /// The epoch and the phase at `time`, in seconds since 1970.
    #[must_use]
    pub fn at(&self, time: u64) -> (u32, Phase) {
        let Some(elapsed) = time.checked_sub(self.genesis) else {
            return (0, Phase::Submit);
        };
        let length = u64::from(self.epoch_length.max(1));
        let epoch = u32::try_from((elapsed / length).saturating_add(1)).unwrap_or(u32::MAX);
        let offset = elapsed % length;
        let ends = self.schedule;
        let phase = [
            (ends.submit_end, Phase::Submit),
            (ends.disclose_end, Phase::Disclose),
            (ends.seed_end, Phase::Seed),
            (ends.commit_end, Phase::Commit),
            (ends.reveal_end, Phase::Reveal),
        ]
        .into_iter()
        .find(|(end, _)| offset < u64::from(*end))
        .map_or(Phase::Settle, |(_, phase)| phase);
        (epoch, phase)
    }

    /// When a phase of an epoch begins, in seconds since 1970; 0 for epoch 0, which has no phases.
    #[must_use]
    pub fn start(&self, epoch: u32, phase: Phase) -> u64 {
        if epoch == 0 {
            return 0;
        }
        let offset = match phase {
            Phase::Submit => 0,
            Phase::Disclose => self.schedule.submit_end,
            Phase::Seed => self.schedule.disclose_end,
            Phase::Commit => self.schedule.seed_end,
            Phase::Reveal => self.schedule.commit_end,
            Phase::Settle => self.schedule.reveal_end,
        };
        let epochs = u64::from(epoch - 1);
        self.genesis.saturating_add(epochs * u64::from(self.epoch_length)).saturating_add(u64::from(offset))
    }
}

/// Amounts that the vault owes, by kind (M-15).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Liabilities {
    /// Direct and delegated stakes.
    pub staked: U256,
    /// Stakes on their way out.
    pub unbonding: U256,
    /// Rewards that were credited and not claimed.
    pub credited: U256,
    /// Reserves and bounties that were not paid.
    pub budgets: U256,
}

impl Liabilities {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> U256 {
        self.staked + self.unbonding + self.credited + self.budgets
    }
}

/// What an account has claimed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claims {
    /// How often.
    pub count: u64,
    /// How much in all, in base units.
    pub amount: U256,
}

/// The whole state of a deployment, as its events tell it.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Maps time to epochs.
    pub clock: Clock,
    /// All tasks, by number.
    pub tasks: BTreeMap<u64, Task>,
    /// What the vault owes.
    pub liabilities: Liabilities,
    /// Requests that are not withdrawn: amount and the epoch of its release, oldest first.
    pub unbonding: BTreeMap<Address, Vec<(U256, u32)>>,
    /// Claims by account.
    pub claims: BTreeMap<Address, Claims>,
}

impl Ledger {
    /// The state before the first event.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            tasks: BTreeMap::new(),
            liabilities: Liabilities::default(),
            unbonding: BTreeMap::new(),
            claims: BTreeMap::new(),
        }
    }
}
