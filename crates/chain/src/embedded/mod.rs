//! A whole Ethereum chain inside this process: revm behind alloy's provider.
//!
//! [`EmbeddedChain::provider`] gives what a real RPC endpoint gives, so that the same code runs on both. Commands that
//! move time or set balances have the names and meanings of Anvil's.
//!
//! - **Deterministic.** The same transactions on the same [`Config`] give the same hashes. There is no wall clock, no
//!   thread and no random number; timestamps and `prevrandao` follow from the configuration and the commands.
//! - **One block per transaction** while automining, as soon as it is sent. A transaction whose nonce is still in the
//!   future waits for the gap to close.
//! - **Prague rules** with mainnet's gas, and real headers: transactions root, receipts root, bloom, parent link and
//!   hash are what any node computes, so [`crate::verify`] finds an altered history. The state root alone is zero, and
//!   the base fee is constant.
//! - **Only the latest state** can be read; asking for an older one is an error. Blocks, receipts and logs are kept for
//!   ever.
//! - Not here: blob transactions, state and block overrides, `eth_getProof`, subscriptions (poll filters instead).

mod block;
mod chain;
mod clock;
mod config;
mod error;
mod execute;
mod fees;
mod filters;
mod http;
mod mine;
mod persist;
mod pool;
mod rpc;
mod state;
mod transport;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy::{
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::client::RpcClient,
};

use self::{chain::Chain, transport::InProcess};
pub use self::{
    config::{Config, MAX_TIMESTAMP},
    error::Error,
    http::Server,
};

/// How often alloy looks for a new block while it waits for a confirmation. Asking costs microseconds.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A handle on an embedded chain. Clones are handles on the same chain.
#[derive(Clone)]
pub struct EmbeddedChain(Arc<Mutex<Chain>>);

impl fmt::Debug for EmbeddedChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedChain").finish_non_exhaustive()
    }
}

impl EmbeddedChain {
    /// Starts a chain at block 0.
    ///
    /// # Errors
    /// [`Error::Config`] if a field of the configuration is out of its bounds.
    pub fn new(config: Config) -> Result<Self, Error> {
        Chain::new(config).map(Self::from_chain)
    }

    /// Continues a chain that [`Self::save`] wrote.
    ///
    /// The file is checked for being a chain at all: sizes, types, numbering, decodable transactions. It is not
    /// re-derived: that hashes, receipts and state fit each other is for an auditor to find out.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::TooLarge`], [`Error::Format`], [`Error::Parse`], [`Error::Malformed`] or
    /// [`Error::Config`], whatever the file holds.
    pub fn load(path: &Path) -> Result<Self, Error> {
        persist::load(path).map(Self::from_chain)
    }

    /// Writes everything but filters and snapshots to a JSON file, which is replaced as a whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written, [`Error::TooLarge`] if [`Self::load`] would refuse its size.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let json = persist::encode(&self.lock())?;
        persist::write(path, &json)
    }

    /// A client of the chain's JSON-RPC, to build a provider with signers and fillers on.
    #[must_use]
    pub fn rpc_client(&self) -> RpcClient {
        RpcClient::new(InProcess(self.clone()), true).with_poll_interval(POLL_INTERVAL)
    }

    /// A provider without signer or fillers: reads, commands and raw transactions.
    #[must_use]
    pub fn provider(&self) -> DynProvider {
        ProviderBuilder::new().disable_recommended_fillers().connect_client(self.rpc_client()).erased()
    }

    fn from_chain(chain: Chain) -> Self {
        Self(Arc::new(Mutex::new(chain)))
    }

    fn lock(&self) -> MutexGuard<'_, Chain> {
        // A panic in another request is a bug that its own caller sees; the chain is still the best there is.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
