//! Anvil, a folder of its own for each operator, and the binary.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const CHAIN_ID: &str = "84532";
pub(crate) const PASSWORD: &str = "correct horse";

/// Anvil from the npm packages of `contracts`, on a port of its own choice; ends with the test.
pub(crate) struct Anvil {
    child: Child,
    pub(crate) url: String,
}

impl Anvil {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// - `options`: more of its own.
    pub(crate) fn with(options: &[&str]) -> Self {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/tools/native");
        let child = Command::new(&tool)
            .args(["anvil", "--port", "0", "--chain-id", CHAIN_ID])
            .args(options)
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("{}: {error}; `make test` installs Anvil into contracts/", tool.display())
        });
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = loop {
            let line = lines.next().expect("Anvil says where it listens").expect("text");
            if let Some(address) = line.strip_prefix("Listening on ") {
                break format!("http://{address}");
            }
        };
        // Anvil stops if nobody reads what it prints.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }

    /// Asks the node directly.
    pub(crate) fn ask(&self, method: &str, params: Value) -> Value {
        let url: &'static str = self.url.clone().leak();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = alloy::rpc::client::RpcClient::new_http(url.parse().expect("a URL"));
            client.request::<_, Value>(method.to_owned(), params).await.expect("Anvil answers")
        })
    }

    pub(crate) fn fund(&self, address: &str) {
        self.ask("anvil_setBalance", json!([address, "0x8ac7230489e80000"]));
    }

    /// Moves the chain's clock by so many seconds.
    pub(crate) fn pass(&self, seconds: u64) {
        self.ask("evm_increaseTime", json!([seconds]));
        self.ask("evm_mine", json!([]));
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Operator {
    pub(crate) folder: TempDir,
}

impl Operator {
    /// A configured operator with a key; `address` is its own.
    pub(crate) fn new(url: &str) -> (Self, String) {
        let operator = Self::bare();
        operator.ok(&["init", "--rpc", url, "--chain-id", CHAIN_ID]);
        let address = operator.ok(&["key", "new"]);
        (operator, address.trim().to_owned())
    }

    pub(crate) fn bare() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aiarena"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env_remove("AIARENA_CONFIG")
            .env("AIARENA_PASSWORD", PASSWORD)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary starts")
    }

    /// Runs with this on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends")
    }

    /// Must succeed; gives standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).expect("one JSON object")
    }

    /// Must end with this code and say this on standard error.
    pub(crate) fn refuses(&self, arguments: &[&str], code: i32, reason: &str) {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(reason), "{arguments:?} should say {reason:?}: {text}");
    }
}

/// A shell that finds the binary.
pub(crate) fn shell(command: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_aiarena")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .env("PATH", path)
        .env_remove("RUST_LOG")
        .env_remove("AIARENA_CONFIG")
        .stdin(Stdio::null());
    shell
}

/// A port that nobody uses at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// The body of an answer over plain HTTP; nothing if nobody is there.
pub(crate) fn get(port: u16, path: &str) -> String {
    answer(port, path).1
}

/// Status and body of an answer over plain HTTP; 0 if nobody is there.
pub(crate) fn answer(port: u16, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return (0, String::new()) };
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    match (asked, status, answer.split_once("\r\n\r\n")) {
        (Ok(_), Some(status), Some((_, body))) => (status, body.to_owned()),
        _ => (0, String::new()),
    }
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
