//! No room for the artifact.

use std::process::Command;

use aiarena_store::{ContentHash, Error};

use crate::{
    Cache, artifact, files, limits, open,
    resume::{child, given},
    server::Server,
};

const SIZE: usize = 300_000;

/// Runs where no file can grow to the artifact's size: under a limit of the system, or on a small disk.
#[test]
fn child_without_room() {
    let Some((url, cache)) = given() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let hash = ContentHash::of(&artifact(SIZE));
    let error = runtime.block_on(open(&[&url]).fetch(hash, &[], &cache, &limits())).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
    assert!(error.is_retryable() && error.to_string().contains("no room"), "{error}");
    assert_eq!(files(cache.root()), 0, "nothing half-named is left");

    // There is room for less, and a folder reports the lack of it in the same way.
    let error = cache.put(&artifact(SIZE)).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error:?}");
    assert_eq!(files(cache.root()), 0);
    cache.put(b"small").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lack_of_room_is_told_and_leaves_nothing() {
    let bytes = artifact(SIZE);
    let hash = ContentHash::of(&bytes);
    let server = Server::honest(bytes.clone()).await;
    let cache = Cache::new();
    let inner = child("disk::child_without_room", &server.url(), &cache.store);
    // 64 blocks are at most 64 KiB. The signal is ignored, so that the write fails instead.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    limited.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = tokio::task::spawn_blocking(move || limited.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(server.requests().len(), 1, "a full disk is not filled again and again");

    // With room, the same fetch succeeds.
    cache.fetch(&open(&[&server.url()]), hash).await.unwrap();
    assert!(cache.holds(&bytes));
}
