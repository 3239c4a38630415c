//! What a command about an arena works with: the chain, the contracts, the token, and who asks.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use aiarena_chain::{
    bindings::{ArenaToken, Vault},
    deploy::Deployment,
    follow::{FollowError, Follower, contract_error},
};
use alloy::{
    primitives::{Address, U256},
    providers::DynProvider,
};
use anyhow::{Context, Result, ensure};

use super::{deploy::AddressBook, network, wallet};
use crate::{
    amount::{self, MOST_DECIMALS},
    config::Config,
};

/// How often a reading that takes long says how far it is.
const PROGRESS: Duration = Duration::from_secs(3);

/// The token, as far as amounts are read and shown in it.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) address: Address,
    pub(super) symbol: String,
    pub(super) decimals: u8,
}

impl Token {
    /// Asks the token. What it calls itself is cut to what a terminal can show.
    pub(super) async fn read(provider: &DynProvider, address: Address) -> Result<Self> {
        let token = ArenaToken::new(address, provider);
        let decimals = token.decimals().call().await.with_context(|| {
            format!("the contract at {address} does not say its decimals: is it the token, and an ERC-20?")
        })?;
        ensure!(
            decimals <= MOST_DECIMALS,
            "the token {address} has {decimals} decimals, more than any real one"
        );
        let symbol = token.symbol().call().await.unwrap_or_default();
        let symbol: String = symbol.chars().filter(char::is_ascii_graphic).take(12).collect();
        let symbol = if symbol.is_empty() { "tokens".to_owned() } else { symbol };
        Ok(Self { address, symbol, decimals })
    }

    /// An amount with the token's name.
    pub(super) fn show(&self, base_units: U256) -> String {
        format!("{} {}", amount::show(base_units, self.decimals), self.symbol)
    }

    /// An amount that a contract takes.
    pub(super) fn parse(&self, text: &str) -> Result<U256> {
        let base_units = amount::parse_u96(text, self.decimals)?;
        ensure!(!base_units.is_zero(), "the amount is 0: there is nothing to do");
        Ok(base_units)
    }
}

/// One command's view of an arena.
pub(super) struct Session {
    pub(super) config: Config,
    pub(super) provider: DynProvider,
    pub(super) deployment: Deployment,
    pub(super) token: Token,
    /// Who asks.
    pub(super) me: Address,
}

impl Session {
    /// Connects to what the configuration names, as the configured key.
    pub(super) async fn open(config: Config) -> Result<Self> {
        let me = wallet::address(&config)?;
        Self::open_as(config, me).await
    }

    /// Connects to what the configuration names, as somebody.
    pub(super) async fn open_as(config: Config, me: Address) -> Result<Self> {
        let provider = network::connect(&config.network).await?.provider();
        let deployment = AddressBook::finished(&config)?;
        let token = Token::read(&provider, deployment.token).await?;
        Ok(Self { config, provider, deployment, token, me })
    }

    /// The arena's state, read from its events. They are kept in the data folder, so that the next command reads only what is
    /// new; where that cannot be, all is read.
    pub(super) async fn follow(&self) -> Result<Follower> {
        let Deployment { chain_id, arena, .. } = self.deployment;
        let archive = self.config.data_dir.join(format!("history-{chain_id}-{arena}.db"));
        let read = match std::fs::create_dir_all(&self.config.data_dir) {
            Ok(()) => self.read(Some(&archive)).await,
            Err(_) => self.read(None).await,
        };
        match read {
            Err(FollowError::Archive(error)) => {
                if !error.is_retryable() {
                    eprintln!("warning: {error}");
                }
                self.read(None).await
            }
            // A local chain that began anew has blocks of its own.
            Err(
                error @ (FollowError::Moved { .. } | FollowError::TooDeep { .. } | FollowError::History(_)),
            ) => {
                let file = archive.display();
                eprintln!(
                    "warning: the chain does not go on from what {file} holds, so that is not used: {error}. If the chain began \
                     anew, delete the file"
                );
                self.read(None).await
            }
            read => read,
        }
        .context("cannot read the arena's history: `aiarena doctor` says more")
    }

    /// Reads stretch by stretch, and says how far it is if that takes long.
    async fn read(&self, archive: Option<&Path>) -> Result<Follower, FollowError> {
        let mut follower = match archive {
            Some(file) => Follower::open(self.provider.clone(), self.deployment, file).await?,
            None => Follower::connect(self.provider.clone(), self.deployment).await?,
        };
        let mut told = Instant::now();
        while !follower.advance().await?.caught_up {
            if told.elapsed() >= PROGRESS {
                let block = follower.head().map_or(0, |head| head.number);
                eprintln!("reading the arena's history: at block {block}");
                told = Instant::now();
            }
        }
        Ok(follower)
    }

    /// The vault's functions.
    pub(super) fn vault(&self) -> Vault::VaultInstance<DynProvider> {
        Vault::new(self.deployment.vault, self.provider.clone())
    }

    /// The token that an account holds, and how much of it the vault may take.
    pub(super) async fn purse(&self, account: Address) -> Result<(U256, U256)> {
        let token = ArenaToken::new(self.token.address, &self.provider);
        let read = |error| contract_error("read the token", error);
        let balance = token.balanceOf(account).call().await.map_err(read)?;
        let allowance = token.allowance(account, self.deployment.vault).call().await.map_err(read)?;
        Ok((balance, allowance))
    }
}
