//! What is accepted, what is refused, and in which words.

use aiarena_chain::embedded::{Config, EmbeddedChain};
use alloy::{
    eips::eip2930::{AccessList, AccessListItem},
    network::TransactionBuilder,
    primitives::{Address, B256, Bytes, U256},
    providers::Provider,
    rpc::types::{Authorization, TransactionRequest},
    signers::SignerSync,
};

use crate::{
    BALANCE, NOBODY, assembly, chain, config, deploy, key, refusal, send, sign, signing, submit, transfer,
};

#[tokio::test]
async fn every_type_of_transaction_is_mined() {
    let chain = chain();
    let provider = chain.provider();
    let legacy = TransactionRequest {
        gas_price: Some(10_000_000),
        max_fee_per_gas: None,
        max_priority_fee_per_gas: None,
        ..transfer(0, 0)
    };
    let unprotected = TransactionRequest { chain_id: None, nonce: Some(1), ..legacy.clone() };
    let item = AccessListItem { address: NOBODY, storage_keys: vec![B256::ZERO] };
    let listed = TransactionRequest {
        access_list: Some(AccessList(vec![item])),
        gas: Some(30_000),
        nonce: Some(2),
        ..legacy.clone()
    };
    let dynamic = transfer(0, 3);
    for (expected, request) in [(0, legacy), (0, unprotected), (1, listed), (2, dynamic)] {
        let hash = submit(&provider, &sign(request).await).await;
        let receipt = provider.get_transaction_receipt(hash).await.unwrap().unwrap();
        assert_eq!((receipt.transaction_type() as u8, receipt.status()), (expected, true));
        let price = if expected == 2 { 6_000_000 } else { 10_000_000 };
        assert_eq!(receipt.effective_gas_price, price);
    }
    assert_eq!(provider.get_balance(NOBODY).await.unwrap(), U256::from(4));
}

#[tokio::test]
async fn an_account_may_delegate_to_code() {
    let chain = chain();
    let provider = signing(&chain);
    let counter = deploy(&provider, &assembly::counter()).await;
    let delegating = key(1);
    let authorization = Authorization { chain_id: U256::from(31_337), address: counter, nonce: 0 };
    let signature = delegating.sign_hash_sync(&authorization.signature_hash()).unwrap();
    let request = TransactionRequest {
        authorization_list: Some(vec![authorization.into_signed(signature)]),
        ..TransactionRequest::default().with_from(key(0).address()).with_to(delegating.address())
    };
    let receipt = send(&provider, request).await;
    assert_eq!((receipt.transaction_type() as u8, receipt.logs().len()), (4, 1));
    assert_eq!(provider.get_storage_at(delegating.address(), U256::ZERO).await.unwrap(), U256::ONE);
    // It keeps its key, too.
    submit(&provider, &sign(transfer(1, 1)).await).await;
}

#[tokio::test]
async fn invalid_transactions_are_refused() {
    let chain = chain();
    let provider = chain.provider();
    submit(&provider, &sign(transfer(0, 0)).await).await;
    let good = transfer(0, 1);
    let cases = [
        (transfer(0, 0), "nonce too low: next nonce 1, tx nonce 0"),
        (good.clone().with_chain_id(1), "invalid chain id for signer"),
        (good.clone().with_gas_limit(20_999), "intrinsic gas too low: gas 20999, minimum needed 21000"),
        (good.clone().with_gas_limit(400_000_001), "exceeds block gas limit"),
        (good.clone().with_max_fee_per_gas(4_999_999), "max fee per gas less than block base fee"),
        (
            good.clone().with_max_priority_fee_per_gas(10_000_001),
            "max priority fee per gas higher than max fee per gas",
        ),
        (
            good.clone().with_input([0xff; 1_000]).with_gas_limit(60_000),
            "insufficient gas for floor data gas cost: gas 60000, minimum needed 61000",
        ),
        (good.clone().with_value(BALANCE), "insufficient funds for gas * price + value"),
        (good.clone().with_value(U256::MAX), "insufficient funds for gas * price + value"),
        (
            good.clone().with_max_fee_per_gas(u128::MAX).with_gas_limit(400_000_000),
            "insufficient funds for gas * price + value",
        ),
        (
            good.clone().with_deploy_code(vec![0; 49_153]).with_gas_limit(10_000_000),
            "max initcode size exceeded",
        ),
    ];
    for (request, expected) in cases {
        // `transfer` names a recipient, which a creation must not have.
        let request = if expected.contains("initcode") {
            TransactionRequest { to: Some(alloy::primitives::TxKind::Create), ..request }
        } else {
            request
        };
        let (code, message) = refusal(provider.send_raw_transaction(&sign(request).await).await.unwrap_err());
        assert_eq!(code, -32000);
        assert!(message.starts_with(expected), "{message:?}, expected {expected:?}");
    }
    assert_eq!(provider.get_block_number().await.unwrap(), 1, "what is refused mines nothing");
}

#[tokio::test]
async fn broken_bytes_are_refused() {
    let chain = chain();
    let provider = chain.provider();
    let good = sign(transfer(0, 0)).await;
    let mut longer = good.to_vec();
    longer.push(0);
    let mut blob = good.to_vec();
    blob[0] = 3;
    for raw in [Bytes::new(), longer.into(), blob.into(), good.slice(..good.len() - 1), good.slice(1..)] {
        let (code, message) = refusal(provider.send_raw_transaction(&raw).await.unwrap_err());
        assert_eq!(code, -32000);
        assert!(message.starts_with("invalid transaction: "), "{message}");
    }
    // Every changed byte is refused, or signed by a stranger who owns nothing, or another valid transaction of nobody.
    for index in 0..good.len() {
        let mut raw = good.to_vec();
        raw[index] ^= 1;
        assert!(provider.send_raw_transaction(&raw).await.is_err(), "{index}");
    }
    submit(&provider, &good).await;
}

#[tokio::test]
async fn contracts_cannot_be_larger_than_on_mainnet() {
    let chain = chain();
    let provider = signing(&chain);
    let create = |length| {
        TransactionRequest::default()
            .with_from(key(0).address())
            .with_deploy_code(assembly::init_of_length(length))
            .with_gas_limit(10_000_000)
    };
    let fits = send(&provider, create(24_576)).await;
    assert!(fits.status());
    assert_eq!(provider.get_code_at(fits.contract_address.unwrap()).await.unwrap().len(), 24_576);
    let too_large = send(&provider, create(24_577)).await;
    assert!(!too_large.status());
    assert_eq!(too_large.gas_used, 10_000_000);
    let error = provider.call(create(24_577)).await.unwrap_err();
    assert_eq!(refusal(error).1, "max code size exceeded");
}

#[tokio::test]
async fn gas_is_that_of_mainnet() {
    let chain = chain();
    let provider = signing(&chain);
    let counter = deploy(&provider, &assembly::counter()).await;
    let call = TransactionRequest::default().with_from(key(0).address()).with_to(counter);
    // 21 000 + 2 100 for the cold slot + 20 000 to set it + 1 381 for the log + the other steps.
    let first = send(&provider, call.clone()).await.gas_used;
    let second = send(&provider, call).await.gas_used;
    assert_eq!(first - second, 17_100, "a new slot costs 20 000, a used one 2 900");
    assert_eq!(second, 21_000 + 2_100 + 2_900 + 375 * 3 + 8 * 32 + 14 * 3);
}

#[tokio::test]
async fn a_cap_per_transaction_may_be_set() {
    let capped = EmbeddedChain::new(Config { tx_gas_limit_cap: Some(16_777_216), ..config() }).unwrap();
    let provider = capped.provider();
    let raw = sign(transfer(0, 0).with_gas_limit(16_777_217)).await;
    let (_, message) = refusal(provider.send_raw_transaction(&raw).await.unwrap_err());
    assert_eq!(message, "transaction gas limit too high: gas 16777217, cap 16777216");
    submit(&provider, &sign(transfer(0, 0).with_gas_limit(16_777_216)).await).await;
    let request = TransactionRequest::default().with_from(key(0).address()).with_to(Address::ZERO);
    assert_eq!(provider.estimate_gas(request).await.unwrap(), 21_000);
}
