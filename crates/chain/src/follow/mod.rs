//! Keeps a ledger up to date with the chain, through faults, reorganisations and restarts.
//!
//! What the endpoint says is believed only as far as it can be checked:
//!
//! - **Headers** of all blocks are fetched; each must have the hash that its fields give, and name the one before it.
//! - **Logs.** A block whose bloom excludes the contracts has none. For any other block the receipts are fetched, and must
//!   have the root that the header names: the logs are those of the receipts, no more and no fewer.
//! - **Weaker, where receipts prove nothing:** they are not to be had, or are of a type whose encoding is not known here.
//!   Then a second endpoint must name the same logs, or the same one must name them again when it is asked by the hash of
//!   the block. [`Proof::Agreement`] chooses this for blocks without logs.
//! - **Not checked:** that the newest header is the one that consensus chose; which transaction of a block sent a log; the
//!   constants of the deployment. A node of one's own as the first endpoint is the answer to that.
//!
//! The last 64 blocks may be reorganised. Their events are kept apart from a *base*, the ledger before them, so that going
//! back is to copy the base and apply what is left of them: replaying all of history would take longer with each month.

mod archive;
mod follower;
mod proof;
mod read;

use alloy::{
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider},
};

use crate::{
    bindings::{Arena, Emission, Vault},
    client::ClientError,
    deploy::Deployment,
    ledger::{Clock, Constants, LedgerError},
};

pub use archive::ArchiveError;
pub use follower::{Follower, MAX_REORG, Synced};
pub use read::Proof;

/// Why a ledger could not follow the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The endpoint failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The endpoint sent what the chain cannot hold. Nothing of it was used.
    #[error("the RPC endpoint sent an answer that cannot be right: {what}")]
    Untrue {
        /// What is wrong with it.
        what: String,
    },
    /// The chain changed while it was read, each time that it was tried.
    #[error("the chain changed while it was read: {what}")]
    Moved {
        /// What did not fit.
        what: String,
    },
    /// The chain is another one than was read, further back than can be followed.
    #[error(
        "the chain was reorganised by more than {depth} blocks: block {block} is {found}, {expected} was read. Either the \
         RPC endpoint is on a fork, which another endpoint would show, or the chain itself gave up its history: then \
         delete the event archive, if there is one, start again, and look at everything that was sent since that block"
    )]
    TooDeep {
        /// Blocks from the oldest that is still compared to the newest that was read.
        depth: u64,
        /// The oldest block that is still compared.
        block: u64,
        /// The hash that was read.
        expected: B256,
        /// The hash that it has now.
        found: B256,
    },
    /// The file with the events could not be used.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The history is not one that the contracts can have made.
    #[error("the history contradicts itself: {0}")]
    History(LedgerError),
}

impl From<LedgerError> for FollowError {
    fn from(error: LedgerError) -> Self {
        Self::History(error)
    }
}

impl FollowError {
    /// Whether the same may succeed later without any change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            // Endpoints word most of their troubles as refusals; a read changes nothing, so it can always be tried again.
            Self::Client(_) | Self::Untrue { .. } | Self::Moved { .. } => true,
            Self::Archive(error) => error.is_retryable(),
            Self::TooDeep { .. } | Self::History(_) => false,
        }
    }
}

/// A block that was read and verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Its time, in seconds since 1970.
    pub timestamp: u64,
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
