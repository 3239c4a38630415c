//! What can go wrong with a stored artifact.

use std::{fmt, io, path::PathBuf, time::Duration};

use crate::{ContentHash, LocationError};

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
    /// The store has no object of this name.
    #[error("no object {name} in the store")]
    NoObject {
        /// The name asked for.
        name: String,
    },
    /// The text is no name of an object.
    #[error("{name:?} is no name of an object: see `ObjectName`")]
    Name {
        /// The text, or its beginning.
        name: String,
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
        r#source: io::Error,
    },
    /// There is no room for the artifact in the cache; what was written of it is gone.
    #[error("{}: no room for the artifact: {source}", path.display())]
    DiskFull {
        /// The file that did not fit.
        path: PathBuf,
        /// The system's reason.
        r#source: io::Error,
    },
    /// Another transfer of this artifact into the same cache did not end in time.
    #[error("artifact {hash} is still being fetched by another transfer into the same cache")]
    Busy {
        /// The artifact asked for.
        hash: ContentHash,
    },
    /// The text names no store.
    #[error("{url:?} is no store: {reason}")]
    NoStore {
        /// The text, without any credentials.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing can be put into this store.
    #[error("{store} is read-only: an artifact is put into a folder or into S3")]
    ReadOnly {
        /// The store.
        store: String,
    },
    /// A server answered with another status than success.
    #[error("status {status}")]
    Status {
        /// The status of HTTP.
        status: u16,
    },
    /// The connection failed or broke, or the answer is none of this protocol.
    #[error("{reason}")]
    Transfer {
        /// What happened.
        reason: String,
        /// True if another attempt may go better.
        retryable: bool,
    },
    /// The server sends less than the least rate.
    #[error("{got} bytes in {} s, the least is {least}", window.as_secs_f32())]
    Slow {
        /// Bytes received in the window.
        got: u64,
        /// The least number of bytes in a window.
        least: u64,
        /// How long the server had.
        window: Duration,
    },
    /// The time for this artifact is over.
    #[error("not complete after {} s, {got} bytes received", limit.as_secs_f32())]
    Deadline {
        /// The time that this attempt had.
        limit: Duration,
        /// Bytes received in it.
        got: u64,
    },
    /// A place where a stranger must not lead us.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// No place gave the artifact, and at least one of them failed or lied.
    ///
    /// A size above the limit is no proof that the artifact is too large, for any server can send too many bytes. So it is
    /// reported in here like any other failure, and never as [`Error::TooLarge`].
    #[error("artifact {hash} cannot be had: {}", Joined(tried))]
    Unavailable {
        /// The artifact asked for.
        hash: ContentHash,
        /// The places asked, each with its last error.
        tried: Vec<Tried>,
    },
}

/// A place that did not give an artifact, and why.
#[derive(Debug)]
pub struct Tried {
    /// The store or location.
    pub place: String,
    /// What it answered last.
    pub error: Error,
}

/// All reasons in one line.
struct Joined<'a>(&'a [Tried]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Tried { place, error }) in self.0.iter().enumerate() {
            write!(f, "{}{place}: {error}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl Error {
    /// True if the same call may succeed later without anybody repairing the store.
    ///
    /// An artifact that is not there yet may still arrive, and a full disk may be cleared; wrong bytes stay wrong.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotFound { .. }
            | Self::NoObject { .. }
            | Self::Io { .. }
            | Self::DiskFull { .. }
            | Self::Busy { .. }
            | Self::Slow { .. }
            | Self::Deadline { .. } => true,
            Self::Status { status } => matches!(status, 408 | 425 | 429 | 500 | 502..=599),
            Self::Transfer { retryable, .. } => *retryable,
            Self::Unavailable { tried, .. } => tried.iter().any(|tried| tried.error.is_retryable()),
            _ => false,
        }
    }

    /// The error of a file operation; a lack of room has its own variant.
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let path = path.into();
        match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::DiskFull { path, source },
            _ => Self::Io { path, source },
        }
    }

    /// A failure of a server or of the way to it. Such texts may come from strangers, so they are short and one line.
    pub(crate) fn transfer(error: &dyn std::error::Error, retryable: bool) -> Self {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !reason.contains(&text) {
                reason = format!("{reason}: {text}");
            }
            source = cause.source();
        }
        Self::Transfer { reason: one_line(&reason), retryable }
    }

    /// An answer that is none of this protocol.
    pub(crate) fn protocol(reason: impl AsRef<str>) -> Self {
        Self::Transfer { reason: one_line(reason.as_ref()), retryable: false }
    }
}

/// The longest text of a stranger that we repeat, in characters.
const MAX_REASON: usize = 300;

fn one_line(text: &str) -> String {
    text.chars().take(MAX_REASON).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_room_is_told_from_other_failures() {
        // Numbers of Linux: ENOSPC, EDQUOT, EFBIG.
        for code in [28, 122, 27] {
            let error = Error::io("x", io::Error::from_raw_os_error(code));
            assert!(matches!(error, Error::DiskFull { .. }) && error.is_retryable(), "{error}");
        }
        assert!(matches!(Error::io("x", io::Error::from_raw_os_error(13)), Error::Io { .. }));
    }

    #[test]
    fn texts_of_strangers_are_short_and_one_line() {
        let error = Error::protocol(format!("a\nb\x1b[2J{}", "é".repeat(1000)));
        let text = error.to_string();
        assert!(text.chars().count() == MAX_REASON && !text.chars().any(char::is_control), "{text:?}");
    }

    #[test]
    fn retryable() {
        let hash = ContentHash::of(b"x");
        for (status, expected) in
            [(403, false), (404, false), (429, true), (500, true), (501, false), (503, true)]
        {
            assert_eq!(Error::Status { status }.is_retryable(), expected, "{status}");
        }
        let tried = |error| vec![Tried { place: "a".into(), error }];
        let lied = Error::Corrupt { expected: hash, got: hash };
        assert!(!Error::Unavailable { hash, tried: tried(lied) }.is_retryable());
        assert!(Error::Unavailable { hash, tried: tried(Error::NotFound { hash }) }.is_retryable());
    }
}
