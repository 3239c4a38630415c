//! Mined blocks, and how they look through JSON-RPC.

use alloy::{
    consensus::{
        Block as ConsensusBlock, BlockBody, EMPTY_OMMER_ROOT_HASH, Header, Receipt, ReceiptEnvelope,
        ReceiptWithBloom, Transaction as _, TxEnvelope, proofs, transaction::Recovered,
    },
    eips::{eip4895::Withdrawals, eip7685::EMPTY_REQUESTS_HASH},
    primitives::{Address, B64, B256, Bloom, Bytes, Log, TxHash, TxKind, U256, logs_bloom},
    rlp::Encodable,
    rpc::types as rpc,
};

/// A transaction with its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mined {
    pub(super) envelope: TxEnvelope,
    pub(super) from: Address,
    pub(super) success: bool,
    pub(super) gas_used: u64,
    pub(super) logs: Vec<Log>,
    /// Gas used in the block up to and including this transaction.
    pub(super) cumulative_gas_used: u64,
    /// Number of logs in the block before this transaction.
    pub(super) first_log: u64,
}

impl Mined {
    pub(super) fn hash(&self) -> TxHash {
        *self.envelope.tx_hash()
    }

    /// The receipt as consensus encodes it.
    pub(super) fn receipt(&self) -> ReceiptEnvelope {
        let receipt = Receipt {
            status: self.success.into(),
            cumulative_gas_used: self.cumulative_gas_used,
            logs: self.logs.clone(),
        };
        ReceiptEnvelope::from_typed(self.envelope.tx_type(), receipt.with_bloom())
    }

    /// The address a creation deploys to, which receipts carry whether or not it succeeded.
    fn contract_address(&self) -> Option<Address> {
        match self.envelope.kind() {
            TxKind::Create => Some(self.from.create(self.envelope.nonce())),
            TxKind::Call(_) => None,
        }
    }
}

/// A block with its transactions and their outcomes.
///
/// The hash and the header are kept as they were mined or loaded: whether they fit each other and the transactions is
/// for [`crate::verify`] to find out, over the same interface that any other node offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) hash: B256,
    pub(super) header: Header,
    pub(super) transactions: Vec<Mined>,
}

/// What a new block's header takes from its environment.
pub(super) struct Template {
    pub(super) parent_hash: B256,
    pub(super) number: u64,
    pub(super) timestamp: u64,
    pub(super) gas_limit: u64,
    pub(super) base_fee: u64,
    pub(super) prevrandao: B256,
}

impl Block {
    /// Seals `transactions` under a header with real roots, bloom and hash.
    ///
    /// The state root stays zero: the chain keeps no state trie, since building one for every transaction would cost
    /// more than executing it. Nothing that is read from events depends on it.
    pub(super) fn seal(template: Template, transactions: Vec<Mined>) -> Self {
        let envelopes: Vec<_> = transactions.iter().map(|mined| mined.envelope.clone()).collect();
        let receipts: Vec<_> = transactions.iter().map(Mined::receipt).collect();
        let header = Header {
            parent_hash: template.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: Address::ZERO,
            state_root: B256::ZERO,
            transactions_root: proofs::calculate_transaction_root(&envelopes),
            receipts_root: proofs::calculate_receipt_root(&receipts),
            logs_bloom: logs_bloom(transactions.iter().flat_map(|mined| &mined.logs)),
            difficulty: U256::ZERO,
            number: template.number,
            gas_limit: template.gas_limit,
            gas_used: transactions.last().map_or(0, |mined| mined.cumulative_gas_used),
            timestamp: template.timestamp,
            extra_data: Bytes::new(),
            mix_hash: template.prevrandao,
            nonce: B64::ZERO,
            base_fee_per_gas: Some(template.base_fee),
            withdrawals_root: Some(proofs::calculate_withdrawals_root(&[])),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        };
        Self { hash: header.hash_slow(), header, transactions }
    }

    /// Fills in each transaction's running totals from the ones before it.
    pub(super) fn accumulate(transactions: &mut [Mined]) {
        let (mut gas, mut logs) = (0_u64, 0_u64);
        for mined in transactions {
            gas = gas.saturating_add(mined.gas_used);
            mined.cumulative_gas_used = gas;
            mined.first_log = logs;
            logs += mined.logs.len() as u64;
        }
    }

    /// The answer to `eth_getBlockBy…`, with whole transactions or only their hashes.
    pub(super) fn to_rpc(&self, full: bool) -> rpc::Block {
        let transactions = if full {
            let all = (0..self.transactions.len()).filter_map(|index| self.transaction(index));
            rpc::BlockTransactions::Full(all.collect())
        } else {
            rpc::BlockTransactions::Hashes(self.transactions.iter().map(Mined::hash).collect())
        };
        let header = rpc::Header {
            hash: self.hash,
            inner: self.header.clone(),
            total_difficulty: Some(U256::ZERO),
            size: Some(U256::from(self.encoded_len())),
        };
        rpc::Block::new(header, transactions).with_withdrawals(Some(Withdrawals::default()))
    }

    /// Length of the block's RLP, which explorers show as its size.
    fn encoded_len(&self) -> usize {
        let body = BlockBody {
            transactions: self.transactions.iter().map(|mined| mined.envelope.clone()).collect(),
            ommers: Vec::new(),
            withdrawals: Some(Withdrawals::default()),
        };
        ConsensusBlock::new(self.header.clone(), body).length()
    }

    /// The answer to `eth_getTransactionBy…`; `None` if the block has no such index.
    pub(super) fn transaction(&self, index: usize) -> Option<rpc::Transaction> {
        let mined = self.transactions.get(index)?;
        Some(rpc::Transaction {
            inner: Recovered::new_unchecked(mined.envelope.clone(), mined.from),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            transaction_index: Some(index as u64),
            effective_gas_price: Some(mined.envelope.effective_gas_price(self.header.base_fee_per_gas)),
            block_timestamp: Some(self.header.timestamp),
        })
    }

    /// The answer to `eth_getTransactionReceipt`; `None` if the block has no such index.
    pub(super) fn receipt(&self, index: usize) -> Option<rpc::TransactionReceipt> {
        let mined = self.transactions.get(index)?;
        let bloom: Bloom = logs_bloom(&mined.logs);
        let receipt = Receipt {
            status: mined.success.into(),
            cumulative_gas_used: mined.cumulative_gas_used,
            logs: self.logs_of(index).collect(),
        };
        Some(rpc::TransactionReceipt {
            inner: ReceiptEnvelope::from_typed(
                mined.envelope.tx_type(),
                ReceiptWithBloom { receipt, logs_bloom: bloom },
            ),
            transaction_hash: mined.hash(),
            transaction_index: Some(index as u64),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            gas_used: mined.gas_used,
            effective_gas_price: mined.envelope.effective_gas_price(self.header.base_fee_per_gas),
            blob_gas_used: None,
            blob_gas_price: None,
            from: mined.from,
            to: mined.envelope.to(),
            contract_address: mined.contract_address(),
        })
    }

    /// All logs of the block in order, with their places.
    pub(super) fn logs(&self) -> impl Iterator<Item = rpc::Log> {
        (0..self.transactions.len()).flat_map(|index| self.logs_of(index))
    }

    fn logs_of(&self, index: usize) -> impl Iterator<Item = rpc::Log> {
        self.transactions.get(index).into_iter().flat_map(move |mined| {
            (mined.first_log..).zip(&mined.logs).map(move |(log_index, log)| rpc::Log {
                inner: log.clone(),
                block_hash: Some(self.hash),
                block_number: Some(self.header.number),
                block_timestamp: Some(self.header.timestamp),
                transaction_hash: Some(mined.hash()),
                transaction_index: Some(index as u64),
                log_index: Some(log_index),
                removed: false,
            })
        })
    }
}
