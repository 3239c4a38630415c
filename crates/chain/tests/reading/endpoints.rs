//! Which endpoint is asked, and what is told when it fails.

use std::time::{Duration, Instant};

use aiarena_chain::{
    client::ClientError,
    endpoints::{Endpoints, EndpointsConfig, EndpointsError},
};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    network::TxSignerSync,
    primitives::{Address, TxKind},
    providers::{Provider, ext::AnvilApi},
};

use crate::{
    arena::{Stage, people},
    endpoints, hasty,
    proxy::{Fault, Plan, Proxy, until},
};

async fn two(stage: &Stage, fault: Fault) -> (Proxy, Proxy, Endpoints) {
    let first = Proxy::start(stage.provider.clone(), Plan::Always(vec![fault])).await;
    let second = Proxy::start(stage.provider.clone(), Plan::Honest).await;
    let both = endpoints(&[first.url.clone(), second.url.clone()]);
    (first, second, both)
}

#[tokio::test]
async fn trouble_of_one_endpoint_is_nobodys_trouble() {
    let stage = Stage::embedded(1).await;
    let expected = stage.provider.get_block_by_number(2.into()).await.unwrap().unwrap();
    for fault in [
        Fault::Status(503, None),
        Fault::Status(401, None),
        Fault::Status(429, Some(1)),
        Fault::Garbage,
        Fault::Half,
        Fault::Close,
        Fault::Hang,
        Fault::OtherId,
        Fault::Refuse(-32603, "Internal error"),
        Fault::Refuse(-32005, "rate limit exceeded"),
        Fault::Refuse(-32000, "header not found"),
        Fault::Chain(5),
    ] {
        let (first, _second, both) = two(&stage, fault.clone()).await;
        let provider = both.provider();
        for _ in 0..3 {
            let found = provider.get_block_by_number(2.into()).await.unwrap().unwrap();
            assert_eq!(found, expected, "{fault:?}");
            assert_eq!(provider.get_block_number().await.unwrap(), stage.head().await);
        }
        let health = both.health();
        assert!(health[0].errors > 0 && health[0].last_error.is_some(), "{fault:?}: {health:?}");
        assert!(health[1].verified && health[1].errors == 0, "{fault:?}: {health:?}");
        assert!(health[0].score < health[1].score, "{fault:?}: {health:?}");
        // It is used again when it is well again.
        first.set(Plan::Honest);
        if fault != Fault::Chain(5) {
            until(|| both.health()[0].pause.is_zero()).await;
            let before = first.seen_in_all();
            provider.get_block_number().await.unwrap();
            assert!(first.seen_in_all() > before, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn errors_of_the_call_are_told_at_once() {
    let stage = Stage::embedded(2).await;
    for (code, message) in [
        (3, "execution reverted"),
        (-32000, "nonce too low"),
        (-32000, "insufficient funds for gas * price + value"),
        (-32602, "invalid params"),
        (-32000, "block range is too wide"),
    ] {
        let (first, second, both) = two(&stage, Fault::Refuse(code, message)).await;
        // The chain id must be right first.
        first.set(Plan::Honest);
        both.provider().get_balance(Address::ZERO).number(1).await.unwrap_err();
        first.always(Fault::Refuse(code, message));
        let before = second.seen_in_all();
        let error = both.provider().get_balance(Address::ZERO).number(1).await.unwrap_err();
        assert_eq!(error.as_error_resp().unwrap().message, message);
        assert_eq!(second.seen_in_all(), before, "{message}");
        assert_eq!(both.health()[0].errors, 0, "{message}");
    }
}

#[tokio::test]
async fn another_chain_is_never_used() {
    let stage = Stage::embedded(3).await;
    let (first, second, both) = two(&stage, Fault::Chain(5)).await;
    for _ in 0..5 {
        both.provider().get_block_number().await.unwrap();
    }
    assert_eq!(first.seen_in_all(), first.seen("eth_chainId"), "nothing but the chain id was asked");
    assert_eq!(both.health()[0].wrong_chain, Some(5));

    // Alone, the error says so, and it is not worth trying again.
    let alone = endpoints(std::slice::from_ref(&first.url));
    let error = alone.provider().get_block_number().await.unwrap_err();
    assert!(error.to_string().contains("is of chain 5, expected 31337"), "{error}");

    // What comes back after a failure may be another node.
    second.always(Fault::Close);
    both.provider().get_block_by_number(1.into()).await.unwrap_err();
    second.always(Fault::Chain(6));
    let error = both.provider().get_block_by_number(1.into()).await.unwrap_err();
    assert!(error.to_string().contains("it is not used"), "{error}");
    assert_eq!(both.health()[1].wrong_chain, Some(6));
    // Or it changes while it works.
    let (first, _second, both) = two(&stage, Fault::Stale(0)).await;
    both.provider().get_chain_id().await.unwrap();
    first.always(Fault::Chain(7));
    assert_eq!(both.provider().get_chain_id().await.unwrap(), 31_337);
    assert_eq!(both.health()[0].wrong_chain, Some(7));
}

#[tokio::test]
async fn the_latest_state_is_not_read_from_one_that_lags() {
    let mut stage = Stage::embedded(4).await;
    stage.mine(20).await;
    let (first, second, both) = two(&stage, Fault::Stale(10)).await;
    let head = stage.head().await;
    for _ in 0..5 {
        assert_eq!(both.provider().get_block_number().await.unwrap(), head);
        let block = both.provider().get_block(alloy::eips::BlockId::latest()).await.unwrap().unwrap();
        assert_eq!(block.header.number, head);
    }
    assert_eq!(first.seen("eth_getBlockByNumber"), 0);
    assert_eq!(both.health()[0].head, Some(head - 10));
    // A little behind is not late, and old blocks it has as well.
    both.provider().get_block_by_number(1.into()).await.unwrap();
    assert_eq!(first.seen("eth_getBlockByNumber"), 1);
    first.always(Fault::Stale(5));
    tokio::time::sleep(hasty().head_interval).await;
    assert_eq!(both.provider().get_block_number().await.unwrap(), head - 5);
    // A third decides who of two is wrong.
    first.always(Fault::Stale(10));
    second.always(Fault::Stale(10));
    let third = Proxy::start(stage.provider.clone(), Plan::Honest).await;
    let three = endpoints(&[third.url.clone(), first.url.clone(), second.url.clone()]);
    assert_eq!(three.provider().get_block_number().await.unwrap(), head);
    third.always(Fault::Close);
    assert_eq!(three.provider().get_block_number().await.unwrap(), head - 10);
}

#[tokio::test]
async fn retry_after_is_respected_within_limits() {
    let stage = Stage::embedded(5).await;
    let proxy = Proxy::start(stage.provider.clone(), Plan::Always(vec![Fault::Status(429, Some(1))])).await;
    let patient = EndpointsConfig { max_pause: Duration::from_secs(60), ..hasty() };
    let one = Endpoints::new(std::slice::from_ref(&proxy.url), 31_337, patient).unwrap();
    let asked = Instant::now();
    let provider = one.provider();
    let answer = tokio::spawn(async move { provider.get_block_number().await });
    until(|| proxy.seen_in_all() > 0).await;
    proxy.set(Plan::Honest);
    answer.await.unwrap().unwrap();
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());

    // Longer than anybody waits: an error that says for how long.
    proxy.always(Fault::Status(429, Some(3_600)));
    let error = one.provider().get_block_number().await.unwrap_err();
    assert!(error.to_string().contains("429"), "{error}");
    assert!(
        one.health()[0].pause > Duration::from_secs(50) && one.health()[0].pause <= Duration::from_secs(60)
    );
    let error = one.provider().get_block_number().await.unwrap_err();
    assert!(error.to_string().contains("not asked again for"), "{error}");
    assert!(ClientError::from_rpc("read", error).is_retryable());
}

#[tokio::test]
async fn transactions_go_to_several() {
    let mut stage = Stage::embedded(6).await;
    stage.mine(1).await;
    let raw = async |nonce_ahead: u64| {
        let key = &people()[3];
        let nonce = stage.provider.get_transaction_count(key.address()).await.unwrap() + nonce_ahead;
        let to = TxKind::Call(Address::ZERO);
        let fee = 10_000_000_000;
        let mut tx = TxEip1559 {
            chain_id: 31_337,
            nonce,
            gas_limit: 21_000,
            max_fee_per_gas: fee,
            to,
            ..Default::default()
        };
        let signature = key.sign_transaction_sync(&mut tx).unwrap();
        TxEnvelope::from(tx.into_signed(signature)).encoded_2718()
    };
    // Both have the same chain behind them, so that one of them always has it already.
    for fault in [
        Fault::Stale(0),
        Fault::Hang,
        Fault::Close,
        Fault::Status(500, None),
        Fault::Refuse(-32000, "already known"),
    ] {
        let (_first, second, both) = two(&stage, fault.clone()).await;
        let bytes = raw(0).await;
        for _ in 0..2 {
            let sent = Instant::now();
            let pending = both.provider().send_raw_transaction(&bytes).await.unwrap();
            assert_eq!(*pending.tx_hash(), alloy::primitives::keccak256(&bytes), "{fault:?}");
            assert!(sent.elapsed() < hasty().request_timeout, "{fault:?}: nobody waits for the slowest");
        }
        until(|| second.seen("eth_sendRawTransaction") >= 2).await;
        stage.provider.anvil_mine(Some(1), None).await.unwrap();
    }
    // A refusal is the call's own.
    let (_first, _second, both) = two(&stage, Fault::Close).await;
    let mut bad = raw(0).await;
    bad.truncate(bad.len() - 5);
    let error = both.provider().send_raw_transaction(&bad).await.unwrap_err();
    assert!(error.is_error_resp(), "{error}");
    // It is not the last word if another one was asked and says nothing: it may have taken it.
    for silent in [Fault::Hang, Fault::Status(502, None)] {
        let (first, second, both) = two(&stage, Fault::Stale(0)).await;
        both.probe().await;
        second.always(Fault::Refuse(-32000, "insufficient funds"));
        first.always(silent.clone());
        let error = both.provider().send_raw_transaction(&raw(0).await).await.unwrap_err();
        assert!(!error.is_error_resp(), "{silent:?}: {error}");
    }
    // Whoever says that it is asked too often took nothing.
    let (first, second, both) = two(&stage, Fault::Stale(0)).await;
    both.probe().await;
    second.always(Fault::Refuse(-32000, "insufficient funds"));
    first.always(Fault::Status(429, None));
    let error = both.provider().send_raw_transaction(&raw(0).await).await.unwrap_err();
    assert!(error.is_error_resp(), "{error}");
}

#[tokio::test]
async fn keys_in_urls_are_never_told() {
    let stage = Stage::embedded(7).await;
    let config = EndpointsConfig { patience: Duration::from_millis(10), ..hasty() };
    for fault in [
        Fault::Close,
        Fault::Garbage,
        Fault::Status(403, None),
        Fault::Refuse(-32603, "no project topsecret with password sesame-sesame"),
        Fault::Refuse(3, "no project topsecret"),
        Fault::Chain(1),
    ] {
        let proxy = Proxy::start(stage.provider.clone(), Plan::Always(vec![fault])).await;
        let address = proxy.url.strip_prefix("http://").unwrap();
        let url = format!("http://somebody:sesame-sesame@{address}/v3/0123456789abcdef?apikey=topsecret");
        for url in [url.clone(), url.replace(address, "127.0.0.1:1")] {
            let one = Endpoints::new(&[url], 31_337, config).unwrap();
            let error = one.provider().get_block_number().await.unwrap_err();
            let wrapped = ClientError::from_rpc("read", one.provider().get_block_number().await.unwrap_err());
            let told = format!("{error} {error:?} {one:?} {:?} {wrapped} {wrapped:?}", one.health());
            for secret in ["somebody", "sesame", "0123456789abcdef", "topsecret"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }
    let refused =
        Endpoints::new(&["https://rpc.example/topsecret:x:y", "http://topsecret:topsecret"], 1, config);
    assert!(!format!("{refused:?}").contains("topsecret"), "{refused:?}");
}

#[tokio::test]
async fn what_cannot_be_used_is_refused() {
    let check = |urls: &[&str], expected: &str| {
        let error = Endpoints::new(urls, 1, EndpointsConfig::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!error.is_retryable());
    };
    check(&[], "0 RPC endpoints, expected 1 to 16");
    check(&["http://127.0.0.1:1"; 17], "17 RPC endpoints");
    check(&["http://127.0.0.1:1", "ws://127.0.0.1:1"], "number 2: expected http or https");
    check(&["not a url"], "number 1");
    check(&["http://a.example/", "http://a.example"], "number 2: it is in the list twice");
    let stage = Stage::embedded(8).await;
    let proxy = Proxy::start(stage.provider.clone(), Plan::Honest).await;
    let small = EndpointsConfig { max_answer: 300, patience: Duration::from_millis(1), ..hasty() };
    let one = Endpoints::new(std::slice::from_ref(&proxy.url), 31_337, small).unwrap();
    let error = one.provider().get_block_by_number(1.into()).await.unwrap_err();
    assert!(error.to_string().contains("more than 300 bytes"), "{error}");
    let told = EndpointsError::WrongChain { endpoint: "http://a".to_owned(), expected: 1, found: 2 };
    assert!(!told.is_retryable());
}
