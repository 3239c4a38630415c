//! What a daemon shows, where that is not what most daemons show.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    journey::arena,
    world::{Anvil, free_port, get, said},
};

/// Where the token's code is while it has other decimals.
const CODE: &str = "0x00000000000000000000000000000000000c0de0";

/// In an endpoint's URL.
const KEY: &str = "0123456789abcdef";

/// Answers 6 to `decimals()`, and runs the code that is at `CODE` for everything else.
fn six_decimals() -> String {
    format!(
        "0x5f3560e01c63313ce56714603b57365f5f375f5f365f73{}5af43d5f5f3e6037573d5ffd5b3d5ff35b60065f5260205ff3",
        CODE.trim_start_matches("0x")
    )
}

#[test]
fn amounts_are_in_the_tokens_decimals_and_endpoints_known_by_host() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    let book: Value = serde_json::from_str(&owner.read("contracts.json")).unwrap();
    let code = anvil.ask("eth_getCode", json!([book["token"], "latest"]));
    anvil.ask("anvil_setCode", json!([CODE, code]));
    anvil.ask("anvil_setCode", json!([book["token"], six_decimals()]));

    // The bond was fixed as 100 tokens of 18 decimals.
    owner.ok(&["token", "mint", "1000000000000000", "--yes"]);
    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    owner.ok(&["task", "create", "--params", "task.toml", "--yes"]);
    owner.ok(&["stake", "1", "150.5", "--role", "node", "--yes"]);
    assert_eq!(owner.json(&["status", "--json"])["holdings"][0]["stake"], "150.5");

    let arena = book["arena"].as_str().unwrap();
    let audit = said(&owner.command(&["audit", "--rpc-url", &anvil.url, "--arena", arena]).output().unwrap());
    let all = "100000000000150.5";
    assert!(audit.contains(&format!("the vault holds {all} and owes {all}")), "{audit}");

    // Beside the one that answers there is one that does not, with a key in its path.
    let config =
        owner.read("aiarena.toml").replace("rpc = [", &format!("rpc = [\"http://127.0.0.1:1/v3/{KEY}\", "));
    owner.write("aiarena.toml", &config);
    let port = free_port();
    let listen = format!("[operator]\nlisten = \"127.0.0.1:{port}\"\n");
    owner.write("aiarena.toml", &owner.read("aiarena.toml").replace("[operator]\n", &listen));
    let mut daemon = owner.command(&["node", "train"]).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    let shown = loop {
        let metrics = get(port, "/metrics");
        if metrics.contains("aiarena_stake_tokens{") || Instant::now() > patience {
            break metrics;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    for line in ["aiarena_stake_tokens{task=\"1\"} 150.5\n", "aiarena_minimum_stake_tokens{task=\"1\"} 100\n"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let count = |name: &str, host: &str| -> u64 {
        let label = format!("aiarena_rpc_{name}_total{{host=\"{host}\"}} ");
        let line = shown.lines().find_map(|line| line.strip_prefix(&label));
        line.unwrap_or_else(|| panic!("{label}: {shown}")).parse().unwrap()
    };
    let (dead, live) = ("127.0.0.1:1", anvil.url.trim_start_matches("http://"));
    assert!(count("errors", dead) > 0 && count("requests", dead) >= count("errors", dead), "{shown}");
    assert!(count("errors", live) == 0 && count("requests", live) > 0, "{shown}");
    assert!(!shown.contains(KEY), "{shown}");
}
