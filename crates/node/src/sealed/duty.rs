//! What a creator has to send, when, and to whom: pure functions of the ledger, for its daemon to plan by.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use aiarena_chain::ledger::{Clock, Ledger, Phase, Role, Task};
use alloy::primitives::{Address, B256};

use super::{MAX_RECIPIENTS, is_usable};

/// Validators whose stake counts in an epoch, those with the most of it first.
fn scorers(task: &Task, epoch: u32) -> Vec<Address> {
    let minimum = task.minimum(Role::Validator);
    let validators = task.pools.iter().filter(|(_, pool)| pool.role == Role::Validator);
    let stakes = validators.map(|(operator, _)| (task.stake_at(*operator, epoch).0, *operator));
    let mut scorers: Vec<_> = stakes.filter(|(stake, _)| *stake >= minimum).collect();
    scorers.sort_by_key(|(stake, operator)| (Reverse(*stake), *operator));
    scorers.into_iter().map(|(_, operator)| operator).collect()
}

/// Validators that score in an epoch, with the keys that they registered: the [`MAX_RECIPIENTS`] with the most stake, so that
/// nobody with less stake can take the place of one with more.
///
/// Who registered no key, or one that nothing can be sealed to, gets nothing and can only abstain.
#[must_use]
pub fn who_gets(ledger: &Ledger, task: &Task, epoch: u32) -> BTreeMap<Address, B256> {
    let scorers = scorers(task, epoch).into_iter().take(MAX_RECIPIENTS);
    let keys = scorers.filter_map(|operator| Some((operator, *ledger.keys.get(&operator)?)));
    keys.filter(|(_, key)| is_usable(*key)).collect()
}

/// Validators that score in an epoch and to whom nothing can be sealed: they registered no key or one that is none, or there
/// are [`MAX_RECIPIENTS`] with more stake.
#[must_use]
pub fn who_misses(ledger: &Ledger, task: &Task, epoch: u32) -> BTreeSet<Address> {
    let got = who_gets(ledger, task, epoch);
    scorers(task, epoch).into_iter().filter(|operator| !got.contains_key(operator)).collect()
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

/// To whom an epoch's slice is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// The epoch.
    pub epoch: u32,
    /// One key for each validator: the first that was there after the seed. Others that it registers in the same epoch are
    /// not sealed to, or each of them would cost another sealing to everybody.
    pub keys: BTreeMap<Address, B256>,
}

/// The sealing that is due now, if `last` does not serve.
#[must_use]
pub fn next_sealing(ledger: &Ledger, task: &Task, now: u64, last: Option<&Sealing>) -> Option<Sealing> {
    let (epoch, _) = ledger.clock.at(now);
    if !is_due(task, &ledger.clock, now, epoch) {
        return None;
    }
    let known = last.filter(|last| last.epoch == epoch).map(|last| &last.keys);
    let mut keys = who_gets(ledger, task, epoch);
    keys.extend(known.into_iter().flatten());
    (keys.len() > known.map_or(0, BTreeMap::len)).then_some(Sealing { epoch, keys })
}
