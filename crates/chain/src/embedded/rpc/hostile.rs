//! Requests that no honest client sends. Each must be answered; none may panic or change what it should not.

use alloy::primitives::{Address, U256};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::embedded::{Config, chain::Chain};

/// Each method with parameters that it accepts. A is an account, H the hash of a word, R a raw transaction.
const VALID: &[(&str, &str)] = &[
    ("web3_clientVersion", "[]"),
    ("net_version", "[]"),
    ("net_listening", "[]"),
    ("net_peerCount", "[]"),
    ("eth_chainId", "[]"),
    ("eth_syncing", "[]"),
    ("eth_accounts", "[]"),
    ("eth_gasPrice", "[]"),
    ("eth_maxPriorityFeePerGas", "[]"),
    ("eth_blobBaseFee", "[]"),
    ("eth_feeHistory", r#"["0x3", "latest", [10, 50.5]]"#),
    ("eth_sendRawTransaction", r#"["R"]"#),
    ("eth_blockNumber", "[]"),
    ("eth_getBlockByNumber", r#"["pending", true]"#),
    ("eth_getBlockByHash", r#"["H", false]"#),
    ("eth_getBlockReceipts", r#"["0x1"]"#),
    ("eth_getBlockTransactionCountByNumber", r#"["0x1"]"#),
    ("eth_getBlockTransactionCountByHash", r#"["H"]"#),
    ("eth_getTransactionByBlockNumberAndIndex", r#"["0x1", "0x0"]"#),
    ("eth_getTransactionByBlockHashAndIndex", r#"["H", "0x0"]"#),
    ("eth_getTransactionByHash", r#"["H"]"#),
    ("eth_getTransactionReceipt", r#"["H"]"#),
    ("eth_getBalance", r#"["A", "pending"]"#),
    ("eth_getCode", r#"["A", "latest"]"#),
    ("eth_getStorageAt", r#"["A", "0x0", "latest"]"#),
    ("eth_getTransactionCount", r#"["A", {"blockNumber": "0x3"}]"#),
    (
        "eth_call",
        r#"[{"from": "A", "to": "A", "value": "0x1", "gas": "0xffff", "maxFeePerGas": "0x5", "maxPriorityFeePerGas": "0x1",
            "nonce": "0x0", "input": "0x", "type": "0x2", "chainId": "0x7a69",
            "accessList": [{"address": "A", "storageKeys": ["H"]}]}, "latest", {}, {}]"#,
    ),
    (
        "eth_estimateGas",
        r#"[{"from": "A", "gas": "0x7a120", "gasPrice": "0x0", "data": "0x60006000fd"}, "pending"]"#,
    ),
    (
        "eth_getLogs",
        r#"[{"fromBlock": "0x0", "toBlock": "latest", "address": ["A"], "topics": [["H"], null, "H"]}]"#,
    ),
    ("eth_newFilter", r#"[{"fromBlock": "0x0", "toBlock": "0x9", "address": "A", "topics": []}]"#),
    ("eth_newBlockFilter", "[]"),
    ("eth_newPendingTransactionFilter", "[]"),
    ("eth_getFilterChanges", r#"["0x1"]"#),
    ("eth_getFilterLogs", r#"["0x2"]"#),
    ("eth_uninstallFilter", r#"["0x1"]"#),
    ("evm_mine", r#"[{"blocks": 2, "timestamp": "0x70000000"}]"#),
    ("anvil_mine", r#"["0x2", "0x3"]"#),
    ("hardhat_mine", "[2]"),
    ("evm_setAutomine", "[false]"),
    ("anvil_getAutomine", "[]"),
    ("evm_setNextBlockTimestamp", "[2000000000]"),
    ("evm_increaseTime", r#"["0x10"]"#),
    ("anvil_setBlockTimestampInterval", "[5]"),
    ("evm_snapshot", "[]"),
    ("evm_revert", r#"["0x0"]"#),
    ("anvil_setBalance", r#"["A", "0x5"]"#),
    ("anvil_setNonce", r#"["A", "0x5"]"#),
    ("anvil_setCode", r#"["A", "0x5f"]"#),
    ("anvil_setStorageAt", r#"["A", "0x0", "H"]"#),
];

/// A valid call with the placeholders filled in.
fn valid(index: usize) -> (&'static str, Value) {
    let (method, params) = VALID[index];
    let filled = params
        .replace("\"A\"", &json!(Address::repeat_byte(0x11)).to_string())
        .replace("\"H\"", &json!(alloy::primitives::B256::repeat_byte(0x22)).to_string());
    (method, serde_json::from_str(&filled).unwrap())
}

/// JSON pointers of a value and of all values in it.
fn pointers(value: &Value, here: String, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| pointers(item, format!("{here}/{index}"), found));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| pointers(member, format!("{here}/{name}"), found));
        }
        _ => (),
    }
    found.push(here);
}

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
    for (method, _) in VALID {
        for params in [None, Some("[]"), Some("{}"), Some("[{},{},{},{}]"), Some("[-1,-1,-1]"), Some("\"\"")]
        {
            if let Err(error) = chain().handle(method, params) {
                assert_ne!(error.code, -32601, "{method}");
                assert!([-32602, -32000].contains(&error.code), "{method} {params:?}: {error:?}");
            }
        }
    }
}

#[test]
fn valid_params_are_accepted() {
    let mut chain = chain();
    chain.handle("eth_newFilter", Some("[{}]")).unwrap();
    chain.handle("evm_snapshot", None).unwrap();
    for index in 0..VALID.len() {
        let (method, params) = valid(index);
        match chain.handle(method, Some(&params.to_string())) {
            // The placeholder of a raw transaction is not one.
            Err(error) if method == "eth_sendRawTransaction" => assert_eq!(error.code, -32602),
            // The code it deploys reverts.
            Err(error) if method == "eth_estimateGas" => assert_eq!(error.code, 3),
            answer => assert!(answer.is_ok(), "{method}: {answer:?}"),
        }
    }
}

/// Nobody has that much, and neither a word can say how much it is, nor half of one how much the gas alone.
#[test]
fn a_cost_beyond_all_balances_is_refused() {
    for (value, price) in [(U256::MAX, 1), (U256::ZERO, u128::MAX)] {
        let request = json!([{ "gasPrice": U256::from(price), "value": value, "gas": "0xffff" }]).to_string();
        let error = chain().handle("eth_call", Some(&request)).unwrap_err();
        assert_eq!(error.code, -32000, "{error:?}");
    }
    // What gas costs that nobody can pay for is not estimated.
    let request = json!([{ "gasPrice": "0x1", "value": U256::MAX }]).to_string();
    assert_eq!(chain().handle("eth_estimateGas", Some(&request)).unwrap_err().code, -32000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1_024)))]

    #[test]
    fn random_params_are_answered(params in prop::collection::vec(value(), 0..4)) {
        let params = Value::from(params).to_string();
        let mut chain = chain();
        for (method, _) in VALID {
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

    /// One value of a valid request is exchanged, so that everything before and behind it is reached.
    #[test]
    fn changed_params_are_answered(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), value()), 1..20),
    ) {
        let mut chain = chain();
        for (method, place, value) in changes {
            let (method, mut params) = valid(method.index(VALID.len()));
            let mut places = Vec::new();
            pointers(&params, String::new(), &mut places);
            let place: &String = place.get(&places);
            *params.pointer_mut(place).unwrap() = value;
            if let Err(error) = chain.handle(method, Some(&params.to_string())) {
                prop_assert!([3, -32000, -32602].contains(&error.code), "{method} {params}: {error:?}");
            }
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
