//! From an empty folder to stakes and rewards.

use serde_json::json;

use crate::world::{Anvil, Operator};

/// An arena with one task, by its deployer.
pub(crate) fn arena(anvil: &Anvil) -> (Operator, String) {
    let (owner, address) = Operator::new(&anvil.url);
    anvil.fund(&address);
    owner.ok(&["deploy", "--write-params", "deploy.toml"]);
    owner.ok(&["deploy", "--params", "deploy.toml", "--yes"]);
    (owner, address)
}

#[test]
fn an_operator_deploys_creates_a_task_stakes_and_leaves() {
    let anvil = Anvil::start();
    let (owner, me) = Operator::new(&anvil.url);
    owner.ok(&["deploy", "--write-params", "deploy.toml"]);
    anvil.fund(&me);

    let estimate = owner.json(&["deploy", "--params", "deploy.toml", "--dry-run", "--json"]);
    assert_eq!(estimate["contracts"].as_array().map(Vec::len), Some(4));
    assert!(!owner.path("contracts.json").exists(), "a dry run writes nothing");
    owner.refuses(&["deploy", "--params", "deploy.toml"], 2, "--yes");
    let deployed = owner.json(&["deploy", "--params", "deploy.toml", "--yes", "--json"]);
    for (measured, sent) in
        estimate["contracts"].as_array().unwrap().iter().zip(deployed["transactions"].as_array().unwrap())
    {
        let (measured, sent) = (measured["gas"].as_u64().unwrap(), sent["gas"].as_u64().unwrap());
        assert!(measured.abs_diff(sent) < 5_000, "{measured} was announced, {sent} was used");
    }
    owner.refuses(&["deploy", "--params", "deploy.toml", "--yes"], 2, "names contracts already");

    owner.refuses(&["stake", "1", "10", "--role", "node", "--yes"], 1, "get some first");
    owner.ok(&["token", "mint", "10000", "--yes"]);
    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    owner.refuses(&["task", "create", "--write-params", "task.toml"], 2, "exists already");
    let sent = owner.json(&["task", "create", "--params", "task.toml", "--yes", "--json"]);
    assert_eq!(sent["transactions"].as_array().map(Vec::len), Some(2), "approve, then create");
    owner.ok(&["task", "fund", "1", "12.5", "--yes"]);
    assert!(owner.ok(&["task", "list"]).contains("bounty 12.5 ARENA"));
    assert_eq!(owner.json(&["task", "show", "1", "--json"])["bond"], "100 ARENA");
    owner.refuses(&["task", "show", "2"], 1, "there is no task 2");

    let dry = owner.json(&["stake", "1", "150", "--role", "node", "--dry-run", "--json"]);
    assert_eq!(dry["complete"], true, "Anvil simulates the stake after the approval: {dry}");
    owner.refuses(&["stake", "1", "150", "--yes"], 2, "--role node or --role validator");
    owner.ok(&["stake", "1", "150", "--role", "node", "--yes"]);
    owner.refuses(&["stake", "1", "1", "--role", "validator", "--yes"], 1, "another role");
    owner.ok(&["commission", "1", "12.5", "--yes"]);
    owner.refuses(&["commission", "1", "101", "--yes"], 2, "more than 100");

    // Somebody else copies the address book and delegates.
    let (friend, friends) = Operator::new(&anvil.url);
    anvil.fund(&friends);
    friend.write("contracts.json", &owner.read("contracts.json"));
    assert!(friend.ok(&["status"]).contains("stakes     none"));
    friend.refuses(&["token", "mint", "1", "--yes"], 1, "can mint");
    owner.ok(&["token", "mint", "500", "--to", &friends, "--yes"]);
    friend.ok(&["delegate", "1", &me, "20.5", "--yes"]);
    friend.refuses(&["delegate", "1", &friends, "20", "--dry-run"], 1, "delegate to itself");
    friend.ok(&["undelegate", "1", &me, "0.5", "--yes"]);
    let status = friend.json(&["status", "--json"]);
    assert_eq!(status["holdings"][0]["stake"], "20");
    assert_eq!(status["holdings"][0]["role"], "delegator");
    assert_eq!(status["tokens"], "479.5");
    assert_eq!(status["allowance"], "0", "no more was approved than was needed");

    let sent = owner.json(&["unstake", "1", "50", "--yes", "--json"]);
    assert_eq!(sent["warnings"], json!([]), "what is left is enough");
    let dry = owner.json(&["unstake", "1", "0.5", "--dry-run", "--json"]);
    assert!(
        dry["warnings"][0].as_str().unwrap().starts_with("99.5 ARENA of your own stake would be left"),
        "{dry}"
    );
    owner.refuses(
        &["unstake", "1", "100", "--dry-run"],
        0,
        "warning: 0 ARENA of your own stake would be left",
    );
    let status = owner.json(&["status", "--json"]);
    assert_eq!(
        (&status["holdings"][0]["minimum"], &status["holdings"][0]["enough"]),
        (&json!("100"), &json!(true))
    );
    assert_eq!(status["evaluation_key"], json!(null));
    assert_eq!(status["holdings"][0]["stake"], "100");
    assert_eq!(status["holdings"][0]["commission_percent"], "12.5");
    assert_eq!(status["holdings"][0]["unbonding"][0]["due"], false);
    assert!(owner.ok(&["status"]).contains("can be withdrawn from 2"));
    owner.refuses(&["unstake", "1", "101", "--yes"], 1, "more than there is");
    owner.refuses(&["claim", "1", "--yes"], 1, "no reward to claim");
    owner.refuses(&["claim", "--all", "--yes"], 1, "nothing to claim");
    owner.refuses(&["withdraw", "1", "--yes"], 1, "nothing has finished unbonding");
    for command in [vec!["claim", "1"], vec!["claim", "--all"], vec!["withdraw", "1"]] {
        let output = owner.run(&[command, vec!["--yes", "--json"]].concat());
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["ok"], &report["transactions"]), (&json!(false), &json!([])));
        assert!(!crate::world::said(&output).contains("From 0x"), "nothing is announced that is not sent");
    }
    for command in ["claim", "withdraw"] {
        owner.refuses(&[command, "9", "--yes"], 1, "there is no task 9");
    }
    owner.refuses(&["reclaim", "1", "--yes"], 1, "last epoch is over");
    friend.refuses(&["task", "end", "1", "--yes"], 1, "created the task");
    owner.refuses(&["task", "fund", "7", "1", "--yes"], 1, "no task of this number");

    anvil.pass(10 * 86_400);
    let sent = owner.json(&["withdraw", "1", "--yes", "--json"]);
    let hash = sent["transactions"][0]["hash"].as_str().unwrap();
    assert_eq!(anvil.ask("eth_getTransactionReceipt", json!([hash]))["status"], "0x1");
    assert_eq!(owner.json(&["status", "--json"])["holdings"][0]["unbonding"], json!([]));
    owner.ok(&["task", "end", "1", "--yes"]);

    let report = owner.json(&["doctor", "--json"]);
    assert_eq!(report["ok"], true, "{report}");
    assert!(owner.ok(&["doctor"]).contains("ok    contracts: their code is that of this release"));
}

#[test]
fn amounts_are_refused_before_anything_is_sent() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    for (amount, reason) in [
        ("0", "nothing to do"),
        ("-5", "negative"),
        ("1.0000000000000000001", "only 18 are possible"),
        ("79228162515", "too large"),
        ("1e18", "no amount"),
        ("", "no amount"),
    ] {
        for command in [vec!["token", "mint", amount], vec!["stake", "1", amount, "--role", "node"]] {
            owner.refuses(&[command, vec!["--yes"]].concat(), 2, reason);
        }
    }
}

#[test]
fn an_interrupted_deployment_goes_on_or_starts_anew() {
    let anvil = Anvil::start();
    let (owner, me) = Operator::new(&anvil.url);
    owner.ok(&["deploy", "--write-params", "deploy.toml"]);
    // Coins for the first two contracts, not for the vault.
    let estimate = owner.json(&["deploy", "--params", "deploy.toml", "--dry-run", "--json"]);
    let gas = |i: usize| estimate["contracts"][i]["gas"].as_u64().unwrap();
    let price = u64::from_str_radix(
        anvil.ask("eth_gasPrice", json!([])).as_str().unwrap().trim_start_matches("0x"),
        16,
    );
    let wei = u128::from(gas(0) + gas(1) + gas(2) / 2) * u128::from(price.unwrap());
    anvil.ask("anvil_setBalance", json!([me, format!("{wei:#x}")]));
    let interrupted = owner.run(&["deploy", "--params", "deploy.toml", "--yes"]);
    assert_ne!(interrupted.status.code(), Some(0));
    let done = anvil.ask("eth_getTransactionCount", json!([me, "latest"]));
    assert_ne!(done, "0x0", "something was mined: {}", crate::world::said(&interrupted));
    owner.refuses(&["task", "list"], 2, "not finished");
    let book: serde_json::Value = serde_json::from_str(&owner.read("contracts.json")).unwrap();

    anvil.fund(&me);
    let other = owner.read("deploy.toml").replace("\"1000\"", "\"2000\"");
    owner.write("other.toml", &other);
    owner.refuses(&["deploy", "--params", "other.toml", "--yes"], 2, "with other parameters");
    owner.ok(&["deploy", "--params", "deploy.toml", "--yes"]);
    let finished: serde_json::Value = serde_json::from_str(&owner.read("contracts.json")).unwrap();
    assert_eq!(finished["arena"], book["arena"], "the addresses are those that were planned");
    assert_eq!(
        anvil.ask("eth_getTransactionCount", json!([me, "latest"])),
        "0x4",
        "nothing was deployed twice"
    );
    owner.ok(&["doctor"]);

    // The same book, but the nonce has moved past what is missing.
    let (second, me) = Operator::new(&anvil.url);
    anvil.fund(&me);
    second.write("deploy.toml", &owner.read("deploy.toml"));
    let mut lost = book;
    lost["unfinished"]["deployer"] = json!(me);
    lost["unfinished"]["first_nonce"] = json!(1);
    second.write("contracts.json", &lost.to_string());
    let output = second.run(&["deploy", "--params", "deploy.toml", "--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", crate::world::said(&output));
    assert!(crate::world::said(&output).contains("starts anew"));
    second.ok(&["doctor"]);
}

#[test]
fn an_arena_takes_an_existing_token() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    let book: serde_json::Value = serde_json::from_str(&owner.read("contracts.json")).unwrap();
    let token = book["token"].as_str().unwrap();
    owner.write(
        "second.toml",
        &owner.read("deploy.toml").replace("# address = \"0x…\"", &format!("address = \"{token}\"")),
    );
    let config = owner.read("aiarena.toml").replace("contracts.json", "second.json");
    owner.write("second-config.toml", &config);
    let deploy = ["deploy", "--config", "second-config.toml", "--params", "second.toml", "--yes", "--json"];
    let deployed = owner.json(&deploy);
    assert_eq!(deployed["transactions"].as_array().map(Vec::len), Some(3));
    assert_eq!(deployed["contracts"]["token"], book["token"]);
    owner.ok(&["doctor", "--config", "second-config.toml"]);
}
