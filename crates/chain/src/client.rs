//! An account that sends transactions, and how the contracts' refusals are told.

use std::fmt::Debug;

use alloy::{
    network::{EthereumWallet, TransactionBuilder},
    primitives::{Address, B256, Bytes},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        types::{TransactionReceipt, TransactionRequest},
    },
    signers::local::PrivateKeySigner,
    sol_types::{SolCall, SolInterface},
    transports::{RpcError, TransportErrorKind},
};

use crate::bindings::{
    Arena::ArenaErrors, ArenaToken::ArenaTokenErrors, Emission::EmissionErrors, Settlement::SettlementErrors,
    Vault::VaultErrors,
};

/// Most gas of one transaction on a chain with EIP-7825.
const MOST_GAS: u64 = 16_777_216;

/// Why a call or a transaction had no effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A contract refused it. Sending the same again is of no use.
    #[error("{action}: the contract refused: {reason}")]
    Refused {
        /// The function that was called.
        action: String,
        /// The contract's error with its values.
        reason: String,
    },
    /// It was mined, but failed there.
    #[error("{action}: transaction {hash} was mined in block {block} but failed")]
    Failed {
        /// The function that was called.
        action: String,
        /// The transaction.
        hash: B256,
        /// Where it was mined.
        block: u64,
    },
    /// The endpoint could not be reached or did not understand.
    #[error("{action}: the RPC endpoint answered: {source}")]
    Rpc {
        /// What was asked.
        action: String,
        /// Its answer.
        source: Box<RpcError<TransportErrorKind>>,
    },
    /// What came back is not what was asked for.
    #[error("{action}: the RPC endpoint sent an answer that cannot be right: {what}")]
    Answer {
        /// What was asked.
        action: String,
        /// What is wrong with the answer.
        what: String,
    },
}

impl ClientError {
    /// Whether the same call may succeed later without any change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Rpc { source, .. } => !source.is_error_resp(),
            _ => false,
        }
    }

    /// Wraps a transport error; a revert becomes [`ClientError::Refused`].
    pub fn from_rpc(action: &str, source: RpcError<TransportErrorKind>) -> Self {
        let action = action.to_owned();
        match source.as_error_resp() {
            Some(payload) => match payload.as_revert_data() {
                Some(data) => Self::Refused { action, reason: explain_revert(&data) },
                None if payload.message.contains("revert") => {
                    Self::Refused { action, reason: payload.message.to_string() }
                }
                None => Self::Rpc { action, source: Box::new(source) },
            },
            None => Self::Rpc { action, source: Box::new(source) },
        }
    }
}

/// Names the custom error in revert data, with its values.
#[must_use]
pub fn explain_revert(data: &Bytes) -> String {
    fn name<E: SolInterface + Debug>(data: &Bytes) -> Option<String> {
        let text = format!("{:?}", E::abi_decode(data).ok()?);
        // `NotCreator(NotCreator { task: 1 })`: the inner part says it all.
        let inner = text.split_once('(').map_or(text.as_str(), |(_, rest)| rest);
        Some(inner.strip_suffix(')').unwrap_or(inner).to_owned())
    }
    name::<ArenaErrors>(data)
        .or_else(|| name::<SettlementErrors>(data))
        .or_else(|| name::<VaultErrors>(data))
        .or_else(|| name::<EmissionErrors>(data))
        .or_else(|| name::<ArenaTokenErrors>(data))
        .unwrap_or_else(|| format!("unknown error {data}"))
}

/// A mined, successful transaction.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The function that was called, or `deploy`.
    pub action: String,
    /// The transaction.
    pub hash: B256,
    /// The block that holds it.
    pub block: u64,
    /// Gas that it used.
    pub gas: u64,
    /// The contract that it created.
    pub created: Option<Address>,
}

/// A key and an endpoint: signs, sends and waits, one transaction after the other.
///
/// The nonce is asked of the endpoint each time: a counter of our own would be wrong after a lost transaction.
#[derive(Debug, Clone)]
pub struct Account {
    address: Address,
    provider: DynProvider,
}

impl Account {
    /// An account over an endpoint.
    #[must_use]
    pub fn new(rpc: RpcClient, signer: PrivateKeySigner) -> Self {
        let address = signer.address();
        let provider = ProviderBuilder::new()
            .disable_recommended_fillers()
            .with_gas_estimation()
            .with_simple_nonce_management()
            .fetch_chain_id()
            .wallet(EthereumWallet::from(signer))
            .connect_client(rpc)
            .erased();
        Self { address, provider }
    }

    /// The account's address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.address
    }

    /// A provider that signs with this account's key.
    #[must_use]
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Calls a contract's function in a transaction and waits until it is mined.
    ///
    /// # Errors
    /// [`ClientError`]; nothing was mined if it is `Refused` or `Rpc`.
    pub async fn send<C: SolCall>(&self, to: Address, call: &C) -> Result<Sent, ClientError> {
        let action = C::SIGNATURE.split('(').next().unwrap_or_default();
        self.transact(action, TransactionRequest::default().with_to(to).with_input(call.abi_encode())).await
    }

    /// Creates a contract and waits until it is mined.
    ///
    /// # Errors
    /// As [`Account::send`].
    pub async fn deploy(&self, name: &str, code: Bytes) -> Result<Sent, ClientError> {
        self.transact(&format!("deploy {name}"), TransactionRequest::default().with_deploy_code(code)).await
    }

    async fn transact(&self, action: &str, request: TransactionRequest) -> Result<Sent, ClientError> {
        let rpc = |source| ClientError::from_rpc(action, source);
        let request = request.with_from(self.address);
        // The state may move between the estimate and the block: a quarter more covers it, and unused gas is not paid.
        let gas = self.provider.estimate_gas(request.clone()).await.map_err(rpc)?;
        let request = request.with_gas_limit(gas.saturating_add(gas / 4).min(gas.max(MOST_GAS)));
        let pending = self.provider.send_transaction(request).await.map_err(rpc)?;
        let receipt = pending.get_receipt().await.map_err(|error| match error {
            alloy::providers::PendingTransactionError::TransportError(source) => rpc(source),
            other => ClientError::Answer { action: action.to_owned(), what: other.to_string() },
        })?;
        sent(action, &receipt)
    }
}

fn sent(action: &str, receipt: &TransactionReceipt) -> Result<Sent, ClientError> {
    let block = receipt.block_number.unwrap_or_default();
    if !receipt.status() {
        return Err(ClientError::Failed { action: action.to_owned(), hash: receipt.transaction_hash, block });
    }
    Ok(Sent {
        action: action.to_owned(),
        hash: receipt.transaction_hash,
        block,
        gas: receipt.gas_used,
        created: receipt.contract_address,
    })
}
