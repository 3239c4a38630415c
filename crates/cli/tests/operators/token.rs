//! A deployment with a token that exists already.

use serde_json::{Value, json};

use crate::{
    journey::arena,
    world::{Anvil, Operator, said},
};

/// Where the token's code is while another one runs before it.
const CODE: &str = "0x00000000000000000000000000000000000c0de0";

/// Code that runs that at `CODE`, but transfers one base unit less than it is told.
fn takes_a_fee() -> String {
    format!(
        "0x365f5f375f3560e01c63a9059cbb1460245103602452\
         5f5f365f73{}5af43d5f5f3e603b573d5ffd5b3d5ff3",
        CODE.trim_start_matches("0x")
    )
}

#[test]
fn a_token_is_tried_before_it_is_chosen_for_ever() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    let book: Value = serde_json::from_str(&owner.read("contracts.json")).unwrap();
    let token = book["token"].as_str().unwrap();
    let (other, others) = Operator::new(&anvil.url);
    anvil.fund(&others);
    let params = owner.read("deploy.toml").replace("# address = \"0x…\"", &format!("address = \"{token}\""));
    other.write("deploy.toml", &params);
    let deploy = ["deploy", "--params", "deploy.toml", "--dry-run"];
    let tried = || {
        let output = other.run(&deploy);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };

    assert!(tried().contains("no transfer of it could be tried"));
    owner.ok(&["token", "mint", "5", "--to", &others, "--yes"]);
    let said = tried();
    assert!(!said.contains("warning: the endpoint") && said.contains("by transfers alone"), "{said}");

    let code = anvil.ask("eth_getCode", json!([token, "latest"]));
    anvil.ask("anvil_setCode", json!([CODE, code]));
    anvil.ask("anvil_setCode", json!([token, takes_a_fee()]));
    other.refuses(&deploy, 1, "of 1000000 base units 999999 arrive; a fee on transfers is not supported");
}
