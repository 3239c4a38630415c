//! Automining, waiting transactions, replacement and snapshots.

use aiarena_chain::embedded::{Config, EmbeddedChain};
use alloy::{
    eips::BlockNumberOrTag,
    network::TransactionBuilder,
    primitives::U256,
    providers::{Provider, ext::AnvilApi},
};

use crate::{NOBODY, chain, config, key, refusal, sign, submit, transfer};

#[tokio::test]
async fn a_future_nonce_waits_for_the_gap_to_close() {
    let chain = chain();
    let provider = chain.provider();
    let sender = key(0).address();
    for nonce in [2, 1] {
        let pending = provider.send_raw_transaction(&sign(transfer(0, nonce)).await).await.unwrap();
        assert!(provider.get_transaction_receipt(*pending.tx_hash()).await.unwrap().is_none());
        let waiting = provider.get_transaction_by_hash(*pending.tx_hash()).await.unwrap().unwrap();
        assert_eq!(waiting.block_hash, None);
    }
    assert_eq!(provider.get_block_number().await.unwrap(), 0);
    assert_eq!(provider.get_transaction_count(sender).pending().await.unwrap(), 0);
    submit(&provider, &sign(transfer(0, 0)).await).await;
    assert_eq!(provider.get_transaction_count(sender).await.unwrap(), 3);
    let block = provider.get_block(BlockNumberOrTag::Latest.into()).full().await.unwrap().unwrap();
    let nonces: Vec<_> =
        block.into_transactions_vec().iter().map(alloy::consensus::Transaction::nonce).collect();
    assert_eq!(nonces, [0, 1, 2]);
}

#[tokio::test]
async fn without_automining_blocks_hold_many_transactions() {
    let chain = chain();
    let provider = chain.provider();
    provider.anvil_set_auto_mine(false).await.unwrap();
    assert!(!provider.anvil_get_auto_mine().await.unwrap());
    for nonce in 0..3 {
        for sender in 0..3 {
            submit(&provider, &sign(transfer(sender, nonce)).await).await;
        }
    }
    assert_eq!(provider.get_block_number().await.unwrap(), 0);
    assert_eq!(provider.get_transaction_count(key(0).address()).await.unwrap(), 0);
    assert_eq!(provider.get_transaction_count(key(0).address()).pending().await.unwrap(), 3);
    assert_eq!(provider.get_balance(NOBODY).await.unwrap(), U256::ZERO);
    assert_eq!(provider.get_balance(NOBODY).pending().await.unwrap(), U256::from(9));
    let pending = provider.get_block_by_number(BlockNumberOrTag::Pending).await.unwrap().unwrap();
    assert_eq!((pending.header.number, pending.transactions.len()), (1, 9));
    provider.evm_mine(None).await.unwrap();
    let mined = provider.get_block_by_number(BlockNumberOrTag::Latest).await.unwrap().unwrap();
    assert_eq!(mined, pending, "the pending block is the one that is mined");
    let receipts = provider.get_block_receipts(1.into()).await.unwrap().unwrap();
    let from: Vec<_> = receipts.iter().map(|receipt| receipt.from).collect();
    let expected: Vec<_> = (0..9).map(|index| key(index % 3).address()).collect();
    assert_eq!(from, expected, "in the order of arrival");
    assert_eq!(receipts[8].inner.cumulative_gas_used(), 9 * 21_000);
    assert_eq!(mined.header.gas_used, 9 * 21_000);
}

#[tokio::test]
async fn what_does_not_fit_waits_for_the_next_block() {
    let small = EmbeddedChain::new(Config { gas_limit: 50_000, ..config() }).unwrap();
    let provider = small.provider();
    provider.anvil_set_auto_mine(false).await.unwrap();
    for nonce in 0..3 {
        submit(&provider, &sign(transfer(0, nonce)).await).await;
    }
    submit(&provider, &sign(transfer(1, 0)).await).await;
    provider.anvil_mine(Some(2), None).await.unwrap();
    let mut count = Vec::new();
    for number in 1..=2_u64 {
        count.push(provider.get_block_by_number(number.into()).await.unwrap().unwrap().transactions.len());
    }
    assert_eq!(count, [2, 2]);
}

#[tokio::test]
async fn a_waiting_transaction_is_replaced_for_a_higher_fee() {
    let chain = chain();
    let provider = chain.provider();
    provider.anvil_set_auto_mine(false).await.unwrap();
    let old = sign(transfer(0, 0)).await;
    let replaced = submit(&provider, &old).await;
    assert_eq!(refusal(provider.send_raw_transaction(&old).await.unwrap_err()).1, "already known");
    let same_fee = transfer(0, 0).with_value(U256::from(5));
    let error = provider.send_raw_transaction(&sign(same_fee.clone()).await).await.unwrap_err();
    assert_eq!(refusal(error).1, "replacement transaction underpriced");
    let raised = same_fee.with_max_fee_per_gas(11_000_000).with_max_priority_fee_per_gas(1_100_000);
    submit(&provider, &sign(raised).await).await;
    provider.evm_mine(None).await.unwrap();
    assert_eq!(provider.get_balance(NOBODY).await.unwrap(), U256::from(5));
    assert!(provider.get_transaction_by_hash(replaced).await.unwrap().is_none());
}

#[tokio::test]
async fn what_became_invalid_is_dropped() {
    let chain = chain();
    let provider = chain.provider();
    provider.anvil_set_auto_mine(false).await.unwrap();
    submit(&provider, &sign(transfer(0, 0)).await).await;
    submit(&provider, &sign(transfer(1, 0)).await).await;
    provider.anvil_set_balance(key(0).address(), U256::ZERO).await.unwrap();
    provider.evm_mine(None).await.unwrap();
    assert_eq!(provider.get_block_receipts(1.into()).await.unwrap().unwrap().len(), 1);
    assert_eq!(provider.get_transaction_count(key(0).address()).pending().await.unwrap(), 0);
}

#[tokio::test]
async fn a_snapshot_brings_everything_back() {
    let chain = chain();
    let provider = chain.provider();
    submit(&provider, &sign(transfer(0, 0)).await).await;
    let head = provider.get_block(BlockNumberOrTag::Latest.into()).await.unwrap().unwrap();
    let (first, second) =
        (provider.anvil_snapshot().await.unwrap(), provider.anvil_snapshot().await.unwrap());
    let undone = submit(&provider, &sign(transfer(0, 1)).await).await;
    provider.anvil_increase_time(500).await.unwrap();
    provider.anvil_set_auto_mine(false).await.unwrap();
    assert!(provider.anvil_revert(first).await.unwrap());
    assert!(!provider.anvil_revert(first).await.unwrap(), "a snapshot is used up");
    assert!(!provider.anvil_revert(second).await.unwrap(), "and so are the later ones");
    assert!(!provider.anvil_revert(U256::from(99)).await.unwrap());
    assert_eq!(provider.get_block(BlockNumberOrTag::Latest.into()).await.unwrap().unwrap(), head);
    assert_eq!(provider.get_balance(NOBODY).await.unwrap(), U256::ONE);
    assert!(provider.get_transaction_by_hash(undone).await.unwrap().is_none());
    assert!(provider.anvil_get_auto_mine().await.unwrap());

    // A different transaction takes the place of the one undone: a reorganisation.
    submit(&provider, &sign(transfer(0, 1).with_value(U256::from(9))).await).await;
    let other = provider.get_block(BlockNumberOrTag::Latest.into()).await.unwrap().unwrap();
    assert_eq!((other.header.number, other.header.parent_hash), (2, head.header.hash));
    assert_eq!(other.header.timestamp, head.header.timestamp + 1);
}
