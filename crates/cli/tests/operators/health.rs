//! What a daemon answers to a watcher, and what it logs for machines.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    clockwork::{Daemon, PATIENCE},
    journey::arena,
    world::{Anvil, CHAIN_ID, Operator, answer, free_port},
};

/// Serves metrics from now on, and looks at the chain often.
fn listen(operator: &Operator) -> u16 {
    let port = free_port();
    let lines = format!("[operator]\nlisten = \"127.0.0.1:{port}\"\n");
    let config = operator.read("aiarena.toml").replace("poll_ms = 2000", "poll_ms = 100");
    operator.write("aiarena.toml", &config.replace("[operator]\n", &lines));
    port
}

/// Starts a training node that logs for machines.
fn start(operator: &Operator) -> Daemon {
    let command = operator.command(&["-v", "--log-format", "json", "node", "train"]);
    Daemon::start(command, "node train", &operator.path("log"))
}

/// Waits for this status, and gives what is said with it.
fn until(port: u16, status: u16, daemon: &Daemon) -> String {
    let patience = Instant::now() + PATIENCE;
    loop {
        let (found, text) = answer(port, "/health");
        if found == status {
            return text;
        }
        assert!(Instant::now() < patience, "{found} {text:?} in place of {status}: {}", daemon.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_daemon_says_that_the_chain_cannot_be_read() {
    let anvil = Anvil::start();
    let (owner, _) = arena(&anvil);
    owner.ok(&["token", "mint", "10000", "--yes"]);
    owner.ok(&["task", "create", "--write-params", "task.toml"]);
    owner.ok(&["task", "create", "--params", "task.toml", "--yes"]);
    owner.ok(&["stake", "1", "100", "--role", "node", "--yes"]);
    let port = listen(&owner);
    let daemon = start(&owner);
    let text = until(port, 200, &daemon);
    assert!(text.starts_with("ok, block "), "{text}");
    // The chain is gone.
    drop(anvil);
    assert_eq!(until(port, 503, &daemon), "the chain cannot be read\n");
    let log = daemon.stop();

    let mut levels = Vec::new();
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |at: &str| {
            let text = entry.pointer(at).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.unwrap_or_else(|| panic!("{at} is missing: {line}")).to_owned()
        };
        let time = text("/timestamp");
        assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
        assert!(text("/target").starts_with("aiarena"), "{line}");
        text("/fields/message");
        levels.push(text("/level"));
    }
    // That metrics are served, and that the chain is not there.
    assert!(levels.contains(&"INFO".to_owned()) && levels.contains(&"WARN".to_owned()), "{log}");
}

#[test]
fn a_daemon_says_that_it_is_starting() {
    // An endpoint that takes what is asked and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let operator = Operator::bare();
    let url = format!("http://{}", silent.local_addr().unwrap());
    operator.ok(&["init", "--rpc", &url, "--chain-id", CHAIN_ID]);
    operator.ok(&["key", "new"]);
    let any = format!("0x{}", "11".repeat(20));
    let book = json!({ "chain_id": 84532, "arena": any, "vault": any, "emission": any, "token": any, "from_block": 0 });
    operator.write("contracts.json", &book.to_string());
    let port = listen(&operator);
    let daemon = start(&operator);
    assert_eq!(until(port, 503, &daemon), "starting\n");
    assert_eq!(answer(port, "/nonsense").0, 404);
    // What is told while it starts stops it, too.
    daemon.stop();
}
