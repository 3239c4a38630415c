//! Accounts, code and storage: what revm reads from and commits to.

use std::{collections::BTreeMap, convert::Infallible};

use alloy::primitives::{Address, B256, KECCAK256_EMPTY, U256, map::AddressMap};
use revm::{
    DatabaseCommit, DatabaseRef,
    bytecode::Bytecode,
    state::{Account as Changed, AccountInfo},
};

/// How many block hashes are kept: the 256 that `BLOCKHASH` sees from the next block, and the one more at the far end
/// that it sees from a call on the latest block.
const BLOCK_HASH_WINDOW: u64 = 257;

/// One account. Zero slots are never kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) nonce: u64,
    pub(super) balance: U256,
    pub(super) code: Bytecode,
    pub(super) storage: BTreeMap<U256, U256>,
}

impl Account {
    fn info(&self) -> AccountInfo {
        let code_hash = if self.code.is_empty() { KECCAK256_EMPTY } else { self.code.hash_slow() };
        AccountInfo {
            balance: self.balance,
            nonce: self.nonce,
            code_hash,
            code: Some(self.code.clone()),
            ..Default::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code.is_empty() && self.storage.is_empty()
    }

    /// Writes one slot; zero deletes it.
    pub(super) fn set_slot(&mut self, slot: U256, value: U256) {
        if value.is_zero() {
            self.storage.remove(&slot);
        } else {
            self.storage.insert(slot, value);
        }
    }
}

/// The state after the latest block, with the block hashes that contracts can ask for.
///
/// Ordered maps make a saved chain the same bytes on every run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    accounts: BTreeMap<Address, Account>,
    block_hashes: BTreeMap<u64, B256>,
}

impl State {
    pub(super) fn account(&self, address: Address) -> Option<&Account> {
        self.accounts.get(&address)
    }

    pub(super) fn nonce(&self, address: Address) -> u64 {
        self.account(address).map_or(0, |account| account.nonce)
    }

    pub(super) fn balance(&self, address: Address) -> U256 {
        self.account(address).map_or(U256::ZERO, |account| account.balance)
    }

    pub(super) fn slot(&self, address: Address, slot: U256) -> U256 {
        self.account(address).and_then(|account| account.storage.get(&slot)).copied().unwrap_or_default()
    }

    /// All accounts in the order of their addresses.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (&Address, &Account)> {
        self.accounts.iter()
    }

    /// Changes one account, creates it if it is missing and drops it if it is empty afterwards (EIP-161).
    pub(super) fn update(&mut self, address: Address, change: impl FnOnce(&mut Account)) {
        let account = self.accounts.entry(address).or_default();
        change(account);
        if account.is_empty() {
            self.accounts.remove(&address);
        }
    }

    /// Makes the hash of block `number` visible to `BLOCKHASH` and forgets the one that fell out of the window.
    pub(super) fn push_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
        if let Some(old) = number.checked_sub(BLOCK_HASH_WINDOW) {
            self.block_hashes.remove(&old);
        }
    }
}

impl DatabaseRef for State {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.account(address).map(Account::info))
    }

    /// Code always travels with its account, so revm asks by hash only for the empty code.
    fn code_by_hash_ref(&self, _: B256) -> Result<Bytecode, Infallible> {
        Ok(Bytecode::default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.slot(address, slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok(self.block_hashes.get(&number).copied().unwrap_or_default())
    }
}

impl DatabaseCommit for State {
    fn commit(&mut self, changes: AddressMap<Changed>) {
        for (address, changed) in changes {
            if !changed.is_touched() {
                continue;
            }
            if changed.is_selfdestructed() {
                self.accounts.remove(&address);
                continue;
            }
            self.update(address, |account| {
                if changed.is_created() {
                    account.storage.clear();
                }
                account.nonce = changed.info.nonce;
                account.balance = changed.info.balance;
                if let Some(code) = changed.info.code {
                    account.code = code;
                }
                for (slot, value) in changed.storage {
                    account.set_slot(slot, value.present_value);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_accounts_and_zero_slots_are_not_kept() {
        let mut state = State::default();
        let address = Address::repeat_byte(1);
        state.update(address, |account| account.set_slot(U256::ONE, U256::ONE));
        assert_eq!(state.slot(address, U256::ONE), U256::ONE);
        state.update(address, |account| account.set_slot(U256::ONE, U256::ZERO));
        assert_eq!(state, State::default());
        state.update(address, |_| ());
        assert_eq!(state.accounts().count(), 0);
    }

    #[test]
    fn block_hashes_leave_when_no_block_sees_them() {
        let mut state = State::default();
        for number in 0..=257 {
            state.push_block_hash(number, B256::with_last_byte(9));
        }
        assert_eq!(state.block_hash_ref(0).unwrap(), B256::ZERO);
        assert_eq!(state.block_hash_ref(1).unwrap(), B256::with_last_byte(9));
        assert_eq!(state.block_hash_ref(257).unwrap(), B256::with_last_byte(9));
        assert_eq!(state.block_hash_ref(u64::MAX).unwrap(), B256::ZERO);
    }
}
