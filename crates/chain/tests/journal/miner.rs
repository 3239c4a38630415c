//! Blocks that come late.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use alloy::{
    consensus::Transaction,
    eips::BlockNumberOrTag,
    primitives::B256,
    providers::{DynProvider, Provider, ext::AnvilApi},
};

/// Offers of a transaction that are seen before it is mined: the first one and two raises of its fee.
const OFFERS: usize = 3;

/// Mines a block whenever a transaction that waits was raised twice, for as long as it is polled.
pub(crate) async fn mine_after_two_raises(provider: DynProvider) {
    let mut offers = BTreeMap::<u64, BTreeSet<B256>>::new();
    loop {
        for (nonce, hash) in waiting(&provider).await {
            let seen = offers.entry(nonce).or_default();
            seen.insert(hash);
            if seen.len() == OFFERS {
                provider.evm_mine(None).await.unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Nonces and hashes of the transactions that wait for a block.
pub(crate) async fn waiting(provider: &DynProvider) -> Vec<(u64, B256)> {
    let block = provider.get_block_by_number(BlockNumberOrTag::Pending).full().await.unwrap().unwrap();
    block.transactions.txns().map(|tx| (tx.nonce(), *tx.inner.inner().tx_hash())).collect()
}
