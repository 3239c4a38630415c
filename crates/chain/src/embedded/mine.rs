//! Accepting transactions and mining blocks.

use std::borrow::Cow;

use alloy::{
    consensus::{Transaction as _, TxEnvelope, TxType, transaction::SignerRecoverable},
    eips::eip2718::Decodable2718,
    primitives::{Address, TxHash, U256},
};
use revm::{
    ExecuteCommitEvm,
    context::result::{EVMError, InvalidTransaction},
    database_interface::WrapDatabaseRef,
};

use super::{
    block::{Block, Mined, Template},
    chain::{At, Chain},
    error::RpcError,
    execute::{self, Purpose},
    state::State,
};

/// A mined block with what else its mining changes.
struct Built {
    block: Block,
    /// Waiting transactions that could not be executed any more, and why.
    dropped: Vec<(Address, u64, String)>,
}

/// Decodes the raw bytes of a signed transaction.
pub(super) fn decode(raw: &[u8]) -> Result<TxEnvelope, String> {
    let mut rest = raw;
    let envelope = TxEnvelope::decode_2718(&mut rest).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes after the transaction", rest.len()));
    }
    if envelope.tx_type() == TxType::Eip4844 {
        return Err("blob transactions are not supported".to_owned());
    }
    Ok(envelope)
}

impl Chain {
    /// The answer to `eth_sendRawTransaction`: checks, queues and, if automining, mines.
    pub(super) fn submit(&mut self, raw: &[u8]) -> Result<TxHash, RpcError> {
        let envelope =
            decode(raw).map_err(|reason| RpcError::rejected(format!("invalid transaction: {reason}")))?;
        let hash = *envelope.tx_hash();
        let from = envelope.recover_signer().map_err(|_| RpcError::rejected("invalid sender"))?;
        self.check(&envelope, from)?;
        // A transaction that cannot get a block must not stay behind in the pool.
        self.next_template()?;
        self.pool.insert(envelope, from)?;
        self.filters.announce(hash);
        if self.automine {
            while self.pool_is_executable() {
                self.mine()?;
            }
        }
        Ok(hash)
    }

    /// What can be said of a transaction before those ahead of it are executed.
    fn check(&self, envelope: &TxEnvelope, from: Address) -> Result<(), RpcError> {
        let tx = execute::signed(envelope, from);
        execute::validate(&self.config, self.block_env(At::Pending)?, tx)?;
        let refuse = |error| Err(execute::refused(EVMError::Transaction(error)));
        let nonce = self.state.nonce(from);
        if envelope.nonce() < nonce {
            return refuse(InvalidTransaction::NonceTooLow { tx: envelope.nonce(), state: nonce });
        }
        let account = self.state.account(from);
        if account.is_some_and(|account| !account.code.is_empty() && !account.code.is_eip7702()) {
            return refuse(InvalidTransaction::RejectCallerWithCode);
        }
        let gas = U256::from(envelope.gas_limit()) * U256::from(envelope.max_fee_per_gas());
        let (cost, balance) = (gas.saturating_add(envelope.value()), self.state.balance(from));
        if balance < cost {
            return Err(RpcError::rejected(execute::insufficient_funds(balance, cost)));
        }
        Ok(())
    }

    fn pool_is_executable(&self) -> bool {
        !self.pool.heads(|from| self.state.nonce(from)).is_empty()
    }

    /// Mines one block of whatever is executable, possibly nothing.
    pub(super) fn mine(&mut self) -> Result<(), RpcError> {
        let template = self.next_template()?;
        // Executed in place: copying the state for each block would cost more than executing it.
        let mut state = std::mem::take(&mut self.state);
        let Built { block, dropped } = self.build(template, &mut state);
        self.state = state;
        for mined in &block.transactions {
            self.pool.remove(mined.from, mined.envelope.nonce());
        }
        for (from, nonce, reason) in dropped {
            tracing::warn!(%from, nonce, reason, "dropped a transaction that became invalid");
            self.pool.remove(from, nonce);
        }
        self.clock.advance();
        self.push(block);
        Ok(())
    }

    /// The block that would be mined now, for readers of the pending block.
    pub(super) fn pending_block(&self) -> Result<Block, RpcError> {
        Ok(self.build(self.next_template()?, &mut self.state.clone()).block)
    }

    /// The state as seen from `at`: for the pending block, after the transactions that would be in it.
    pub(super) fn state_at(&self, at: At) -> Result<Cow<'_, State>, RpcError> {
        if at == At::Head || !self.pool_is_executable() {
            return Ok(Cow::Borrowed(&self.state));
        }
        let mut state = self.state.clone();
        self.build(self.next_template()?, &mut state);
        Ok(Cow::Owned(state))
    }

    /// Executes waiting transactions in the order of their arrival until the block is full.
    fn build(&self, template: Template, state: &mut State) -> Built {
        let mut transactions = Vec::new();
        let mut dropped = Vec::new();
        let mut heads = self.pool.heads(|from| state.nonce(from));
        let mut gas_left = template.gas_limit;
        let environment = self.environment_of(&template);
        let mut evm = execute::evm(&self.config, environment, WrapDatabaseRef(state), Purpose::Transact);
        while let Some((_, (from, nonce))) = heads.pop_first() {
            let Some(waiting) = self.pool.get(from, nonce) else { continue };
            // What does not fit waits for the next block, and so does everything of this sender after it.
            if waiting.envelope.gas_limit() > gas_left {
                continue;
            }
            match evm.transact_commit(execute::signed(&waiting.envelope, from)) {
                Ok(result) => {
                    let (gas_used, success) = (result.gas().tx_gas_used(), result.is_success());
                    gas_left = gas_left.saturating_sub(gas_used);
                    // revm hands out what a failed transaction had logged before it failed.
                    let logs = if success { result.into_logs() } else { Vec::new() };
                    transactions.push(Mined {
                        envelope: waiting.envelope.clone(),
                        from,
                        success,
                        gas_used,
                        logs,
                        cumulative_gas_used: 0,
                        first_log: 0,
                    });
                    if let Some(arrival) = nonce.checked_add(1).and_then(|next| self.pool.arrival(from, next))
                    {
                        heads.insert(arrival, (from, nonce + 1));
                    }
                }
                Err(error) => dropped.push((from, nonce, execute::refused(error).message)),
            }
        }
        Block::accumulate(&mut transactions);
        Built { block: Block::seal(template, transactions), dropped }
    }
}
