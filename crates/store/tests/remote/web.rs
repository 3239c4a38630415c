//! Stores that are web servers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use aiarena_store::{ContentHash, Error, FolderStore, Limits, Store};
use axum::Router;
use tower_http::services::ServeDir;

use crate::{Cache, MAX_SIZE, artifact, blamed, limits, on_this_machine, open, server::Server, tried};

/// Serves a folder with a web server that is not ours.
async fn serve(folder: &FolderStore) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a/prefix", listener.local_addr().unwrap());
    let app = Router::new().nest_service("/a/prefix", ServeDir::new(folder.root()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

#[tokio::test]
async fn a_folder_behind_any_web_server_is_a_store() {
    let served = Cache::new();
    let stores = open(&[&serve(&served.store).await]);
    for size in [0, 1, 65_536, MAX_SIZE as usize] {
        let bytes = artifact(size);
        let hash = served.store.put(&bytes).unwrap();
        let cache = Cache::with_partial(hash, &bytes[..size / 3]);
        let fetched = cache.fetch(&stores, hash).await.unwrap();
        assert!(cache.holds(&bytes) && fetched.size == size as u64 && fetched.from.is_some());
        let again = cache.fetch(&stores, hash).await.unwrap();
        assert_eq!(again.from, None, "from the cache");
    }
    let absent = ContentHash::of(b"never stored");
    let cache = Cache::new();
    assert!(matches!(cache.fetch(&stores, absent).await, Err(Error::NotFound { hash }) if hash == absent));
    assert!(cache.is_empty());
}

#[tokio::test]
async fn folders_are_stores() {
    let (one, two, cache) = (Cache::new(), Cache::new(), Cache::new());
    let urls = [&one, &two].map(|held| format!("file:{}", held.store.root().display()));
    let stores = open(&[&urls[0], &urls[1]]);
    let bytes = artifact(300_000);
    let hash = stores.stores()[1].put(bytes.clone(), &limits()).await.unwrap();
    assert_eq!(stores.stores()[1].put(bytes.clone(), &limits()).await.unwrap(), hash);
    assert_eq!(cache.fetch(&stores, hash).await.unwrap().from, Some(urls[1].clone()));
    assert!(cache.holds(&bytes));
    let half = Cache::with_partial(hash, &bytes[..150_001]);
    half.fetch(&stores, hash).await.unwrap();
    assert!(half.holds(&bytes));

    // What the first folder holds is damaged.
    std::fs::create_dir_all(one.store.path_of(hash).parent().unwrap()).unwrap();
    std::fs::write(one.store.path_of(hash), b"other").unwrap();
    let cache = Cache::new();
    assert_eq!(cache.fetch(&stores, hash).await.unwrap().from, Some(urls[1].clone()));
    let error = stores.stores()[1].put(vec![0; MAX_SIZE as usize + 1], &limits()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: MAX_SIZE, .. }), "{error}");
}

#[tokio::test]
async fn nothing_is_put_into_a_web_server() {
    let server = Server::honest(Vec::new()).await;
    let store = Store::open(&server.url(), &on_this_machine()).unwrap();
    assert!(!store.is_writable());
    let error = store.put("x", &limits()).await.unwrap_err();
    assert!(matches!(&error, Error::ReadOnly { store } if *store == server.url()), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn objects_are_named_as_in_a_folder_and_asked_for_unencoded() {
    let bytes = artifact(10);
    let hash = ContentHash::of(&bytes);
    let server = Server::honest(bytes).await;
    Cache::new().fetch(&open(&[&server.url()]), hash).await.unwrap();
    let request = server.requests().remove(0);
    let digits = hash.to_string();
    assert_eq!(request.path, format!("/store/{}/{digits}", &digits[..2]));
    assert!(request.head.contains("accept-encoding: identity\r\n"), "{}", request.head);
}

#[tokio::test]
async fn a_store_that_lies_is_passed_over_and_named() {
    let bytes = artifact(5_000);
    let hash = ContentHash::of(&bytes);
    let liar = Server::honest(artifact(5_001)).await;
    let truth = Server::honest(bytes.clone()).await;
    let cache = Cache::new();
    let fetched = cache.fetch(&open(&[&liar.url(), &truth.url()]), hash).await.unwrap();
    assert_eq!(fetched.from, Some(truth.url()));
    assert!(cache.holds(&bytes));

    let cache = Cache::new();
    let error = cache.fetch(&open(&[&liar.url()]), hash).await.unwrap_err();
    assert!(error.to_string().contains(&liar.url()) && error.to_string().contains("corrupt"), "{error}");
    assert!(!error.is_retryable());
    assert!(matches!(blamed(Err(error)), Error::Corrupt { expected, .. } if expected == hash));
    assert!(cache.is_empty());
    assert_eq!(liar.requests().len(), 2, "a lie is not asked for again");
}

#[tokio::test]
async fn one_byte_too_many_ends_the_transfer() {
    let sent = Arc::new(AtomicUsize::new(0));
    // Without a length, with an honest one, with one that is too small and with an absurd one.
    for head in [
        "transfer-encoding: chunked",
        "content-length: 1000000000",
        "content-length: 1152921504606846976",
        "x-nothing: until the connection is closed",
    ] {
        let counter = sent.clone();
        counter.store(0, Ordering::SeqCst);
        let server = Server::start(move |_, mut answer| {
            let counter = counter.clone();
            async move {
                answer.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n")).await;
                let piece = [b"1000\r\n", &[7; 0x1000][..], b"\r\n"].concat();
                while answer.send(&piece).await {
                    counter.fetch_add(piece.len(), Ordering::SeqCst);
                }
            }
        })
        .await;
        let cache = Cache::new();
        let error = blamed(cache.fetch(&open(&[&server.url()]), ContentHash::of(b"x")).await);
        assert!(matches!(error, Error::TooLarge { limit: MAX_SIZE, .. }), "{head}: {error}");
        assert!(cache.is_empty());
        assert_eq!(server.requests().len(), 1);
        // What was sent beyond that fills the system's buffers only.
        assert!(sent.load(Ordering::SeqCst) < MAX_SIZE as usize + (16 << 20), "{head}");
    }
}

#[tokio::test]
async fn the_limit_is_exact() {
    let bytes = artifact(1000);
    let hash = ContentHash::of(&bytes);
    let server = Server::honest(bytes.clone()).await;
    let stores = open(&[&server.url()]);
    let cache = Cache::new();
    let of = |max_size| Limits { max_size, ..limits() };
    let error = blamed(stores.fetch(hash, &[], &cache.store, &of(999)).await);
    assert!(matches!(error, Error::TooLarge { limit: 999, got: 1000 }), "{error}");
    stores.fetch(hash, &[], &cache.store, &of(1000)).await.unwrap();
    assert!(cache.holds(&bytes));
}

#[tokio::test]
async fn slow_and_silent_servers_are_given_up() {
    let bytes = Arc::new(artifact(100_000));
    let hash = ContentHash::of(&bytes);
    let body = bytes.clone();
    let trickle = Server::start(move |request, answer| {
        let body = body.clone();
        async move { answer.slow(&request, &body, 10, Duration::from_millis(10)).await }
    })
    .await;
    let silent = Server::start(|_, answer| answer.silent()).await;
    let impatient = Limits { patience: Duration::from_millis(200), min_rate: 50_000, rounds: 1, ..limits() };
    for (server, some) in [(&trickle, true), (&silent, false)] {
        let begin = Instant::now();
        let cache = Cache::new();
        let error = blamed(open(&[&server.url()]).fetch(hash, &[], &cache.store, &impatient).await);
        assert!(matches!(error, Error::Slow { got, least: 10_000, .. } if (got > 0) == some), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(2));
        assert_eq!(cache.partial(hash).exists(), some, "what has arrived is kept");
    }
    // Fast enough for the rate, but not for the deadline.
    let patient = Limits { deadline: Duration::from_millis(300), rounds: 1, ..limits() };
    let error = blamed(open(&[&trickle.url()]).fetch(hash, &[], &Cache::new().store, &patient).await);
    assert!(matches!(error, Error::Deadline { got: 1.., .. }), "{error}");

    // A slow first store leaves time for the second one.
    let honest = Server::honest(bytes.to_vec()).await;
    let short = Limits { deadline: Duration::from_secs(1), ..limits() };
    let cache = Cache::new();
    let stores = open(&[&silent.url(), &honest.url()]);
    let fetched = stores.fetch(hash, &[], &cache.store, &short).await.unwrap();
    assert_eq!(fetched.from, Some(honest.url()));
}

#[tokio::test]
async fn one_slow_artifact_delays_no_other() {
    let artifacts: Vec<Vec<u8>> = (1..=12).map(|size| artifact(size * 1000)).collect();
    let by_name: BTreeMap<String, Vec<u8>> =
        artifacts.iter().map(|bytes| (ContentHash::of(bytes).to_string(), bytes.clone())).collect();
    let slow = ContentHash::of(&artifacts[0]);
    let by_name = Arc::new(by_name);
    let server = Server::start(move |request, answer| {
        let by_name = by_name.clone();
        async move {
            let name = request.path.rsplit('/').next().unwrap();
            if name == slow.to_string() {
                answer.silent().await;
            } else {
                answer.honest(&request, &by_name[name]).await;
            }
        }
    })
    .await;
    let cache = Cache::new();
    let limits = Limits { deadline: Duration::from_secs(2), concurrency: 3, ..limits() };
    let absent = (ContentHash::of(b"x"), Vec::new());
    let wanted = artifacts.iter().map(|bytes| (ContentHash::of(bytes), Vec::new()));
    let stores = open(&[&server.url()]);
    let wanted: BTreeMap<_, _> = wanted.collect();
    let begin = Instant::now();
    let fetching = tokio::spawn({
        let (cache, wanted) = (cache.store.clone(), wanted.clone());
        async move { stores.fetch_all(&wanted, &cache, &limits).await }
    });
    while !artifacts[1..].iter().all(|bytes| cache.store.contains(ContentHash::of(bytes))) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(begin.elapsed() < Duration::from_millis(1500), "the slow one delays the others");
    }
    let results = fetching.await.unwrap();
    assert_eq!(results.len(), wanted.len());
    for (hash, result) in results {
        assert_eq!(result.is_err(), hash == slow, "{hash}: {result:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(4));
    let none = open(&[]).fetch_all(&BTreeMap::from([absent]), &cache.store, &Limits::new(1)).await;
    assert!(none.into_values().all(|result| matches!(result, Err(Error::NotFound { .. }))));
}

#[tokio::test]
async fn statuses() {
    for (status, requests, retryable) in [
        ("404 Not Found", 1, true),
        ("410 Gone", 1, true),
        ("403 Forbidden", 1, false),
        ("401 Unauthorized", 1, false),
        ("204 No Content", 1, false),
        ("304 Not Modified", 1, false),
        ("501 Not Implemented", 1, false),
        ("500 Internal Server Error", 3, true),
        ("503 Service Unavailable", 3, true),
        ("429 Too Many Requests", 3, true),
    ] {
        let server = Server::start(move |_, answer| answer.reply(status, "", b"")).await;
        let limits = Limits { rounds: 3, ..limits() };
        let cache = Cache::new();
        let result = open(&[&server.url()]).fetch(ContentHash::of(b"x"), &[], &cache.store, &limits).await;
        assert_eq!(result.unwrap_err().is_retryable(), retryable, "{status}");
        assert_eq!(server.requests().len(), requests, "{status}");
        assert!(cache.is_empty());
    }
}

#[tokio::test]
async fn what_failed_is_asked_again() {
    let bytes = Arc::new(artifact(1000));
    let hash = ContentHash::of(&bytes);
    let body = bytes.clone();
    let server = Server::start(move |request, answer| {
        let body = body.clone();
        async move {
            match request.number {
                0 => drop(answer),
                1 => answer.reply("503 Service Unavailable", "", b"").await,
                _ => answer.honest(&request, &body).await,
            }
        }
    })
    .await;
    let cache = Cache::new();
    cache.fetch(&open(&[&server.url()]), hash).await.unwrap();
    assert!(cache.holds(&bytes));

    // Nobody listens on the port of a server that is gone.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}/store", listener.local_addr().unwrap());
    drop(listener);
    let limits = Limits { rounds: 2, ..limits() };
    let result = open(&[&gone]).fetch(hash, &[], &Cache::new().store, &limits).await;
    let tried = tried(result);
    assert!(tried[0].place == gone && tried[0].error.is_retryable(), "{tried:?}");
}

#[tokio::test]
async fn answers_that_are_none() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\ncontent-encoding: br, identity\r\ncontent-length: 1\r\n\r\nx",
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 0-0/1\r\ncontent-length: 1\r\n\r\nx",
        "HTTP/1.1 206 Partial Content\r\ncontent-length: 1\r\n\r\nx",
        "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "\0\0\0",
        "",
    ] {
        let server = Server::start(move |_, mut connection| async move {
            connection.send(answer).await;
        })
        .await;
        let cache = Cache::new();
        let limits = Limits { rounds: 2, ..limits() };
        let result = open(&[&server.url()]).fetch(ContentHash::of(b"x"), &[], &cache.store, &limits).await;
        let error = blamed(result);
        assert!(matches!(error, Error::Transfer { .. }), "{answer:?}: {error:?}");
        assert!(cache.is_empty(), "{answer:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_a_few_times() {
    let bytes = artifact(1000);
    let hash = ContentHash::of(&bytes);
    let target = Server::honest(bytes.clone()).await;
    let to = format!("location: {}/elsewhere\r\n", target.url());
    let redirecting = Server::start(move |request, answer| {
        let to = to.clone();
        async move {
            let to = if request.path == "/moved" { to } else { "location: /moved\r\n".to_owned() };
            answer.reply("302 Found", &to, b"").await;
        }
    })
    .await;
    let cache = Cache::with_partial(hash, &bytes[..400]);
    cache.fetch(&open(&[&redirecting.url()]), hash).await.unwrap();
    assert!(cache.holds(&bytes));
    assert_eq!((redirecting.requests().len(), target.ranges()), (2, vec![Some(400)]));

    let circle =
        Server::start(|_, answer| answer.reply("307 Temporary Redirect", "location: /\r\n", b"")).await;
    let error = blamed(cache.fetch(&open(&[&circle.url()]), ContentHash::of(b"x")).await);
    assert!(error.to_string().contains("redirects"), "{error}");
    assert_eq!(circle.requests().len(), 4);
}
