//! Encrypted files of keys: Web3 Secret Storage, version 3, as geth and cast read and write it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use alloy::{
    primitives::Address,
    signers::{k256::elliptic_curve::rand_core::OsRng, local::PrivateKeySigner},
};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::secret::Secret;
use crate::files::{folder_of, read_text};

/// Most memory that a file may make the key derivation use, in bytes: what geth's standard needs is a quarter of it.
const MOST_MEMORY: u64 = 1 << 30;
/// Most rounds that a file may ask for.
const MOST_ROUNDS: u64 = 10_000_000;

/// The parts of a file that decide how it is opened. Whoever wrote the file chose them, so they are checked before use.
#[derive(Deserialize)]
struct Outline {
    version: u64,
    #[serde(default)]
    address: Option<String>,
    crypto: Crypto,
}

#[derive(Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: String,
    kdf: String,
    kdfparams: KdfParams,
    mac: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

#[derive(Deserialize)]
struct KdfParams {
    dklen: u64,
    salt: String,
    #[serde(default)]
    n: u64,
    #[serde(default)]
    r: u64,
    #[serde(default)]
    p: u64,
    #[serde(default)]
    c: u64,
}

impl Outline {
    fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let no_keystore = || {
            format!(
                "{} is no encrypted key: `aiarena key new` or `aiarena key import` writes one",
                path.display()
            )
        };
        let outline: Self = serde_json::from_str(&text).with_context(no_keystore)?;
        outline.check().with_context(no_keystore)?;
        Ok(outline)
    }

    fn check(&self) -> Result<()> {
        ensure!(self.version == 3, "its version is {}, expected 3", self.version);
        let Crypto { cipher, cipherparams, ciphertext, kdf, kdfparams, mac } = &self.crypto;
        ensure!(cipher == "aes-128-ctr", "its cipher is not aes-128-ctr");
        let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sized = |text: &str, bytes: usize| text.len() == 2 * bytes && hexadecimal(text);
        ensure!(sized(&cipherparams.iv, 16), "its iv is not of 16 bytes");
        ensure!(sized(ciphertext, 32), "its ciphertext is not of 32 bytes");
        ensure!(sized(mac, 32), "its mac is not of 32 bytes");
        ensure!(hexadecimal(&kdfparams.salt) && kdfparams.salt.len() <= 256, "its salt is no salt");
        let KdfParams { dklen, n, r, p, c, .. } = *kdfparams;
        ensure!(dklen == 32, "its dklen is {dklen}, expected 32");
        match kdf.as_str() {
            "scrypt" => {
                let sane = n.is_power_of_two() && n > 1 && (1..=64).contains(&r) && (1..=64).contains(&p);
                let memory = n.checked_mul(128 * r).filter(|memory| *memory <= MOST_MEMORY);
                ensure!(sane && memory.is_some(), "its scrypt parameters n, r and p are out of bounds");
            }
            "pbkdf2" => ensure!((1..=MOST_ROUNDS).contains(&c), "its number of rounds is out of bounds"),
            other => bail!("its key derivation {other:?} is neither scrypt nor pbkdf2"),
        }
        Ok(())
    }

    fn address(&self) -> Option<Address> {
        self.address.as_ref()?.parse().ok()
    }
}

/// The address that a file names, which nothing proves until it is decrypted; `None` if it names none.
pub(super) fn named_address(path: &Path) -> Result<Option<Address>> {
    Ok(Outline::read(path)?.address())
}

/// Decrypts a key.
pub(super) fn open(path: &Path, password: &Secret) -> Result<PrivateKeySigner> {
    let outline = Outline::read(path)?;
    let signer = PrivateKeySigner::decrypt_keystore(path, password.reveal()).map_err(|error| {
        // The library's own words for a wrong password are "Mac Mismatch".
        let error = error.to_string();
        if error.to_lowercase().contains("mac mismatch") {
            anyhow::anyhow!(
                "the password is wrong for {}: correct AIARENA_PASSWORD, or the file of the password",
                path.display()
            )
        } else {
            anyhow::anyhow!("{} cannot be decrypted: {error}", path.display())
        }
    })?;
    if let Some(named) = outline.address() {
        ensure!(
            named == signer.address(),
            "{} says that it holds the key of {named}, but it holds that of {}: take another copy of it",
            path.display(),
            signer.address()
        );
    }
    Ok(signer)
}

/// Encrypts a key into a file that only its owner may read; never overwrites one.
pub(super) fn write(path: &Path, signer: &PrivateKeySigner, password: &Secret) -> Result<()> {
    ensure!(
        !path.exists(),
        "{} exists already, and a key is never overwritten: choose another name",
        path.display()
    );
    let folder = folder_of(path);
    create_private(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let writing = || format!("cannot write {}", path.display());
    // The library creates its file with the permissions that the system gives, so it is done where nobody else may look.
    let workshop = tempfile::tempdir_in(folder).with_context(writing)?;
    let secret = signer.to_bytes();
    PrivateKeySigner::encrypt_keystore(workshop.path(), &mut OsRng, secret, password.reveal(), Some("key"))
        .context("cannot encrypt the key")?;
    let mut json: Value = serde_json::from_str(&fs::read_to_string(workshop.path().join("key"))?)?;
    if let Some(fields) = json.as_object_mut() {
        fields.insert("address".to_owned(), format!("{:x}", signer.address()).into());
    }
    // Such a file has the permissions 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(writing)?;
    serde_json::to_writer(&mut file, &json)?;
    file.as_file().sync_all().with_context(writing)?;
    file.persist_noclobber(path).with_context(writing)?;
    Ok(())
}

/// The files of a folder that are encrypted keys, by name, with the addresses that they name.
pub(super) fn list(folder: &Path) -> Result<Vec<(PathBuf, Option<Address>)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_file()
            && let Ok(address) = named_address(&path)
        {
            found.push((path, address));
        }
    }
    found.sort();
    Ok(found)
}

/// What is wrong with the permissions of a file that only its owner should read.
pub(super) fn loose(path: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Some(format!(
                "{path} has the permissions {mode:04o}, so others may use it: chmod 600 {path}"
            ));
        }
    }
    None
}

fn create_private(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
