//! Calls, reverts and gas estimates.

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    network::TransactionBuilder,
    primitives::{B256, U256},
    providers::{Provider, ext::AnvilApi},
    rpc::types::TransactionRequest,
};

use crate::{
    BALANCE, NOBODY,
    assembly::{self, Errors},
    chain, deploy, key, refusal, send, signing,
};

#[tokio::test]
async fn custom_errors_are_decoded() {
    let chain = chain();
    let provider = signing(&chain);
    let reverter = deploy(&provider, &assembly::reverter()).await;
    let request = TransactionRequest::default().with_from(key(0).address()).with_to(reverter);
    for error in [
        provider.call(request.clone()).await.unwrap_err(),
        provider.estimate_gas(request.clone()).await.unwrap_err(),
        provider.send_transaction(request.clone()).await.unwrap_err(),
    ] {
        let payload = error.as_error_resp().unwrap();
        assert_eq!((payload.code, payload.message.as_ref()), (3, "execution reverted"));
        let decoded = payload.as_decoded_interface_error::<Errors::ErrorsErrors>();
        assert!(matches!(decoded, Some(Errors::ErrorsErrors::TooSmall(error))
                if (error.got, error.min) == (U256::from(7), U256::from(9))));
    }

    // Sent with a gas limit of its own it is mined, fails, and leaves no log behind.
    let receipt = send(&provider, request.with_gas_limit(100_000)).await;
    assert!(!receipt.status());
    assert!(receipt.logs().is_empty());
    assert!(receipt.gas_used < 100_000);
}

#[tokio::test]
async fn other_failures_are_named() {
    let chain = chain();
    let provider = signing(&chain);
    let burner = deploy(&provider, &assembly::burner()).await;
    let request = TransactionRequest::default().with_to(burner).with_gas_limit(1_000_000);
    assert_eq!(refusal(provider.call(request.clone()).await.unwrap_err()), (-32000, "out of gas".to_owned()));
    let (_, message) = refusal(provider.estimate_gas(request).await.unwrap_err());
    assert_eq!(message, "gas required exceeds allowance (1000000)");

    let poor = TransactionRequest::default().with_from(NOBODY).with_to(burner).with_value(U256::ONE);
    assert_eq!(refusal(provider.call(poor).await.unwrap_err()).1, "insufficient funds for transfer");
    let blob =
        serde_json::json!([{"to": NOBODY, "blobVersionedHashes": [B256::ZERO], "maxFeePerBlobGas": "0x1"}]);
    let error = provider.raw_request::<_, String>("eth_call".into(), blob).await.unwrap_err();
    assert_eq!(refusal(error), (-32602, "blob transactions are not supported".to_owned()));
    let overridden = serde_json::json!([{"to": NOBODY}, "latest", {NOBODY.to_string(): {"balance": "0x1"}}]);
    let error = provider.raw_request::<_, String>("eth_call".into(), overridden).await.unwrap_err();
    assert_eq!(refusal(error), (-32602, "state overrides are not supported".to_owned()));
}

#[tokio::test]
async fn estimates_are_enough_and_not_much_more() {
    let chain = chain();
    let provider = signing(&chain);
    let from = key(0).address();
    let plain = TransactionRequest::default().with_from(from).with_to(NOBODY).with_value(U256::ONE);
    assert_eq!(provider.estimate_gas(plain.clone()).await.unwrap(), 21_000);
    let counter = deploy(&provider, &assembly::counter()).await;
    let calls = [
        TransactionRequest::default().with_from(from).with_to(counter),
        TransactionRequest::default().with_from(from).with_deploy_code(assembly::init(&assembly::counter())),
        TransactionRequest::default().with_from(from).with_to(counter).with_input([0xff; 2_000]),
    ];
    for request in calls {
        let estimate = provider.estimate_gas(request.clone()).await.unwrap();
        let receipt = send(&provider, request.with_gas_limit(estimate)).await;
        assert!(receipt.status());
        assert!(estimate * 100 <= receipt.gas_used * 103, "{estimate} for {}", receipt.gas_used);
    }
    // A sender who can only pay for little gas learns that it is not enough.
    let priced = plain.with_value(BALANCE / U256::from(2)).with_gas_price(u128::MAX / 2);
    let (code, _) = refusal(provider.estimate_gas(priced).await.unwrap_err());
    assert_eq!(code, -32000);
}

#[tokio::test]
async fn only_the_latest_state_is_read() {
    let chain = chain();
    let provider = signing(&chain);
    let counter = deploy(&provider, &assembly::counter()).await;
    send(&provider, TransactionRequest::default().with_from(key(0).address()).with_to(counter)).await;
    assert_eq!(provider.get_storage_at(counter, U256::ZERO).await.unwrap(), U256::ONE);
    assert_eq!(provider.get_code_at(counter).await.unwrap(), assembly::counter());
    assert_eq!(provider.get_code_at(NOBODY).await.unwrap().len(), 0);

    let head = provider.get_block_by_number(BlockNumberOrTag::Latest).await.unwrap().unwrap().header.hash;
    for block in [BlockId::number(2), BlockId::hash(head), BlockId::latest(), BlockId::pending()] {
        assert_eq!(provider.get_storage_at(counter, U256::ZERO).block_id(block).await.unwrap(), U256::ONE);
    }
    let request = TransactionRequest::default().with_to(counter);
    for block in [BlockId::number(1), BlockId::earliest()] {
        let (code, message) = refusal(provider.call(request.clone()).block(block).await.unwrap_err());
        assert_eq!(code, -32000);
        assert!(message.contains("is not kept"), "{message}");
        assert!(provider.get_balance(counter).block_id(block).await.is_err());
        assert!(provider.get_transaction_count(counter).block_id(block).await.is_err());
    }
    for block in [BlockId::number(9), BlockId::hash(B256::ZERO)] {
        let (_, message) = refusal(provider.call(request.clone()).block(block).await.unwrap_err());
        assert_eq!(message, "header not found");
    }
    // Calls change nothing.
    provider.call(request).await.unwrap();
    assert_eq!(provider.get_storage_at(counter, U256::ZERO).await.unwrap(), U256::ONE);
}

#[tokio::test]
async fn state_is_changed_on_command() {
    let chain = chain();
    let provider = signing(&chain);
    provider.anvil_set_balance(NOBODY, U256::MAX).await.unwrap();
    assert_eq!(provider.get_balance(NOBODY).await.unwrap(), U256::MAX);
    provider.anvil_set_code(NOBODY, assembly::counter().into()).await.unwrap();
    provider.anvil_set_storage_at(NOBODY, U256::ZERO, B256::with_last_byte(41)).await.unwrap();
    provider.anvil_set_nonce(NOBODY, 7).await.unwrap();
    assert_eq!(provider.get_transaction_count(NOBODY).await.unwrap(), 7);
    assert!(provider.anvil_set_nonce(NOBODY, 6).await.is_err());
    let counted = provider.call(TransactionRequest::default().with_to(NOBODY)).await.unwrap();
    assert_eq!(U256::from_be_slice(&counted), U256::from(42));
    assert!(provider.anvil_set_code(NOBODY, vec![0xef, 0x01].into()).await.is_err());
}
