//! Somebody who takes part: a folder with a configuration and a key, and the binary.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
};

use serde_json::json;

use crate::anvil::{Anvil, request};

const PASSWORD: &str = "correct horse battery staple";

/// The body of an answer over plain HTTP.
pub(crate) fn http(url: &str, method: &str, path: &str, body: &str) -> String {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

pub(crate) struct Actor {
    name: String,
    folder: PathBuf,
    address: String,
    rpc: String,
    port: u16,
    starts: AtomicU16,
}

impl Actor {
    /// Makes a configuration and a key, and gets coin for gas.
    pub(crate) fn new(root: &Path, name: &str, anvil: &Anvil, store: &str, extra: &str) -> Self {
        let folder = root.join(name);
        fs::create_dir(&folder).unwrap();
        let port = free_port();
        let mut actor = Self {
            name: name.to_owned(),
            folder,
            address: String::new(),
            rpc: anvil.url().to_owned(),
            port,
            starts: AtomicU16::new(0),
        };
        actor.run(&["init", "--rpc", anvil.url(), "--chain-id", "84532"]);
        let config = actor.read("aiarena.toml");
        let (before, _) = config.split_once("[operator]").expect("a section for operators");
        let operator = format!(
            "[operator]\nstores = [{store:?}]\npoll_ms = 300\nturn_secs = 1\nlisten = \"127.0.0.1:{port}\"\n"
        );
        actor.write("aiarena.toml", &format!("{before}{operator}{extra}"));
        actor.run(&["key", "new"]);
        let shown = actor.run(&["key", "show"]);
        actor.address = shown.split_whitespace().find(|word| word.starts_with("0x")).unwrap().to_owned();
        anvil.request("anvil_setBalance", json!([actor.address, "0x56bc75e2d63100000"]));
        actor
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.join(file), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aiarena"));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("AIARENA_PASSWORD", PASSWORD)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Exit code, and both outputs.
    pub(crate) fn try_run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), text.concat())
    }

    /// Runs a command that must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let (code, text) = self.try_run(arguments);
        assert_eq!(code, Some(0), "{}: aiarena {}\n{text}", self.name, arguments.join(" "));
        text
    }

    /// Tokens that it holds, in base units.
    pub(crate) fn balance(&self) -> u128 {
        let book: serde_json::Value = serde_json::from_str(&self.read("contracts.json")).unwrap();
        let data = format!("0x70a08231{:0>64}", self.address.trim_start_matches("0x").to_lowercase());
        let call = json!([{ "to": book["token"], "data": data }, "latest"]);
        let answer = request(&self.rpc, "eth_call", call);
        u128::from_str_radix(answer.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// Starts its daemon, which logs into a file of its own. One that only seals is not told the password.
    pub(crate) fn daemon(&self, role: &str) -> Daemon {
        let number = self.starts.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.join(format!("log-{number}"));
        let file = File::create(&log).unwrap();
        let mut command = self.command(&["-v", "node", role]);
        if role == "seal" {
            command.env_remove("AIARENA_PASSWORD");
        }
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Daemon { child, log, url: format!("http://127.0.0.1:{}", self.port) }
    }

    /// What its daemons logged, one after the other.
    pub(crate) fn logs(&self) -> String {
        let read = |number| fs::read_to_string(self.folder.join(format!("log-{number}"))).unwrap_or_default();
        (0..self.starts.load(Ordering::Relaxed))
            .map(|number| format!("-- start {number}\n{}", read(number)))
            .collect()
    }
}

pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    url: String,
}

impl Daemon {
    /// As by `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Tells it to stop, which it does by itself.
    pub(crate) fn stop(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "it ended by itself:\n{}", self.log());
        self.signal("TERM");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        http(&self.url, "GET", path, "")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// A port that nobody uses at the moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
