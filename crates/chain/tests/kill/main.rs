//! Kills a real process with SIGKILL after every step of its journal, and starts it again.
//!
//! Without a harness: this program is the parent, and by its first argument also the process that is killed.

use std::{
    path::Path,
    process::{Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aiarena_chain::{
    account::{Account, FeePolicy, Journal, Step},
    bindings::ArenaToken,
    embedded::{Config, EmbeddedChain},
};
use alloy::{
    primitives::{Address, U256},
    providers::Provider,
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
};

const MINTS: u32 = 3;
/// More steps than a process takes.
const MOST_STEPS: usize = 100;

fn key() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&[7; 32].into()).unwrap()
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("child") => child(&arguments[2], &arguments[3], Path::new(&arguments[4]), &arguments[5]).await,
        // What a test runner asks of every test program.
        Some("--list") => println!("kill: test"),
        _ => parent().await,
    }
    ExitCode::SUCCESS
}

/// Mints all amounts, then ends; killed by its own hand at the step of this number, as by nobody's.
async fn child(url: &str, token: &str, folder: &Path, nth: &str) {
    let nth: usize = nth.parse().unwrap();
    let told = AtomicUsize::new(0);
    let watcher = Arc::new(move |step: Step| {
        println!("{step:?}");
        if told.fetch_add(1, Ordering::SeqCst) == nth {
            let me = std::process::id().to_string();
            Command::new("kill").args(["-KILL", &me]).status().unwrap();
            unreachable!("SIGKILL cannot be ignored");
        }
    });
    let journal = Journal::open(folder, 31_337, key().address()).await.unwrap().watched(watcher);
    let rpc = RpcClient::new_http(url.parse().unwrap());
    rpc.set_poll_interval(std::time::Duration::from_millis(2));
    let account = Account::with_journal(rpc, key(), journal, FeePolicy::default()).await.unwrap();
    account.resume().await.unwrap();
    for number in 0..MINTS {
        let call = ArenaToken::mintCall { to: Address::repeat_byte(1), amount: U256::from(1 << number) };
        account.send_once(format!("mint {number}"), u64::MAX, token.parse().unwrap(), &call).await.unwrap();
    }
    account.confirm(u64::MAX, 0).await.unwrap();
}

async fn parent() {
    let mut killed_after = Vec::new();
    for nth in 0..MOST_STEPS {
        let chain =
            EmbeddedChain::new(Config::default().with_balance(key().address(), U256::from(10_u128.pow(24))))
                .unwrap();
        let deployed =
            Account::new(chain.rpc_client(), key()).deploy("ArenaToken", ArenaToken::BYTECODE.clone()).await;
        let token = deployed.unwrap().created.unwrap();
        let server = chain.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let process = async |nth: usize| {
            let program = std::env::current_exe().unwrap();
            let mut command = tokio::process::Command::new(program);
            command
                .args(["child", &server.url(), &token.to_string()])
                .arg(folder.path())
                .arg(nth.to_string());
            command.output().await.unwrap()
        };
        let first = process(nth).await;
        let steps = String::from_utf8(first.stdout).unwrap();
        let last = steps.lines().last().unwrap_or_default().to_owned();
        let second = process(MOST_STEPS).await;
        assert!(second.status.success(), "after {nth}: {}", String::from_utf8_lossy(&second.stderr));

        let provider = chain.provider();
        let supply = ArenaToken::new(token, &provider).totalSupply().call().await.unwrap();
        assert_eq!(supply, U256::from((1 << MINTS) - 1), "killed after step {nth}, {last}: each amount once");
        let nonce = provider.get_transaction_count(key().address()).await.unwrap();
        assert_eq!(nonce, 1 + u64::from(MINTS), "killed after step {nth}, {last}: no nonce was wasted");
        if first.status.success() {
            let all = ["Intended", "Signed", "Sent", "Mined", "Final"];
            assert!(all.iter().all(|step| killed_after.iter().any(|seen| seen == step)), "{killed_after:?}");
            println!(
                "test kill: {} processes killed, the steps before: {killed_after:?} ... ok",
                killed_after.len()
            );
            println!("\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
            return;
        }
        killed_after.push(last);
    }
    panic!("the process never came to its end");
}
