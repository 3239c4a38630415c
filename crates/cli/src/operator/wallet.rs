//! The one place where a key becomes an account that sends.

use std::path::Path;

use aiarena_chain::{
    account::{Account, FeePolicy, Journal},
    follow::MAX_REORG,
};
use alloy::{primitives::Address, providers::Provider, signers::local::PrivateKeySigner};
use anyhow::{Context, Result, ensure};

use super::{keystore, network, secret, sole::Sole};
use crate::config::Config;

/// Opens the configured key over the configured endpoints, and brings to an end what a
/// command before this one left on its way.
///
/// # Errors
/// If the key or its password is missing or wrong, no endpoint answers, or another process works with the key.
pub async fn open(config: &Config) -> Result<Account> {
    let rpc = network::client(&config.network, &network::connect(&config.network).await?);
    let signer = unlock(config)?;
    let me = signer.address();
    let chain_id = config.network.chain_id;
    let journal = Journal::open(&config.folder_of_key(me), chain_id, me).await?;
    let policy = FeePolicy { cap: config.network.max_fee.0, ..FeePolicy::default() };
    let unfinished = journal.unresolved().await?;
    let account = Account::with_journal(rpc, signer, journal, policy).await?;
    Sole::of(account.provider(), chain_id, me).await?.check()?;
    let head = account.provider().get_block_number().await.context("cannot ask for the newest block")?;
    // What a reorganisation undid since is sent again, too.
    account
        .confirm(head, MAX_REORG)
        .await
        .context("an earlier transaction of this key is still on its way")?;
    // What was asked and decided above rests on a state before it.
    ensure!(
        unfinished == 0,
        "a command before this one was interrupted, and its transaction is finished only now: look at `aiarena status`, and run \
         this again if you still want it"
    );
    Ok(account)
}

/// Decrypts the configured key.
///
/// # Errors
/// If it or its password is missing or wrong.
pub fn unlock(config: &Config) -> Result<PrivateKeySigner> {
    unlock_file(config, &config.key.keystore)
}

/// Decrypts a key with the configured password, or one from the environment or the terminal.
pub(super) fn unlock_file(config: &Config, path: &Path) -> Result<PrivateKeySigner> {
    exists(path)?;
    if let Some(warning) = keystore::loose(path) {
        eprintln!("warning: {warning}");
    }
    let file = config.key.password_file.as_deref();
    if let Some(warning) = file.and_then(keystore::loose) {
        eprintln!("warning: {warning}");
    }
    let password = secret::password(file, &format!("Password of {}: ", path.display()))?;
    keystore::open(path, &password)
}

/// The address of the configured key; asks for the password only if the file does not name the address.
///
/// # Errors
/// If there is no key.
pub fn address(config: &Config) -> Result<Address> {
    let path = &config.key.keystore;
    exists(path)?;
    match keystore::named_address(path)? {
        Some(address) => Ok(address),
        None => unlock(config).map(|signer| signer.address()),
    }
}

fn exists(path: &Path) -> Result<()> {
    ensure!(
        path.exists(),
        "there is no key at {}: make one with `aiarena key new`, or import one with `aiarena key import`",
        path.display()
    );
    std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display())).map(drop)
}
