//! A place where artifacts are, named by a URL.

use std::{
    fmt,
    io::{self, Read, Seek, SeekFrom},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::Url;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::{
    ContentHash, Error, FolderStore, Limits, ObjectName, Policy, S3Settings,
    fetch::{Pace, Pauses, blocking},
    s3::Bucket,
    web::{Body, Web},
};

/// How much of a file is read at once, in bytes.
const CHUNK: usize = 1 << 17;

/// What a store's URL does not say.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How buckets are reached.
    pub s3: S3Settings,
    /// Where the locations of strangers, and redirects, may lead.
    pub policy: Policy,
}

/// A folder, a bucket or a web server that holds artifacts under the names that [`FolderStore`] gives its files:
/// `ab/abcdef…`.
///
/// So a folder that is served by any web server, or copied to a bucket by any tool, is a store. None is trusted: what it
/// gives has the right hash or is an error.
#[derive(Debug, Clone)]
pub struct Store {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Folder(FolderStore),
    Bucket(Bucket, Web),
    Web(Url, Web),
}

impl Store {
    /// Opens the store that a URL names; nothing is asked of a server yet.
    ///
    /// - `file:folder`, `file:/folder`, `file:///folder`: a folder, created if need be. The path is taken as it is,
    ///   without any `%` spelling.
    /// - `s3://bucket/prefix`: a bucket, or a part of it.
    /// - `https://host/prefix`, `http://host/prefix`: a web server, read-only.
    ///
    /// # Errors
    /// [`Error::NoStore`] if the text is anything else, [`Error::Io`] if the folder cannot be created.
    pub fn open(url: &str, settings: &Settings) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once(':').ok_or_else(|| no_store(url, "it has no scheme"))?;
        let kind = match scheme {
            "file" => Kind::Folder(FolderStore::open(folder_of(url, rest)?, u64::MAX)?),
            "s3" => {
                let place = rest.strip_prefix("//").ok_or_else(|| no_store(url, "expected s3://bucket"))?;
                let bucket = Bucket::open(place, &settings.s3).map_err(|reason| no_store(url, reason))?;
                Kind::Bucket(bucket, Web::new(settings.policy)?)
            }
            "http" | "https" => Kind::Web(base_of(url)?, Web::new(settings.policy)?),
            _ => return Err(no_store(url, "expected file:, s3:, https: or http:")),
        };
        Ok(Self { name: url.to_owned(), kind })
    }

    /// True if artifacts can be put here.
    pub fn is_writable(&self) -> bool {
        !matches!(self.kind, Kind::Web(..))
    }

    /// Stores `bytes` and returns their name. Storing the same bytes again changes nothing; damaged ones are replaced.
    ///
    /// They are read back and hashed before this returns: a node is paid for what others can fetch, and what a bucket
    /// returns as an entity tag says little about that.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::TooLarge`], [`Error::Corrupt`] if other bytes are read back, [`Error::Deadline`], and
    /// those of the folder or the server.
    pub async fn put(&self, bytes: impl Into<Bytes>, limits: &Limits) -> Result<ContentHash, Error> {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        if size > limits.max_size {
            return Err(Error::TooLarge { limit: limits.max_size, got: size });
        }
        match &self.kind {
            Kind::Web(..) => Err(Error::ReadOnly { store: self.to_string() }),
            Kind::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || folder.put(&bytes)).await
            }
            Kind::Bucket(bucket, _) => self.put_into(bucket, bytes, limits).await,
        }
    }

    async fn put_into(&self, bucket: &Bucket, bytes: Bytes, limits: &Limits) -> Result<ContentHash, Error> {
        let hash = ContentHash::of(&bytes);
        let mut pauses = Pauses::new(limits);
        loop {
            let error = match pauses.in_time(self.put_once(bucket, hash, bytes.clone(), limits)).await {
                Ok(()) => return Ok(hash),
                Err(error) => error,
            };
            if !error.is_retryable() || !pauses.wait().await {
                return Err(error);
            }
        }
    }

    async fn put_once(
        &self,
        bucket: &Bucket,
        hash: ContentHash,
        bytes: Bytes,
        limits: &Limits,
    ) -> Result<(), Error> {
        let size = bytes.len() as u64;
        if self.read_back(hash, size, limits).await? == Some(hash) {
            return Ok(());
        }
        bucket.write(&name_of(hash), bytes).await?;
        match self.read_back(hash, size, limits).await? {
            Some(got) if got == hash => Ok(()),
            Some(got) => Err(Error::Corrupt { expected: hash, got }),
            None => Err(Error::NotFound { hash }),
        }
    }

    /// The hash of what the store gives under this name, of which no more than `size` bytes and one are read.
    async fn read_back(
        &self,
        hash: ContentHash,
        size: u64,
        limits: &Limits,
    ) -> Result<Option<ContentHash>, Error> {
        let mut pace = Pace::new(limits, limits.deadline);
        let mut body = match pace.within(self.body(hash, 0)).await {
            Ok(body) => body,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (mut hasher, mut read) = (Sha256::new(), 0);
        while read <= size
            && let Some(chunk) = pace.next(&mut body.chunks).await?
        {
            hasher.update(&chunk);
            read += chunk.len() as u64;
        }
        Ok(Some(ContentHash(hasher.finalize().into())))
    }

    /// The artifact's bytes from `offset` on, unverified.
    pub(crate) async fn body(&self, hash: ContentHash, offset: u64) -> Result<Body, Error> {
        match &self.kind {
            Kind::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || body_of_file(&folder, hash, offset)).await
            }
            Kind::Bucket(bucket, web) => {
                let url = bucket.address_of(&name_of(hash)).await?;
                web.open_trusted(&url, hash, offset).await
            }
            Kind::Web(base, web) => {
                let url = base.join(&name_of(hash)).map_err(|error| Error::transfer(&error, false))?;
                web.open_trusted(&url, hash, offset).await
            }
        }
    }
}

impl Store {
    /// The folder, if it is one.
    pub(crate) fn folder(&self) -> Option<&FolderStore> {
        match &self.kind {
            Kind::Folder(folder) => Some(folder),
            Kind::Bucket(..) | Kind::Web(..) => None,
        }
    }

    /// The bytes of a named object, unverified.
    pub(crate) async fn named_body(&self, name: &ObjectName) -> Result<Body, Error> {
        let (url, web) = match &self.kind {
            Kind::Folder(_) => return Err(Error::protocol("a folder is read as files")),
            Kind::Bucket(bucket, web) => (bucket.address_of(name.as_str()).await?, web),
            Kind::Web(base, web) => {
                (base.join(name.as_str()).map_err(|error| Error::transfer(&error, false))?, web)
            }
        };
        web.open_trusted(&url, name.stand_in(), 0).await
    }

    /// Writes a named object as it is.
    pub(crate) async fn write_named(&self, name: &ObjectName, bytes: Bytes) -> Result<(), Error> {
        match &self.kind {
            Kind::Web(..) => Err(Error::ReadOnly { store: self.to_string() }),
            Kind::Folder(folder) => {
                let (folder, name) = (folder.clone(), name.clone());
                blocking(move || folder.put_named(&name, &bytes)).await
            }
            Kind::Bucket(bucket, _) => bucket.write(name.as_str(), bytes).await,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The object's name in all stores, which is the file's path in a folder.
fn name_of(hash: ContentHash) -> String {
    let digits = hash.to_string();
    format!("{}/{digits}", &digits[..2])
}

/// An error that never repeats what may be a password.
fn no_store(url: &str, reason: impl Into<String>) -> Error {
    let shown = match (url.split_once("//"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}//…@{host}"),
        _ => url.to_owned(),
    };
    Error::NoStore { url: shown, reason: reason.into() }
}

fn folder_of<'a>(url: &str, rest: &'a str) -> Result<&'a str, Error> {
    let path = match rest.strip_prefix("//") {
        Some(path) if !path.starts_with('/') => return Err(no_store(url, "a folder of another host")),
        Some(path) => path,
        None => rest,
    };
    if path.is_empty() { Err(no_store(url, "it names no folder")) } else { Ok(path) }
}

/// The URL of a web server's folder, with a slash at its end.
fn base_of(url: &str) -> Result<Url, Error> {
    let mut base = Url::parse(url).map_err(|error| no_store(url, error.to_string()))?;
    if !base.username().is_empty() || base.password().is_some() {
        return Err(no_store(url, "credentials do not belong into a URL"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(no_store(url, "a folder has no query and no fragment"));
    }
    let path = format!("{}/", base.path().trim_end_matches('/'));
    base.set_path(&path);
    Ok(base)
}

fn body_of_file(folder: &FolderStore, hash: ContentHash, offset: u64) -> Result<Body, Error> {
    let (mut file, size) = folder.open_artifact(hash, u64::MAX)?;
    let path = folder.path_of(hash);
    let start = if offset <= size { offset } else { 0 };
    file.seek(SeekFrom::Start(start)).map_err(|source| Error::io(&path, source))?;
    // A thread reads, because a folder of the network can hang; it ends when nobody listens any more.
    let (sender, receiver) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = io::Read::by_ref(&mut file).take(CHUNK as u64).read_to_end(&mut chunk);
            let message = match read {
                Ok(0) => return,
                Ok(_) => Ok(Bytes::from(chunk)),
                Err(source) => Err(Error::io(&path, source)),
            };
            let failed = message.is_err();
            if sender.blocking_send(message).is_err() || failed {
                return;
            }
        }
    });
    let chunks =
        stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) });
    Ok(Body { start, chunks: chunks.boxed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_no_stores() {
        let settings = Settings::default();
        for (url, part) in [
            ("", "no scheme"),
            ("/folder", "no scheme"),
            ("file:", "no folder"),
            ("file://host/folder", "another host"),
            ("s3:bucket", "s3://bucket"),
            ("s3://", "bucket"),
            ("s3://buc ket/x", "bucket"),
            ("s3://user@bucket/x", "bucket"),
            ("s3://bucket/a//b", ""),
            ("ftp://host/x", "expected"),
            ("https://", ""),
            ("https://user:secret@host/x", "credentials"),
            ("https://secret@host/x", "credentials"),
            ("https://host/x?key=1", "query"),
            ("https://host/x#1", "query"),
        ] {
            let error = Store::open(url, &settings).expect_err(url).to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{url}: {error}");
        }
    }

    #[test]
    fn a_base_is_a_folder() {
        for (url, expected) in [
            ("https://host", "https://host/"),
            ("https://host/a", "https://host/a/"),
            ("https://host/a//", "https://host/a/"),
            ("http://127.0.0.1:1/a/b/", "http://127.0.0.1:1/a/b/"),
        ] {
            assert_eq!(base_of(url).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn plain_http_buckets_must_be_allowed() {
        let mut s3 = S3Settings { endpoint: Some("http://127.0.0.1:1".into()), ..S3Settings::default() };
        s3.access_key_id = Some("name".into());
        s3.secret_access_key = Some("very secret".into());
        let open = |s3: &S3Settings| {
            Store::open("s3://bucket/a", &Settings { s3: s3.clone(), ..Settings::default() })
        };
        assert!(open(&s3).unwrap_err().to_string().contains("plain http"));
        s3.allow_http = Some(true);
        let store = open(&s3).unwrap();
        assert_eq!(store.to_string(), "s3://bucket/a");
        assert!(!format!("{store:?} {s3:?}").contains("secret"));
    }
}
