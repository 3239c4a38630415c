//! What an operator's dashboard shows.

use std::time::Duration;

use aiarena_chain::ledger::{Flight, Ledger, Role, Task};
use alloy::primitives::{Address, U256};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::settlement::assigned;

/// Says what each number means.
pub(super) fn describe() {
    describe_gauge!("aiarena_head_block", "Newest block that was read");
    describe_gauge!("aiarena_chain_time_seconds", "Time of that block, in seconds since 1970");
    describe_counter!("aiarena_rpc_requests_total", "Requests to RPC endpoints, by host");
    describe_counter!("aiarena_rpc_errors_total", "Those that failed or were answered wrongly, by host");
    describe_counter!("aiarena_transactions_total", "Mined transactions, by action");
    describe_counter!("aiarena_gas_total", "Gas of mined transactions, by action");
    describe_counter!("aiarena_failures_total", "What failed and was tried again, by kind");
    describe_histogram!("aiarena_work_seconds", "Duration of training and of scoring");
    describe_gauge!("aiarena_transactions_waiting", "Transactions that were signed and are not mined");
    describe_gauge!("aiarena_operators_working", "Operators that train or score at the moment");
    describe_gauge!(
        "aiarena_rewards_tokens",
        "Rewards of the operator's pool since the task began, in tokens"
    );
    describe_gauge!("aiarena_claimable_tokens", "What the operator may claim, in tokens");
    describe_gauge!("aiarena_stake_tokens", "The operator's own stake, in tokens");
    describe_gauge!(
        "aiarena_minimum_stake_tokens",
        "The least stake of its own with which the operator takes part, in tokens"
    );
    describe_gauge!("aiarena_deadlines_met", "Drawn epochs in which the operator did what it owed");
    describe_counter!("aiarena_slices_sealed_total", "Times that a creator sealed an epoch's slice");
    describe_counter!("aiarena_slices_published_total", "Slices that a store took after their task was over");
    describe_gauge!("aiarena_validators_without_slice", "Validators of a sealed task that can only abstain");
    describe_gauge!("aiarena_deadlines_missed", "Drawn epochs in which it did not");
}

pub(super) fn sent(action: &'static str, gas: u64) {
    counter!("aiarena_transactions_total", "action" => action).increment(1);
    counter!("aiarena_gas_total", "action" => action).increment(gas);
}

pub(super) fn failed(kind: &'static str) {
    counter!("aiarena_failures_total", "kind" => kind).increment(1);
}

pub(super) fn worked(action: &'static str, time: Duration) {
    histogram!("aiarena_work_seconds", "action" => action).record(time);
}

pub(super) fn sealed() {
    counter!("aiarena_slices_sealed_total").increment(1);
}

pub(super) fn published(slices: u32) {
    counter!("aiarena_slices_published_total").increment(slices.into());
}

#[expect(clippy::cast_precision_loss, reason = "for a dashboard")]
pub(super) fn without_slice(task: u64, count: usize) {
    gauge!("aiarena_validators_without_slice", "task" => task.to_string()).set(count as f64);
}

#[expect(clippy::cast_precision_loss, reason = "for a dashboard")]
pub(super) fn queues(unresolved: u64, working: usize) {
    gauge!("aiarena_transactions_waiting").set(unresolved as f64);
    gauge!("aiarena_operators_working").set(working as f64);
}

/// What follows from the chain: it is right after a restart, too.
///
/// - `decimals`: those of the token.
#[expect(clippy::cast_precision_loss, reason = "for a dashboard")]
pub(super) fn looked(ledger: &Ledger, me: Address, decimals: u8, head: u64, now: u64) {
    let tokens = |amount| tokens(amount, decimals);
    gauge!("aiarena_head_block").set(head as f64);
    gauge!("aiarena_chain_time_seconds").set(now as f64);
    for task in ledger.tasks.values() {
        let Some(pool) = task.pools.get(&me) else { continue };
        let label = task.number.to_string();
        let outcomes = task.settled.iter().map(|flight| &flight.outcome);
        let payments = outcomes.flat_map(|outcome| outcome.nodes.iter().chain(&outcome.validators));
        let rewards = payments
            .filter(|payment| payment.operator == me)
            .fold(U256::ZERO, |sum, payment| sum.saturating_add(payment.with_delegation));
        gauge!("aiarena_rewards_tokens", "task" => label.clone()).set(tokens(rewards));
        let claimable = pool.claimable(me, me).unwrap_or_default();
        gauge!("aiarena_claimable_tokens", "task" => label.clone()).set(tokens(claimable));
        gauge!("aiarena_stake_tokens", "task" => label.clone()).set(tokens(pool.stakes.latest().0));
        gauge!("aiarena_minimum_stake_tokens", "task" => label.clone()).set(tokens(task.minimum(pool.role)));
        let (met, missed) = deadlines(task, pool.role, me);
        gauge!("aiarena_deadlines_met", "task" => label.clone()).set(met as f64);
        gauge!("aiarena_deadlines_missed", "task" => label).set(missed as f64);
    }
}

/// Settled epochs in which an operator did, and did not do, what it owed: a validator to reveal, a node to be listed.
fn deadlines(task: &Task, role: Role, me: Address) -> (u64, u64) {
    let did = |flight: &&Flight| match role {
        Role::Validator => flight.reveals.contains_key(&me),
        Role::Node => flight.entries.iter().any(|entry| entry.node == me),
    };
    let owed = |flight: &&Flight| {
        let eligible = task.stake_at(me, flight.epoch).0 >= task.minimum(role);
        eligible && (role == Role::Node || assigned(task, flight, me).is_ok_and(|places| !places.is_empty()))
    };
    let (mut met, mut missed) = (0, 0);
    for flight in task.settled.iter().filter(owed) {
        if did(&flight) { met += 1 } else { missed += 1 }
    }
    (met, missed)
}

/// Whole tokens, for a dashboard.
fn tokens(amount: U256, decimals: u8) -> f64 {
    f64::from(amount) / 10_f64.powi(decimals.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a validator and a node: an epoch in which each did what it owed, one in which neither did, and one of too little stake.
    #[test]
    fn deadlines_are_met_missed_or_not_owed() {
        use aiarena_chain::ledger::{Entry, Outcome, Pool, Reveal};
        use alloy::primitives::B256;

        let (node, validator, other) =
            (Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3));
        let mut task = crate::daemon::turns::tests::empty();
        for (operator, role) in [(node, Role::Node), (validator, Role::Validator), (other, Role::Node)] {
            let mut pool = Pool::new(role);
            pool.stakes.set(1, (U256::from(100), U256::ZERO));
            pool.stakes.set(3, (U256::from(if operator == other { 100 } else { 9 }), U256::ZERO));
            task.pools.insert(operator, pool);
        }
        for (epoch, did) in [(1, true), (2, false), (3, false)] {
            let entry = |node, number| Entry {
                node,
                number,
                content_hash: B256::ZERO,
                uri: String::new(),
                withdrawn_in: None,
                consensus: None,
                duplicate: false,
                queued: false,
            };
            let mut entries = vec![entry(other, 1)];
            entries.extend(did.then(|| entry(node, 2)));
            let listed = (0..u32::try_from(entries.len()).unwrap()).collect();
            let reveal = Reveal { scores: Vec::new(), salt: B256::ZERO };
            let reveals = did.then_some((validator, reveal)).into_iter().collect();
            task.settled.push(Flight {
                epoch,
                seed: B256::ZERO,
                entries,
                listed,
                validator_stake: U256::from(100),
                budgets: Default::default(),
                budget_parts: Default::default(),
                commitments: Default::default(),
                revealers: Vec::new(),
                reveals,
                outcome: Outcome::default(),
            });
        }
        assert_eq!(deadlines(&task, Role::Node, node), (1, 1));
        assert_eq!(deadlines(&task, Role::Validator, validator), (1, 1));
        assert_eq!(deadlines(&task, Role::Node, other), (3, 0));
    }

    #[test]
    fn amounts_are_in_the_tokens_decimals() {
        for (decimals, base_units, expected) in
            [(18, 1_500_000_000_000_000_000_u64, 1.5), (6, 1_500_000, 1.5), (0, 7, 7.0), (36, 0, 0.0)]
        {
            assert_eq!(tokens(U256::from(base_units), decimals), expected);
        }
    }
}
