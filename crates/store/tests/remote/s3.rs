//! Buckets, against a server of the protocol that keeps objects as files.

use std::{fs, path::PathBuf};

use aiarena_store::{ContentHash, Error, Limits, S3Settings, Settings, Store, Stores};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{Cache, MAX_SIZE, artifact, blamed, limits, on_this_machine};

const SECRET: &str = "secret-of-the-test";

/// A service with one bucket, gone when dropped.
pub(crate) struct Service {
    folder: TempDir,
    endpoint: String,
    task: JoinHandle<()>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bucket")).unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single("name", SECRET));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    let _closed = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { folder, endpoint, task }
    }

    fn settings(&self) -> Settings {
        let s3 = S3Settings {
            endpoint: Some(self.endpoint.clone()),
            region: Some("eu-north-1".into()),
            access_key_id: Some("name".into()),
            secret_access_key: Some(SECRET.into()),
            session_token: None,
            virtual_hosted: Some(false),
            allow_http: Some(true),
        };
        Settings { s3, ..on_this_machine() }
    }

    pub(crate) fn stores(&self, url: &str) -> Stores {
        Stores::open([url], &self.settings()).unwrap()
    }

    /// The file of an object.
    fn file(&self, prefix: &str, hash: ContentHash) -> PathBuf {
        let name = hash.to_string();
        self.folder.path().join("bucket").join(prefix).join(&name[..2]).join(name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn what_is_put_is_fetched() {
    let service = Service::start().await;
    for (url, prefix) in [("s3://bucket/a/b", "a/b"), ("s3://bucket", ""), ("s3://bucket/c/", "c")] {
        let stores = service.stores(url);
        let store = &stores.stores()[0];
        assert!(store.is_writable());
        for size in [0, 1, 65_536, MAX_SIZE as usize] {
            let bytes = artifact(size);
            let hash = store.put(bytes.clone(), &limits()).await.unwrap();
            assert_eq!(fs::read(service.file(prefix, hash)).unwrap(), bytes);
            let cache = Cache::new();
            cache.fetch(&stores, hash).await.unwrap();
            assert!(cache.holds(&bytes));
            // The server goes on from the middle.
            let cache = Cache::with_partial(hash, &bytes[..size / 2]);
            cache.fetch(&stores, hash).await.unwrap();
            assert!(cache.holds(&bytes));
        }
    }
}

#[tokio::test]
async fn putting_again_changes_nothing_and_mends_damage() {
    let service = Service::start().await;
    let stores = service.stores("s3://bucket/a");
    let store = &stores.stores()[0];
    let bytes = artifact(1000);
    let hash = store.put(bytes.clone(), &limits()).await.unwrap();
    let file = service.file("a", hash);
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    assert_eq!(store.put(bytes.clone(), &limits()).await.unwrap(), hash);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);

    for damage in [&bytes[..999], &[7; 1000], &[7; 5000]] {
        fs::write(&file, damage).unwrap();
        let error = blamed(Cache::new().fetch(&stores, hash).await);
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        store.put(bytes.clone(), &limits()).await.unwrap();
        assert_eq!(fs::read(&file).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_folder_copied_to_a_bucket_is_a_store() {
    let service = Service::start().await;
    let folder =
        Store::open(&format!("file:{}/bucket/copy", service.folder.path().display()), &service.settings());
    let bytes = artifact(5_000);
    let hash = folder.unwrap().put(bytes.clone(), &limits()).await.unwrap();
    let cache = Cache::new();
    cache.fetch(&service.stores("s3://bucket/copy"), hash).await.unwrap();
    assert!(cache.holds(&bytes));
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed() {
    let service = Service::start().await;
    let hash = ContentHash::of(b"x");
    let limits = Limits { rounds: 2, ..limits() };
    for url in ["s3://bucket/a", "s3://nobody"] {
        let result = service.stores(url).fetch(hash, &[], &Cache::new().store, &limits).await;
        assert!(matches!(result, Err(Error::NotFound { .. })), "{url}: {result:?}");
    }

    let mut settings = service.settings();
    settings.s3.secret_access_key = Some("wrong".into());
    let stores = Stores::open(["s3://bucket/a"], &settings).unwrap();
    let error = blamed(stores.fetch(hash, &[], &Cache::new().store, &limits).await);
    assert!(matches!(error, Error::Status { status: 403 }), "{error}");
    let error = stores.stores()[0].put("x", &limits).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 403 }) && !error.is_retryable(), "{error}");
    assert!(!service.file("a", hash).exists());
    let shown = format!("{error:?} {error} {stores:?}");
    assert!(!shown.contains("wrong") && !shown.contains("X-Amz"), "{shown}");
}

#[tokio::test]
async fn a_service_that_is_gone_is_named() {
    let service = Service::start().await;
    let stores = service.stores("s3://bucket/a");
    drop(service);
    let limits = Limits { rounds: 2, ..limits() };
    let error = stores.stores()[0].put("x", &limits).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    let error = stores.fetch(ContentHash::of(b"x"), &[], &Cache::new().store, &limits).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("s3://bucket/a"), "{error}");
}
