//! What a creator has to send, when, and to whom: pure functions of the ledger, for its daemon to plan by.

use std::collections::{BTreeMap, BTreeSet};

use aiarena_chain::ledger::{Clock, Ledger, Phase, Role, Task};
use alloy::primitives::{Address, B256};

use super::is_usable;
use crate::plan::seed_is_due;

/// Validators that score in an epoch, with the keys that they registered, by address: those whose stake counts in it.
///
/// Who registered no key, or one that nothing can be sealed to, gets nothing and can only abstain.
#[must_use]
pub fn who_gets(ledger: &Ledger, task: &Task, epoch: u32) -> Vec<(Address, B256)> {
    let minimum = task.minimum(Role::Validator);
    task.pools
        .iter()
        .filter(|(_, pool)| pool.role == Role::Validator)
        .filter(|(operator, _)| task.stake_at(**operator, epoch).0 >= minimum)
        .filter_map(|(operator, _)| Some((*operator, *ledger.keys.get(operator)?)))
        .filter(|(_, key)| is_usable(*key))
        .collect()
}

/// Whether an epoch's slice is to be sealed now: its seed is drawn, so that nobody can submit any more who was told what
/// the slice holds, and there is still time to commit to scores.
#[must_use]
pub fn is_due(task: &Task, clock: &Clock, now: u64, epoch: u32) -> bool {
    let drawn = task.flight.as_ref().is_some_and(|flight| flight.epoch == epoch);
    let (current, phase) = clock.at(now);
    drawn && current == epoch && phase < Phase::Reveal
}

/// Whether the slices are to be published: the task is over, and nothing will be evaluated on them any more.
#[must_use]
pub fn is_published(task: &Task, clock: &Clock, now: u64) -> bool {
    clock.at(now).0 > task.last_epoch
}

/// Validators that score in an epoch and to whom nothing can be sealed, since they registered no key or one that is none.
#[must_use]
pub fn without_key(ledger: &Ledger, task: &Task, epoch: u32) -> Vec<Address> {
    let minimum = task.minimum(Role::Validator);
    task.pools
        .iter()
        .filter(|(_, pool)| pool.role == Role::Validator)
        .filter(|(operator, _)| task.stake_at(**operator, epoch).0 >= minimum)
        .filter(|(operator, _)| !ledger.keys.get(*operator).is_some_and(|key| is_usable(*key)))
        .map(|(operator, _)| *operator)
        .collect()
}

/// What a creator has put into the stores of one task. It is lost with the process: to put it there again changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// To which keys an epoch's slice was sealed last.
    pub sealed: BTreeMap<u32, BTreeSet<B256>>,
    /// Epochs whose slices are published.
    pub published: BTreeSet<u32>,
}

/// One thing that a creator does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Draw the seed of the epoch, since nobody did (M-9).
    DrawSeed,
    /// Seal an epoch's slice to these keys.
    Seal {
        /// The epoch.
        epoch: u32,
        /// Whom it is sealed to.
        keys: BTreeSet<B256>,
    },
    /// Publish an epoch's slice.
    Publish {
        /// The epoch.
        epoch: u32,
    },
}

/// What the creator of a task has to do now, in this order: a pure function, and what is done is not planned again.
///
/// - `courtesy`: seconds for which the drawing of the seed is left to validators.
#[must_use]
pub fn deliveries(ledger: &Ledger, task: &Task, now: u64, courtesy: u64, done: &Delivered) -> Vec<Delivery> {
    let clock = &ledger.clock;
    if is_published(task, clock, now) {
        // A task that was ended early has slices that nothing was evaluated on; they are published like the others.
        let all = task.first_epoch..task.first_epoch.saturating_add(task.params.epochs);
        let left = all.filter(|epoch| !done.published.contains(epoch));
        return left.map(|epoch| Delivery::Publish { epoch }).collect();
    }
    let (epoch, _) = clock.at(now);
    if epoch < task.first_epoch {
        return Vec::new();
    }
    if is_due(task, clock, now, epoch) {
        let keys: BTreeSet<B256> = who_gets(ledger, task, epoch).into_iter().map(|(_, key)| key).collect();
        let is_new = !keys.is_empty() && done.sealed.get(&epoch) != Some(&keys);
        return is_new.then_some(Delivery::Seal { epoch, keys }).into_iter().collect();
    }
    let patient = now.saturating_sub(courtesy);
    seed_is_due(task, clock, now, patient).then_some(Delivery::DrawSeed).into_iter().collect()
}
