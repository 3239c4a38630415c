//! Fetching and putting, against servers on this machine that are honest, broken or hostile.

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a failed expectation is the point of a test"
)]

mod disk;
mod named;
mod resume;
mod s3;
mod server;
mod strangers;
mod web;

use std::{fs, path::Path, time::Duration};

use aiarena_store::{
    ContentHash, Error, Fetched, FolderStore, Limits, Location, Policy, Settings, Stores, Tried,
};
use tempfile::TempDir;

const MAX_SIZE: u64 = 1 << 20;

/// Limits that fit servers on this machine.
fn limits() -> Limits {
    Limits {
        deadline: Duration::from_secs(10),
        patience: Duration::from_secs(2),
        min_rate: 0,
        ..Limits::new(MAX_SIZE)
    }
}

/// Settings under which strangers may lead to this machine.
fn on_this_machine() -> Settings {
    Settings { policy: Policy::Loopback, ..Settings::default() }
}

fn open(urls: &[&str]) -> Stores {
    Stores::open(urls.iter().copied(), &on_this_machine()).unwrap()
}

/// Bytes without any period that a mistake could hide behind.
fn artifact(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64 ^ size as u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// An empty cache.
struct Cache {
    _folder: TempDir,
    store: FolderStore,
}

impl Cache {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path().join("cache"), MAX_SIZE).unwrap();
        Self { _folder: folder, store }
    }

    /// A cache in which `bytes` of the artifact have arrived.
    fn with_partial(hash: ContentHash, bytes: &[u8]) -> Self {
        let cache = Self::new();
        let path = cache.partial(hash);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        cache
    }

    fn partial(&self, hash: ContentHash) -> std::path::PathBuf {
        self.store.root().join(".partial").join(hash.to_string())
    }

    async fn fetch(&self, stores: &Stores, hash: ContentHash) -> Result<Fetched, Error> {
        stores.fetch(hash, &[], &self.store, &limits()).await
    }

    fn holds(&self, bytes: &[u8]) -> bool {
        self.store.get(ContentHash::of(bytes), MAX_SIZE).is_ok_and(|held| held == bytes)
            && !self.partial(ContentHash::of(bytes)).exists()
    }

    /// True if there is no file at all, not even a half one.
    fn is_empty(&self) -> bool {
        files(self.store.root()) == 0
    }
}

fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { files(&entry.path()) } else { 1 }).sum()
}

/// The errors of the places, when none gave the artifact.
fn tried(result: Result<Fetched, Error>) -> Vec<Tried> {
    match result {
        Err(Error::Unavailable { tried, .. }) => tried,
        other => panic!("expected an artifact that cannot be had, got {other:?}"),
    }
}

/// The one error of the one place.
fn blamed(result: Result<Fetched, Error>) -> Error {
    let mut tried = tried(result);
    assert_eq!(tried.len(), 1, "{tried:?}");
    tried.remove(0).error
}

fn location(url: &str) -> Location {
    Location::parse(url, Policy::Loopback).unwrap()
}
