//! Transfers that break off and go on.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use aiarena_store::{ContentHash, Error, FolderStore, Limits};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::{Cache, MAX_SIZE, artifact, blamed, limits, open, server::Server};

/// Runs one test of this program again, in a process of its own, with what it needs in the environment.
pub(crate) fn child(test: &str, url: &str, cache: &FolderStore) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command.env("STORE_TEST_URL", url).env("STORE_TEST_CACHE", cache.root());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What [`child`] has put into the environment; nothing if this is the parent.
pub(crate) fn given() -> Option<(String, FolderStore)> {
    let url = std::env::var("STORE_TEST_URL").ok()?;
    let cache = FolderStore::open(std::env::var_os("STORE_TEST_CACHE")?, MAX_SIZE).unwrap();
    Some((url, cache))
}

/// Kills a process, whatever happens to the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_broke() {
    let bytes = Arc::new(artifact(10_000));
    let hash = ContentHash::of(&bytes);
    let body = bytes.clone();
    let server = Server::start(move |request, answer| {
        let body = body.clone();
        async move { answer.broken(&request, &body, 4_000).await }
    })
    .await;
    let cache = Cache::new();
    cache.fetch(&open(&[&server.url()]), hash).await.unwrap();
    assert!(cache.holds(&bytes));
    assert_eq!(server.ranges(), [None, Some(4_000), Some(8_000)]);
}

#[tokio::test]
async fn another_store_goes_on_too() {
    let bytes = Arc::new(artifact(10_000));
    let hash = ContentHash::of(&bytes);
    let body = bytes.clone();
    let broken = Server::start(move |request, answer| {
        let body = body.clone();
        async move { answer.broken(&request, &body, 4_000).await }
    })
    .await;
    let honest = Server::honest(bytes.to_vec()).await;
    let cache = Cache::new();
    cache.fetch(&open(&[&broken.url(), &honest.url()]), hash).await.unwrap();
    assert!(cache.holds(&bytes));
    assert_eq!((broken.ranges(), honest.ranges()), (vec![None], vec![Some(4_000)]));
}

/// A store that sends wrong bytes and then breaks does not spoil the transfer from the next one.
#[tokio::test]
async fn wrong_bytes_of_one_store_do_not_spoil_another() {
    let bytes = Arc::new(artifact(10_000));
    let hash = ContentHash::of(&bytes);
    let wrong = Arc::new(artifact(9_999));
    let spoiler = Server::start(move |request, answer| {
        let wrong = wrong.clone();
        async move { answer.broken(&request, &wrong, 4_000).await }
    })
    .await;
    let honest = Server::honest(bytes.to_vec()).await;
    let cache = Cache::new();
    let fetched = cache.fetch(&open(&[&spoiler.url(), &honest.url()]), hash).await.unwrap();
    assert!(cache.holds(&bytes) && fetched.from == Some(honest.url()));
    assert_eq!(honest.ranges(), [Some(4_000), None]);
}

#[tokio::test]
async fn servers_that_cannot_go_on_begin_again() {
    let bytes = Arc::new(artifact(10_000));
    let hash = ContentHash::of(&bytes);
    for (answer_to_range, headers, requests) in [
        ("200 OK", "", 1),
        ("206 Partial Content", "content-range: bytes 0-9999/10000\r\n", 2),
        ("206 Partial Content", "content-range: bytes 5001-9999/10000\r\n", 2),
        ("206 Partial Content", "content-range: bytes */10000\r\n", 2),
        ("206 Partial Content", "content-range: bytes 99999999999999999999999-/1\r\n", 2),
        ("206 Partial Content", "content-range: lines 5000-9999/10000\r\n", 2),
        ("206 Partial Content", "", 2),
        ("416 Range Not Satisfiable", "", 2),
    ] {
        let body = bytes.clone();
        let server = Server::start(move |request, answer| {
            let body = body.clone();
            async move {
                match request.range {
                    Some(_) => answer.reply(answer_to_range, headers, &body).await,
                    None => answer.honest(&request, &body).await,
                }
            }
        })
        .await;
        let cache = Cache::with_partial(hash, &bytes[..5_000]);
        cache.fetch(&open(&[&server.url()]), hash).await.unwrap();
        assert!(cache.holds(&bytes), "{answer_to_range} {headers}");
        assert_eq!(server.ranges(), [Some(5_000), None][..requests], "{answer_to_range} {headers}");
    }
}

#[tokio::test]
async fn any_partial_ends_in_the_right_bytes() {
    let bytes = artifact(10_000);
    let hash = ContentHash::of(&bytes);
    let server = Server::honest(bytes.clone()).await;
    let mut flipped = bytes.clone();
    flipped[17] ^= 1;
    let longer = [&bytes[..], b"more"].concat();
    for partial in [
        &[][..],
        &bytes[..1],
        &bytes[..9_999],
        &bytes,
        &longer,
        &flipped,
        &flipped[..100],
        &vec![0; MAX_SIZE as usize + 9],
    ] {
        let cache = Cache::with_partial(hash, partial);
        cache.fetch(&open(&[&server.url()]), hash).await.unwrap();
        assert!(cache.holds(&bytes), "{} bytes", partial.len());
    }
    // A whole partial needs nobody, and a lie on top of a good partial is found out.
    let liar = Server::honest(artifact(10_001)).await;
    let cache = Cache::with_partial(hash, &bytes);
    cache.fetch(&open(&[&liar.url()]), hash).await.unwrap();
    assert!(cache.holds(&bytes) && liar.requests().is_empty());
    let cache = Cache::with_partial(hash, &bytes[..5_000]);
    assert!(matches!(blamed(cache.fetch(&open(&[&liar.url()]), hash).await), Error::Corrupt { .. }));
    assert!(cache.is_empty());
    assert_eq!(liar.ranges(), [Some(5_000), None]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_place_of_a_partial_is_not_written_through() {
    let bytes = artifact(100);
    let hash = ContentHash::of(&bytes);
    let server = Server::honest(bytes).await;
    let cache = Cache::with_partial(hash, b"");
    let outside = cache.store.root().parent().unwrap().join("outside");
    fs::write(&outside, b"precious").unwrap();
    fs::remove_file(cache.partial(hash)).unwrap();
    std::os::unix::fs::symlink(&outside, cache.partial(hash)).unwrap();
    assert!(matches!(cache.fetch(&open(&[&server.url()]), hash).await, Err(Error::Io { .. })));
    assert_eq!(fs::read(outside).unwrap(), b"precious");
}

#[tokio::test]
async fn a_damaged_artifact_in_the_cache_is_fetched_again() {
    let bytes = artifact(100);
    let hash = ContentHash::of(&bytes);
    let server = Server::honest(bytes.clone()).await;
    let cache = Cache::new();
    for damage in [&b""[..], &bytes[..99], &[7; 100], &[7; MAX_SIZE as usize + 1]] {
        cache.store.put(&bytes).unwrap();
        fs::write(cache.store.path_of(hash), damage).unwrap();
        assert!(cache.fetch(&open(&[&server.url()]), hash).await.unwrap().from.is_some());
        assert!(cache.holds(&bytes));
    }
}

#[tokio::test]
async fn transfers_of_one_artifact_share_the_work() {
    let bytes = Arc::new(artifact(200_000));
    let hash = ContentHash::of(&bytes);
    let body = bytes.clone();
    let server = Server::start(move |request, answer| {
        let body = body.clone();
        async move { answer.slow(&request, &body, 50_000, Duration::from_millis(30)).await }
    })
    .await;
    let cache = Cache::new();
    let stores = open(&[&server.url()]);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (stores, cache) = (stores.clone(), cache.store.clone());
            tokio::spawn(async move { stores.fetch(hash, &[], &cache, &limits()).await })
        })
        .collect();
    let mut transfers = 0;
    for task in tasks {
        transfers += usize::from(task.await.unwrap().unwrap().from.is_some());
    }
    assert_eq!((transfers, server.requests().len()), (1, 1));
    assert!(cache.holds(&bytes));
}

#[tokio::test]
async fn a_partial_that_another_holds_is_waited_for_and_not_touched() {
    let bytes = artifact(100);
    let hash = ContentHash::of(&bytes);
    let server = Server::honest(bytes.clone()).await;
    let cache = Cache::with_partial(hash, &bytes[..50]);
    let held = File::open(cache.partial(hash)).unwrap();
    held.lock().unwrap();
    let short = Limits { deadline: Duration::from_millis(200), partial_bytes: 0, ..limits() };
    let error = open(&[&server.url()]).fetch(hash, &[], &cache.store, &short).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }) && error.is_retryable(), "{error}");
    assert_eq!(fs::read(cache.partial(hash)).unwrap(), &bytes[..50]);
    drop(held);
    cache.fetch(&open(&[&server.url()]), hash).await.unwrap();
    assert!(cache.holds(&bytes));
}

/// The other half of the next test.
#[test]
fn child_that_fetches() {
    let Some((url, cache)) = given() else { return };
    let hash = ContentHash::of(&artifact(500_000));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let patient = Limits { deadline: Duration::from_secs(20), patience: Duration::from_secs(20), ..limits() };
    runtime.block_on(open(&[&url]).fetch(hash, &[], &cache, &patient)).unwrap();
}

#[tokio::test]
async fn a_killed_process_is_no_loss() {
    let bytes = Arc::new(artifact(500_000));
    let hash = ContentHash::of(&bytes);
    let body = bytes.clone();
    let server = Server::start(move |request, answer| {
        let body = body.clone();
        async move {
            match request.number {
                0 => answer.slow(&request, &body, 250_000, Duration::from_secs(15)).await,
                _ => answer.honest(&request, &body).await,
            }
        }
    })
    .await;
    let cache = Cache::new();
    let mut killed =
        Killed(child("resume::child_that_fetches", &server.url(), &cache.store).spawn().unwrap());
    until("half has arrived", || fs::metadata(cache.partial(hash)).is_ok_and(|file| file.len() == 250_000))
        .await;
    // As long as it lives, its partial is its own.
    let short = Limits { deadline: Duration::from_millis(100), ..limits() };
    let busy = open(&[&server.url()]).fetch(hash, &[], &cache.store, &short).await;
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    killed.0.kill().unwrap();
    killed.0.wait().unwrap();
    cache.fetch(&open(&[&server.url()]), hash).await.unwrap();
    assert!(cache.holds(&bytes));
    assert_eq!(server.ranges(), [None, Some(250_000)]);
}

#[tokio::test]
async fn old_and_too_many_partials_are_removed() {
    let bytes = artifact(100);
    let hash = ContentHash::of(&bytes);
    let server = Server::honest(bytes).await;
    let cache = Cache::new();
    let partial = |name: &str, hours: u64, size: usize| {
        let path = cache.partial(ContentHash::of(name.as_bytes()));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![0; size]).unwrap();
        let age = Duration::from_secs(hours * 3600);
        File::options().write(true).open(&path).unwrap().set_modified(age_of(age)).unwrap();
        path
    };
    let old = partial("old", 25, 10);
    let held = partial("held", 25, 10);
    let lock = File::open(&held).unwrap();
    lock.lock().unwrap();
    let [young, older, oldest] = [partial("1", 1, 400), partial("2", 2, 400), partial("3", 3, 400)];
    let bounded = Limits { partial_bytes: 1000, ..limits() };
    open(&[&server.url()]).fetch(hash, &[], &cache.store, &bounded).await.unwrap();
    let there = [&old, &held, &young, &older, &oldest].map(|path| path.exists());
    assert_eq!(there, [false, true, true, true, false]);
}

#[expect(clippy::disallowed_methods, reason = "files carry the machine's time")]
fn age_of(age: Duration) -> SystemTime {
    SystemTime::now() - age
}

/// Whatever the pieces, and wherever it breaks, the same bytes come out, and the transfer never begins again.
#[test]
fn any_breaks_and_pieces_give_the_same_bytes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(48));
    let input =
        (0..40_000_usize, prop::collection::vec(0..20_000_usize, 0..5), 1..9_000_usize, any::<bool>());
    let run = |(size, breaks, piece, one_round): (usize, Vec<usize>, usize, bool)| {
        runtime.block_on(async {
            let bytes = Arc::new(artifact(size));
            let hash = ContentHash::of(&bytes);
            let (body, stops) = (bytes.clone(), breaks.clone());
            let server = Server::start(move |request, answer| {
                let (body, stop) = (body.clone(), stops.get(request.number).copied());
                async move {
                    match stop {
                        Some(count) => answer.broken(&request, &body, count).await,
                        None => answer.slow(&request, &body, piece, Duration::ZERO).await,
                    }
                }
            })
            .await;
            let cache = Cache::new();
            // With one round for each call, what goes on is another transfer and not another attempt.
            let rounds = if one_round { 1 } else { 2 };
            let limits = Limits { rounds, ..limits() };
            let mut result = Err(Error::NotFound { hash });
            for _ in 0..7 {
                if result.is_err() {
                    result = open(&[&server.url()]).fetch(hash, &[], &cache.store, &limits).await;
                }
            }
            prop_assert!(result.is_ok(), "{:?}", result);
            prop_assert!(cache.holds(&bytes));
            let ranges: Vec<usize> = server.ranges().iter().map(|range| range.unwrap_or(0)).collect();
            prop_assert!(ranges.is_sorted(), "{:?}", ranges);
            Ok(())
        })
    };
    runner.run(&input, run).unwrap();
}
