//! Saving, loading, and files that are not what they should be.

use std::{fs, path::PathBuf};

use aiarena_chain::embedded::{EmbeddedChain, Error};
use alloy::{
    network::TransactionBuilder,
    primitives::U256,
    providers::{Provider, ext::AnvilApi},
    rpc::types::{Filter, TransactionRequest},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{NOBODY, assembly, chain, deploy, key, send, sign, signing, submit, transfer};

/// A chain with code, storage, logs, a failed and a waiting transaction, and its file.
async fn saved() -> (EmbeddedChain, TempDir, PathBuf) {
    let chain = chain();
    let provider = signing(&chain);
    let counter = deploy(&provider, &assembly::counter()).await;
    let reverter = deploy(&provider, &assembly::reverter()).await;
    for to in [counter, reverter, counter] {
        let request = TransactionRequest::default().with_from(key(0).address()).with_to(to);
        send(&provider, request.with_gas_limit(100_000)).await;
    }
    submit(&provider, &sign(transfer(1, 3)).await).await;
    provider.anvil_increase_time(77).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.json");
    chain.save(&path).unwrap();
    (chain, folder, path)
}

#[tokio::test]
async fn a_loaded_chain_is_the_saved_one() {
    let (chain, folder, path) = saved().await;
    let again = EmbeddedChain::load(&path).unwrap();
    let copy = folder.path().join("copy.json");
    again.save(&copy).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&copy).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");

    let (one, two) = (chain.provider(), again.provider());
    let filter = Filter::new().from_block(0);
    assert_eq!(one.get_logs(&filter).await.unwrap(), two.get_logs(&filter).await.unwrap());
    // Both go on in the same way: the gap closes, the clock jumps, the hashes agree.
    for nonce in 0..3 {
        let raw = sign(transfer(1, nonce)).await;
        submit(&one, &raw).await;
        submit(&two, &raw).await;
    }
    assert_eq!(two.get_balance(NOBODY).await.unwrap(), U256::from(4));
    for number in 0..=one.get_block_number().await.unwrap() {
        let block = one.get_block_by_number(number.into()).full().await.unwrap();
        assert_eq!(block, two.get_block_by_number(number.into()).full().await.unwrap());
        let receipts = one.get_block_receipts(number.into()).await.unwrap();
        assert_eq!(receipts, two.get_block_receipts(number.into()).await.unwrap());
    }
}

#[tokio::test]
async fn saving_replaces_the_file_as_a_whole() {
    let (chain, folder, path) = saved().await;
    let before = fs::read(&path).unwrap();
    chain.provider().evm_mine(None).await.unwrap();
    chain.save(&path).unwrap();
    assert_ne!(fs::read(&path).unwrap(), before);
    let missing = folder.path().join("no/such/folder/chain.json");
    let error = chain.save(&missing).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.is_retryable(), "{error}");
    assert!(matches!(chain.save(folder.path()), Err(Error::Io { .. })));
    assert!(matches!(EmbeddedChain::load(&missing), Err(Error::Io { .. })));
    assert!(matches!(EmbeddedChain::load(folder.path()), Err(Error::Io { .. })));
}

#[tokio::test]
async fn malformed_files_are_refused() {
    let (_, _folder, path) = saved().await;
    let good: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut file = good.clone();
        change(&mut file);
        fs::write(&path, file.to_string()).unwrap();
        EmbeddedChain::load(&path).unwrap_err()
    };
    assert!(matches!(refused(&|file| file["version"] = json!(2)), Error::Format { version: 2, .. }));
    assert!(matches!(refused(&|file| file["format"] = json!("other")), Error::Format { .. }));
    assert!(matches!(refused(&|file| file["config"]["gasLimit"] = json!(0)), Error::Config { .. }));
    assert!(matches!(refused(&|file| file["surprise"] = json!(0)), Error::Parse(_)));
    assert!(matches!(refused(&|file| file["automine"] = json!("yes")), Error::Parse(_)));
    assert!(matches!(
        refused(&|file| file["blocks"][1]["header"]["number"] = json!("-0x1")),
        Error::Parse(_)
    ));
    let malformed: [&dyn Fn(&mut Value); 11] = [
        &|file| file["blocks"] = json!([]),
        &|file| drop(file["blocks"].as_array_mut().unwrap().remove(1)),
        &|file| file["blocks"][1]["header"]["number"] = json!("0xffffffffffffffff"),
        &|file| file["blocks"][1]["header"]["timestamp"] = json!("0xffffffffffffffff"),
        &|file| file["blocks"][1]["hash"] = file["blocks"][0]["hash"].clone(),
        &|file| file["blocks"][1]["transactions"][0]["raw"] = json!("0x"),
        &|file| file["blocks"][1]["transactions"][0]["raw"] = json!("0x03"),
        &|file| file["blocks"][2]["transactions"][0] = file["blocks"][1]["transactions"][0].clone(),
        &|file| {
            file["blocks"][3]["transactions"][0]["logs"][0]["topics"] =
                json!(vec!["0x".to_owned() + &"00".repeat(32); 5])
        },
        &|file| file["waiting"][0]["raw"] = json!("0xffff"),
        &|file| {
            file["accounts"][NOBODY.to_string()] = json!({"nonce": 0, "balance": "0x0", "code": "0xef01"})
        },
    ];
    for (index, change) in malformed.into_iter().enumerate() {
        let error = refused(change);
        assert!(matches!(error, Error::Malformed { .. }), "{index}: {error}");
        assert!(!error.is_retryable());
    }
}

proptest! {
    #[test]
    fn no_file_makes_loading_panic(bytes in prop::collection::vec(any::<u8>(), 0..512), text in "\\PC*") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.json");
        for content in [bytes.as_slice(), text.as_bytes()] {
            fs::write(&path, content).unwrap();
            prop_assert!(EmbeddedChain::load(&path).is_err());
        }
    }

    /// Whatever value takes the place of another, loading gives a chain or an error, and the chain can be read.
    #[test]
    fn no_changed_value_makes_a_chain_panic(
        at in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            json!(null), json!(0), json!(-1), json!(1e300), json!(u64::MAX), json!("0x"), json!("0xffffffffffffffff"),
            json!(""), json!([]), json!({}), json!(true),
            json!("0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        ]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_, _folder, path) = saved().await;
            let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let mut pointers = Vec::new();
            collect(&file, String::new(), &mut pointers);
            let pointer: &String = at.get(&pointers);
            *file.pointer_mut(pointer).unwrap() = value;
            fs::write(&path, file.to_string()).unwrap();
            if let Ok(chain) = EmbeddedChain::load(&path) {
                let provider = chain.provider();
                // Answers may be errors; what matters is that there is one.
                let _ = provider.get_logs(&Filter::new().from_block(0)).await;
                for number in 0..6_u64 {
                    let _ = provider.get_block_by_number(number.into()).full().await;
                    let _ = provider.get_block_receipts(number.into()).await;
                }
                let _ = provider.get_fee_history(10, Default::default(), &[50.0]).await;
                let _ = provider.send_raw_transaction(&sign(transfer(2, 0)).await).await;
                let _ = provider.evm_mine(None).await;
            }
        });
    }
}

/// JSON pointers of all values.
fn collect(value: &Value, here: String, pointers: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| collect(item, format!("{here}/{index}"), pointers));
        }
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| collect(member, format!("{here}/{name}"), pointers));
        }
        _ => (),
    }
    pointers.push(here);
}
