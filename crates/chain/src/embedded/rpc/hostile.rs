//! Requests that no honest client sends. Each must be answered; none may panic or change what it should not.

use alloy::primitives::{Address, U256};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::embedded::{Config, chain::Chain};

const METHODS: &[&str] = &[
    "web3_clientVersion",
    "net_version",
    "net_listening",
    "net_peerCount",
    "eth_chainId",
    "eth_syncing",
    "eth_accounts",
    "eth_gasPrice",
    "eth_maxPriorityFeePerGas",
    "eth_blobBaseFee",
    "eth_feeHistory",
    "eth_sendRawTransaction",
    "eth_blockNumber",
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getBlockReceipts",
    "eth_getBlockTransactionCountByNumber",
    "eth_getBlockTransactionCountByHash",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "eth_getBalance",
    "eth_getCode",
    "eth_getStorageAt",
    "eth_getTransactionCount",
    "eth_call",
    "eth_estimateGas",
    "eth_getLogs",
    "eth_newFilter",
    "eth_newBlockFilter",
    "eth_newPendingTransactionFilter",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_uninstallFilter",
    "evm_mine",
    "anvil_mine",
    "evm_setAutomine",
    "anvil_getAutomine",
    "evm_setNextBlockTimestamp",
    "evm_increaseTime",
    "anvil_setBlockTimestampInterval",
    "evm_snapshot",
    "evm_revert",
    "anvil_setBalance",
    "anvil_setNonce",
    "anvil_setCode",
    "anvil_setStorageAt",
];

/// Members of the objects that methods take, so that random objects get past the first check.
const MEMBERS: &[&str] = &[
    "from",
    "to",
    "value",
    "gas",
    "gasPrice",
    "maxFeePerGas",
    "maxPriorityFeePerGas",
    "nonce",
    "data",
    "input",
    "type",
    "chainId",
    "accessList",
    "authorizationList",
    "fromBlock",
    "toBlock",
    "blockHash",
    "address",
    "topics",
    "blocks",
    "timestamp",
    "blockNumber",
];

fn chain() -> Chain {
    let mut chain = Chain::new(
        Config::default()
            .with_balance(Address::ZERO, U256::MAX)
            .with_balance(Address::repeat_byte(0x11), U256::ONE),
    )
    .unwrap();
    chain.handle("anvil_mine", Some("[3]")).unwrap();
    chain.handle("eth_newBlockFilter", None).unwrap();
    chain
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "(-)?0x[0-9a-f]{0,70}".prop_map(Value::from),
        any::<u64>().prop_map(|number| json!(format!("{number:#x}"))),
        any::<[u8; 20]>().prop_map(|bytes| json!(Address::from(bytes))),
        Just(json!(Address::repeat_byte(0x11))),
        any::<[u8; 32]>().prop_map(|bytes| json!(alloy::primitives::B256::from(bytes))),
        prop::sample::select(vec![
            "latest",
            "pending",
            "earliest",
            "safe",
            "finalized",
            "0x0",
            "0x1",
            "0x3",
            "0x"
        ])
        .prop_map(Value::from),
        Just(json!(U256::MAX)),
        Just(json!(u64::MAX)),
        Just(json!(-1)),
        Just(json!(1e300)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(MEMBERS), inner, 0..6).prop_map(|members| {
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

#[test]
fn every_method_exists_and_says_what_is_missing() {
    for method in METHODS {
        for params in [None, Some("[]"), Some("{}"), Some("[{},{},{},{}]"), Some("[-1,-1,-1]"), Some("\"\"")]
        {
            if let Err(error) = chain().handle(method, params) {
                assert_ne!(error.code, -32601, "{method}");
                assert!([-32602, -32000].contains(&error.code), "{method} {params:?}: {error:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn random_params_are_answered(params in prop::collection::vec(value(), 0..4)) {
        let params = Value::from(params).to_string();
        let mut chain = chain();
        for method in METHODS {
            if let Err(error) = chain.handle(method, Some(&params)) {
                prop_assert!([3, -32000, -32602].contains(&error.code), "{method} {params}: {error:?}");
            }
        }
        // The chain goes on.
        let head = chain.head_number();
        prop_assert!(chain.head().header.timestamp >= Config::default().genesis_timestamp);
        if chain.mine().is_ok() {
            prop_assert_eq!(chain.head_number(), head + 1);
        }
    }

    #[test]
    fn random_bodies_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..256), json in value()) {
        let mut chain = chain();
        for body in [bytes, json.to_string().into_bytes()] {
            if let Some(answer) = chain.handle_body(&body) {
                prop_assert!(serde_json::from_str::<Value>(&answer).is_ok(), "{answer}");
            }
        }
    }

    #[test]
    fn random_transactions_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(chain().submit(&bytes).is_err());
    }

    /// Random code is run, and what it does stays inside.
    #[test]
    fn random_code_is_survived(code in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut chain = chain();
        let state = chain.state.clone();
        let call = json!([{"data": alloy::primitives::Bytes::from(code), "gas": "0xfffff"}]).to_string();
        let _ = chain.handle("eth_call", Some(&call));
        let _ = chain.handle("eth_estimateGas", Some(&call));
        prop_assert_eq!(chain.state, state);
    }
}
