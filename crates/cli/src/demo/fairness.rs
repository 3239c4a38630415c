//! What the same rules would have paid if every validator had reported the exact score.

use std::collections::BTreeMap;

use aiarena_chain::ledger::{Flight, Role, Task};
use aiarena_mechanism::settle::{Validator, settle};
use aiarena_ml::Dataset;
use aiarena_node::{
    evaluator::InProcess,
    judge::{Judge, Verdict, drawn_rows},
    settlement::{assigned, input_with, pool},
};
use aiarena_store::FolderStore;
use alloy::primitives::{Address, U256};
use anyhow::Result;

/// Rewards of the nodes over all epochs.
pub type Rewards = BTreeMap<Address, U256>;

/// Which rows the ideal validators evaluate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// Those that the seed of the epoch drew.
    Slice(u32),
    /// The whole evaluation set.
    All,
}

/// What the contracts paid.
#[must_use]
pub fn paid(task: &Task) -> Rewards {
    let mut rewards = Rewards::new();
    for payment in task.settled.iter().flat_map(|flight| &flight.outcome.nodes) {
        *rewards.entry(payment.operator).or_default() += payment.with_delegation;
    }
    rewards
}

/// What they would have paid on exact reports, every model evaluated once more here.
///
/// # Errors
/// If the mechanism refuses the history.
pub fn ideal(task: &Task, data: &Dataset, store: &FolderStore, rows: Rows) -> Result<Rewards> {
    let mut rewards = Rewards::new();
    for flight in &task.settled {
        let verdicts = verdicts(task, flight, data, store, rows);
        let eligible =
            |operator: Address| task.stake_at(operator, flight.epoch).0 >= task.minimum(Role::Validator);
        let mut validators = Vec::new();
        for (operator, stake) in &task.pools {
            if stake.role != Role::Validator || !eligible(*operator) {
                continue;
            }
            let scores = assigned(task, flight, *operator)?
                .into_iter()
                .map(|place| (place, verdicts[place as usize].report()))
                .collect();
            validators.push(Validator { pool: pool(task, *operator, flight.epoch), scores });
        }
        let settlement = settle(&input_with(task, flight, validators)?)?;
        for (entry, settled) in flight.entries.iter().zip(&settlement.submissions) {
            *rewards.entry(entry.node).or_default() += settled.payment.reward.with_delegation;
        }
    }
    Ok(rewards)
}

/// An exact verdict on each entry of an epoch.
#[must_use]
pub fn verdicts(
    task: &Task,
    flight: &Flight,
    data: &Dataset,
    store: &FolderStore,
    rows: Rows,
) -> Vec<Verdict> {
    let rows = match rows {
        Rows::Slice(size) => drawn_rows(flight, &data.evaluation, size),
        Rows::All => data.evaluation.clone(),
    };
    let mut evaluator = InProcess::new(store);
    let mut judge = Judge::new(task, &mut evaluator);
    let verdict = |entry: &aiarena_chain::ledger::Entry| {
        judge.verdict(entry.node, entry.number, entry.content_hash, &rows)
    };
    flight.entries.iter().map(verdict).collect()
}

/// 1 − ½·Σ|paid share − ideal share|, rounded to a millionth: 1 if every node got just its part, 0 if none got any of it.
#[must_use]
pub fn fairness(paid: &Rewards, ideal: &Rewards) -> f64 {
    let total = |rewards: &Rewards| rewards.values().fold(U256::ZERO, |sum, reward| sum + reward);
    let (paid_total, ideal_total) = (total(paid), total(ideal));
    if paid_total.is_zero() || ideal_total.is_zero() {
        return 0.0;
    }
    let share = |rewards: &Rewards, node, total: U256| {
        let reward = rewards.get(node).copied().unwrap_or_default();
        f64::from(reward) / f64::from(total)
    };
    let nodes: std::collections::BTreeSet<_> = paid.keys().chain(ideal.keys()).collect();
    let distance: f64 = nodes
        .into_iter()
        .map(|node| (share(paid, node, paid_total) - share(ideal, node, ideal_total)).abs())
        .sum();
    ((1.0 - distance / 2.0) * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_one_less_half_the_distance() {
        let rewards = |amounts: [u64; 3]| -> Rewards {
            (0..).zip(amounts).map(|(i, amount)| (Address::with_last_byte(i), U256::from(amount))).collect()
        };
        assert_eq!(fairness(&rewards([6, 3, 1]), &rewards([60, 30, 10])), 1.0);
        assert_eq!(fairness(&rewards([10, 0, 0]), &rewards([0, 10, 0])), 0.0);
        assert_eq!(fairness(&rewards([5, 5, 0]), &rewards([6, 3, 1])), 0.8);
        assert_eq!(fairness(&rewards([0, 0, 0]), &rewards([6, 3, 1])), 0.0);
    }
}
