//! What can go wrong with a stored artifact.

use std::{io, path::PathBuf};

use crate::ContentHash;

/// Why a store did not take or give an artifact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store has no artifact of this name.
    #[error("no artifact {hash} in the store")]
    NotFound {
        /// The name asked for.
        hash: ContentHash,
    },
    /// The artifact is larger than the caller or the store allows.
    #[error("artifact of at least {got} bytes, the limit is {limit}")]
    TooLarge {
        /// Largest size allowed, in bytes.
        limit: u64,
        /// Size found, in bytes; for a stream the number of bytes read when it was given up.
        got: u64,
    },
    /// The stored bytes are not those that the name stands for.
    #[error("artifact {expected} is corrupt: its bytes hash to {got}")]
    Corrupt {
        /// The name asked for.
        expected: ContentHash,
        /// The hash of the bytes found.
        got: ContentHash,
    },
    /// A symbolic link, a folder or a device is where an artifact should be.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Where it was found.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder that was worked on.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    /// True if the same call may succeed later without anybody repairing the store.
    ///
    /// An artifact that is not there yet may still arrive, and a full disk may be cleared; wrong bytes stay wrong.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Io { .. })
    }
}
