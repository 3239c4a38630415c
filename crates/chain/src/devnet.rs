//! Control of a development chain: its clock and its balances.
//!
//! The embedded chain, Anvil and Hardhat share these methods. A public chain has none of them.

use alloy::{
    primitives::{Address, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::client::RpcClient,
};
use serde_json::{Value, json};

use crate::client::ClientError;

/// A development chain.
#[derive(Debug, Clone)]
pub struct DevChain {
    rpc: RpcClient,
    provider: DynProvider,
    set_balance: &'static str,
}

impl DevChain {
    /// Recognises a development chain by the version that it reports.
    ///
    /// # Errors
    /// [`ClientError::Answer`] if the endpoint is another kind of chain; [`ClientError::Rpc`] if it cannot be reached.
    pub async fn detect(rpc: RpcClient) -> Result<Self, ClientError> {
        let action = "recognise the chain";
        let provider =
            ProviderBuilder::new().disable_recommended_fillers().connect_client(rpc.clone()).erased();
        let version =
            provider.get_client_version().await.map_err(|source| ClientError::from_rpc(action, source))?;
        let lower = version.to_lowercase();
        let set_balance = if lower.contains("anvil") || lower.starts_with("aiarena") {
            "anvil_setBalance"
        } else if lower.contains("hardhat") {
            "hardhat_setBalance"
        } else {
            let what = format!("it is {version}, whose clock and balances nobody can set");
            return Err(ClientError::Answer { action: action.to_owned(), what });
        };
        Ok(Self { rpc, provider, set_balance })
    }

    /// The endpoint.
    #[must_use]
    pub fn rpc(&self) -> &RpcClient {
        &self.rpc
    }

    /// A provider that signs nothing.
    #[must_use]
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// Time of the newest block, in seconds since 1970.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn now(&self) -> Result<u64, ClientError> {
        let action = "read the chain's time";
        let block = self
            .provider
            .get_block(alloy::eips::BlockId::latest())
            .await
            .map_err(|source| ClientError::from_rpc(action, source))?;
        block.map(|block| block.header.timestamp).ok_or_else(|| ClientError::Answer {
            action: action.to_owned(),
            what: "no newest block".to_owned(),
        })
    }

    /// Mines an empty block at `time`, in seconds since 1970; does nothing if the newest block is not older.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn advance_to(&self, time: u64) -> Result<(), ClientError> {
        if self.now().await? >= time {
            return Ok(());
        }
        self.request("evm_setNextBlockTimestamp", json!([time])).await?;
        self.request("evm_mine", json!([])).await?;
        Ok(())
    }

    /// Sets an account's balance of the chain's own coin, in wei.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn set_balance(&self, account: Address, wei: U256) -> Result<(), ClientError> {
        self.request(self.set_balance, json!([account, wei])).await.map(|_| ())
    }

    async fn request(&self, method: &'static str, parameters: Value) -> Result<Value, ClientError> {
        self.provider
            .raw_request::<Value, Value>(method.into(), parameters)
            .await
            .map_err(|source| ClientError::from_rpc(method, source))
    }
}
