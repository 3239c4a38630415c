//! Where artifacts are found and put.

use aiarena_ml::MAX_ARTIFACT_BYTES;
use aiarena_store::{Limits, Settings, Stores};
use anyhow::{Context, Result};

use crate::config::Config;

/// The configured stores, and what a transfer may cost.
///
/// # Errors
/// If one of them is none.
pub(crate) fn open(config: &Config) -> Result<(Stores, Limits)> {
    let own = format!("file:{}", config.store.display());
    let urls: Vec<&str> = match config.operator.stores.as_slice() {
        [] => vec![own.as_str()],
        stores => stores.iter().map(String::as_str).collect(),
    };
    let stores = Stores::open(urls, &Settings::default()).context("[operator] stores")?;
    Ok((stores, Limits::new(MAX_ARTIFACT_BYTES as u64)))
}
