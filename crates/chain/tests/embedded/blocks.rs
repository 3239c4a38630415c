//! Headers, determinism and what contracts see of a block.

use aiarena_chain::embedded::{Config, EmbeddedChain};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    network::TransactionBuilder,
    primitives::{B256, U256, keccak256},
    providers::{Provider, ext::AnvilApi},
    rpc::types::TransactionRequest,
};

use crate::{assembly, chain, config, deploy, key, send, sign, signing, submit, transfer};

#[tokio::test]
async fn same_transactions_give_same_blocks() {
    async fn run(chain: EmbeddedChain) -> Vec<B256> {
        let provider = signing(&chain);
        let counter = deploy(&provider, &assembly::counter()).await;
        send(&provider, TransactionRequest::default().with_from(key(1).address()).with_to(counter)).await;
        provider.anvil_increase_time(1_000).await.unwrap();
        submit(&provider, &sign(transfer(2, 0)).await).await;
        let mut hashes = Vec::new();
        for number in 0..=provider.get_block_number().await.unwrap() {
            hashes.push(provider.get_block_by_number(number.into()).await.unwrap().unwrap().header.hash);
        }
        hashes
    }
    let first = run(chain()).await;
    assert_eq!(first.len(), 4);
    assert_eq!(first, run(chain()).await);
    let other = run(EmbeddedChain::new(Config { seed: B256::repeat_byte(1), ..config() }).unwrap()).await;
    assert!(first.iter().zip(&other).all(|(first, other)| first != other), "the seed is part of every block");
}

#[tokio::test]
async fn contracts_see_randomness_time_and_history() {
    let chain = chain();
    let provider = signing(&chain);
    let environment = deploy(&provider, &assembly::environment()).await;
    provider.anvil_mine(Some(3), None).await.unwrap();
    let request = TransactionRequest::default().with_to(environment);
    let words = provider.call(request.clone()).block(BlockId::latest()).await.unwrap();
    let word = |index: usize| B256::from_slice(&words[32 * index..32 * (index + 1)]);
    let head = provider.get_block(BlockNumberOrTag::Latest.into()).await.unwrap().unwrap();
    let seeded = keccak256([B256::ZERO.as_slice(), &4_u64.to_be_bytes()].concat());
    assert_eq!(head.header.mix_hash, seeded);
    assert_eq!(word(0), seeded);
    assert_eq!(word(1), head.header.parent_hash);
    assert_eq!(U256::from_be_bytes(word(2).0), U256::from(head.header.timestamp));
    assert_eq!(U256::from_be_bytes(word(3).0), U256::from(4));

    // In the pending block it is one later.
    let words = provider.call(request).block(BlockNumberOrTag::Pending.into()).await.unwrap();
    assert_eq!(B256::from_slice(&words[32..64]), head.header.hash);
    assert_eq!(U256::from_be_slice(&words[96..]), U256::from(5));
}

#[tokio::test]
async fn block_hashes_reach_256_blocks_back() {
    let chain = chain();
    let provider = signing(&chain);
    let reader = deploy(&provider, &assembly::block_hash()).await;
    provider.anvil_mine(Some(300), None).await.unwrap();
    let read = async |number: u64| {
        let request =
            TransactionRequest::default().with_to(reader).with_input(B256::from(U256::from(number)).to_vec());
        B256::from_slice(&provider.call(request).block(BlockId::latest()).await.unwrap())
    };
    // The latest block is number 301, and the call sees what its transactions see.
    for number in [0, 44, 301, 302] {
        assert_eq!(read(number).await, B256::ZERO, "{number}");
    }
    for number in [45, 200, 300] {
        let block = provider.get_block_by_number(number.into()).await.unwrap().unwrap();
        assert_eq!(read(number).await, block.header.hash, "{number}");
    }
}

#[tokio::test]
async fn blocks_are_found_by_number_tag_and_hash() {
    let chain = chain();
    let provider = signing(&chain);
    for nonce in 0..3 {
        submit(&provider, &sign(transfer(0, nonce)).await).await;
    }
    let head = provider.get_block_by_number(3.into()).full().await.unwrap().unwrap();
    for tag in [BlockNumberOrTag::Latest, BlockNumberOrTag::Safe, BlockNumberOrTag::Finalized] {
        assert_eq!(provider.get_block(tag.into()).full().await.unwrap().unwrap(), head);
    }
    assert_eq!(provider.get_block_by_hash(head.header.hash).full().await.unwrap().unwrap(), head);
    let genesis = provider.get_block_by_number(BlockNumberOrTag::Earliest).await.unwrap().unwrap();
    assert_eq!(genesis.header.number, 0);
    assert_eq!(genesis.header.timestamp, Config::default().genesis_timestamp);
    assert!(provider.get_block_by_number(4.into()).await.unwrap().is_none());
    assert!(provider.get_block_by_number(u64::MAX.into()).await.unwrap().is_none());
    assert!(provider.get_block_by_hash(B256::ZERO).await.unwrap().is_none());

    let transaction = head.transactions.as_transactions().unwrap()[0].clone();
    let hash = *transaction.inner.inner().tx_hash();
    assert_eq!(provider.get_transaction_by_hash(hash).await.unwrap().unwrap(), transaction);
    assert_eq!(
        provider.get_transaction_by_block_number_and_index(3.into(), 0).await.unwrap().unwrap(),
        transaction
    );
    assert!(provider.get_transaction_by_block_number_and_index(3.into(), 1).await.unwrap().is_none());
    let receipts = provider.get_block_receipts(3.into()).await.unwrap().unwrap();
    assert_eq!(receipts[0], provider.get_transaction_receipt(hash).await.unwrap().unwrap());
    assert_eq!(provider.get_block_transaction_count_by_number(3.into()).await.unwrap(), Some(1));
}

#[tokio::test]
async fn fee_history_covers_real_ranges() {
    let chain = chain();
    let provider = signing(&chain);
    for nonce in 0..4 {
        submit(&provider, &sign(transfer(0, nonce)).await).await;
    }
    provider.anvil_mine(Some(1), None).await.unwrap();
    let history = provider.get_fee_history(3, BlockNumberOrTag::Latest, &[0.0, 50.0, 100.0]).await.unwrap();
    assert_eq!(history.oldest_block, 3);
    assert_eq!(history.base_fee_per_gas, [5_000_000; 4]);
    assert_eq!(history.gas_used_ratio, [21_000.0 / 400e6, 21_000.0 / 400e6, 0.0]);
    assert_eq!(history.reward.unwrap(), [[1_000_000; 3], [1_000_000; 3], [0; 3]]);
    let history = provider.get_fee_history(1_000, 1.into(), &[]).await.unwrap();
    assert_eq!((history.oldest_block, history.base_fee_per_gas.len()), (0, 3));
    for percentiles in [&[-1.0][..], &[101.0], &[50.0, 10.0], &[0.0; 101]] {
        assert!(
            provider.get_fee_history(1, BlockNumberOrTag::Latest, percentiles).await.is_err(),
            "{percentiles:?}"
        );
    }
    assert!(provider.get_fee_history(1, 99.into(), &[]).await.is_err());
    let fees = provider.estimate_eip1559_fees().await.unwrap();
    assert!(fees.max_fee_per_gas >= 5_000_000);
}
