//! What delegations earned, and what was claimed.

use aiarena_mechanism::{fixed_point::WAD, rewards::proportional};
use alloy::primitives::{Address, U256};

use super::{Page, Paper, paid, ratio};
use crate::audit::replay::Replayed;

/// Each delegation of an address in one epoch.
pub(super) fn write(page: &Page, delegator: Address, paper: &mut Paper) {
    let Page { task, flight, epoch } = page;
    for (operator, pool) in &task.pools {
        let shares = pool.positions.get(&delegator).map_or(U256::ZERO, |p| p.shares.at(epoch.epoch));
        if shares.is_zero() {
            continue;
        }
        let all = pool.stakes.at(epoch.epoch).1;
        let part = paid(flight, *operator)
            .map_or(U256::ZERO, |said| said.with_delegation.saturating_sub(said.operator_amount));
        paper.title(format!("Task {}, epoch {}, delegator of {operator}", task.number, epoch.epoch));
        paper.line(
            "M-13",
            format!("shares that count: {} of {} in all", paper.tokens(shares), paper.tokens(all)),
        );
        let factor = pool.factor_at(epoch.epoch);
        if factor != WAD {
            paper.line("M-12", format!("a share is worth {}: the operator was slashed", ratio(factor)));
        }
        let share = paper.computed(proportional(part, shares, all));
        let part = paper.tokens(part);
        paper.line(
            "M-6",
            format!("of the delegators' {part} its share, exact to the unit when claimed: {share}"),
        );
    }
}

/// What an address claimed, and what it may still claim.
pub(super) fn claims(replayed: &Replayed, account: Address, paper: &mut Paper) {
    let mut lines = Vec::new();
    let (mut all, mut fees) = (U256::ZERO, U256::ZERO);
    for claim in replayed.claims.iter().filter(|claim| claim.account == account) {
        all = all.saturating_add(claim.amount);
        fees = fees.saturating_add(claim.fee);
        let (block, task, operator) = (claim.block, claim.task, claim.operator);
        let amount = paper.tokens(claim.amount);
        lines.push(("M-6", format!("{amount} in block {block}, from task {task}, pool {operator}")));
        if !claim.fee.is_zero() {
            let owed = paper.tokens(claim.amount.saturating_add(claim.fee));
            let (fee, rate) = (paper.tokens(claim.fee), ratio(claim.fee_wad));
            lines.push(("M-14", format!("after a fee of {fee}, {rate} of the {owed} that it was owed")));
        }
    }
    let mut left = U256::ZERO;
    for task in replayed.ledger.tasks.values() {
        for (operator, pool) in &task.pools {
            left = left.saturating_add(pool.claimable(*operator, account).unwrap_or_default());
        }
    }
    if lines.is_empty() && left.is_zero() {
        return;
    }
    paper.title("Claims".to_owned());
    lines.into_iter().for_each(|(rule, line)| paper.line(rule, line));
    let (all, fees, left) = (paper.tokens(all), paper.tokens(fees), paper.tokens(left));
    paper.line("", format!("claimed {all} in all after fees of {fees}, {left} may still be claimed"));
}
