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

#[cfg(test)]
pub(super) mod tests {
    use aiarena_chain::ledger::{Pool, TaskParams};
    use aiarena_mechanism::{ranking::RankingRule, settle::Task as Rules};
    use alloy::primitives::U256;

    use super::*;

    const TURN: u64 = 12;

    /// A task of nine epochs in which nobody takes part.
    pub(in crate::daemon) fn empty() -> Task {
        let rules = Rules {
            rule: RankingRule::StakeIntegral { phi_wad: U256::ZERO },
            gamma_wad: U256::ZERO,
            epsilon_wad: U256::ZERO,
            tolerance: 0,
            redundancy: 15,
        };
        let params = TaskParams {
            metadata: B256::ZERO,
            evaluation_root: B256::ZERO,
            epochs: 9,
            min_node_stake: U256::from(10),
            min_validator_stake: U256::from(10),
            max_submissions: 8,
            fresh_data: true,
            rules,
        };
        Task::new(1, Address::ZERO, (1, 9), params)
    }

    /// A task with five validators, of whom the last has left, and a node.
    fn task() -> (Task, Vec<Address>) {
        let mut task = empty();
        let all: Vec<Address> = (1..=6).map(Address::repeat_byte).collect();
        for (i, operator) in all.iter().enumerate() {
            let mut pool = Pool::new(if i == 5 { Role::Node } else { Role::Validator });
            pool.stakes.set(1, (U256::from(if i == 4 { 0 } else { 100 }), U256::ZERO));
            task.pools.insert(*operator, pool);
        }
        (task, all[..4].to_vec())
    }

    #[test]
    fn one_after_the_other_and_nobody_waits_for_who_left() {
        let (task, validators) = task();
        let mut turns: Vec<Turns> = validators.iter().map(|me| Turns::new(*me, TURN)).collect();
        let mut may = |action: &Action, now: u64| -> usize {
            turns.iter_mut().filter_map(|turns| turns.is_mine(&task, action, now).then_some(())).count()
        };
        for action in [Action::DrawSeed, Action::Weigh { from: 0, count: 9 }] {
            for turn in 0..5 {
                let at_its_begin = usize::try_from(turn).unwrap() + 1;
                assert_eq!(may(&action, 1_000 + turn * TURN), at_its_begin.min(4), "{action:?}, turn {turn}");
                assert_eq!(may(&action, 1_000 + turn * TURN + TURN - 1), at_its_begin.min(4), "{action:?}");
            }
        }
    }

    #[test]
    fn each_action_has_an_order_of_its_own() {
        let (task, validators) = task();
        let first = |count: u32| {
            let action = Action::Weigh { from: 0, count };
            validators.iter().position(|me| place(&task, &action, *me) == 0).unwrap()
        };
        let mut firsts: Vec<usize> = (0..64).map(first).collect();
        firsts.sort_unstable();
        firsts.dedup();
        assert_eq!(firsts, [0, 1, 2, 3], "everybody is the first at some time");
    }

    #[test]
    fn what_was_seen_is_forgotten_in_time() {
        let (task, validators) = task();
        let action = Action::DrawSeed;
        let last = validators.iter().find(|me| place(&task, &action, **me) == 3).unwrap();
        let mut turns = Turns::new(*last, TURN);
        assert!(!turns.is_mine(&task, &action, 1_000));
        turns.forget(1_000 + MEMORY - 1);
        assert!(turns.is_mine(&task, &action, 1_000 + 3 * TURN));
        turns.forget(1_000 + MEMORY);
        assert!(!turns.is_mine(&task, &action, 1_000 + MEMORY), "its turn is counted anew");
    }
}
