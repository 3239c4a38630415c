//! Puts a task's description where those who take part look for it, under the hash that is on chain.

use std::path::{Path, PathBuf};

use aiarena_store::{ContentHash, FolderStore, Limits, Settings, Store};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::json;

use super::{
    say,
    send::{Refusal, Stopped},
    stores,
    task::reader,
    task_params,
};
use crate::{config::Config, description::TaskDescription};

/// Largest description, in bytes.
const LARGEST: u64 = 1 << 20;

/// What became of a description in one store.
#[derive(Debug, Serialize)]
struct Place {
    store: String,
    /// Whether it is there now; `None`: nothing can be put there.
    put: Option<bool>,
    error: Option<String>,
}

/// Runs `aiarena task publish`.
pub(super) async fn run(
    config: Option<&Path>,
    task: u64,
    params: Option<PathBuf>,
    urls: &[String],
    as_json: bool,
) -> Result<bool> {
    let session = reader(config).await?;
    let follower = session.follow().await?;
    let Some(found) = follower.ledger().tasks.get(&task) else {
        bail!(Refusal(format!("there is no task {task}: `aiarena task list` shows them all")));
    };
    let hash = ContentHash(found.params.metadata.0);
    let bytes = match params {
        Some(file) => {
            let bytes = serde_json::to_vec(&task_params::description(&file)?)?;
            let got = ContentHash::of(&bytes);
            ensure!(
                got == hash,
                Refusal(format!(
                    "the description that {} names has the hash {got}, and task {task} was created with {hash}: it was changed \
                     since, or is of another task",
                    file.display()
                ))
            );
            bytes
        }
        None => fetch(&session.config, hash).await.with_context(|| {
            format!(
                "the description of task {task} is in none of the stores: name the file with which it was created with \
                 --params FILE, or ask its creator, {}",
                found.creator
            )
        })?,
    };
    let configured = stores::urls(&session.config);
    let places = put(if urls.is_empty() { &configured } else { urls }, &bytes).await;
    let ok = places.iter().any(|place| place.put == Some(true))
        && places.iter().all(|place| place.put != Some(false));
    let report = json!({ "ok": ok, "task": task, "hash": hash.to_string(), "stores": places });
    if as_json && ok {
        say(&serde_json::to_string_pretty(&report)?)?;
    }
    for Place { store, put, error } in &places {
        match put {
            Some(true) if as_json => {}
            Some(true) => say(&format!("{store} has {hash}"))?,
            Some(false) => eprintln!("error: {store}: {}", error.as_deref().unwrap_or_default()),
            None => eprintln!("warning: {store} is read-only: see to it that it gets {hash}"),
        }
    }
    ensure!(
        ok,
        Stopped::with(
            "the description could not be put everywhere: put right what is wrong, or name other stores with --store URL, and \
             run this again"
                .to_owned(),
            false,
            report
        )
    );
    Ok(true)
}

/// Puts the description of a task that was just created with `params` into all stores.
pub(super) async fn created(config: &Config, description: &TaskDescription, params: &Path) -> Result<()> {
    let bytes = serde_json::to_vec(description)?;
    let hint = || {
        format!(
            "the task exists, but nobody can take part who does not find its description: put right what is wrong, and run \
             `aiarena task publish TASK --params {}` with the number that `aiarena task list` shows",
            params.display()
        )
    };
    let places = put(&stores::urls(config), &bytes).await;
    for Place { store, .. } in places.iter().filter(|place| place.put == Some(true)) {
        eprintln!("put the description into {store} as {}", ContentHash::of(&bytes));
    }
    if let Some(Place { store, error, .. }) = places.iter().find(|place| place.put == Some(false)) {
        bail!("{}: {store}: {}", hint(), error.as_deref().unwrap_or_default());
    }
    ensure!(
        places.iter().any(|place| place.put == Some(true)),
        "{}: no store of [operator] can be written",
        hint()
    );
    Ok(())
}

/// Puts bytes into each store that can be written, whatever becomes of the others.
async fn put(urls: &[String], bytes: &[u8]) -> Vec<Place> {
    let mut places = Vec::with_capacity(urls.len());
    for (number, url) in (1..).zip(urls) {
        let opened = Store::open(url, &Settings::default());
        // The URL of what is no store may hold a secret, which its error leaves out.
        let store = opened.as_ref().map_or_else(|_| format!("store number {number}"), ToString::to_string);
        let result = match opened {
            Ok(store) if !store.is_writable() => None,
            Ok(store) => Some(store.put(bytes.to_vec(), &Limits::new(LARGEST)).await),
            Err(error) => Some(Err(error)),
        };
        places.push(Place {
            store,
            put: result.as_ref().map(Result::is_ok),
            error: result.and_then(Result::err).map(|error| error.to_string()),
        });
    }
    places
}

/// A description, from the first of the configured stores that has it.
///
/// # Errors
/// If none has it, or one that may have it does not answer.
pub(super) async fn fetch(config: &Config, hash: ContentHash) -> Result<Vec<u8>> {
    let (stores, _) = stores::open(config)?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let cache = FolderStore::open(folder.path(), LARGEST)?;
    let limits = Limits { rounds: 2, ..Limits::new(LARGEST) };
    stores.fetch(hash, &[], &cache, &limits).await?;
    Ok(cache.get(hash, LARGEST)?)
}
