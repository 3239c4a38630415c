//! What a creator has to send, when, and to whom: pure functions of the ledger, for its daemon to plan by.

use aiarena_chain::ledger::{Clock, Ledger, Phase, Role, Task};
use alloy::primitives::{Address, B256};

use super::is_usable;

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
