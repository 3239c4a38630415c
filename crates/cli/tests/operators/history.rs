//! What commands read of the chain, and what they make of a task's description.

use aiarena_cli::description::TaskDescription;
use alloy::primitives::Address;
use serde_json::{Value, json};

use crate::{
    journey::arena,
    world::{Anvil, CHAIN_ID, said},
};

#[test]
fn what_was_read_is_kept_and_only_a_cache() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    owner.ok(&["token", "mint", "1000", "--yes"]);
    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    owner.ok(&["task", "create", "--params", "task.toml", "--yes"]);
    let book: Value = serde_json::from_str(&owner.read("contracts.json")).unwrap();
    let list = || owner.json(&["task", "list", "--json"]);
    let before = list();
    assert_eq!(before["tasks"][0]["task"], 1, "{before}");

    let arena: Address = book["arena"].as_str().unwrap().parse().unwrap();
    let file = format!("data/history-{CHAIN_ID}-{arena}.db");
    assert!(owner.path(&file).exists());
    anvil.ask("evm_mine", json!([]));
    assert_eq!(list(), before);
    // A chain that began anew, as it seems.
    let snapshot = anvil.ask("evm_snapshot", json!([]));
    anvil.ask("anvil_mine", json!([100]));
    assert_eq!(list(), before);
    anvil.ask("evm_revert", json!([snapshot]));
    let output = owner.run(&["task", "list", "--json"]);
    assert!(output.status.success() && said(&output).contains("began anew"), "{}", said(&output));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), before);

    // What was written last may still be in SQLite's log beside it.
    let remove = || {
        for name in [file.clone(), format!("{file}-wal"), format!("{file}-shm")] {
            let _ = std::fs::remove_file(owner.path(&name));
        }
    };
    remove();
    owner.write(&file, "this is no archive");
    let output = owner.run(&["task", "list", "--json"]);
    assert!(output.status.success() && said(&output).contains("warning: "), "{}", said(&output));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), before);
    remove();
    assert_eq!(list(), before);
}

#[test]
fn a_description_that_promises_other_rules_is_refused() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    owner.ok(&["token", "mint", "1000", "--yes"]);
    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    let honest: Value = serde_json::from_str(&owner.read("task-description.json")).unwrap();
    let create = ["task", "create", "--params", "task.toml", "--yes"];
    for (member, value, why) in [
        ("metric", json!("f1"), "scores \"accuracy\" alone"),
        ("copy_threshold_ppm", json!(1), "finds copies from 500000 on"),
        ("largest_model", json!(0), "largest_model is 0 bytes"),
        ("largest_model", json!(1_u64 << 40), "models have 1 to 8388608"),
        ("slice", json!(0), "no row would be drawn"),
        ("loss_cap", json!("5"), "unknown field"),
    ] {
        let mut description = honest.clone();
        description[member] = value;
        owner.write("task-description.json", &description.to_string());
        owner.refuses(&create, 2, why);
        // Nor does a daemon take part in such a task, whoever created it.
        let error = TaskDescription::read(description.to_string().as_bytes(), 7).unwrap_err();
        assert!(format!("{error:#}").contains(why) && format!("{error:#}").contains("task 7"), "{error:#}");
    }
    assert!(owner.json(&["task", "list", "--json"])["tasks"].as_array().unwrap().is_empty());
}
