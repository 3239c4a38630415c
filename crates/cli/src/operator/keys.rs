//! `aiarena key`: encrypted keys.

use std::path::{Path, PathBuf};

use alloy::{
    primitives::{Address, B256, hex},
    signers::local::PrivateKeySigner,
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{
    args::{KeyArgs, KeyCommand},
    keystore, say,
    secret::{self, Secret},
    wallet,
};
use crate::{config::Config, files::folder_of};

/// Runs `aiarena key`.
pub(super) fn run(args: KeyArgs) -> Result<bool> {
    let config = Config::find(args.config.config.as_deref())?;
    match args.command {
        KeyCommand::New { name, password_file, json } => {
            let path = place(&config, name.as_deref())?;
            keep(&config, &path, password_file.as_deref(), json, || Ok(PrivateKeySigner::random()))
        }
        KeyCommand::Import { name, file, password_file, json } => {
            let path = place(&config, name.as_deref())?;
            keep(&config, &path, password_file.as_deref(), json, || import(file.as_deref()))
        }
        KeyCommand::List { json } => list(&config, json),
        KeyCommand::Show { name, verify, json } => show(&config, name.as_deref(), verify, json),
    }
}

/// A key for machines.
fn entry(config: &Config, path: &Path, address: Option<Address>) -> Value {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let configured = *path == *config.key.keystore;
    json!({ "name": name, "address": address, "file": path, "configured": configured })
}

/// Prints the address of one key.
fn say_one(config: &Config, path: &Path, address: Address, json: bool) -> Result<bool> {
    let text = if json {
        serde_json::to_string_pretty(&entry(config, path, Some(address)))?
    } else {
        address.to_string()
    };
    say(&text)?;
    Ok(true)
}

/// Where a key of this name lies.
fn place(config: &Config, name: Option<&str>) -> Result<PathBuf> {
    let Some(name) = name else { return Ok(config.key.keystore.clone()) };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ensure!(
        !name.is_empty() && name.len() <= 100 && name.bytes().all(plain) && !name.starts_with('.'),
        "{name:?} is no name of a key: use letters, digits, '-', '_' and '.'"
    );
    let name = if name.ends_with(".json") { name.to_owned() } else { format!("{name}.json") };
    Ok(folder_of(&config.key.keystore).join(name))
}

/// Writes a key that is only made once it is clear that it can be written.
fn keep(
    config: &Config,
    path: &Path,
    password_file: Option<&Path>,
    json: bool,
    key: impl FnOnce() -> Result<PrivateKeySigner>,
) -> Result<bool> {
    ensure!(
        !path.exists(),
        "{} exists already, and a key is never overwritten: choose another name",
        path.display()
    );
    let signer = key()?;
    let password = secret::new_password(password_file.or(config.key.password_file.as_deref()))?;
    keystore::write(path, &signer, &password)?;
    eprintln!(
        "wrote {}: without it and its password, what the key owns is lost, so keep a copy",
        path.display()
    );
    say_one(config, path, signer.address(), json)
}

/// Reads a key in hexadecimal digits, or one that is encrypted.
fn import(file: Option<&Path>) -> Result<PrivateKeySigner> {
    let text = secret::private_key(file)?;
    if let (Some(file), true) = (file, text.reveal().starts_with('{')) {
        let password = secret::password(None, &format!("Password of {}: ", file.display()))?;
        return keystore::open(file, &password);
    }
    parse(&text)
}

fn parse(text: &Secret) -> Result<PrivateKeySigner> {
    // The text is a secret, so no error repeats any of it.
    let digits = text.reveal().strip_prefix("0x").unwrap_or(text.reveal());
    ensure!(
        digits.len() == 64,
        "a private key has 64 hexadecimal digits, this has {} characters",
        digits.len()
    );
    let mut bytes = B256::ZERO;
    if hex::decode_to_slice(digits, bytes.as_mut_slice()).is_err() {
        bail!("a private key has 64 hexadecimal digits, and there is another character among these");
    }
    PrivateKeySigner::from_bytes(&bytes)
        .map_err(|_| anyhow::anyhow!("this number is no private key of the curve"))
}

fn list(config: &Config, json: bool) -> Result<bool> {
    let folder = folder_of(&config.key.keystore);
    let keys = keystore::list(folder)?;
    if json {
        let keys: Vec<Value> = keys.iter().map(|(path, address)| entry(config, path, *address)).collect();
        say(&serde_json::to_string_pretty(&json!({ "keys": keys }))?)?;
        return Ok(true);
    }
    if keys.is_empty() {
        eprintln!("there is no key in {}: make one with `aiarena key new`", folder.display());
    }
    for (path, address) in &keys {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let address = address.map_or("(names no address)".to_owned(), |address| address.to_string());
        let used = if *path == config.key.keystore { "  (configured)" } else { "" };
        say(&format!("{address}  {name}{used}"))?;
    }
    Ok(true)
}

fn show(config: &Config, name: Option<&str>, verify: bool, json: bool) -> Result<bool> {
    let path = place(config, name)?;
    ensure!(path.exists(), "there is no key at {}: make one with `aiarena key new`", path.display());
    if let Some(warning) = keystore::loose(&path) {
        eprintln!("warning: {warning}");
    }
    let address = match keystore::named_address(&path)? {
        Some(address) if !verify => address,
        _ => wallet::unlock_file(config, &path).context("the key cannot be opened")?.address(),
    };
    say_one(config, &path, address, json)
}
