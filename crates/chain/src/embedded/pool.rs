//! Transactions that wait for a block: pending ones, and those whose nonce is still in the future.

use std::collections::BTreeMap;

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    primitives::{Address, TxHash},
};

use super::error::RpcError;

/// How many transactions may wait in total, so that a client cannot exhaust memory.
const MAX_WAITING: usize = 10_000;

/// How many transactions of one sender may wait.
const MAX_WAITING_PER_SENDER: usize = 1_024;

/// A transaction that passed every check which does not depend on those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) envelope: TxEnvelope,
    pub(super) from: Address,
    /// Order of arrival, which is the order in a block.
    arrival: u64,
}

/// Waiting transactions, at most one for each sender and nonce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pool {
    waiting: BTreeMap<(Address, u64), Waiting>,
    arrivals: u64,
}

impl Pool {
    pub(super) fn find(&self, hash: TxHash) -> Option<&Waiting> {
        self.waiting.values().find(|waiting| *waiting.envelope.tx_hash() == hash)
    }

    pub(super) fn get(&self, from: Address, nonce: u64) -> Option<&Waiting> {
        self.waiting.get(&(from, nonce))
    }

    pub(super) fn remove(&mut self, from: Address, nonce: u64) {
        self.waiting.remove(&(from, nonce));
    }

    /// All waiting transactions in the order of their arrival.
    pub(super) fn in_order(&self) -> Vec<&Waiting> {
        let mut all: Vec<_> = self.waiting.values().collect();
        all.sort_unstable_by_key(|waiting| waiting.arrival);
        all
    }

    /// The senders' first executable transactions, given their nonces in the state, keyed by arrival.
    pub(super) fn heads(&self, nonce_of: impl Fn(Address) -> u64) -> BTreeMap<u64, (Address, u64)> {
        let mut heads = BTreeMap::new();
        for (&(from, nonce), waiting) in &self.waiting {
            if nonce == nonce_of(from) {
                heads.insert(waiting.arrival, (from, nonce));
            }
        }
        heads
    }

    /// Key under which [`Self::heads`] lists a transaction.
    pub(super) fn arrival(&self, from: Address, nonce: u64) -> Option<u64> {
        self.get(from, nonce).map(|waiting| waiting.arrival)
    }

    /// The nonce after all transactions of `from` that follow `nonce` without a gap.
    pub(super) fn next_nonce(&self, from: Address, nonce: u64) -> u64 {
        let mut next = nonce;
        for (_, waiting) in self.waiting.range((from, nonce)..=(from, u64::MAX)).map(|(key, _)| *key) {
            if waiting != next {
                break;
            }
            next = next.saturating_add(1);
        }
        next
    }

    /// Adds a transaction, or replaces the one with the same nonce if both of its fees are at least a tenth higher.
    pub(super) fn insert(&mut self, envelope: TxEnvelope, from: Address) -> Result<(), RpcError> {
        let key = (from, envelope.nonce());
        let mut arrival = self.arrivals;
        if let Some(old) = self.waiting.get(&key) {
            if old.envelope.tx_hash() == envelope.tx_hash() {
                return Err(RpcError::rejected("already known"));
            }
            let raised = |old: u128, new: u128| new > old && new - old >= old / 10;
            let fee = raised(old.envelope.max_fee_per_gas(), envelope.max_fee_per_gas());
            let tip = |envelope: &TxEnvelope| {
                envelope.max_priority_fee_per_gas().unwrap_or_else(|| envelope.max_fee_per_gas())
            };
            if !fee || !raised(tip(&old.envelope), tip(&envelope)) {
                return Err(RpcError::rejected("replacement transaction underpriced"));
            }
            arrival = old.arrival;
        } else {
            let of_sender = self.waiting.range((from, 0)..=(from, u64::MAX)).count();
            if self.waiting.len() >= MAX_WAITING || of_sender >= MAX_WAITING_PER_SENDER {
                return Err(RpcError::rejected("txpool is full"));
            }
            self.arrivals += 1;
        }
        self.waiting.insert(key, Waiting { envelope, from, arrival });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloy::{
        consensus::{Signed, TxEip1559},
        primitives::{B256, Signature, U256},
    };

    use super::*;

    fn transaction(nonce: u64, fee: u128, tip: u128) -> TxEnvelope {
        let tx =
            TxEip1559 { nonce, max_fee_per_gas: fee, max_priority_fee_per_gas: tip, ..Default::default() };
        let hash = B256::from(U256::from(nonce) << 128 | U256::from(fee + tip));
        TxEnvelope::Eip1559(Signed::new_unchecked(tx, Signature::test_signature(), hash))
    }

    #[test]
    fn replacement_needs_a_tenth_more_of_both_fees() {
        let (mut pool, from) = (Pool::default(), Address::ZERO);
        pool.insert(transaction(0, 100, 10), from).unwrap();
        for (fee, tip) in [(100, 11), (109, 11), (110, 10), (0, 0)] {
            let error = pool.insert(transaction(0, fee, tip), from).unwrap_err();
            assert_eq!(error.message, "replacement transaction underpriced", "{fee} {tip}");
        }
        assert_eq!(pool.insert(transaction(0, 100, 10), from).unwrap_err().message, "already known");
        pool.insert(transaction(0, 110, 11), from).unwrap();
        assert_eq!(pool.in_order().len(), 1);
        assert_eq!(pool.get(from, 0).unwrap().envelope.max_fee_per_gas(), 110);
    }

    #[test]
    fn gaps_hold_back_what_follows() {
        let (mut pool, from) = (Pool::default(), Address::repeat_byte(7));
        for nonce in [5, 3, 6, u64::MAX] {
            pool.insert(transaction(nonce, 1, 1), from).unwrap();
        }
        assert_eq!(pool.next_nonce(from, 3), 4);
        assert_eq!(pool.next_nonce(from, 4), 4);
        assert_eq!(pool.next_nonce(from, 5), 7);
        assert_eq!(pool.next_nonce(from, u64::MAX), u64::MAX);
        assert!(pool.heads(|_| 4).is_empty());
        assert_eq!(pool.heads(|_| 3).len(), 1);
    }

    #[test]
    fn the_pool_is_bounded() {
        let mut pool = Pool::default();
        for nonce in 0..MAX_WAITING_PER_SENDER as u64 {
            pool.insert(transaction(nonce, 1, 1), Address::ZERO).unwrap();
        }
        let error = pool.insert(transaction(5_000, 1, 1), Address::ZERO).unwrap_err();
        assert_eq!(error.message, "txpool is full");
    }
}
