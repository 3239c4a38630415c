//! What delegations earned, and what was claimed.

use aiarena_mechanism::delegation::{accrued, reward_per_share};
use alloy::primitives::{Address, U256};

use super::{Page, Paper};
use crate::audit::{replay::Replayed, report::decimal};

/// Each delegation of an address in one epoch.
pub(super) fn write(page: &Page, delegator: Address, paper: &mut Paper) {
    let Page { task, flight, epoch } = page;
    for (operator, pool) in &task.pools {
        let stake = pool.positions.get(&delegator).map_or(U256::ZERO, |p| p.shares.at(epoch.epoch));
        if stake.is_zero() {
            continue;
        }
        let (_, delegated) = pool.stakes.at(epoch.epoch);
        let (_, part) = flight.outcome.credits.get(operator).copied().unwrap_or_default();
        paper.title(format!("Task {}, epoch {}, delegator of {operator}", task.number, epoch.epoch));
        paper.line(
            "M-13",
            format!("stake that counts: {} of {} delegated", decimal(stake), decimal(delegated)),
        );
        let share = reward_per_share(part, delegated).and_then(|rise| accrued(stake, U256::ZERO, rise));
        let share = share.map_or_else(|error| error.to_string(), decimal);
        let part = decimal(part);
        paper.line(
            "M-6",
            format!("of the delegators' {part} its share by stake, rounded down when claimed: {share}"),
        );
    }
}

/// What an address claimed, and what it may still claim.
pub(super) fn claims(replayed: &Replayed, account: Address, paper: &mut Paper) {
    let mut lines = Vec::new();
    let mut all = U256::ZERO;
    for claim in replayed.claims.iter().filter(|claim| claim.account == account) {
        all = all.saturating_add(claim.amount);
        lines.push(format!(
            "{} in block {}, from task {}, pool {}",
            decimal(claim.amount),
            claim.block,
            claim.task,
            claim.operator
        ));
    }
    let mut left = U256::ZERO;
    for task in replayed.ledger.tasks.values() {
        for (operator, pool) in &task.pools {
            let own = if *operator == account { pool.operator_credit } else { U256::ZERO };
            let delegated = pool.claimable(account, task.closed_through).unwrap_or_default();
            left = left.saturating_add(own).saturating_add(delegated);
        }
    }
    if lines.is_empty() && left.is_zero() {
        return;
    }
    paper.title("Claims".to_owned());
    lines.into_iter().for_each(|line| paper.line("M-6", line));
    paper.line("", format!("claimed {} in all, {} may still be claimed", decimal(all), decimal(left)));
}
