//! Objects that have a name instead of a hash: what is in them is for the reader to verify.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
};

use bytes::Bytes;

use crate::{
    ContentHash, Error, FolderStore, Limits, Store,
    fetch::{Pace, Pauses, blocking},
    folder::{PARTIAL_PREFIX, read_at_most},
};

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// The name of an object: folders and a file, with slashes between them, such as `1-0xab/task-1/epoch-2.age`.
///
/// Parts have letters, digits, dots, dashes and underscores, and begin with no dot; the first has more than two characters,
/// so that no name is that of an artifact. Hence no name leads outside a store, or to anything that a store keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName(String);

impl ObjectName {
    /// A name, checked.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(legal);
        let first = name.split('/').next().unwrap_or_default().len();
        let is_legal =
            name.len() <= MAX_NAME_BYTES && first > 2 && name.contains('/') && name.split('/').all(is_part);
        if is_legal { Ok(Self(name)) } else { Err(Error::Name { name: name.chars().take(80).collect() }) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands for it where a hash is asked for; never compared with what is read.
    pub(crate) fn stand_in(&self) -> ContentHash {
        ContentHash::of(self.0.as_bytes())
    }

    fn missing(&self, error: Error) -> Error {
        match error {
            Error::NotFound { .. } => Error::NoObject { name: self.0.clone() },
            error => error,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FolderStore {
    /// The bytes of an object, as whoever wrote into the folder left them; never more than `max_size` of them.
    ///
    /// # Errors
    /// [`Error::NoObject`], [`Error::TooLarge`], [`Error::NotAFile`], [`Error::Io`].
    pub fn get_named(&self, name: &ObjectName, max_size: u64) -> Result<Vec<u8>, Error> {
        let path = self.root().join(&name.0);
        let io_error = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::NoObject { name: name.0.clone() },
            _ => Error::io(&path, source),
        };
        // As for artifacts: a pipe is not opened, a link not followed.
        if !fs::symlink_metadata(&path).map_err(io_error)?.is_file() {
            return Err(Error::NotAFile { path });
        }
        let file = File::open(&path).map_err(io_error)?;
        read_at_most(file, max_size, |source| Error::io(&path, source))
    }

    /// Writes an object, in the place of what had its name: readers see the one or the other, whole.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::DiskFull`].
    pub fn put_named(&self, name: &ObjectName, bytes: &[u8]) -> Result<(), Error> {
        let path = self.root().join(&name.0);
        let folder = path.parent().unwrap_or(self.root());
        let write = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            let mut builder = tempfile::Builder::new();
            builder.prefix(PARTIAL_PREFIX);
            // Others read it, by a web server or as another user.
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
            let mut file = builder.tempfile_in(folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| Error::io(&path, source))
    }
}

impl Store {
    /// Writes an object, in the place of what had its name, and reads it back. Nothing is written if it is there already.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::TooLarge`], [`Error::Deadline`], [`Error::Corrupt`] if other bytes are read back, and
    /// those of the folder or the server.
    pub async fn put_named(
        &self,
        name: &ObjectName,
        bytes: impl Into<Bytes>,
        limits: &Limits,
    ) -> Result<(), Error> {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        if size > limits.max_size {
            return Err(Error::TooLarge { limit: limits.max_size, got: size });
        }
        if !self.is_writable() {
            return Err(Error::ReadOnly { store: self.to_string() });
        }
        let mut pauses = Pauses::new(limits);
        loop {
            let error = match pauses.in_time(self.put_named_once(name, bytes.clone(), limits)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !error.is_retryable() || !pauses.wait().await {
                return Err(error);
            }
        }
    }

    async fn put_named_once(&self, name: &ObjectName, bytes: Bytes, limits: &Limits) -> Result<(), Error> {
        // What is there may be larger, or of no use; it is replaced all the same.
        if self.read_named(name, limits).await.is_ok_and(|found| found == bytes) {
            return Ok(());
        }
        let expected = ContentHash::of(&bytes);
        self.write_named(name, bytes).await?;
        let got = ContentHash::of(&self.read_named(name, limits).await?);
        if got == expected { Ok(()) } else { Err(Error::Corrupt { expected, got }) }
    }

    /// The bytes of an object, at most `max_size` of them, within the deadline and the least rate. Who wrote them is not known.
    ///
    /// It is asked for once: whoever waits for an object asks again.
    ///
    /// # Errors
    /// [`Error::NoObject`], [`Error::TooLarge`], [`Error::Slow`], [`Error::Deadline`], and those of the folder or the server.
    pub async fn get_named(&self, name: &ObjectName, limits: &Limits) -> Result<Vec<u8>, Error> {
        Pauses::new(limits).in_time(self.read_named(name, limits)).await
    }

    async fn read_named(&self, name: &ObjectName, limits: &Limits) -> Result<Vec<u8>, Error> {
        if let Some(folder) = self.folder() {
            let (folder, name, limit) = (folder.clone(), name.clone(), limits.max_size);
            return blocking(move || folder.get_named(&name, limit)).await;
        }
        let mut pace = Pace::new(limits, limits.deadline);
        let body = pace.within(self.named_body(name)).await;
        let mut body = body.map_err(|error| name.missing(error))?;
        let mut bytes = Vec::new();
        while let Some(chunk) = pace.next(&mut body.chunks).await? {
            let got = bytes.len() as u64 + chunk.len() as u64;
            if got > limits.max_size {
                return Err(Error::TooLarge { limit: limits.max_size, got });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere() {
        for name in [
            "",
            "/",
            "a",
            "abc",
            "/abc/d",
            "abc/",
            "abc//d",
            "abc/../d",
            "../abc/d",
            "abc/./d",
            "abc/.hidden",
            ".partial/abc",
            "ab/abcdef",
            "abc/d\\e",
            "abc/d e",
            "abc/d%2e",
            "abc/d?e",
            "abc/d#e",
            "abc/d:e",
            "abc/d\0e",
            "abc/d\ne",
            "abc/é",
            &format!("abc/{}", "d".repeat(MAX_NAME_BYTES)),
        ] {
            assert!(matches!(ObjectName::new(name), Err(Error::Name { .. })), "{name:?}");
        }
        for name in ["1-0xab/task-1/epoch-2.age", "abc/d", "abc/d..e"] {
            assert_eq!(ObjectName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_folder_replaces_whole_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path(), 8).unwrap();
        let name = ObjectName::new("abc/d/e.age").unwrap();
        assert!(matches!(store.get_named(&name, 8), Err(Error::NoObject { .. })));
        for bytes in [&b"first"[..], b"", b"second"] {
            store.put_named(&name, bytes).unwrap();
            assert_eq!(store.get_named(&name, 6).unwrap(), bytes);
        }
        assert!(matches!(store.get_named(&name, 5), Err(Error::TooLarge { limit: 5, .. })));
        assert_eq!(fs::read_dir(folder.path().join("abc/d")).unwrap().count(), 1, "nothing half is left");
        let link = ObjectName::new("abc/d/link").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("abc/d/link")).unwrap();
        assert!(matches!(store.get_named(&link, 1 << 20), Err(Error::NotAFile { .. })));
        let inside = ObjectName::new("abc/d").unwrap();
        assert!(matches!(store.get_named(&inside, 8), Err(Error::NotAFile { .. })));
    }
}
