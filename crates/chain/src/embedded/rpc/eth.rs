//! Methods that every Ethereum node answers.

use alloy::{
    primitives::{Address, B256, Bytes, TxHash, U256},
    rpc::types::{Filter, TransactionRequest},
};

use super::{Maybe, Params, found, quantity};
use crate::embedded::{
    block::Block,
    chain::{At, Chain},
    error::RpcError,
    execute,
    filters::{Changes, Kind},
};

/// What `web3_clientVersion` answers.
const CLIENT_VERSION: &str = concat!("aiarena-embedded/v", env!("CARGO_PKG_VERSION"));

impl Chain {
    /// Identity, fees and transactions to send.
    pub(super) fn ask_node(&mut self, method: &str, params: &mut Params) -> Maybe {
        match method {
            "web3_clientVersion" => found(CLIENT_VERSION),
            "net_version" => found(self.config.chain_id.to_string()),
            "net_listening" => found(true),
            "net_peerCount" => found(quantity(0)),
            "eth_chainId" => found(quantity(self.config.chain_id)),
            "eth_syncing" => found(false),
            "eth_accounts" => found([(); 0]),
            "eth_gasPrice" => found(quantity(self.config.base_fee + self.config.priority_fee)),
            "eth_maxPriorityFeePerGas" => found(quantity(self.config.priority_fee)),
            "eth_blobBaseFee" => found(quantity(1)),
            "eth_feeHistory" => {
                let (count, newest) = (params.quantity(0, "block count")?, params.block_number(1)?);
                let percentiles: Option<Vec<f64>> = params.optional(2, "reward percentiles")?;
                found(self.fee_history(count, newest, percentiles.as_deref())?)
            }
            "eth_sendRawTransaction" => {
                let raw: Bytes = params.required(0, "raw transaction")?;
                found(self.submit(&raw)?)
            }
            _ => Ok(None),
        }
    }

    /// Blocks, transactions and receipts.
    pub(super) fn ask_blocks(&mut self, method: &str, params: &mut Params) -> Maybe {
        match method {
            "eth_blockNumber" => found(quantity(self.head_number())),
            "eth_getBlockByNumber" => {
                let (tag, full) = (params.block_number(0)?, params.optional(1, "full")?.unwrap_or(false));
                if tag.is_pending() {
                    return found(self.pending_block()?.to_rpc(full));
                }
                found(self.block(tag.into()).map(|block| block.to_rpc(full)))
            }
            "eth_getBlockByHash" => {
                let (hash, full) =
                    (params.required(0, "hash")?, params.optional(1, "full")?.unwrap_or(false));
                found(self.block_by_hash(hash).map(|block| block.to_rpc(full)))
            }
            "eth_getBlockReceipts" => {
                let block = self.block(params.block(0)?.unwrap_or_default());
                found(block.map(|block| {
                    (0..block.transactions.len()).filter_map(|index| block.receipt(index)).collect::<Vec<_>>()
                }))
            }
            "eth_getBlockTransactionCountByNumber" => found(
                self.block(params.block_number(0)?.into())
                    .map(|block| quantity(block.transactions.len() as u64)),
            ),
            "eth_getBlockTransactionCountByHash" => {
                let block = self.block_by_hash(params.required(0, "hash")?);
                found(block.map(|block| quantity(block.transactions.len() as u64)))
            }
            "eth_getTransactionByBlockNumberAndIndex" => {
                let (tag, index) = (params.block_number(0)?, params.quantity(1, "index")?);
                found(transaction_at(self.block(tag.into()), index))
            }
            "eth_getTransactionByBlockHashAndIndex" => {
                let (hash, index) = (params.required(0, "hash")?, params.quantity(1, "index")?);
                found(transaction_at(self.block_by_hash(hash), index))
            }
            "eth_getTransactionByHash" => self.transaction_by_hash(params.required(0, "hash")?),
            "eth_getTransactionReceipt" => {
                let place = self.place(params.required(0, "hash")?);
                found(place.and_then(|(block, index)| block.receipt(index)))
            }
            _ => Ok(None),
        }
    }

    /// A mined transaction, or one that still waits for its block.
    fn transaction_by_hash(&self, hash: TxHash) -> Maybe {
        if let Some((block, index)) = self.place(hash) {
            return found(block.transaction(index));
        }
        found(self.pool.find(hash).map(|waiting| alloy::rpc::types::Transaction {
            inner: alloy::consensus::transaction::Recovered::new_unchecked(
                waiting.envelope.clone(),
                waiting.from,
            ),
            block_hash: None,
            block_number: None,
            transaction_index: None,
            effective_gas_price: None,
            block_timestamp: None,
        }))
    }

    /// Accounts, and calls on the latest or the pending block.
    pub(super) fn ask_state(&mut self, method: &str, params: &mut Params) -> Maybe {
        match method {
            "eth_getBalance" => {
                let (address, at) = self.address_at(params, 1)?;
                found(self.state_at(at)?.balance(address))
            }
            "eth_getCode" => {
                let (address, at) = self.address_at(params, 1)?;
                let state = self.state_at(at)?;
                found(state.account(address).map(|account| account.code.original_bytes()).unwrap_or_default())
            }
            "eth_getStorageAt" => {
                let slot: U256 = params.required(1, "slot")?;
                let (address, at) = self.address_at(params, 2)?;
                found(B256::from(self.state_at(at)?.slot(address, slot)))
            }
            "eth_getTransactionCount" => {
                let address: Address = params.required(0, "address")?;
                let nonce = self.state.nonce(address);
                found(quantity(match self.at(params.block(1)?)? {
                    At::Head => nonce,
                    At::Pending => self.pool.next_nonce(address, nonce),
                }))
            }
            "eth_call" => {
                let (request, at) = self.simulation(params, At::Head)?;
                found(execute::call(&self.config, self.block_env(at)?, &*self.state_at(at)?, request)?)
            }
            "eth_estimateGas" => {
                // The transaction will be in the next block, so that is where it is tried out by default.
                let (request, at) = self.simulation(params, At::Pending)?;
                let (block, state) = (self.block_env(at)?, self.state_at(at)?);
                found(quantity(execute::estimate_gas(&self.config, block, &state, request)?))
            }
            _ => Ok(None),
        }
    }

    /// The address of a state query, and which state is asked for.
    fn address_at(&self, params: &mut Params, block: usize) -> Result<(Address, At), RpcError> {
        Ok((params.required(0, "address")?, self.at(params.block(block)?)?))
    }

    /// The request of a simulation and the block it runs in, `default` if none is named.
    fn simulation(&self, params: &mut Params, default: At) -> Result<(TransactionRequest, At), RpcError> {
        let request = params.required(0, "transaction")?;
        let at = match params.block(1)? {
            Some(block) => self.at(Some(block))?,
            None => default,
        };
        for (index, name) in [(2, "state overrides"), (3, "block overrides")] {
            // Ignoring an override would answer a question that was not asked.
            if params.raw(index).is_some_and(|value| value != serde_json::json!({})) {
                return Err(RpcError::invalid_params(format!("{name} are not supported")));
            }
        }
        Ok((request, at))
    }

    /// Logs and filters.
    pub(super) fn ask_filters(&mut self, method: &str, params: &mut Params) -> Maybe {
        match method {
            "eth_getLogs" => found(self.logs(&params.required::<Filter>(0, "filter")?)?),
            "eth_newFilter" => {
                let filter = Box::new(params.required(0, "filter")?);
                found(quantity(self.install_filter(Kind::Logs(filter))?))
            }
            "eth_newBlockFilter" => found(quantity(self.install_filter(Kind::Blocks)?)),
            "eth_newPendingTransactionFilter" => {
                found(quantity(self.install_filter(Kind::Transactions(Vec::new()))?))
            }
            "eth_getFilterChanges" => match self.filter_changes(params.quantity(0, "filter id")?)? {
                Changes::Logs(logs) => found(logs),
                Changes::Hashes(hashes) => found(hashes),
            },
            "eth_getFilterLogs" => found(self.filter_logs(params.quantity(0, "filter id")?)?),
            "eth_uninstallFilter" => found(self.filters.uninstall(params.quantity(0, "filter id")?)),
            _ => Ok(None),
        }
    }
}

fn transaction_at(block: Option<&Block>, index: u64) -> Option<alloy::rpc::types::Transaction> {
    block?.transaction(usize::try_from(index).ok()?)
}
