//! Keeps a ledger up to date with the chain.

use alloy::{
    eips::BlockId,
    primitives::{Address, U256},
    providers::{DynProvider, Provider},
};

use crate::{
    bindings::{Arena, Emission, Vault},
    client::ClientError,
    deploy::Deployment,
    history::{Record, read_history},
    ledger::{Clock, Constants, Ledger, LedgerError},
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
    let emission = Vault::new(vault, provider).emission().call().await;
    let emission = emission.map_err(|error| contract_error(&format!("{action} of vault {vault}"), error))?;
    Ok(Deployment { chain_id, arena, vault, emission, token, from_block })
}

/// Asks the contracts what their deployment fixed.
///
/// # Errors
/// [`ClientError`].
pub async fn read_constants(
    provider: &DynProvider,
    deployment: &Deployment,
) -> Result<(Clock, Constants), ClientError> {
    let read = |error| contract_error("read what the deployment fixed", error);
    let vault = Vault::new(deployment.vault, provider).config().call().await.map_err(read)?;
    let schedule = Arena::new(deployment.arena, provider).schedule().call().await.map_err(read)?;
    let emission = Emission::new(deployment.emission, provider).config().call().await.map_err(read)?;
    let clock = Clock {
        genesis: vault.genesis,
        epoch_length: vault.epochLength,
        unbonding_epochs: vault.unbondingEpochs,
        schedule: schedule.into(),
    };
    let constants = Constants {
        bond: vault.bond.to(),
        max_fee_wad: U256::from(vault.maxFeeWad),
        slash_wad: U256::from(vault.slashWad),
        emission: emission.initial.to(),
        emission_decay_wad: U256::from(emission.decayWad),
        emission_period: emission.period,
    };
    Ok((clock, constants))
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
    /// Reads what the deployment fixed and starts with an empty ledger.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect(provider: DynProvider, deployment: Deployment) -> Result<Self, ClientError> {
        let (clock, constants) = read_constants(&provider, &deployment).await?;
        let next_block = deployment.from_block;
        Ok(Self { provider, deployment, ledger: Ledger::new(clock, constants), next_block, now: 0 })
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

    /// Number of the newest block read.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.next_block.saturating_sub(1)
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
