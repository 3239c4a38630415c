//! Artifacts as files of one folder.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{ContentHash, Error};

/// Files being written start with this; they never have the name of an artifact, so a reader never sees half a file.
pub(crate) const PARTIAL_PREFIX: &str = ".partial-";

/// A folder of artifacts, each in a file named by its hash: `ab/abcdef…`, where `ab` are the first two digits.
///
/// Several processes may use one folder at once: a file appears whole or not at all, and all writers of a name write
/// the same bytes.
#[derive(Debug, Clone)]
pub struct FolderStore {
    root: PathBuf,
    max_size: u64,
}

impl FolderStore {
    /// Opens the folder, which is created if need be.
    ///
    /// - `max_size`: the largest artifact that may be put here, in bytes.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be created.
    pub fn open(root: impl Into<PathBuf>, max_size: u64) -> Result<Self, Error> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|source| Error::io(&root, source))?;
        Ok(Self { root, max_size })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Stores `bytes` and returns their name. Storing the same bytes again changes nothing.
    ///
    /// The bytes are on disk when this returns.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Io`].
    pub fn put(&self, bytes: &[u8]) -> Result<ContentHash, Error> {
        let size = bytes.len() as u64;
        if size > self.max_size {
            return Err(Error::TooLarge { limit: self.max_size, got: size });
        }
        let hash = ContentHash::of(bytes);
        if self.intact_size(hash, self.max_size)?.is_none() {
            self.write(hash, bytes)?;
        }
        Ok(hash)
    }

    /// Stores everything that `reader` gives, as [`FolderStore::put`] does; at most one limit's worth is read.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Io`] (also if `reader` fails).
    pub fn put_reader(&self, reader: impl Read) -> Result<ContentHash, Error> {
        let io_error = |source| Error::io(&self.root, source);
        self.put(&read_at_most(reader, self.max_size, io_error)?)
    }

    /// The bytes named `hash`: verified, never more than `max_size` of them.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::TooLarge`], [`Error::Corrupt`], [`Error::NotAFile`], [`Error::Io`].
    pub fn get(&self, hash: ContentHash, max_size: u64) -> Result<Vec<u8>, Error> {
        let (file, _) = self.open_artifact(hash, max_size)?;
        let bytes = read_at_most(file, max_size, |source| Error::io(self.path_of(hash), source))?;
        let got = ContentHash::of(&bytes);
        if got == hash { Ok(bytes) } else { Err(Error::Corrupt { expected: hash, got }) }
    }

    /// True if there is a file of this name; only reading it tells whether it is intact.
    pub fn contains(&self, hash: ContentHash) -> bool {
        fs::symlink_metadata(self.path_of(hash)).is_ok_and(|metadata| metadata.is_file())
    }

    /// Where the artifact is, or would be.
    pub fn path_of(&self, hash: ContentHash) -> PathBuf {
        let name = hash.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// The file of an artifact and its size; only reading it tells whether it is intact.
    pub(crate) fn open_artifact(&self, hash: ContentHash, max_size: u64) -> Result<(File, u64), Error> {
        let path = self.path_of(hash);
        let io_error = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::NotFound { hash },
            _ => Error::io(&path, source),
        };
        // Asked before opening: opening a pipe would wait for a writer, and a link may lead to one.
        if !fs::symlink_metadata(&path).map_err(io_error)?.is_file() {
            return Err(Error::NotAFile { path });
        }
        let file = File::open(&path).map_err(io_error)?;
        let size = file.metadata().map_err(io_error)?.len();
        if size > max_size { Err(Error::TooLarge { limit: max_size, got: size }) } else { Ok((file, size)) }
    }

    /// The artifact's size if it is there and need not be written; a damaged one is to be written again.
    pub(crate) fn intact_size(&self, hash: ContentHash, max_size: u64) -> Result<Option<u64>, Error> {
        let hashed = self.open_artifact(hash, max_size).and_then(|(file, _)| {
            let mut hasher = Sha256::new();
            let size = io::copy(&mut file.take(max_size), &mut hasher)
                .map_err(|source| Error::io(self.path_of(hash), source))?;
            Ok((size, ContentHash(hasher.finalize().into())))
        });
        match hashed {
            Ok((size, got)) => Ok((got == hash).then_some(size)),
            Err(error @ (Error::Io { .. } | Error::DiskFull { .. })) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Writes a file beside its final place, then renames it: the name never stands for half of the bytes.
    fn write(&self, hash: ContentHash, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path_of(hash);
        let shard = path.parent().unwrap_or(&self.root);
        let write = || -> io::Result<()> {
            fs::create_dir_all(shard)?;
            let mut file = tempfile::Builder::new().prefix(PARTIAL_PREFIX).tempfile_in(shard)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            // Only a synced folder keeps the new name through a power failure.
            File::open(shard)?.sync_all()
        };
        write().map_err(|source| Error::io(&path, source))
    }
}

/// Reads to the end, but gives up as soon as there is one byte too many. Memory follows what was really read.
pub(crate) fn read_at_most(
    reader: impl Read,
    limit: u64,
    io_error: impl Fn(io::Error) -> Error,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io_error)?;
    let got = bytes.len() as u64;
    if got > limit { Err(Error::TooLarge { limit, got }) } else { Ok(bytes) }
}
