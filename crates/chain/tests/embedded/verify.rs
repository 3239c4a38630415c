//! Blocks are what their hashes say, and an altered history is found.

use std::fs;

use aiarena_chain::{
    embedded::EmbeddedChain,
    verify::{VerifyError, verify_block, verify_blocks},
};
use alloy::{
    network::TransactionBuilder, primitives::B256, providers::ext::AnvilApi, rpc::types::TransactionRequest,
};
use serde_json::{Value, json};

use crate::{assembly, chain, deploy, key, send, sign, signing, submit, transfer};

/// Blocks with one, none and many transactions, with logs, a failure and a creation.
async fn history() -> EmbeddedChain {
    let chain = chain();
    let provider = signing(&chain);
    let counter = deploy(&provider, &assembly::counter()).await;
    let reverter = deploy(&provider, &assembly::reverter()).await;
    provider.anvil_mine(Some(2), Some(30)).await.unwrap();
    for to in [counter, reverter] {
        let request = TransactionRequest::default().with_from(key(0).address()).with_to(to);
        send(&provider, request.with_gas_limit(100_000)).await;
    }
    provider.anvil_set_auto_mine(false).await.unwrap();
    for nonce in 0..70 {
        let raw = sign(transfer(1, nonce).with_to(counter).with_gas_limit(80_000)).await;
        submit(&provider, &raw).await;
    }
    provider.evm_mine(None).await.unwrap();
    chain
}

#[tokio::test]
async fn an_honest_history_is_verified() {
    let provider = history().await.provider();
    let blocks = verify_blocks(&provider, 0..=7).await.unwrap();
    assert_eq!(blocks.len(), 8);
    assert_eq!(blocks[7].receipts.iter().map(|receipt| receipt.logs().len()).sum::<usize>(), 70);
    assert_eq!(blocks[7].parent_hash, blocks[6].hash);
    let missing = verify_block(&provider, 8, None).await.unwrap_err();
    assert!(matches!(missing, VerifyError::Missing { number: 8, .. }) && missing.is_retryable());
    let unlinked = verify_block(&provider, 7, Some(B256::ZERO)).await.unwrap_err();
    assert!(matches!(unlinked, VerifyError::Mismatch { .. }) && !unlinked.is_retryable());
}

#[tokio::test]
async fn every_alteration_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.json");
    history().await.save(&path).unwrap();
    let good: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let word = format!("{:#x}", B256::repeat_byte(7));
    let other = format!("{:#x}", alloy::primitives::Address::repeat_byte(7));
    let log = "/blocks/5/transactions/0/logs/0";
    let cases = [
        (format!("{log}/data"), json!(word), "receipts root"),
        (format!("{log}/topics/1"), json!(word), "receipts root"),
        (format!("{log}/address"), json!(other), "receipts root"),
        ("/blocks/5/transactions/0/logs".to_owned(), json!([]), "receipts root"),
        ("/blocks/5/transactions/0/success".to_owned(), json!(false), "receipts root"),
        ("/blocks/6/transactions/0/success".to_owned(), json!(true), "receipts root"),
        ("/blocks/5/transactions/0/gasUsed".to_owned(), json!(21_000), "receipts root"),
        ("/blocks/5/transactions/0/from".to_owned(), json!(other), "sender of transaction 0"),
        (
            "/blocks/7/transactions".to_owned(),
            good["blocks"][7]["transactions"].as_array().unwrap()[1..].into(),
            "transactions root",
        ),
        ("/blocks/5/header/timestamp".to_owned(), json!("0x1"), "hash"),
        ("/blocks/5/header/mixHash".to_owned(), json!(word), "hash"),
        ("/blocks/5/header/receiptsRoot".to_owned(), json!(word), "hash"),
        ("/blocks/5/hash".to_owned(), json!(word), "hash"),
    ];
    for (pointer, value, expected) in cases {
        let mut file = good.clone();
        let old = std::mem::replace(file.pointer_mut(&pointer).unwrap(), value);
        assert_ne!(&old, file.pointer(&pointer).unwrap(), "{pointer} is really changed");
        fs::write(&path, file.to_string()).unwrap();
        let provider = EmbeddedChain::load(&path).unwrap().provider();
        match verify_blocks(&provider, 0..=7).await {
            Err(VerifyError::Mismatch { what, .. }) => assert_eq!(what, expected, "{pointer}"),
            other => panic!("{pointer}: {:?}", other.map(|blocks| blocks.len())),
        }
    }
}

/// Who rewrites a block consistently must rewrite all that follow, so a single known hash finds it.
#[tokio::test]
async fn a_consistent_forgery_breaks_the_link() {
    let (honest, forged) = (chain().provider(), chain().provider());
    submit(&honest, &sign(transfer(0, 0)).await).await;
    submit(&forged, &sign(transfer(1, 0)).await).await;
    honest.evm_mine(None).await.unwrap();
    forged.evm_mine(None).await.unwrap();
    let anchor = verify_block(&honest, 1, None).await.unwrap().hash;
    let error = verify_block(&forged, 2, Some(anchor)).await.unwrap_err();
    assert!(matches!(error, VerifyError::Mismatch { ref what, .. } if what == "parent hash"), "{error}");
}
