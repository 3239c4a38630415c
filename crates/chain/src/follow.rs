//! Keeps a ledger up to date with the chain.

use alloy::{
    eips::BlockId,
    primitives::Address,
    providers::{DynProvider, Provider},
};

use crate::{
    bindings::{Arena, Vault},
    client::ClientError,
    deploy::Deployment,
    history::{Record, read_history},
    ledger::{Clock, Ledger, LedgerError},
};

/// Why a ledger could not follow the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The endpoint failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The history is not one that the contracts can have made.
    #[error("the history contradicts itself: {0}")]
    History(#[from] LedgerError),
}

/// Finds the contracts of an arena by the address of the arena.
///
/// # Errors
/// [`ClientError`], among others if there is no arena at the address.
pub async fn find_deployment(
    provider: &DynProvider,
    arena: Address,
    from_block: u64,
) -> Result<Deployment, ClientError> {
    let action = "find the contracts";
    let chain_id = provider.get_chain_id().await.map_err(|source| ClientError::from_rpc(action, source))?;
    let vault = Arena::new(arena, provider).vault().call().await;
    let vault = vault.map_err(|error| contract_error(&format!("{action} of arena {arena}"), error))?;
    let token = Vault::new(vault, provider).token().call().await;
    let token = token.map_err(|error| contract_error(&format!("{action} of vault {vault}"), error))?;
    Ok(Deployment { chain_id, arena, vault, token, from_block })
}

/// Turns alloy's contract errors into ours.
pub fn contract_error(action: &str, error: alloy::contract::Error) -> ClientError {
    match error {
        alloy::contract::Error::TransportError(source) => ClientError::from_rpc(action, source),
        other => ClientError::Answer { action: action.to_owned(), what: other.to_string() },
    }
}

/// A ledger and how far it has read.
#[derive(Debug)]
pub struct Follower {
    provider: DynProvider,
    deployment: Deployment,
    ledger: Ledger,
    next_block: u64,
    now: u64,
}

impl Follower {
    /// Reads the deployment's clock and starts with an empty ledger.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect(provider: DynProvider, deployment: Deployment) -> Result<Self, ClientError> {
        let read = |error| contract_error("read the deployment's clock", error);
        let vault = Vault::new(deployment.vault, &provider);
        let arena = Arena::new(deployment.arena, &provider);
        let clock = Clock {
            genesis: vault.genesis().call().await.map_err(read)?,
            epoch_length: vault.epochLength().call().await.map_err(read)?,
            unbonding_epochs: vault.unbondingEpochs().call().await.map_err(read)?,
            schedule: arena.schedule().call().await.map_err(read)?.into(),
        };
        let next_block = deployment.from_block;
        Ok(Self { provider, deployment, ledger: Ledger::new(clock), next_block, now: 0 })
    }

    /// Reads up to the newest block; returns what was new.
    ///
    /// # Errors
    /// [`FollowError`]. After [`FollowError::History`] the ledger is of no use.
    pub async fn sync(&mut self) -> Result<Vec<Record>, FollowError> {
        let action = "read the newest block";
        let block = self
            .provider
            .get_block(BlockId::latest())
            .await
            .map_err(|source| ClientError::from_rpc(action, source))?
            .ok_or_else(|| ClientError::Answer {
                action: action.to_owned(),
                what: "there is none".to_owned(),
            })?;
        let newest = block.header.number;
        let records = read_history(&self.provider, &self.deployment, self.next_block, newest).await?;
        for record in &records {
            self.ledger.apply(record)?;
        }
        (self.next_block, self.now) = (newest.saturating_add(1), block.header.timestamp);
        Ok(records)
    }

    /// The state as of the last [`Follower::sync`].
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Time of the newest block read, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What is followed.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The endpoint.
    #[must_use]
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }
}
