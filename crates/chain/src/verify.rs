//! Is a block what its hash says? Checks any provider's answers against the block's own commitments.
//!
//! A header commits to its transactions and receipts, and through its parent's hash to all of history. Recomputing
//! these from what a provider hands out finds every altered transaction, status, event and header, whoever altered it.

use std::{fmt::Display, ops::RangeInclusive};

use alloy::{
    consensus::{
        Receipt, ReceiptEnvelope, Transaction as _, TxReceipt as _, Typed2718, proofs,
        transaction::SignerRecoverable,
    },
    eips::eip2718::Encodable2718,
    primitives::{B256, keccak256, logs_bloom},
    providers::Provider,
    rpc::types::{Block, Transaction, TransactionReceipt},
    transports::TransportError,
};

/// Why a block could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The provider did not answer.
    #[error("read block {number}: {source}")]
    Transport {
        /// The block asked for.
        number: u64,
        /// The transport's reason.
        r#source: TransportError,
    },
    /// The provider does not have the block, or not its receipts.
    #[error("block {number} has no {part}")]
    Missing {
        /// The block asked for.
        number: u64,
        /// What is missing.
        part: &'static str,
    },
    /// Two things that must agree do not.
    #[error("block {number}: {what} is {found}, expected {expected}")]
    Mismatch {
        /// The block asked for.
        number: u64,
        /// What does not agree.
        what: String,
        /// What follows from the rest of the block.
        expected: String,
        /// What the provider says.
        found: String,
    },
}

impl VerifyError {
    /// True if the same call may succeed later: the provider failed or lags behind.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Transport { .. } | Self::Missing { .. })
    }
}

/// A block whose header, transactions and receipts fit each other.
#[derive(Clone, Debug)]
pub struct VerifiedBlock {
    /// Height.
    pub number: u64,
    /// Recomputed hash of the header.
    pub hash: B256,
    /// Hash of the block before.
    pub parent_hash: B256,
    /// Seconds since the Unix epoch.
    pub timestamp: u64,
    /// The block's `prevrandao`.
    pub prevrandao: B256,
    /// Transactions in order, each signed by whom it names as its sender.
    pub transactions: Vec<Transaction>,
    /// Receipts in the order of the transactions, with the logs.
    pub receipts: Vec<TransactionReceipt>,
}

/// Fetches the blocks of `numbers` and checks each, and that each follows the one before.
///
/// # Errors
/// The first [`VerifyError`] of [`verify_block`].
pub async fn verify_blocks<P: Provider>(
    provider: &P,
    numbers: RangeInclusive<u64>,
) -> Result<Vec<VerifiedBlock>, VerifyError> {
    let mut blocks: Vec<VerifiedBlock> = Vec::new();
    for number in numbers {
        let parent = blocks.last().map(|block| block.hash);
        blocks.push(verify_block(provider, number, parent).await?);
    }
    Ok(blocks)
}

/// Fetches block `number` and recomputes everything its header commits to but the state root.
///
/// - `parent`: the verified hash of the block before, if it is known.
/// - Understands Ethereum's own transaction types. A chain that adds its own, as OP-stack chains do with deposits, gives
///   an error for a block that holds one, never a false success.
///
/// # Errors
/// [`VerifyError::Mismatch`] names the first thing that does not agree; the others say that the provider did not give
/// what is needed.
pub async fn verify_block<P: Provider>(
    provider: &P,
    number: u64,
    parent: Option<B256>,
) -> Result<VerifiedBlock, VerifyError> {
    let failed = |source| VerifyError::Transport { number, source };
    let missing = |part| VerifyError::Missing { number, part };
    let block = provider.get_block_by_number(number.into()).full().await.map_err(failed)?;
    let receipts = provider.get_block_receipts(number.into()).await.map_err(failed)?;
    let block = block.ok_or(missing("header"))?;
    let receipts = receipts.ok_or(missing("receipts"))?;
    let check = Check { number };
    check.header(&block, parent)?;
    let transactions = block.transactions.clone().into_transactions_vec();
    check.transactions(&block, &transactions)?;
    check.receipts(&block, &transactions, &receipts)?;
    Ok(VerifiedBlock {
        number,
        hash: block.header.hash,
        parent_hash: block.header.parent_hash,
        timestamp: block.header.timestamp,
        prevrandao: block.header.mix_hash,
        transactions,
        receipts,
    })
}

/// The checks of one block.
struct Check {
    number: u64,
}

impl Check {
    fn equal<T: PartialEq + Display>(
        &self,
        what: impl Display,
        expected: T,
        found: T,
    ) -> Result<(), VerifyError> {
        if expected == found {
            return Ok(());
        }
        Err(VerifyError::Mismatch {
            number: self.number,
            what: what.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        })
    }

    fn header(&self, block: &Block, parent: Option<B256>) -> Result<(), VerifyError> {
        let header = &block.header;
        self.equal("number", self.number, header.number)?;
        self.equal("hash", header.inner.hash_slow(), header.hash)?;
        self.equal("parent hash", parent.unwrap_or(header.parent_hash), header.parent_hash)
    }

    fn transactions(&self, block: &Block, transactions: &[Transaction]) -> Result<(), VerifyError> {
        for (index, transaction) in transactions.iter().enumerate() {
            let envelope = transaction.inner.inner();
            let what = |field| format!("{field} of transaction {index}");
            self.equal(what("hash"), keccak256(envelope.encoded_2718()), *envelope.tx_hash())?;
            let signer = envelope.recover_signer_unchecked().ok();
            self.equal(what("sender"), shown(signer), shown(Some(transaction.inner.signer())))?;
        }
        let envelopes: Vec<_> = transactions.iter().map(|transaction| transaction.inner.inner()).collect();
        let root = proofs::calculate_transaction_root(&envelopes);
        self.equal("transactions root", root, block.header.transactions_root)
    }

    fn receipts(
        &self,
        block: &Block,
        transactions: &[Transaction],
        receipts: &[TransactionReceipt],
    ) -> Result<(), VerifyError> {
        self.equal("number of receipts", transactions.len(), receipts.len())?;
        let consensus: Vec<_> = receipts.iter().map(consensus).collect();
        self.equal("receipts root", proofs::calculate_receipt_root(&consensus), block.header.receipts_root)?;
        let bloom = logs_bloom(consensus.iter().flat_map(|receipt| receipt.logs()));
        self.equal("logs bloom", bloom, block.header.logs_bloom)?;

        // The root covers what consensus encodes. The rest of a receipt is derived, so it is derived again.
        let (mut gas, mut next_log) = (0, 0);
        for (index, (receipt, transaction)) in receipts.iter().zip(transactions).enumerate() {
            let what = |field| format!("{field} of receipt {index}");
            let envelope = transaction.inner.inner();
            let sender = transaction.inner.signer();
            self.equal(what("transaction hash"), *envelope.tx_hash(), receipt.transaction_hash)?;
            self.equal(what("type"), envelope.ty(), receipt.inner.tx_type().into())?;
            self.equal(what("place"), shown(self.place(block, index)), shown(place(receipt)))?;
            self.equal(what("sender"), sender, receipt.from)?;
            self.equal(what("recipient"), shown(envelope.to()), shown(receipt.to))?;
            let created = envelope.to().is_none().then(|| sender.create(envelope.nonce()));
            // Nodes differ in whether a failed creation has an address.
            if receipt.status() || receipt.contract_address.is_some() {
                self.equal(what("contract address"), shown(created), shown(receipt.contract_address))?;
            }
            let price = envelope.effective_gas_price(block.header.base_fee_per_gas);
            self.equal(what("gas price"), price, receipt.effective_gas_price)?;
            let cumulative = receipt.inner.cumulative_gas_used();
            self.equal(what("gas used"), cumulative.saturating_sub(gas), receipt.gas_used)?;
            gas = cumulative;
            for log in receipt.logs() {
                let place = (log.block_hash, log.block_number, log.transaction_index);
                let expected = Some((block.header.hash, self.number, index as u64));
                let found = match place {
                    (Some(hash), Some(number), Some(index)) => Some((hash, number, index)),
                    _ => None,
                };
                self.equal(what("place of a log"), shown(expected), shown(found))?;
                self.equal(
                    what("transaction of a log"),
                    shown(Some(*envelope.tx_hash())),
                    shown(log.transaction_hash),
                )?;
                self.equal(what("index of a log"), shown(Some(next_log)), shown(log.log_index))?;
                next_log += 1;
            }
        }
        self.equal("gas used", gas, block.header.gas_used)
    }

    fn place(&self, block: &Block, index: usize) -> Option<(B256, u64, u64)> {
        Some((block.header.hash, self.number, index as u64))
    }
}

fn place(receipt: &TransactionReceipt) -> Option<(B256, u64, u64)> {
    Some((receipt.block_hash?, receipt.block_number?, receipt.transaction_index?))
}

/// A receipt as consensus encodes it, with its bloom recomputed from its logs.
fn consensus(receipt: &TransactionReceipt) -> ReceiptEnvelope {
    let inner = &receipt.inner;
    let logs = inner.logs().iter().map(|log| log.inner.clone()).collect();
    let plain = Receipt {
        status: inner.status_or_post_state(),
        cumulative_gas_used: inner.cumulative_gas_used(),
        logs,
    };
    ReceiptEnvelope::from_typed(inner.tx_type(), plain.with_bloom())
}

/// For messages: what is absent is shown as such.
fn shown<T: std::fmt::Debug>(value: Option<T>) -> String {
    value.map_or_else(|| "absent".to_owned(), |value| format!("{value:?}"))
}
