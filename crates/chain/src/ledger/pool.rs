//! A pool of stake: one operator of one task, and those who delegate to it.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};

use super::Trace;

/// Scale of `reward_per_share`, as in the vault.
const SHARE_SCALE_BITS: usize = 96;

/// What an operator does in a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Role {
    /// Trains.
    Node,
    /// Scores.
    Validator,
}

/// A delegator's part of a pool.
#[derive(Debug, Clone, Default)]
pub struct Position {
    /// Delegated stake, by epoch.
    pub shares: Trace<U256>,
    index: U256,
    owed: U256,
    cursor: usize,
}

/// A pool: stakes by epoch, commission by epoch, and the rewards that wait to be claimed.
#[derive(Debug, Clone)]
pub struct Pool {
    /// What its operator does.
    pub role: Role,
    /// Direct and delegated stake, by epoch.
    pub stakes: Trace<(U256, U256)>,
    /// Commission in WAD, by epoch (M-6).
    pub commission: Trace<U256>,
    /// Its delegators.
    pub positions: BTreeMap<Address, Position>,
    /// What the operator may claim.
    pub operator_credit: U256,
    /// Epochs up to this one are closed in the pool's task.
    reward_per_share: U256,
    last_credited: u32,
    past: Trace<U256>,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            stakes: Trace::default(),
            commission: Trace::default(),
            positions: BTreeMap::new(),
            operator_credit: U256::ZERO,
            reward_per_share: U256::ZERO,
            last_credited: 0,
            past: Trace::default(),
        }
    }

    /// Credits one epoch's reward, already split (M-6).
    pub(super) fn credit(&mut self, epoch: u32, operator: U256, delegators: U256) {
        self.operator_credit += operator;
        let (_, delegated) = self.stakes.at(epoch);
        if delegators.is_zero() || delegated.is_zero() {
            return;
        }
        let since = self
            .stakes
            .points()
            .iter()
            .rev()
            .find(|(since, _)| *since <= epoch)
            .map_or(0, |(since, _)| *since);
        if self.last_credited != 0 && since > self.last_credited {
            self.past.set(self.last_credited, self.reward_per_share);
        }
        self.reward_per_share += (delegators << SHARE_SCALE_BITS) / delegated;
        self.last_credited = epoch;
    }

    /// Brings a delegator's position up to date, as the vault does before each change and each claim.
    pub(super) fn accrue(&mut self, delegator: Address, closed_through: u32) {
        let Some(mut position) = self.positions.remove(&delegator) else {
            return;
        };
        (position.owed, position.index, position.cursor) = self.accrued(&position, closed_through);
        self.positions.insert(delegator, position);
    }

    /// Changes a delegator's stake from the next epoch on.
    pub(super) fn set_shares(&mut self, delegator: Address, epoch: u32, shares: U256) {
        self.positions.entry(delegator).or_default().shares.set(epoch + 1, shares);
    }

    /// Takes what a delegator is owed.
    pub(super) fn take_owed(&mut self, delegator: Address) -> U256 {
        self.positions.get_mut(&delegator).map_or(U256::ZERO, |position| std::mem::take(&mut position.owed))
    }

    /// What `delegator` could claim if the epochs up to `closed_through` are closed. Rounding: down.
    #[must_use]
    pub fn claimable(&self, delegator: Address, closed_through: u32) -> U256 {
        self.positions.get(&delegator).map_or(U256::ZERO, |position| self.accrued(position, closed_through).0)
    }

    fn accrued(&self, position: &Position, closed_through: u32) -> (U256, U256, usize) {
        let (mut owed, mut index, mut cursor) = (position.owed, position.index, position.cursor);
        let points = position.shares.points();
        let mut shares = if cursor == 0 { U256::ZERO } else { points[cursor - 1].1 };
        while let Some((since, next)) = points.get(cursor) {
            let last_before = since - 1;
            if last_before > closed_through {
                break;
            }
            let boundary = if self.last_credited <= last_before {
                self.reward_per_share
            } else {
                self.past.at(last_before)
            };
            owed += (shares * (boundary - index)) >> SHARE_SCALE_BITS;
            (index, shares, cursor) = (boundary, *next, cursor + 1);
        }
        owed += (shares * (self.reward_per_share - index)) >> SHARE_SCALE_BITS;
        (owed, self.reward_per_share, cursor)
    }
}
