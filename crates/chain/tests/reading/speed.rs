//! How fast it is: printed, not judged.

use std::time::Instant;

use aiarena_chain::follow::Follower;
use alloy::providers::ext::AnvilApi;

use crate::{
    arena::{Stage, assert_same},
    endpoints,
};

#[tokio::test]
async fn how_fast_it_reads() {
    let mut stage = Stage::embedded(90).await;
    stage.mine(1_000).await;
    stage.provider.anvil_mine(Some(10_000), None).await.unwrap();
    let server = stage.chain.as_ref().unwrap().listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let provider = endpoints(&[server.url()]).provider();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let mut follower = Follower::open(provider.clone(), stage.deployment, &path).await.unwrap();
    let started = Instant::now();
    let events = follower.sync().await.unwrap().records.len();
    let (read, head) = (started.elapsed(), follower.head().unwrap().number);
    assert_same(&follower, &stage.fresh().await);
    drop(follower);
    let started = Instant::now();
    let again = Follower::open(provider, stage.deployment, &path).await.unwrap();
    let opened = started.elapsed();
    assert_same(&again, &stage.fresh().await);
    println!("{head} blocks with {events} events read in {read:?}, opened again in {opened:?}");
}
