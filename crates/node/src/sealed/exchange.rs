//! Slices through stores: what is in one may be missing, old or a lie, and hides nothing that is in another.

use std::fmt;

use aiarena_store::{Error, Limits, ObjectName, Stores};
use tokio::task::JoinSet;
use tracing::warn;

use super::{MAX_SEALED_BYTES, SealedError};

/// Why no store gave a slice that opens: each store with its reason.
#[derive(Debug, Default)]
pub struct Missing(pub Vec<(String, String)>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no store is configured");
        }
        for (index, (store, why)) in self.0.iter().enumerate() {
            write!(f, "{}{store}: {why}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Missing {}

/// The limits of a transfer, for files of this kind.
fn for_slices(limits: &Limits) -> Limits {
    Limits { max_size: MAX_SEALED_BYTES as u64, ..limits.clone() }
}

/// Asks all stores at once, and returns what the first gave that `read` accepts.
///
/// # Errors
/// [`Missing`] if there is none now; it may come later.
pub async fn fetch_slice<T>(
    stores: &Stores,
    name: &ObjectName,
    limits: &Limits,
    read: impl Fn(&[u8]) -> Result<T, SealedError>,
) -> Result<T, Missing> {
    let limits = for_slices(limits);
    let mut answers = JoinSet::new();
    for store in stores.stores() {
        let (store, name, limits) = (store.clone(), name.clone(), limits.clone());
        answers.spawn(async move { (store.to_string(), store.get_named(&name, &limits).await) });
    }
    let mut missing = Missing::default();
    while let Some(answer) = answers.join_next().await {
        let Ok((store, answer)) = answer else { continue };
        let why = match answer.map(|bytes| read(&bytes)) {
            Ok(Ok(read)) => return Ok(read),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        missing.0.push((store, why));
    }
    missing.0.sort();
    Err(missing)
}

/// Puts a slice into all stores that can be written.
///
/// # Errors
/// The last error if a store did not take it, though others may have; [`Error::ReadOnly`] if none can be written.
pub async fn put_everywhere(
    stores: &Stores,
    name: &ObjectName,
    bytes: &[u8],
    limits: &Limits,
) -> Result<(), Error> {
    let limits = for_slices(limits);
    let mut result = Err(Error::ReadOnly { store: "every configured store".to_owned() });
    let mut puts = JoinSet::new();
    for store in stores.stores().iter().filter(|store| store.is_writable()) {
        let (store, name, limits, bytes) = (store.clone(), name.clone(), limits.clone(), bytes.to_vec());
        puts.spawn(async move { (store.to_string(), store.put_named(&name, bytes, &limits).await) });
    }
    let mut failed = None;
    while let Some(done) = puts.join_next().await {
        let Ok((store, done)) = done else { continue };
        match done {
            Ok(()) => result = Ok(()),
            Err(error) => {
                warn!(store, %name, %error, "a store did not take a slice");
                failed = Some(error);
            }
        }
    }
    failed.map_or(result, Err)
}
