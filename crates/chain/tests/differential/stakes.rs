//! A pool: whose it is, and what moves its stake from one epoch to the next.

use aiarena_chain::bindings::Vault;
use aiarena_mechanism::{fixed_point::WAD, settle::Pool, slashing};
use alloy::{
    primitives::{Address, Bytes, U256, aliases::U96},
    sol_types::SolCall,
};

use crate::random::Random;

/// Epochs for which stake unbonds: the least, so that some is released before a slash.
pub(crate) const UNBONDING_EPOCHS: u32 = 2;
/// In so many drawn epochs in a row it is an offence to be silent.
pub(crate) const SILENT_EPOCHS: u8 = 2;
/// Of its own stake an operator loses at most so many times the fraction of a slash (M-12).
const OWN_SLASHES: U256 = U256::from_limbs([5, 0, 0, 0]);

/// One pool. Deposits, withdrawals and slashes act from the next epoch on (M-12, M-13).
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its account, by number.
    pub(crate) account: usize,
    /// As it counts in the current epoch.
    pub(crate) pool: Pool,
    /// Who delegates how many shares.
    pub(crate) delegations: Vec<(usize, U256)>,
    /// Direct stake from the next epoch on.
    direct: U256,
    factor_wad: U256,
    /// The operator's requests to unbond: the epoch of release, and how much.
    unbonding: Vec<(u32, U256)>,
    silence: Silence,
}

/// The drawn epoch in which a validator was last reported to be silent, and how many in a row that makes.
#[derive(Debug, Default, Clone, Copy)]
struct Silence {
    epoch: u32,
    count: u8,
}

impl Member {
    pub(crate) fn new(account: usize, accounts: &[Address], random: &mut Random) -> Self {
        let commission = random.word() % 1_000_000_001;
        let pool = Pool {
            operator: accounts[account],
            direct: U256::ZERO,
            delegated: U256::ZERO,
            commission_wad: U256::from(commission) * U256::from(1_000_000_000_u64),
        };
        Self {
            account,
            pool,
            delegations: Vec::new(),
            direct: random.amount(),
            factor_wad: WAD,
            unbonding: Vec::new(),
            silence: Silence::default(),
        }
    }

    /// Before the first slash a share is worth a unit.
    pub(crate) fn founded_by(&mut self, delegator: usize, amount: U256) {
        self.delegations.push((delegator, amount));
    }

    /// What it takes to found the pool.
    pub(crate) fn found(&self, task: U256, role: u8, calls: &mut Vec<(usize, Bytes)>) {
        let stake = Vault::stakeCall { task, role, amount: narrow(self.direct) };
        calls.push((self.account, stake.abi_encode().into()));
        let commission = Vault::setCommissionCall { task, commissionWad: self.pool.commission_wad.to() };
        calls.push((self.account, commission.abi_encode().into()));
        for (delegator, amount) in &self.delegations {
            let operator = self.pool.operator;
            let delegate = Vault::delegateCall { task, operator, amount: narrow(*amount) };
            calls.push((*delegator, delegate.abi_encode().into()));
        }
    }

    /// What was to count from the next epoch on counts now.
    pub(crate) fn begin_epoch(&mut self) {
        (self.pool.direct, self.pool.delegated) = (self.direct, self.delegated());
    }

    /// All delegated stake from the next epoch on.
    fn delegated(&self) -> U256 {
        let shares = self.delegations.iter().map(|(_, shares)| *shares).sum();
        slashing::worth(shares, self.factor_wad).unwrap()
    }

    /// Adds or takes some stake: who calls the vault with what.
    pub(crate) fn move_stake(
        &mut self,
        task: U256,
        role: u8,
        epoch: u32,
        random: &mut Random,
    ) -> Option<(usize, Bytes)> {
        let (operator, factor) = (self.pool.operator, self.factor_wad);
        let part = |random: &mut Random, all: U256| {
            if random.chance(50) { all } else { random.amount().min(all) }
        };
        let leaves = random.chance(60);
        if random.chance(60) || self.delegations.is_empty() {
            let amount = if leaves { part(random, self.direct) } else { random.amount() };
            if amount.is_zero() {
                return None;
            }
            let call = if leaves {
                self.direct -= amount;
                self.unbonding.push((epoch + 1 + UNBONDING_EPOCHS, amount));
                Vault::unstakeCall { task, amount: narrow(amount) }.abi_encode()
            } else {
                self.direct += amount;
                Vault::stakeCall { task, role, amount: narrow(amount) }.abi_encode()
            };
            return Some((self.account, call.into()));
        }
        let index = random.below(self.delegations.len());
        let (delegator, held) = &mut self.delegations[index];
        let call = if leaves {
            let amount = part(random, slashing::worth(*held, factor).unwrap());
            if amount.is_zero() {
                return None;
            }
            *held -= slashing::shares_of(amount, factor).unwrap();
            // What is left and worth nothing goes with the rest.
            if slashing::worth(*held, factor).unwrap().is_zero() {
                *held = U256::ZERO;
            }
            Vault::undelegateCall { task, operator, amount: narrow(amount) }.abi_encode()
        } else {
            let amount = random.amount();
            *held += slashing::shares_for(amount, factor).unwrap();
            Vault::delegateCall { task, operator, amount: narrow(amount) }.abi_encode()
        };
        Some((*delegator, call.into()))
    }

    /// Is reported to have been silent in `epoch`, before which `previous` was drawn: how many in a row count from now
    /// on, and whether that is an offence.
    pub(crate) fn report_silent(&mut self, epoch: u32, previous: u32) -> (u8, bool) {
        let Silence { epoch: last, count } = self.silence;
        let count = if last != 0 && last == previous { count + 1 } else { 1 };
        let offends = count == SILENT_EPOCHS;
        self.silence = Silence { epoch, count: if offends { 0 } else { count } };
        (self.silence.count, offends)
    }

    /// Takes the penalty of an offence with the effective stake `effective`, reported in `epoch` (M-12).
    pub(crate) fn slash(&mut self, effective: U256, epoch: u32, slash_wad: U256) {
        let own = |amount: U256| slashing::penalty(amount, OWN_SLASHES * slash_wad).unwrap();
        let mut rest = slashing::penalty(effective, slash_wad).unwrap();
        let taken = rest.min(own(self.direct));
        self.direct -= taken;
        rest -= taken;
        for (_, amount) in self.unbonding.iter_mut().rev().filter(|(release, _)| *release > epoch) {
            let taken = rest.min(own(*amount));
            *amount -= taken;
            rest -= taken;
        }
        let loss = slashing::loss_wad(rest, self.delegated(), slash_wad).unwrap();
        if !loss.is_zero() {
            self.factor_wad = slashing::reduced(self.factor_wad, loss).unwrap();
        }
    }
}

pub(crate) fn narrow(amount: U256) -> U96 {
    amount.to()
}
