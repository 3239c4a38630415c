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
    let urls = urls(config);
    let stores = Stores::open(urls.iter().map(String::as_str), &Settings::default());
    Ok((stores.context("[operator] stores")?, Limits::new(MAX_ARTIFACT_BYTES as u64)))
}

/// Where they are; without any, the folder of the artifacts is the one.
pub(super) fn urls(config: &Config) -> Vec<String> {
    match config.operator.stores.as_slice() {
        [] => vec![format!("file:{}", config.store.display())],
        stores => stores.to_vec(),
    }
}
