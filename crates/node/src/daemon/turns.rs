//! Who does first what anyone may do.
//!
//! Tallies, ranks and payments are sent by whoever comes first, and the others' transactions would only cost gas. So the
//! validators of a task stand in line, in another order for each action, and each leaves the one before it some time. It is
//! courtesy, not a rule: nothing depends on it, and whoever is gone delays the others by its turn alone.

use std::collections::BTreeMap;

use aiarena_chain::ledger::{Role, Task};
use alloy::primitives::{Address, B256, Keccak256};

use crate::plan::Action;

/// What is not planned any more is forgotten after this much of the chain's time, in seconds.
const MEMORY: u64 = 3_600;

/// Since when which actions are to be done, as one operator sees it.
#[derive(Debug)]
pub(super) struct Turns {
    me: Address,
    turn_secs: u64,
    seen: BTreeMap<B256, u64>,
}

impl Turns {
    pub(super) fn new(me: Address, turn_secs: u64) -> Self {
        Self { me, turn_secs, seen: BTreeMap::new() }
    }

    /// Whether all before this operator in the line had their time.
    pub(super) fn is_mine(&mut self, task: &Task, action: &Action, now: u64) -> bool {
        let key = digest(task.number, &format!("{action:?}"), Address::ZERO);
        let since = *self.seen.entry(key).or_insert(now);
        let place = place(task, action, self.me);
        now >= since.saturating_add(place.saturating_mul(self.turn_secs))
    }

    /// Forgets what was seen long before `now`.
    pub(super) fn forget(&mut self, now: u64) {
        self.seen.retain(|_, since| since.saturating_add(MEMORY) > now);
    }
}

/// How many validators of the task stand before `me` for this action.
fn place(task: &Task, action: &Action, me: Address) -> u64 {
    let name = format!("{action:?}");
    let mine = digest(task.number, &name, me);
    let validators = task.pools.iter().filter(|(_, pool)| pool.role == Role::Validator);
    // Who has no stake left does nothing, so nobody waits for it.
    let staked = validators.filter(|(_, pool)| !pool.stakes.latest().0.is_zero());
    staked.filter(|(validator, _)| digest(task.number, &name, **validator) < mine).count() as u64
}

fn digest(task: u64, action: &str, validator: Address) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(task.to_be_bytes());
    hasher.update(action);
    hasher.update(validator);
    hasher.finalize()
}
