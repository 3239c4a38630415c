//! One daemon per key and chain on a machine, whatever folders it works in.
//!
//! The journal's lock keeps two processes apart that use the same data folder. This keeps apart those that do not: both would
//! use the same nonces. It is a name, held as long as the process lives; on Linux a socket's abstract one, which other users
//! and services with folders of their own see too, but no other container. Two chains with one id, as on developers' machines,
//! differ in their first block.

use aiarena_chain::client::ClientError;
use alloy::{
    primitives::{Address, B256, keccak256},
    providers::{DynProvider, Provider},
};
use anyhow::{Result, bail};

/// Keeps the name from others as long as it lives.
#[cfg(target_os = "linux")]
pub(crate) type Held = std::os::unix::net::UnixListener;
/// Keeps the name from others as long as it lives.
#[cfg(not(target_os = "linux"))]
pub(crate) type Held = std::fs::File;

/// The name of a key on a chain.
pub(crate) struct Sole {
    name: String,
    me: Address,
}

impl Sole {
    /// Asks the chain for its first block.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn of(provider: &DynProvider, chain_id: u64, me: Address) -> Result<Self, ClientError> {
        let action = "ask for the first block";
        let block = provider.get_block_by_number(0.into()).await;
        let block = block.map_err(|source| ClientError::from_rpc(action, source))?;
        let first = block.map(|block| block.header.hash).unwrap_or_default();
        Ok(Self::named(chain_id, first, me))
    }

    /// A socket's name has room for 107 bytes, so it is a hash.
    fn named(chain_id: u64, first_block: B256, me: Address) -> Self {
        let hash = keccak256(format!("{chain_id} {first_block} {me}"));
        Self { name: format!("aiarena {hash}"), me }
    }

    /// Takes the name, for as long as what is returned lives.
    ///
    /// # Errors
    /// If a daemon has it.
    pub(crate) fn take(&self) -> Result<Held> {
        self.hold().or_else(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse | std::io::ErrorKind::WouldBlock => self.refuse(),
            _ => Err(anyhow::Error::from(error).context("cannot keep other daemons from this key")),
        })
    }

    /// Refuses to go on if a daemon has the name.
    ///
    /// # Errors
    /// That.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_held() { self.refuse() } else { Ok(()) }
    }

    fn refuse<T>(&self) -> Result<T> {
        let me = self.me;
        bail!("a daemon on this machine works with the key {me}, from another data folder: stop it first")
    }
}

#[cfg(target_os = "linux")]
impl Sole {
    fn address(&self) -> std::io::Result<std::os::unix::net::SocketAddr> {
        use std::os::linux::net::SocketAddrExt;
        std::os::unix::net::SocketAddr::from_abstract_name(&self.name)
    }

    fn hold(&self) -> std::io::Result<Held> {
        Held::bind_addr(&self.address()?)
    }

    fn is_held(&self) -> bool {
        let connected = self.address().and_then(|name| std::os::unix::net::UnixStream::connect_addr(&name));
        connected.is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
impl Sole {
    fn hold(&self) -> std::io::Result<Held> {
        let path = std::env::temp_dir().join(&self.name);
        let file = Held::options().create(true).truncate(false).write(true).open(path)?;
        file.try_lock()?;
        Ok(file)
    }

    fn is_held(&self) -> bool {
        self.hold().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_once_until_it_is_let_go() {
        let chain = B256::from(alloy::primitives::U256::from(std::process::id()));
        let sole = |key| Sole::named(u64::MAX, chain, Address::repeat_byte(key));
        let (one, other) = (sole(1), sole(2));
        one.check().unwrap();
        let held = one.take().unwrap();
        assert!(one.take().unwrap_err().to_string().contains("stop it first"));
        assert!(one.check().is_err());
        other.check().unwrap();
        drop(other.take().unwrap());
        drop(held);
        one.check().unwrap();
        drop(one.take().unwrap());
    }
}
