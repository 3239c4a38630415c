//! A pool of stake: one operator of one task, and those who delegate to it.

use std::collections::BTreeMap;

use aiarena_mechanism::{
    Error,
    delegation::{accrued, reward_per_share},
};
use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};

use super::Trace;

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
    pub(super) fn credit(&mut self, epoch: u32, operator: U256, delegators: U256) -> Result<(), Error> {
        self.operator_credit += operator;
        if delegators.is_zero() {
            return Ok(());
        }
        let (_, delegated) = self.stakes.at(epoch);
        let rise = reward_per_share(delegators, delegated)?;
        // Positions that changed since the last credit start or end at the value before this one.
        if self.last_credited != 0 && self.stakes.since(epoch) > self.last_credited {
            self.past.set(self.last_credited, self.reward_per_share);
        }
        self.reward_per_share += rise;
        self.last_credited = epoch;
        Ok(())
    }

    /// Brings a delegator's position up to date, as the vault does before each change and each claim.
    pub(super) fn accrue(&mut self, delegator: Address, closed_through: u32) -> Result<(), Error> {
        if let Some(position) = self.positions.get(&delegator) {
            let (owed, index, cursor) = self.accrued(position, closed_through)?;
            let shares = position.shares.clone();
            self.positions.insert(delegator, Position { shares, index, owed, cursor });
        }
        Ok(())
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
    ///
    /// # Errors
    /// Only for a history that no vault can have made.
    pub fn claimable(&self, delegator: Address, closed_through: u32) -> Result<U256, Error> {
        let position = self.positions.get(&delegator);
        position.map_or(Ok(U256::ZERO), |position| Ok(self.accrued(position, closed_through)?.0))
    }

    /// What a position is owed, up to which reward per share, and past how many of its changes.
    fn accrued(&self, position: &Position, closed_through: u32) -> Result<(U256, U256, usize), Error> {
        let (mut owed, mut index, mut cursor) = (position.owed, position.index, position.cursor);
        let points = position.shares.points();
        let mut shares = points.get(cursor.wrapping_sub(1)).map_or(U256::ZERO, |(_, shares)| *shares);
        while let Some((since, next)) = points.get(cursor).filter(|(since, _)| *since <= closed_through + 1) {
            let last_before = since.saturating_sub(1);
            let boundary = if self.last_credited <= last_before {
                self.reward_per_share
            } else {
                self.past.at(last_before)
            };
            owed += accrued(shares, index, boundary)?;
            (index, shares, cursor) = (boundary, *next, cursor + 1);
        }
        owed += accrued(shares, index, self.reward_per_share)?;
        Ok((owed, self.reward_per_share, cursor))
    }
}
