//! The clock moves on command only.

use aiarena_chain::embedded::{Config, MAX_TIMESTAMP};
use alloy::{
    eips::BlockNumberOrTag,
    providers::{DynProvider, Provider, ext::AnvilApi},
};
use serde_json::json;

use crate::{chain, sign, submit, transfer};

async fn now(provider: &DynProvider) -> u64 {
    provider.get_block(BlockNumberOrTag::Latest.into()).await.unwrap().unwrap().header.timestamp
}

#[tokio::test]
async fn blocks_follow_one_second_apart_unless_told_otherwise() {
    let provider = chain().provider();
    let start = Config::default().genesis_timestamp;
    assert_eq!(now(&provider).await, start);
    provider.evm_mine(None).await.unwrap();
    assert_eq!(now(&provider).await, start + 1);

    provider.anvil_set_next_block_timestamp(start + 100).await.unwrap();
    assert_eq!(now(&provider).await, start + 1, "only the next block moves the clock");
    provider.evm_mine(None).await.unwrap();
    assert_eq!(now(&provider).await, start + 100);

    provider.anvil_set_next_block_timestamp(start + 150).await.unwrap();
    submit(&provider, &sign(transfer(0, 0)).await).await;
    assert_eq!(now(&provider).await, start + 150);

    assert_eq!(provider.anvil_increase_time(50).await.unwrap(), 50);
    assert_eq!(provider.anvil_increase_time(50).await.unwrap(), 100);
    provider.evm_mine(None).await.unwrap();
    assert_eq!(now(&provider).await, start + 250);
    provider.evm_mine(None).await.unwrap();
    assert_eq!(now(&provider).await, start + 251);

    provider.anvil_mine(Some(3), Some(60)).await.unwrap();
    assert_eq!(now(&provider).await, start + 251 + 1 + 60 + 60);
    provider.anvil_set_block_timestamp_interval(12).await.unwrap();
    provider.anvil_mine(Some(2), None).await.unwrap();
    assert_eq!(now(&provider).await, start + 372 + 24);
}

#[tokio::test]
async fn mining_takes_every_form_that_anvil_takes() {
    let provider = chain().provider();
    let start = Config::default().genesis_timestamp;
    let forms = [
        (json!([]), 1),
        (json!([null]), 1),
        (json!([start + 1_000]), 1),
        (json!([format!("{:#x}", start + 2_000)]), 1),
        (json!([{}]), 1),
        (json!([{"blocks": 3}]), 3),
        (json!([{"blocks": "0x2", "timestamp": start + 3_000}]), 2),
    ];
    for (params, blocks) in forms {
        let before = provider.get_block_number().await.unwrap();
        let answer: String = provider.raw_request("evm_mine".into(), params.clone()).await.unwrap();
        assert_eq!(answer, "0x0");
        assert_eq!(provider.get_block_number().await.unwrap(), before + blocks, "{params}");
    }
    assert_eq!(now(&provider).await, start + 3_001);
}

#[tokio::test]
async fn impossible_times_are_refused() {
    let provider = chain().provider();
    let start = now(&provider).await;
    for timestamp in [0, start - 1, start, MAX_TIMESTAMP + 1, u64::MAX] {
        assert!(provider.anvil_set_next_block_timestamp(timestamp).await.is_err(), "{timestamp}");
    }
    assert!(provider.anvil_increase_time(u64::MAX).await.is_err());
    assert!(provider.anvil_mine(Some(2), Some(u64::MAX)).await.is_err());
    assert!(provider.anvil_mine(Some(u64::MAX), None).await.is_err());
    assert!(provider.anvil_set_block_timestamp_interval(0).await.is_err());

    // At the end of time nothing is mined any more, and nothing is left half done.
    provider.anvil_set_next_block_timestamp(MAX_TIMESTAMP).await.unwrap();
    provider.evm_mine(None).await.unwrap();
    assert!(provider.evm_mine(None).await.is_err());
    assert!(provider.send_raw_transaction(&sign(transfer(0, 0)).await).await.is_err());
    assert_eq!(now(&provider).await, MAX_TIMESTAMP);
}
