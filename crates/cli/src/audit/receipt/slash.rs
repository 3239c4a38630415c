//! What offences cost an address: as the operator that offended, or as its delegator.

use aiarena_chain::ledger::Offence;
use aiarena_mechanism::slashing::worth;
use alloy::primitives::{Address, U256};

use super::{Paper, ratio};
use crate::audit::replay::{Replayed, SlashLine};

/// Each slash of a pool in which an address has a part.
pub(super) fn write(replayed: &Replayed, address: Address, paper: &mut Paper) {
    for slash in &replayed.slashes {
        if slash.operator == address {
            operator(replayed, slash, paper);
            continue;
        }
        let pool = replayed.ledger.tasks.get(&slash.task).and_then(|task| task.pools.get(&slash.operator));
        // What a delegator held when the slash began to act.
        let position = pool.and_then(|pool| pool.positions.get(&address));
        let from = replayed.ledger.clock.at(slash.time).0.saturating_add(1);
        let shares = position.map_or(U256::ZERO, |position| position.shares.at(from));
        if !shares.is_zero() && slash.factors.0 != slash.factors.1 {
            delegator(slash, shares, paper);
        }
    }
}

fn operator(replayed: &Replayed, slash: &SlashLine, paper: &mut Paper) {
    paper.title(format!("Task {}, epoch {}, slashed in block {}", slash.task, slash.epoch, slash.block));
    paper.line("M-12", what_for(replayed, slash));
    let fraction = replayed.ledger.constants.slash_wad;
    paper.more(format!(
        "with an effective stake of {}, of which {} is {}",
        paper.tokens(slash.stake),
        ratio(fraction),
        paper.tokens(slash.penalty)
    ));
    let (direct, unbonding, delegated) = (slash.direct, slash.unbonding, slash.delegated);
    paper.more(format!(
        "taken: {} of its own stake, {} of what it was unbonding, {} of its delegators'",
        paper.tokens(direct),
        paper.tokens(unbonding),
        paper.tokens(delegated)
    ));
    if slash.factors.0 != slash.factors.1 {
        paper.more(worth_of_a_share(slash));
    }
}

fn delegator(slash: &SlashLine, shares: U256, paper: &mut Paper) {
    let SlashLine { task, epoch, operator, block, .. } = slash;
    paper.title(format!(
        "Task {task}, epoch {epoch}, delegator of {operator}, which was slashed in block {block}"
    ));
    paper.line("M-12", worth_of_a_share(slash));
    let value = |factor| paper.computed(worth(shares, factor));
    paper.more(format!(
        "its delegation was worth {}, and is now {}",
        value(slash.factors.0),
        value(slash.factors.1)
    ));
}

fn what_for(replayed: &Replayed, slash: &SlashLine) -> String {
    match slash.offence {
        Offence::Unrevealed => "it committed to scores and revealed none".to_owned(),
        Offence::Silent => {
            let epochs = replayed.ledger.clock.schedule.silent_epochs;
            format!("it committed to no scores in {epochs} drawn epochs in a row")
        }
    }
}

fn worth_of_a_share(slash: &SlashLine) -> String {
    format!("a delegated share was worth {} and is now {}", ratio(slash.factors.0), ratio(slash.factors.1))
}
