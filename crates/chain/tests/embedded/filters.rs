//! Log queries and polled filters.

use alloy::{
    eips::BlockNumberOrTag,
    network::TransactionBuilder,
    primitives::{Address, B256, U256},
    providers::{DynProvider, Provider},
    rpc::types::{Filter, Log, TransactionRequest},
};
use serde_json::{Value, json};

use crate::{NOBODY, assembly, chain, deploy, key, refusal, send, sign, signing, transfer};

/// Two counters, each called three times in turn: blocks 3 to 8 have one log each.
async fn two_counters() -> (DynProvider, [Address; 2]) {
    let provider = signing(&chain());
    let counters =
        [deploy(&provider, &assembly::counter()).await, deploy(&provider, &assembly::counter()).await];
    for index in 0..6 {
        count(&provider, counters[index % 2]).await;
    }
    (provider, counters)
}

async fn count(provider: &DynProvider, counter: Address) {
    send(provider, TransactionRequest::default().with_from(key(0).address()).with_to(counter)).await;
}

fn word(value: u64) -> B256 {
    U256::from(value).into()
}

fn blocks(logs: &[Log]) -> Vec<u64> {
    logs.iter().map(|log| log.block_number.unwrap()).collect()
}

#[tokio::test]
async fn logs_are_selected_by_block_address_and_topic() {
    let (provider, [first, second]) = two_counters().await;
    let all = Filter::new().from_block(0);
    let cases = [
        (all.clone(), vec![3, 4, 5, 6, 7, 8]),
        (Filter::new(), vec![8]),
        (Filter::new().from_block(4).to_block(6), vec![4, 5, 6]),
        (Filter::new().from_block(7).to_block(u64::MAX), vec![7, 8]),
        (
            Filter::new().from_block(BlockNumberOrTag::Earliest).to_block(BlockNumberOrTag::Finalized),
            vec![3, 4, 5, 6, 7, 8],
        ),
        (Filter::new().from_block(BlockNumberOrTag::Pending), vec![]),
        (Filter::new().from_block(9), vec![]),
        (all.clone().address(first), vec![3, 5, 7]),
        (all.clone().address(vec![first, second]), vec![3, 4, 5, 6, 7, 8]),
        (all.clone().address(NOBODY), vec![]),
        (all.clone().event_signature(assembly::COUNTED), vec![3, 4, 5, 6, 7, 8]),
        (all.clone().event_signature(B256::ZERO), vec![]),
        (all.clone().topic1(word(2)), vec![5, 6]),
        (all.clone().topic1(vec![word(1), word(3)]).address(second), vec![4, 8]),
        (all.clone().topic2(word(2)), vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(blocks(&provider.get_logs(&filter).await.unwrap()), expected, "{filter:?}");
    }
    let block = provider.get_block_by_number(5.into()).await.unwrap().unwrap();
    let logs = provider.get_logs(&Filter::new().at_block_hash(block.header.hash)).await.unwrap();
    let receipts = provider.get_block_receipts(5.into()).await.unwrap().unwrap();
    assert_eq!(logs, receipts[0].logs());
    assert_eq!(logs[0].block_timestamp, Some(block.header.timestamp));
    assert_eq!((logs[0].log_index, logs[0].transaction_index), (Some(0), Some(0)));
    let raw = json!([{"fromBlock": "0x0", "topics": [null, [word(1), word(2)]], "address": [first]}]);
    let logs: Vec<Log> = provider.raw_request("eth_getLogs".into(), raw).await.unwrap();
    assert_eq!(blocks(&logs), [3, 5]);
}

#[tokio::test]
async fn impossible_ranges_are_refused() {
    let (provider, _) = two_counters().await;
    let backwards = provider.get_logs(&Filter::new().from_block(5).to_block(4)).await.unwrap_err();
    assert_eq!(refusal(backwards), (-32602, "`from_block` (5) is greater than `to_block` (4)".to_owned()));
    let unknown = provider.get_logs(&Filter::new().at_block_hash(B256::ZERO)).await.unwrap_err();
    assert_eq!(refusal(unknown), (-32000, "unknown block".to_owned()));
    let bad = [
        json!({"blockHash": B256::ZERO, "fromBlock": "0x0"}),
        json!({"topics": [[], [], [], [], []]}),
        json!({"topics": ["0x12"]}),
        json!({"fromBlock": "-0x1"}),
        json!({"fromBlock": "0x10000000000000000"}),
        json!({"address": "0x"}),
        json!([]),
        json!(7),
        Value::Null,
    ];
    for filter in bad {
        for method in ["eth_getLogs", "eth_newFilter"] {
            let error = provider.raw_request::<_, Value>(method.into(), [&filter]).await.unwrap_err();
            assert_eq!(refusal(error).0, -32602, "{filter}");
        }
    }
}

#[tokio::test]
async fn filters_report_what_is_new() {
    let (provider, [first, second]) = two_counters().await;
    let logs = provider.new_filter(&Filter::new().address(first)).await.unwrap();
    let bounded = provider.new_filter(&Filter::new().from_block(10).to_block(10)).await.unwrap();
    let blocks_seen = provider.new_block_filter().await.unwrap();
    let hashes = provider.new_pending_transactions_filter(false).await.unwrap();
    for counter in [first, second, first] {
        count(&provider, counter).await;
    }
    let news: Vec<Log> = provider.get_filter_changes(logs).await.unwrap();
    assert_eq!(blocks(&news), [9, 11]);
    assert!(provider.get_filter_changes::<Log>(logs).await.unwrap().is_empty());
    assert_eq!(blocks(&provider.get_filter_changes::<Log>(bounded).await.unwrap()), [10]);
    assert_eq!(provider.get_filter_changes::<B256>(blocks_seen).await.unwrap().len(), 3);
    let sent = provider.get_filter_changes::<B256>(hashes).await.unwrap();
    assert_eq!(sent.last(), news[1].transaction_hash.as_ref());
    assert_eq!(sent.len(), 3);
    assert_eq!(blocks(&provider.get_filter_logs(bounded).await.unwrap()), [10]);

    assert!(provider.uninstall_filter(logs).await.unwrap());
    assert!(!provider.uninstall_filter(logs).await.unwrap());
    for id in [logs, U256::from(12_345)] {
        let error = provider.get_filter_changes::<Log>(id).await.unwrap_err();
        assert_eq!(refusal(error), (-32000, "filter not found".to_owned()));
    }
    assert!(provider.get_filter_logs(blocks_seen).await.is_err());
}

#[tokio::test]
async fn watching_a_transaction_ends() {
    let provider = chain().provider();
    let watched = provider.send_raw_transaction(&sign(transfer(0, 0)).await).await.unwrap();
    let hash = *watched.tx_hash();
    assert_eq!(watched.watch().await.unwrap(), hash);
}
