//! A pool of stake: one operator of one task, and those who delegate to it.

use std::collections::BTreeMap;

use aiarena_mechanism::{
    Error,
    delegation::{accrued, fold},
    fixed_point::WAD,
    slashing,
};
use alloy::primitives::{Address, U256};
use serde::{Deserialize, Serialize};

use super::Trace;

/// Of its own stake an operator loses at most so many times the fraction, however much was delegated to it (M-12).
const OWN_SLASHES: U256 = U256::from_limbs([5, 0, 0, 0]);

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
    /// Delegated stake in shares of the pool, by epoch.
    pub shares: Trace<U256>,
    index: U256,
    owed: U256,
    cursor: usize,
}

/// A request to unbond that was not withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What is paid at most, in base units.
    pub amount: U256,
    /// What the amount is in shares; 0 if it is the operator's own.
    pub shares: U256,
    /// The first epoch in which it can be withdrawn.
    pub release_epoch: u32,
}

/// What one offence takes from a pool (M-12). Base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slash {
    /// Of the operator's stake.
    pub direct: U256,
    /// Of the operator's stake that is unbonding.
    pub unbonding: U256,
    /// Of its delegators' stake.
    pub delegated: U256,
    /// What a share is worth from the next epoch on, in WAD.
    pub factor_wad: U256,
}

/// A pool: stakes by epoch, commission by epoch, and the rewards that wait to be claimed.
///
/// It keeps the whole history of stakes and positions, where the vault keeps what can still be asked for; both give the same.
#[derive(Debug, Clone)]
pub struct Pool {
    /// What its operator does.
    pub role: Role,
    /// Direct stake, and delegated stake in shares, by epoch.
    pub stakes: Trace<(U256, U256)>,
    /// What a share is worth in WAD, by epoch, from the first slash on (M-12).
    pub factor: Trace<U256>,
    /// Commission in WAD, by epoch (M-6).
    pub commission: Trace<U256>,
    /// Its delegators.
    pub positions: BTreeMap<Address, Position>,
    /// Requests to unbond by account, oldest first; without those of which slashes left nothing.
    pub unbonding: BTreeMap<Address, Vec<Request>>,
    /// What the operator may claim.
    pub operator_credit: U256,
    /// What was credited to operator and delegators and not claimed.
    pub credited: U256,
    per_share: U256,
    pending: U256,
    fresh: bool,
    last_credited: u32,
    /// Reward per share before the first credit of this epoch or a later one.
    before: Vec<(u32, U256)>,
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            role,
            stakes: Trace::default(),
            factor: Trace::default(),
            commission: Trace::default(),
            positions: BTreeMap::new(),
            unbonding: BTreeMap::new(),
            operator_credit: U256::ZERO,
            credited: U256::ZERO,
            per_share: U256::ZERO,
            pending: U256::ZERO,
            fresh: false,
            last_credited: 0,
            before: Vec::new(),
        }
    }

    /// What a share is worth in an epoch, in WAD.
    #[must_use]
    pub fn factor_at(&self, epoch: u32) -> U256 {
        if self.factor.since(epoch) == 0 { WAD } else { self.factor.at(epoch) }
    }

    /// What a share is worth from the next epoch on, in WAD.
    #[must_use]
    pub fn factor_wad(&self) -> U256 {
        if self.factor.points().is_empty() { WAD } else { self.factor.latest() }
    }

    /// Direct and delegated stake in an epoch, in base units.
    ///
    /// # Errors
    /// Only for a history that no vault can have made.
    pub fn stake_at(&self, epoch: u32) -> Result<(U256, U256), Error> {
        let (direct, shares) = self.stakes.at(epoch);
        Ok((direct, slashing::worth(shares, self.factor_at(epoch))?))
    }

    /// What all shares are worth from the next epoch on, in base units.
    ///
    /// # Errors
    /// Only for a history that no vault can have made.
    pub fn delegated(&self) -> Result<U256, Error> {
        slashing::worth(self.stakes.latest().1, self.factor_wad())
    }

    /// What withdrawing a request pays: a delegator's bears the slashes up to its release.
    ///
    /// # Errors
    /// Only for a history that no vault can have made.
    pub fn payable(&self, request: &Request) -> Result<U256, Error> {
        if request.shares.is_zero() {
            return Ok(request.amount);
        }
        let worth = slashing::worth(request.shares, self.factor_at(request.release_epoch))?;
        Ok(request.amount.min(worth))
    }

    /// Sets direct stake and shares from the next epoch on.
    ///
    /// What is pending belongs to the shares of the last stage or the one before it, so it is folded before that is out of
    /// reach.
    pub(super) fn set_stake(&mut self, epoch: u32, direct: U256, shares: U256) -> Result<(), Error> {
        let points = self.stakes.points();
        if let [.., (_, (_, before)), (since, _)] = *points
            && since != epoch + 1
            && self.fresh
            && self.last_credited < since
        {
            self.fold(before)?;
        }
        self.stakes.set(epoch + 1, (direct, shares));
        Ok(())
    }

    /// Credits one epoch's reward, already split (M-6).
    pub(super) fn credit(&mut self, epoch: u32, operator: U256, delegators: U256) -> Result<(), Error> {
        self.operator_credit += operator;
        self.credited += operator + delegators;
        if delegators.is_zero() {
            return Ok(());
        }
        let since = self.since();
        if self.last_credited < since {
            if self.fresh {
                self.fold(self.shares_before())?;
            }
            self.before.push((epoch, self.per_share));
        }
        self.pending += delegators;
        (self.last_credited, self.fresh) = (epoch, true);
        if epoch < since {
            self.fold(self.stakes.at(epoch).1)?;
        }
        Ok(())
    }

    /// First epoch of the last stage.
    fn since(&self) -> u32 {
        self.stakes.points().last().map_or(0, |(since, _)| *since)
    }

    /// Shares of the stage before the last one.
    fn shares_before(&self) -> U256 {
        match self.stakes.points() {
            [.., (_, (_, shares)), _] => *shares,
            _ => U256::ZERO,
        }
    }

    fn fold(&mut self, shares: U256) -> Result<(), Error> {
        (self.per_share, self.pending) = fold(self.per_share, self.pending, shares)?;
        self.fresh = false;
        Ok(())
    }

    /// Reward per share, with what is pending.
    fn per_share_now(&self) -> Result<U256, Error> {
        if !self.fresh {
            return Ok(self.per_share);
        }
        let current = self.last_credited >= self.since();
        let shares = if current { self.stakes.latest().1 } else { self.shares_before() };
        Ok(fold(self.per_share, self.pending, shares)?.0)
    }

    /// Changes a delegator's shares from the next epoch on. Its position is brought up to date first, once per epoch.
    pub(super) fn move_position(
        &mut self,
        delegator: Address,
        epoch: u32,
        shares: U256,
    ) -> Result<(), Error> {
        let mut position = self.positions.remove(&delegator).unwrap_or_default();
        if position.shares.points().last().is_some_and(|(since, _)| *since != epoch + 1) {
            (position.owed, position.index, position.cursor) = self.accrued(&position)?;
        }
        position.shares.set(epoch + 1, shares);
        self.positions.insert(delegator, position);
        Ok(())
    }

    /// Takes what a delegator is owed.
    pub(super) fn take_owed(&mut self, delegator: Address) -> Result<U256, Error> {
        let Some(mut position) = self.positions.remove(&delegator) else { return Ok(U256::ZERO) };
        let owed;
        (owed, position.index, position.cursor) = self.accrued(&position)?;
        position.owed = U256::ZERO;
        self.positions.insert(delegator, position);
        Ok(owed)
    }

    /// What an account can claim: a delegator its part, the operator its own. Rounding: down.
    ///
    /// # Errors
    /// Only for a history that no vault can have made.
    pub fn claimable(&self, operator: Address, account: Address) -> Result<U256, Error> {
        let own = if account == operator { self.operator_credit } else { U256::ZERO };
        let position = self.positions.get(&account);
        let owed = position.map_or(Ok(U256::ZERO), |position| Ok(self.accrued(position)?.0))?;
        Ok(own + owed)
    }

    /// What a position is owed, up to which reward per share, and past how many of its changes.
    fn accrued(&self, position: &Position) -> Result<(U256, U256, usize), Error> {
        let (mut owed, mut index, mut cursor) = (position.owed, position.index, position.cursor);
        let points = position.shares.points();
        let mut shares = points.get(cursor.wrapping_sub(1)).map_or(U256::ZERO, |(_, shares)| *shares);
        // Before a credit of its first epoch or a later one nothing says where a change begins.
        while let Some((since, next)) = points.get(cursor).filter(|(since, _)| *since <= self.last_credited) {
            let first = self.before.partition_point(|(epoch, _)| epoch < since);
            let boundary = self.before.get(first).map_or(self.per_share, |(_, before)| *before);
            let boundary = boundary.max(index);
            owed += accrued(shares, index, boundary)?;
            (index, shares, cursor) = (boundary, *next, cursor + 1);
        }
        let now = self.per_share_now()?.max(index);
        Ok((owed + accrued(shares, index, now)?, now, cursor))
    }

    /// Starts unbonding: one request per account and epoch, what is asked for again joins it.
    pub(super) fn unbond(&mut self, account: Address, request: Request) {
        let requests = self.unbonding.entry(account).or_default();
        match requests.last_mut().filter(|last| last.release_epoch == request.release_epoch) {
            Some(last) => {
                last.amount += request.amount;
                last.shares += request.shares;
            }
            None => requests.push(request),
        }
    }

    /// What an offence in an epoch with the effective stake `effective` takes (M-12), if it is reported in `epoch`.
    ///
    /// # Errors
    /// Only for a history that no vault can have made.
    pub fn slash_due(
        &self,
        operator: Address,
        epoch: u32,
        effective: U256,
        slash_wad: U256,
    ) -> Result<Slash, Error> {
        let penalty = slashing::penalty(effective, slash_wad)?;
        let own_wad = OWN_SLASHES * slash_wad;
        let direct = penalty.min(slashing::penalty(self.stakes.latest().0, own_wad)?);
        let mut unbonding = U256::ZERO;
        for request in self.unbonding.get(&operator).into_iter().flatten() {
            if request.release_epoch > epoch {
                unbonding += slashing::penalty(request.amount, own_wad)?;
            }
        }
        let unbonding = unbonding.min(penalty - direct);
        let delegated = self.delegated()?;
        let loss = slashing::loss_wad(penalty - direct - unbonding, delegated, slash_wad)?;
        let (before, shares) = (self.factor_wad(), self.stakes.latest().1);
        // Never nothing: a vault takes that for a pool that was never slashed.
        let factor_wad =
            if loss.is_zero() { before } else { slashing::reduced(before, loss)?.max(U256::ONE) };
        let delegated = delegated - slashing::worth(shares, factor_wad)?;
        Ok(Slash { direct, unbonding, delegated, factor_wad })
    }

    /// Takes what [`Pool::slash_due`] says, from the next epoch on.
    pub(super) fn slash(
        &mut self,
        operator: Address,
        epoch: u32,
        slash: Slash,
        slash_wad: U256,
    ) -> Result<(), Error> {
        let (direct, shares) = self.stakes.latest();
        self.set_stake(epoch, direct - slash.direct, shares)?;
        let mut rest = slash.unbonding;
        let requests = self.unbonding.entry(operator).or_default();
        for request in requests.iter_mut().rev().take_while(|request| request.release_epoch > epoch) {
            let part = slashing::penalty(request.amount, OWN_SLASHES * slash_wad)?.min(rest);
            request.amount -= part;
            rest -= part;
        }
        requests.retain(|request| !request.amount.is_zero());
        if slash.factor_wad != self.factor_wad() {
            self.factor.set(epoch + 1, slash.factor_wad);
        }
        Ok(())
    }
}
