//! Half-fetched artifacts.
//!
//! A partial is a file of the cache named by the hash, in a folder of its own. Whoever writes it holds the system's lock
//! on it (`flock`), so that two transfers of one artifact never write one file, whether they run in one process or in
//! two. A lock was chosen over a partial for each process because the second transfer would only fetch the same bytes
//! again, and because the lock of a killed process is gone at once while its partial is still there to be resumed.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{ContentHash, Error, FolderStore};

/// Where partials are, below the cache's folder; no artifact and no shard has such a name.
const FOLDER: &str = ".partial";

/// The bytes of an artifact that have arrived, and the sole right to add to them.
#[derive(Debug)]
pub(crate) struct Partial {
    cache: FolderStore,
    hash: ContentHash,
    path: PathBuf,
    file: File,
    len: u64,
    hasher: Sha256,
    placed: bool,
}

impl Partial {
    /// Opens the partial of `hash` and hashes what is there; `None` if another transfer holds it.
    ///
    /// More bytes than `max_size` cannot be resumed and are dropped.
    pub(crate) fn open(cache: &FolderStore, hash: ContentHash, max_size: u64) -> Result<Option<Self>, Error> {
        let path = cache.root().join(FOLDER).join(hash.to_string());
        let Some(file) = lock(&path).map_err(|source| Error::io(&path, source))? else { return Ok(None) };
        let mut partial =
            Self { cache: cache.clone(), hash, path, file, len: 0, hasher: Sha256::new(), placed: false };
        partial.resume(max_size)?;
        Ok(Some(partial))
    }

    /// How many bytes have arrived.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The hash of the bytes that have arrived.
    pub(crate) fn hash(&self) -> ContentHash {
        ContentHash(self.hasher.clone().finalize().into())
    }

    /// Adds bytes. If there is no room for them, all are dropped: a resumed transfer would not find room either.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Err(source) = self.file.write_all(bytes) {
            self.restart()?;
            return Err(Error::io(&self.path, source));
        }
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Drops all bytes.
    pub(crate) fn restart(&mut self) -> Result<(), Error> {
        self.len = 0;
        self.hasher = Sha256::new();
        let cut = || -> io::Result<()> {
            self.file.set_len(0)?;
            (&self.file).seek(SeekFrom::Start(0))?;
            Ok(())
        };
        cut().map_err(|source| Error::io(&self.path, source))
    }

    /// Makes the partial the artifact, whose hash the caller has compared. The bytes are on disk when this returns.
    pub(crate) fn place(mut self) -> Result<u64, Error> {
        let target = self.cache.path_of(self.hash);
        let shard = target.parent().unwrap_or(self.cache.root());
        let rename = || -> io::Result<()> {
            fs::create_dir_all(shard)?;
            self.file.sync_all()?;
            fs::rename(&self.path, &target)
        };
        if let Err(source) = rename() {
            self.restart()?;
            return Err(Error::io(&target, source));
        }
        self.placed = true;
        // Only a synced folder keeps the new name through a power failure.
        File::open(shard)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| Error::io(&target, source))?;
        Ok(self.len)
    }

    fn resume(&mut self, max_size: u64) -> Result<(), Error> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    self.hasher.update(&buffer[..count]);
                    self.len += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::io(&self.path, source)),
            }
            if self.len > max_size {
                return self.restart();
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // A partial without bytes saves nothing. It is removed under the lock, so nobody else can be using it.
        if self.len == 0 && !self.placed {
            let _unimportant = fs::remove_file(&self.path);
        }
    }
}

/// Opens and locks the file at `path`; `None` if it is locked already.
fn lock(path: &Path) -> io::Result<Option<File>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    loop {
        // Asked before opening: opening a pipe would wait for a writer, and a link may lead to one.
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Between opening and locking, the holder may have renamed the file to an artifact, or removed it.
        if is_at(&file, path) {
            return Ok(Some(file));
        }
    }
}

/// True if `path` names this very file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Removes partials that were not touched for `max_age`, then the oldest ones until at most `max_bytes` are left.
///
/// Partials that are being written stay. What cannot be removed is left for the next time.
pub(crate) fn sweep(cache: &FolderStore, max_age: Duration, max_bytes: u64) {
    let Ok(entries) = fs::read_dir(cache.root().join(FOLDER)) else { return };
    let mut partials: Vec<(Duration, u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            // Machine time decides here only how long rubbish is kept. A file from the future counts as new.
            let age = metadata.modified().ok()?.elapsed().unwrap_or_default();
            metadata.is_file().then(|| (age, metadata.len(), entry.path()))
        })
        .collect();
    partials.sort();
    let mut kept = 0_u64;
    for (age, size, path) in partials {
        let fits = kept.saturating_add(size) <= max_bytes;
        if (age <= max_age && fits) || !remove_unlocked(&path) {
            kept = kept.saturating_add(size);
        }
    }
}

fn remove_unlocked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    file.try_lock().is_ok() && is_at(&file, path) && fs::remove_file(path).is_ok()
}
