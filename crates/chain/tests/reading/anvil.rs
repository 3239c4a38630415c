//! Reorganisations on Anvil, whose headers and receipts are another program's.

use std::{path::Path, process::Stdio, time::Duration};

use aiarena_chain::{endpoints::Endpoints, follow::Follower};
use alloy::{
    primitives::U256,
    providers::{Provider, ext::AnvilApi},
    rpc::types::anvil::ReorgOptions,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    arena::{Stage, WAD, assert_same, deploy_on, people},
    hasty,
};

/// Anvil on a free port; `make setup` installs it.
async fn anvil() -> (Child, String) {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/tools/anvil");
    let mut child = Command::new(tool)
        .args(["--port", "0", "--gas-limit", "400000000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("Anvil starts; `make setup` installs it");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = line.strip_prefix("Listening on ") {
            let url = format!("http://{}", address.trim());
            // Somebody must read what it prints.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, url);
        }
    }
    panic!("Anvil does not say where it listens; `make setup` installs it")
}

#[tokio::test]
async fn reorganisations_on_anvil_are_followed() {
    let (_child, url) = anvil().await;
    let config =
        aiarena_chain::endpoints::EndpointsConfig { request_timeout: Duration::from_secs(20), ..hasty() };
    let endpoints = Endpoints::new(&[url], 31_337, config).unwrap();
    let client = endpoints.rpc_client().with_poll_interval(Duration::from_millis(20));
    let provider = endpoints.provider();
    for key in people() {
        provider.anvil_set_balance(key.address(), U256::from(WAD) << 20).await.unwrap();
    }
    let now = provider.get_block(alloy::eips::BlockId::latest()).await.unwrap().unwrap().header.timestamp;
    let deployment = deploy_on(client, now + 1_000_000).await;
    let mut stage = Stage::on(provider.clone(), deployment, 80).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let mut follower = Follower::open(provider.clone(), deployment, &path).await.unwrap();
    stage.mine(20).await;
    let synced = follower.sync().await.unwrap();
    assert!(synced.records.len() > 5);
    assert_same(&follower, &stage.fresh().await);
    for (depth, more) in [(1, 0), (3, 2), (12, 0), (20, 5)] {
        let head = stage.head().await;
        provider.anvil_reorg(ReorgOptions { depth, tx_block_pairs: Vec::new() }).await.unwrap();
        stage.mine(more).await;
        let synced = follower.sync().await.unwrap();
        assert_eq!(synced.rolled_back_to, Some(head - depth));
        assert_same(&follower, &stage.fresh().await);
    }
    drop(follower);
    let again = Follower::open(provider, deployment, &path).await.unwrap();
    assert_same(&again, &stage.fresh().await);
}
