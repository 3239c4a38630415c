//! Reorganisations on Anvil, whose headers and receipts are another program's.

use std::{ops::RangeInclusive, path::Path, process::Stdio, time::Duration};

use aiarena_chain::{
    account::{Account, FeePolicy, Journal},
    bindings::ArenaToken,
    client::Sent,
    endpoints::Endpoints,
    follow::{Follower, MAX_REORG},
};
use alloy::{
    primitives::{Address, B256, U256},
    providers::{Provider, ProviderBuilder, ext::AnvilApi},
    rpc::{
        client::RpcClient,
        types::anvil::{ReorgOptions, TransactionData},
    },
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

async fn hashes(provider: &impl Provider, blocks: RangeInclusive<u64>) -> Vec<B256> {
    let mut hashes = Vec::new();
    for number in blocks {
        hashes.push(provider.get_block(number.into()).await.unwrap().unwrap().header.hash);
    }
    hashes
}

/// How the chain loses its newest blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Loss {
    /// Others take their place, without transactions.
    Replaced,
    /// Others take their place, and hold the same transactions in one block.
    Reordered,
    /// The chain is shorter.
    Dropped,
}

/// Mints a power of two that only this number has.
async fn mint(account: &Account, token: Address, number: u32) -> Sent {
    let call = ArenaToken::mintCall { to: Address::repeat_byte(1), amount: U256::from(1_u64 << number) };
    account.send_once(format!("mint {number}"), u64::MAX >> 32, token, &call).await.unwrap()
}

#[tokio::test]
async fn transactions_undone_on_anvil_are_mined_again_once() {
    let (_child, url) = anvil().await;
    let provider = ProviderBuilder::new().disable_recommended_fillers().connect_http(url.parse().unwrap());
    let client = || {
        let client = RpcClient::new_http(url.parse().unwrap());
        client.with_poll_interval(Duration::from_millis(20))
    };
    let key = people()[0].clone();
    provider.anvil_set_balance(key.address(), U256::from(WAD) << 20).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let journaled = async || {
        let journal = Journal::open(folder.path(), 31_337, key.address()).await.unwrap();
        Account::with_journal(client(), key.clone(), journal, FeePolicy::default()).await.unwrap()
    };
    let account = journaled().await;
    let token = account.deploy("ArenaToken", ArenaToken::BYTECODE.clone()).await.unwrap().created.unwrap();
    let supply = async || {
        let supply = ArenaToken::new(token, &provider).totalSupply().call().await.unwrap();
        supply.to::<u64>()
    };
    provider.anvil_mine(Some(MAX_REORG + 6), None).await.unwrap();

    let mut number = 0;
    let mut account = Some(account);
    for (loss, depth) in [
        (Loss::Replaced, 1),
        (Loss::Replaced, 10),
        (Loss::Replaced, MAX_REORG),
        (Loss::Reordered, 10),
        (Loss::Reordered, MAX_REORG),
        (Loss::Dropped, 10),
        (Loss::Dropped, MAX_REORG),
    ] {
        // Two in blocks that go, unless one block alone does.
        let sender = account.take().unwrap();
        let before = supply().await;
        let first = mint(&sender, token, number).await;
        provider.anvil_mine(Some(depth.saturating_sub(2)), None).await.unwrap();
        let second = mint(&sender, token, number + 1).await;
        number += 2;
        let expected = (1_u64 << number) - 1;
        let head = provider.get_block_number().await.unwrap();
        sender.confirm(head, MAX_REORG).await.unwrap();
        assert_eq!(supply().await, expected);
        let raw = |sent: Sent| provider.get_raw_transaction_by_hash(sent.hash);
        let raw = [raw(first).await.unwrap().unwrap(), raw(second).await.unwrap().unwrap()];
        let again = raw.map(|raw| (TransactionData::Raw(raw), 0)).to_vec();
        match loss {
            Loss::Dropped => provider.anvil_rollback(Some(depth)).await.unwrap(),
            Loss::Replaced => {
                let options = ReorgOptions { depth, tx_block_pairs: Vec::new() };
                provider.anvil_reorg(options).await.unwrap();
            }
            Loss::Reordered => {
                provider.anvil_reorg(ReorgOptions { depth, tx_block_pairs: again }).await.unwrap()
            }
        }
        let left = if depth == 1 { before + (1 << (number - 2)) } else { before };
        let left = if loss == Loss::Reordered { expected } else { left };
        assert_eq!(supply().await, left, "{loss:?} {depth}");
        let nonce = provider.get_transaction_count(key.address()).await.unwrap();

        // Whoever takes the place of a process that was killed then does the same.
        drop(sender);
        let sender = journaled().await;
        for _ in 0..2 {
            let head = provider.get_block_number().await.unwrap();
            sender.confirm(head, MAX_REORG).await.unwrap();
            assert_eq!(supply().await, expected, "{loss:?} {depth}");
        }
        let sent = provider.get_transaction_count(key.address()).await.unwrap() - nonce;
        assert_eq!(sent, u64::from((expected - left).count_ones()), "{loss:?} {depth}: nothing else is sent");
        assert_eq!(mint(&sender, token, number - 1).await.action, "mint", "the answer is what came of it");
        assert_eq!(supply().await, expected);
        account = Some(sender);
    }
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
    stage.mine(130).await;
    let synced = follower.sync().await.unwrap();
    assert!(synced.records.len() > 60);
    assert_same(&follower, &stage.fresh().await);
    let mut deepest = 0;
    for (depth, more) in
        [(1, 0), (3, 2), (20, 66), (MAX_REORG, 66), (12, 0), (MAX_REORG - 1, 66), (MAX_REORG, 0)]
    {
        let head = stage.head().await;
        let before = hashes(&provider, head - depth..=head).await;
        provider.anvil_reorg(ReorgOptions { depth, tx_block_pairs: Vec::new() }).await.unwrap();
        // A block that was empty before is replaced by itself.
        let after = hashes(&provider, head - depth..=head).await;
        let same = before.iter().zip(&after).take_while(|(before, after)| before == after).count() as u64;
        stage.mine(more).await;
        let synced = follower.sync().await.unwrap();
        assert_eq!(synced.rolled_back_to, Some(head - depth + same - 1), "{depth}");
        assert_same(&follower, &stage.fresh().await);
        deepest = deepest.max(depth + 1 - same);
    }
    assert_eq!(deepest, MAX_REORG);
    drop(follower);
    let again = Follower::open(provider, deployment, &path).await.unwrap();
    assert_same(&again, &stage.fresh().await);
}
