//! The archive: what it keeps, and what it refuses.

use std::{fs, path::Path};

use aiarena_chain::follow::{ArchiveError, FollowError, Follower};
use alloy::{primitives::Address, providers::ext::AnvilApi};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::{
    arena::{Stage, assert_same},
    proxy::{Plan, Proxy},
};

async fn refused(stage: &Stage, path: &Path) -> ArchiveError {
    match Follower::open(stage.provider.clone(), stage.deployment, path).await {
        Err(FollowError::Archive(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Nothing is handed out, nor held to be handed out, beyond a stretch; a restart in the middle goes on from there.
#[tokio::test]
async fn a_backlog_is_read_in_stretches() {
    const MOST_BLOCKS: u64 = 2_000;
    let mut stage = Stage::embedded(41).await;
    stage.mine(300).await;
    stage.provider.anvil_mine(Some(4_000), None).await.unwrap();
    stage.mine(300).await;
    stage.provider.anvil_mine(Some(3_000), None).await.unwrap();
    let fresh = stage.fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let open = || async { Follower::open(stage.provider.clone(), stage.deployment, &path).await.unwrap() };
    let mut follower = open().await;
    let (mut stretches, mut events) = (0, Vec::new());
    let mut next = stage.deployment.from_block;
    loop {
        let synced = follower.advance().await.unwrap();
        let last = synced.head.unwrap().number;
        assert!(last < next + MOST_BLOCKS, "blocks {next} to {last} in one stretch");
        assert!(synced.records.iter().all(|record| (next..=last).contains(&record.block)));
        next = last + 1;
        stretches += 1;
        events.extend(synced.records);
        if synced.caught_up {
            break;
        }
        if stretches == 3 {
            drop(follower);
            follower = open().await;
        }
    }
    assert!(stretches >= 5, "{stretches} stretches");
    assert_eq!(follower.head(), fresh.head());
    assert_same(&follower, &fresh);
    let mut again = Follower::connect(stage.provider.clone(), stage.deployment).await.unwrap();
    assert_eq!(format!("{events:?}"), format!("{:?}", again.sync().await.unwrap().records));
}

#[tokio::test]
async fn a_restart_asks_for_nothing_twice() {
    let mut stage = Stage::embedded(40).await;
    stage.mine(150).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let proxy = Proxy::start(stage.provider.clone(), Plan::Honest).await;
    let provider = crate::endpoints(std::slice::from_ref(&proxy.url)).provider();
    let mut follower = Follower::open(provider.clone(), stage.deployment, &path).await.unwrap();
    follower.sync().await.unwrap();
    assert_same(&follower, &stage.fresh().await);
    drop(follower);

    let before = proxy.seen("eth_getBlockByNumber") + proxy.seen("eth_getLogs");
    let mut follower = Follower::open(provider.clone(), stage.deployment, &path).await.unwrap();
    assert_same(&follower, &stage.fresh().await);
    assert_eq!(proxy.seen("eth_getBlockByNumber") + proxy.seen("eth_getLogs"), before);
    // It goes on, also if the chain was reorganised in the meantime.
    stage.mine(2).await;
    follower.sync().await.unwrap();
    drop(follower);
    stage.reorganise(40, 41).await;
    let mut follower = Follower::open(provider, stage.deployment, &path).await.unwrap();
    let synced = follower.sync().await.unwrap();
    assert_eq!(synced.rolled_back_to, Some(stage.head().await - 41));
    assert_same(&follower, &stage.fresh().await);
}

#[tokio::test]
async fn files_that_are_not_ours_are_refused() {
    let mut stage = Stage::embedded(41).await;
    stage.mine(20).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let mut follower = Follower::open(stage.provider.clone(), stage.deployment, &path).await.unwrap();
    follower.sync().await.unwrap();

    // One process at a time.
    let second = refused(&stage, &path).await;
    assert!(second.is_retryable(), "{second}");
    drop(follower);

    let check = |error: ArchiveError, words: &str| {
        assert!(error.to_string().contains(words) && !error.is_retryable(), "{words}: {error}");
    };
    let ours = stage.deployment;
    stage.deployment.arena = Address::repeat_byte(1);
    check(refused(&stage, &path).await, "the arena is");
    stage.deployment = ours;
    stage.deployment.chain_id = 1;
    check(refused(&stage, &path).await, "the chain is 31337, expected 1");
    stage.deployment = ours;
    stage.deployment.from_block += 1;
    check(refused(&stage, &path).await, "the first block is");
    stage.deployment = ours;

    let good = fs::read(&path).unwrap();
    let damage = |bytes: &[u8]| {
        let path = folder.path().join("damaged.sqlite");
        for rest in ["-wal", "-shm"] {
            drop(fs::remove_file(format!("{}{rest}", path.display())));
        }
        fs::write(&path, bytes).unwrap();
        path
    };
    check(refused(&stage, &damage(&[7; 5_000])).await, "delete it");
    check(refused(&stage, &damage(&good[..good.len() / 2])).await, "delete it");
    let mut flipped = good.clone();
    let (a, b) = (flipped.len() / 3, flipped.len() / 2);
    flipped[a..b].iter_mut().for_each(|byte| *byte ^= 0x55);
    check(refused(&stage, &damage(&flipped)).await, "delete it");

    // What SQLite itself cannot see.
    for (statement, words) in [
        (
            "UPDATE log SET data = zeroblob(length(data)) WHERE block = (SELECT max(block) FROM log)",
            "delete it",
        ),
        ("DELETE FROM log WHERE block = (SELECT min(block) FROM log)", "delete it"),
        ("DELETE FROM log", "delete it"),
        ("UPDATE cursor SET number = number - 1", "the cursor is not at the last block"),
        ("DELETE FROM header WHERE number = (SELECT max(number) - 2 FROM header)", "does not follow"),
        ("UPDATE header SET timestamp = -1", "negative"),
        ("DELETE FROM cursor; DELETE FROM header", "behind the cursor"),
        ("DELETE FROM binding", "0 deployments"),
        ("PRAGMA user_version = 9", "no event archive of this version"),
        ("PRAGMA application_id = 9", "no event archive of this version"),
    ] {
        let path = damage(&good);
        let mut other = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        sqlx::raw_sql(statement).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        check(refused(&stage, &path).await, words);
    }

    // Deleted, it is read again.
    fs::remove_file(&path).unwrap();
    let mut follower = Follower::open(stage.provider.clone(), stage.deployment, &path).await.unwrap();
    follower.sync().await.unwrap();
    assert_same(&follower, &stage.fresh().await);
}
