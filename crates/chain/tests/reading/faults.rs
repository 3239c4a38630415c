//! Whatever goes wrong in whatever order: in the end the ledger is that of the chain.

use std::{path::PathBuf, time::Duration};

use aiarena_chain::{endpoints::Endpoints, follow::Follower};

use crate::{
    arena::{Stage, assert_same, places},
    endpoints,
    proxy::{Plan, Proxy, all},
    random::Random,
};

const ROUNDS: usize = 30;

async fn open(both: &Endpoints, stage: &Stage, archive: Option<&PathBuf>) -> Follower {
    for _ in 0..200 {
        let opened = match archive {
            Some(path) => Follower::open(both.provider(), stage.deployment, path).await,
            None => Follower::connect(both.provider(), stage.deployment).await.map_err(Into::into),
        };
        match opened {
            Ok(follower) => return follower,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
    panic!("it never opened");
}

/// Plays one schedule; with an archive the follower is dropped and opened again from time to time.
async fn play(seed: u64, archive: Option<PathBuf>) -> String {
    let mut stage = Stage::embedded(seed).await;
    let mut random = Random::new(seed);
    let first = Proxy::start(stage.provider.clone(), Plan::Honest).await;
    let second = Proxy::start(stage.provider.clone(), Plan::Honest).await;
    let both = endpoints(&[first.url.clone(), second.url.clone()]);
    let mut follower = open(&both, &stage, archive.as_ref()).await;
    stage.mine(5 + seed % 70).await;
    let mut told = Vec::new();
    let mut reopened = false;
    let (mut rollbacks, mut errors, mut dropped) = (0, 0, 0);
    for _ in 0..ROUNDS {
        let percent = *random.pick(&[0, 5, 20, 50]);
        for (proxy, percent) in [(&first, percent), (&second, *random.pick(&[0, 5, 20]))] {
            proxy.set(Plan::Sometimes(Random::new(random.word()), percent, all()));
        }
        match random.below(10) {
            0..4 => stage.mine(1 + random.word() % 6).await,
            4..9 => {
                let depth = 1 + random.word() % if random.chance(20) { 4 } else { 2 };
                stage.reorganise(depth, 1 + random.word() % 4).await;
            }
            _ => {
                let depth = 5 + random.word() % (seed % 40 + 1);
                let depth = depth.min(stage.head().await - stage.deployment.from_block - 8);
                stage.reorganise(depth.max(1), depth + 1).await;
            }
        }
        if archive.is_some() && random.chance(20) {
            drop(follower);
            follower = open(&both, &stage, archive.as_ref()).await;
            reopened = true;
        }
        for _ in 0..1 + random.below(3) {
            let patience = if random.chance(40) { random.word() % 4_000 } else { 2_000_000 };
            match tokio::time::timeout(Duration::from_micros(patience), follower.sync()).await {
                Err(_) => dropped += 1,
                Ok(Err(error)) => {
                    assert!(error.is_retryable(), "schedule {seed}: {error}");
                    errors += 1;
                }
                Ok(Ok(synced)) => {
                    if let Some(last) = synced.rolled_back_to {
                        told.retain(|(block, _, _)| *block <= last);
                        rollbacks += 1;
                    }
                    told.extend(places(&synced.records));
                }
            }
        }
    }
    first.set(Plan::Honest);
    second.set(Plan::Honest);
    // A shorter chain than was read looks like a node that lags, so the last word is a longer one.
    stage.mine(8).await;
    let mut last = follower.sync().await;
    for _ in 0..20 {
        if last.is_ok() {
            break;
        }
        last = follower.sync().await;
    }
    let synced = last.unwrap();
    if let Some(last) = synced.rolled_back_to {
        told.retain(|(block, _, _)| *block <= last);
    }
    told.extend(places(&synced.records));
    let mut fresh = Follower::connect(stage.provider.clone(), stage.deployment).await.unwrap();
    let expected = fresh.sync().await.unwrap();
    assert_same(&follower, &fresh);
    // Each event was told once, also those of steps that were dropped; only a restart forgets what was not told yet.
    if !reopened {
        assert_eq!(told, places(&expected.records), "schedule {seed}");
    }
    if let Some(path) = archive {
        drop(follower);
        let again = Follower::open(stage.provider.clone(), stage.deployment, &path).await.unwrap();
        assert_same(&again, &fresh);
    }
    let events = expected.records.len();
    format!("schedule {seed}: {events} events, {rollbacks} rollbacks, {errors} errors, {dropped} dropped")
}

#[tokio::test]
async fn in_memory() {
    for seed in 100..104 {
        println!("{}", play(seed, None).await);
    }
}

#[tokio::test]
async fn with_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 200..206 {
        let archive = folder.path().join(format!("{seed}.sqlite"));
        println!("{}", play(seed, Some(archive)).await);
    }
}
