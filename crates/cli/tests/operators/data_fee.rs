//! The fee for data that rollups of the OP stack ask, by oracles that do what they should and by others.

use serde_json::{Value, json};

use crate::world::{Anvil, Operator, said};

const ORACLE: &str = "0x420000000000000000000000000000000000000F";
/// Wei for each byte.
const PRICE: u128 = 0xabcd;
/// Bytes of a transaction beside its data.
const ENVELOPE: u128 = 180;

/// `getL1FeeUpperBound(size)` answers `size * PRICE`.
const FJORD: &str = "0x60043561abcd025f5260205ff3";
/// Reverts at `getL1FeeUpperBound`, as before Fjord; `getL1Fee(data)` answers `PRICE` for each byte.
const OLD: &str = "0x36604411601457602435 61abcd025f5260205ff35b5f5ffd";
/// Reverts, answers nothing, three bytes, or the largest number there is.
const BROKEN: [(&str, &str); 4] = [
    ("reverts", "0x5f5ffd"),
    ("says nothing", "0x00"),
    ("says too little", "0x60035ff3"),
    ("says too much", "0x5f195f5260205ff3"),
];

fn install(anvil: &Anvil, code: &str) {
    anvil.ask("anvil_setCode", json!([ORACLE, code.replace(' ', "")]));
}

/// Coins in wei, from their decimal form.
fn wei(coins: &Value) -> u128 {
    let text = coins.as_str().unwrap_or_else(|| panic!("coins are text, not {coins}"));
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{rest:0<18}").parse().unwrap_or_else(|_| panic!("{text} is no amount"))
}

/// Runs a command that must succeed and warn of the oracle, or not.
fn estimate(operator: &Operator, command: &[&str], warns: bool) -> Value {
    let output = operator.run(&[command, &["--dry-run", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let told =
        String::from_utf8_lossy(&output.stderr).matches("warning: this chain asks a fee for data").count();
    assert_eq!(told, usize::from(warns), "it is said once: {}", said(&output));
    assert_eq!(report["complete"], json!(!warns), "{report}");
    assert_eq!(report["warnings"].as_array().map(Vec::len), Some(usize::from(warns)), "{report}");
    report
}

#[test]
fn the_fee_for_data_is_told_exactly_or_not_at_all() {
    let anvil = Anvil::start();
    let (owner, me) = Operator::new(&anvil.url);
    anvil.fund(&me);
    owner.ok(&["deploy", "--write-params", "deploy.toml"]);
    let deploy = ["deploy", "--params", "deploy.toml"];
    let people = || owner.ok(&[&deploy[..], &["--dry-run"]].concat());

    let without = estimate(&owner, &deploy, false);
    let rows = |report: &Value| report["contracts"].as_array().unwrap().clone();
    assert!(rows(&without).iter().all(|row| row["data_fee"].is_null()), "{without}");
    assert!(!people().contains("for data"));

    install(&anvil, FJORD);
    let with = estimate(&owner, &deploy, false);
    install(&anvil, OLD);
    assert_eq!(estimate(&owner, &deploy, false), with, "both functions have the same price here");
    let mut sum = 0;
    for (bare, row) in rows(&without).iter().zip(rows(&with)) {
        let fee = wei(&row["data_fee"]);
        assert_eq!(wei(&row["cost"]), wei(&bare["cost"]) + fee, "{row}");
        sum += fee;
        let text = people();
        let line = format!("cost {} ETH, {} ETH of it for data", row["cost"], row["data_fee"]);
        assert!(text.contains(&line.replace('"', "")), "{line}: {text}");
    }
    assert_eq!(wei(&with["cost"]), wei(&without["cost"]) + sum);
    assert!(people().contains(&format!("cost {} ETH. Nothing", with["cost"].as_str().unwrap())));

    for (how, code) in BROKEN {
        install(&anvil, code);
        assert_eq!(rows(&estimate(&owner, &deploy, true)), rows(&without), "it {how}");
        let text = people();
        assert!(text.contains("At least") && !text.contains("for data"), "it {how}: {text}");
    }

    // What is sent has the size that the fee was asked for.
    install(&anvil, FJORD);
    let sent = owner.json(&[&deploy[..], &["--yes", "--json"]].concat());
    for (row, sent) in rows(&with).iter().zip(sent["transactions"].as_array().unwrap()) {
        let transaction = anvil.ask("eth_getTransactionByHash", json!([sent["hash"]]));
        let bytes = transaction["input"].as_str().unwrap().len() / 2 - 1;
        assert_eq!(wei(&row["data_fee"]), (bytes as u128 + ENVELOPE) * PRICE, "{row}");
    }

    // Other commands ask as well: a call of two words has 68 bytes.
    let mint = ["token", "mint", "1"];
    let with = wei(&estimate(&owner, &mint, false)["cost"]);
    install(&anvil, "0x");
    let without = wei(&estimate(&owner, &mint, false)["cost"]);
    assert_eq!(with, without + (68 + ENVELOPE) * PRICE);
    for (how, code) in BROKEN {
        install(&anvil, code);
        assert_eq!(wei(&estimate(&owner, &mint, true)["cost"]), without, "it {how}");
        assert!(owner.ok(&[&mint[..], &["--dry-run"]].concat()).contains("At least"), "it {how}");
    }
}
