//! Anvil, as the public network.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

pub(crate) struct Anvil {
    child: Child,
    url: String,
}

impl Anvil {
    /// Starts it with the chain id of Base Sepolia and a block per second.
    ///
    /// - `options`: more of its own.
    pub(crate) fn start(options: &[&str]) -> Self {
        let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../contracts/tools/anvil");
        let mut child = Command::new(program)
            .args(["--port", "0", "--chain-id", "84532", "--block-time", "1"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("anvil starts; `make setup` installs it");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil says where it listens");
        // What it prints is read, or it would wait for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, url: format!("http://{address}") }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn request(&self, method: &str, params: Value) -> Value {
        request(&self.url, method, params)
    }

    /// Lets the chain's clock jump.
    pub(crate) fn jump_to(&self, time: u64) {
        let block = self.request("eth_getBlockByNumber", json!(["latest", false]));
        let now =
            u64::from_str_radix(block["timestamp"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
        self.request("evm_increaseTime", json!([time.saturating_sub(now)]));
        self.request("evm_mine", json!([]));
    }
}

/// One JSON-RPC request by hand.
pub(crate) fn request(url: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let answer = crate::actor::http(url, "POST", "/", &body);
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}
