//! What the owner of the emission does, and how a deployment is refused.

use crate::{
    journey::arena,
    world::{Anvil, Operator, said},
};

#[test]
fn the_owner_admits_tasks_sets_the_fee_and_gives_up() {
    let anvil = Anvil::start();
    let (owner, me) = arena(&anvil);
    let (friend, friends) = Operator::new(&anvil.url);
    anvil.fund(&friends);
    friend.write("contracts.json", &owner.read("contracts.json"));
    owner.ok(&["token", "mint", "10000", "--yes"]);
    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    owner.ok(&["task", "create", "--params", "task.toml", "--yes"]);
    let show = || owner.json(&["emission", "show", "--json"]);

    assert_eq!(show()["owner"].as_str().unwrap().to_lowercase(), me.to_lowercase());
    owner.ok(&["emission", "fund", "500.5", "--yes"]);
    assert_eq!(show()["reserve"], "500.5 ARENA");
    friend.refuses(&["emission", "admit", "1", "--yes"], 1, "only the owner of the emission");
    owner.refuses(&["emission", "admit", "7", "--yes"], 1, "no task of this number");
    owner.refuses(&["emission", "dismiss", "1", "--yes"], 1, "takes no part");
    let dry = owner.json(&["emission", "admit", "1", "--dry-run", "--json"]);
    assert_eq!(dry["dry_run"], true);
    assert_eq!(show()["tasks"], serde_json::json!([]));
    owner.refuses(&["emission", "admit", "1"], 2, "--yes");
    owner.ok(&["emission", "admit", "1", "--yes"]);
    owner.refuses(&["emission", "admit", "1", "--yes"], 1, "already");
    assert_eq!(show()["tasks"][0]["until_epoch"], serde_json::Value::Null);
    assert!(owner.ok(&["emission", "show"]).contains("task 1 from epoch 2"));
    owner.ok(&["emission", "dismiss", "1", "--yes"]);
    assert_eq!(show()["tasks"][0]["until_epoch"], 2);

    owner.refuses(&["emission", "fee", "1", "--yes"], 2, "--treasury");
    owner.refuses(&["emission", "fee", "5.01", "--treasury", &friends, "--yes"], 1, "at most 5 per cent");
    owner.refuses(&["emission", "fee", "-1", "--treasury", &friends, "--yes"], 2, "negative");
    owner.ok(&["emission", "fee", "2.5", "--treasury", &friends, "--yes"]);
    assert_eq!((&show()["fee_percent"], &show()["next_fee_percent"]), (&"0".into(), &"2.5".into()));
    owner.ok(&["emission", "fee", "1", "--yes"]);
    assert_eq!(show()["treasury"], serde_json::Value::Null, "the treasury is announced like the fee");
    assert_eq!(show()["next_treasury"].as_str().unwrap().to_lowercase(), friends.to_lowercase());
    for nothing in ["collect", "burn"] {
        let output = owner.run(&["emission", nothing, "--yes"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(!said(&output).contains("From 0x"), "nothing is announced: {}", said(&output));
    }

    friend.refuses(&["emission", "accept", "--yes"], 1, "offered");
    owner.ok(&["emission", "transfer", &friends, "--yes"]);
    assert_eq!(show()["offered_to"].as_str().unwrap().to_lowercase(), friends.to_lowercase());
    friend.ok(&["emission", "accept", "--yes"]);
    owner.refuses(&["emission", "renounce", "--yes"], 1, "only the owner");
    friend.ok(&["emission", "renounce", "--yes"]);
    friend.refuses(&["emission", "admit", "1", "--yes"], 1, "has no owner");
    assert_eq!(show()["owner"], serde_json::Value::Null);
}

#[test]
fn a_deployment_out_of_bounds_is_refused_with_its_parameter() {
    let anvil = Anvil::start();
    let (owner, me) = Operator::new(&anvil.url);
    anvil.fund(&me);
    owner.ok(&["deploy", "--write-params", "deploy.toml"]);
    let good = owner.read("deploy.toml");
    for (old, new, reason) in [
        ("slash = \"0.01\"", "slash = \"0.5\"", "slash is out of bounds: 0 to 0.1"),
        ("slash = \"0.01\"", "slash = \"0.5\"", "slash = \"0.5\" in bad.toml"),
        ("max_fee = \"0.05\"", "max_fee = \"0.21\"", "0 to 0.2"),
        ("unbonding_epochs = 7", "unbonding_epochs = 1", "2 to 60"),
        ("emission_decay = \"0.5\"", "emission_decay = \"1.1\"", "above 0 and at most 1"),
        ("epoch_length = 86400", "epoch_length = 0", "at least 1"),
        ("commit_end = 68400", "commit_end = 1", "seed_end < commit_end"),
        ("silent_epochs = 3", "silent_epochs = 0", "silent_epochs = 0 in bad.toml"),
        ("first_epoch_in = 3600", "genesis = 1000000000", "genesis is in the past: 2001-09-09"),
        ("first_epoch_in = 3600", "first_epoch_in = 40000000", "more than a year ahead"),
        ("first_epoch_in = 3600", "genesis = 18446744073709551615", "more than a year ahead"),
        ("first_epoch_in = 3600", "first_epoch_in = 18446744073709551615", "more than a year ahead"),
    ] {
        assert!(good.contains(old), "{old}");
        owner.write("bad.toml", &good.replacen(old, new, 1));
        let output = owner.run(&["deploy", "--params", "bad.toml", "--yes"]);
        assert_eq!(output.status.code(), Some(1), "{new}: {}", said(&output));
        assert!(said(&output).contains(reason), "{new}: {}", said(&output));
        assert!(!owner.path("contracts.json").exists(), "nothing was begun");
    }
    owner.write("far.toml", &good.replace("first_epoch_in = 3600", "first_epoch_in = 40000000"));
    owner.ok(&["deploy", "--params", "far.toml", "--far-genesis", "--dry-run"]);
    let output = owner.run(&["deploy", "--params", "deploy.toml", "--dry-run", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let begins = report["first_epoch_begins"].as_str().unwrap();
    assert!(begins.ends_with(" UTC"), "{begins}");
    assert!(said(&output).contains(&format!("epoch 1 begins (genesis) {begins}")), "{}", said(&output));
}

#[test]
fn a_deployment_with_what_is_no_token_is_refused() {
    let anvil = Anvil::start();
    let (owner, me) = Operator::new(&anvil.url);
    anvil.fund(&me);
    owner.ok(&["deploy", "--write-params", "deploy.toml"]);
    let token = "0x00000000000000000000000000000000000070ce";
    let params = owner.read("deploy.toml").replace("# address = \"0x…\"", &format!("address = \"{token}\""));
    owner.write("other.toml", &params);
    let deploy = ["deploy", "--params", "other.toml", "--dry-run"];
    // Answers `then` to the function with the selector, 1 to any other one: balances, decimals, "it is done".
    let answers =
        |selector: &str, then: &str| format!("0x5f3560e01c63{selector}1460165760015f5260205ff3{then}");
    owner.refuses(&deploy, 2, "does not say its decimals");
    for (code, exit, reason) in [
        ("0x60125f5260205ff3".to_owned(), 1, "it cannot be approved: it answers 0x"),
        (answers("18160ddd", "5b600160601b5f5260205ff3"), 1, "79228162514264337593543950336 base units"),
        (answers("70a08231", "5b5f5ffd"), 2, "it does not answer balanceOf"),
        (answers("dd62ed3e", "5b00"), 2, "it does not answer allowance"),
        (answers("095ea7b3", "5b5f5ffd"), 2, "it cannot be approved"),
        (answers("a9059cbb", "5b60205ff3"), 1, "it cannot be transferred: it answers 0x0"),
    ] {
        anvil.ask("anvil_setCode", serde_json::json!([token, code]));
        owner.refuses(&deploy, exit, reason);
    }
    // One that says yes and moves nothing is none.
    anvil.ask("anvil_setCode", serde_json::json!([token, answers("a9059cbb", "5b00")]));
    owner.refuses(&deploy, 1, "of 1 base units 0 arrive");
}

#[test]
fn addresses_with_a_wrong_checksum_are_refused() {
    let operator = Operator::bare();
    operator.ok(&["init", "--rpc", "http://127.0.0.1:1", "--chain-id", "84532"]);
    operator.ok(&["key", "new"]);
    // The first account of the development mnemonic, with one letter in the wrong case.
    let wrong = "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    for command in [
        vec!["delegate", "1", wrong, "1"],
        vec!["undelegate", "1", wrong, "1"],
        vec!["withdraw", "1", wrong],
        vec!["claim", "1", wrong],
        vec!["status", "--of", wrong],
        vec!["token", "mint", "1", "--to", wrong],
        vec!["emission", "transfer", wrong],
        vec!["emission", "fee", "1", "--treasury", wrong],
        vec!["chain", "--fund", wrong],
        vec!["audit", "--rpc-url", "http://127.0.0.1:1", "--arena", wrong],
        vec!["audit", "--dir", ".", "--receipt", wrong],
    ] {
        operator.refuses(&command, 2, "wrong checksum");
    }
    let right = wrong.replacen('F', "f", 1);
    for written in [right.clone(), right.to_lowercase(), format!("0x{}", right[2..].to_uppercase())] {
        // The address is taken, and what is wrong is the next thing.
        operator.refuses(&["status", "--of", &written], 2, "no endpoint answers");
    }
    let book = serde_json::json!({
        "chain_id": 84532, "arena": right, "vault": wrong, "emission": right, "token": right, "from_block": 0,
    });
    operator.write("contracts.json", &book.to_string());
    let anvil = Anvil::start();
    operator.ok(&["init", "--force", "--rpc", &anvil.url, "--chain-id", "84532"]);
    operator.refuses(&["status"], 2, "contracts.json: vault: ");
    std::fs::remove_file(operator.path("contracts.json")).unwrap();
    operator.ok(&["deploy", "--write-params", "deploy.toml"]);
    for (old, new) in [("# owner = \"none\"", "owner = "), ("# address = \"0x…\"", "address = ")] {
        let params = operator.read("deploy.toml").replace(old, &format!("{new}\"{wrong}\""));
        operator.write("bad.toml", &params);
        operator.refuses(&["deploy", "--params", "bad.toml", "--yes"], 2, "wrong checksum");
    }
}
