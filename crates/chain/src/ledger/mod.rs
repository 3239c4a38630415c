//! The state of an arena, rebuilt from its events alone.
//!
//! Nodes and validators plan on it, the auditor recomputes payments from it. It keeps what people *did* (stakes,
//! commitments, disclosures, reveals) apart from what the contracts *said* follows from it ([`Outcome`]): the second is
//! never used to derive a payment, only to be compared with one.

mod apply;
mod emission;
mod pool;
mod task;
mod trace;

use std::collections::BTreeMap;

use aiarena_mechanism::Error;
use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

pub use apply::LedgerError;
pub use emission::{Admission, Emission, Share};
pub use pool::{Pool, Position, Request, Role, Slash};
pub use task::{
    Ballot, Disclosure, Entry, Flight, Offence, Origin, Outcome, Payment, Pledge, Ranked, Reveal, Settled,
    Silence, Stage, Tally, Task, TaskParams,
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

impl Clock {
    /// Whether offences in a drawn epoch may be reported at `time`, if no other seed was drawn (M-12).
    #[must_use]
    pub fn reports(&self, drawn: u32, time: u64) -> bool {
        let until = self.start(drawn.saturating_add(1), Phase::Commit);
        (self.start(drawn, Phase::Settle)..until).contains(&time)
    }
}

/// What else a deployment fixed for ever. Ratios are in WAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constants {
    /// What a creator locks for each task until it is over, in base units.
    pub bond: U256,
    /// Most that the fee on claims can ever be (M-14).
    pub max_fee_wad: U256,
    /// Fraction of a pool's stake that one offence costs (M-12).
    pub slash_wad: U256,
    /// What all admitted tasks together are paid per epoch at first, in base units (M-2).
    pub emission: U256,
    /// Factor on the emission after each period.
    pub emission_decay_wad: U256,
    /// Epochs per period of the emission.
    pub emission_period: u32,
}

/// Amounts that the vault owes, by kind (M-15).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liabilities {
    /// Direct and delegated stakes.
    pub staked: U256,
    /// Stakes on their way out, with what slashes will take of them.
    pub unbonding: U256,
    /// Rewards that were credited and not claimed.
    pub credited: U256,
    /// Bounties that are neither spent nor reclaimed.
    pub bounties: U256,
    /// What the budgets of epochs in flight have not paid yet.
    pub budgets: U256,
    /// What is left to be emitted.
    pub reserve: U256,
    /// Bonds of tasks.
    pub bonds: U256,
    /// Slashed and not burned.
    pub slashed: U256,
    /// Fees that were not collected.
    pub fees: U256,
}

impl Liabilities {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> U256 {
        let Self { staked, unbonding, credited, bounties, budgets, reserve, bonds, slashed, fees } = *self;
        [staked, unbonding, credited, bounties, budgets, reserve, bonds, slashed, fees]
            .into_iter()
            .fold(U256::ZERO, U256::saturating_add)
    }
}

/// What an account has claimed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claims {
    /// How often.
    pub count: u64,
    /// How much it got in all, in base units.
    pub amount: U256,
    /// The fees on it (M-14).
    pub fees: U256,
}

/// The whole state of a deployment, as its events tell it.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Maps time to epochs.
    pub clock: Clock,
    /// What the deployment fixed.
    pub constants: Constants,
    /// All tasks, by number.
    pub tasks: BTreeMap<u64, Task>,
    /// Which tasks share the emission.
    pub emission: Emission,
    /// What is left to be emitted, without what epochs in flight drew.
    pub reserve: U256,
    /// Slashed and not burned.
    pub slashed: U256,
    /// What was burned.
    pub burned: U256,
    /// Fees that were not collected.
    pub fees: U256,
    /// The fee on claims in WAD, in the current and in later epochs (M-14).
    pub fee: Trace<U256>,
    /// Who gets the fees, in the current and in later epochs (M-14).
    pub treasury: Trace<Address>,
    /// What the treasury got.
    pub collected: U256,
    /// Registered public keys.
    pub keys: BTreeMap<Address, B256>,
    /// Claims by account.
    pub claims: BTreeMap<Address, Claims>,
}

impl Ledger {
    /// The state before the first event.
    #[must_use]
    pub fn new(clock: Clock, constants: Constants) -> Self {
        Self {
            clock,
            constants,
            tasks: BTreeMap::new(),
            emission: Emission::default(),
            reserve: U256::ZERO,
            slashed: U256::ZERO,
            burned: U256::ZERO,
            fees: U256::ZERO,
            fee: Trace::default(),
            treasury: Trace::default(),
            collected: U256::ZERO,
            keys: BTreeMap::new(),
            claims: BTreeMap::new(),
        }
    }

    /// What the vault owes (M-15). It may hold a little more, which rounding leaves to nobody.
    ///
    /// # Errors
    /// The mechanism's, for a history that no vault can have made.
    pub fn liabilities(&self) -> Result<Liabilities, Error> {
        let mut sum = Liabilities {
            reserve: self.reserve,
            slashed: self.slashed,
            fees: self.fees,
            ..Liabilities::default()
        };
        for task in self.tasks.values() {
            sum.bonds += task.bond;
            sum.bounties += task.bounty().saturating_sub(task.reclaimed);
            sum.budgets += task.flight.as_ref().map_or(U256::ZERO, Flight::unpaid);
            for pool in task.pools.values() {
                sum.staked += pool.stakes.latest().0 + pool.delegated()?;
                sum.credited += pool.credited;
                sum.unbonding +=
                    pool.unbonding.values().flatten().map(|request| request.amount).sum::<U256>();
            }
        }
        Ok(sum)
    }
}
