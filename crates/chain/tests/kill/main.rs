//! Kills a real process with SIGKILL after every step of its journal, or fills its disk, and starts it again.
//!
//! Without a harness: this program is the parent, and by its first argument also the process that is killed.
#![expect(clippy::print_stdout, reason = "it is its own harness, and a child that tells its parent")]
#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]

use std::{
    path::Path,
    process::{ExitCode, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aiarena_chain::{
    account::{Account, FeePolicy, Journal, Step},
    bindings::ArenaToken,
    embedded::{Config, EmbeddedChain, Server},
};
use alloy::{
    primitives::{Address, U256},
    providers::{DynProvider, Provider, ext::AnvilApi},
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
};
use tempfile::TempDir;
use tokio::{process::Command, task::JoinHandle};

use self::miner::mine_after_two_raises;

#[path = "../journal/miner.rs"]
mod miner;

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
        Some("child") => child(&arguments[2..]).await,
        // What a test runner asks of every test program.
        Some("--list") => println!("kill: test"),
        _ => parent().await,
    }
    ExitCode::SUCCESS
}

/// Mints all amounts, then ends; killed by its own hand at the step of this number, as by nobody's.
async fn child(arguments: &[String]) {
    let [url, token, folder, raise_millis, nth] = arguments else { panic!("{arguments:?}") };
    let (nth, raise_millis): (usize, u64) = (nth.parse().unwrap(), raise_millis.parse().unwrap());
    let told = AtomicUsize::new(0);
    let watcher = Arc::new(move |step: Step| {
        println!("{step:?}");
        if told.fetch_add(1, Ordering::SeqCst) == nth {
            let me = std::process::id().to_string();
            std::process::Command::new("kill").args(["-KILL", &me]).status().unwrap();
            unreachable!("SIGKILL cannot be ignored");
        }
    });
    let journal = Journal::open(Path::new(folder), 31_337, key().address()).await.unwrap().watched(watcher);
    let rpc = RpcClient::new_http(url.parse().unwrap());
    rpc.set_poll_interval(Duration::from_millis(2));
    let policy = FeePolicy { raise_after: Duration::from_millis(raise_millis), ..FeePolicy::default() };
    let account = Account::with_journal(rpc, key(), journal, policy).await.unwrap();
    account.resume().await.unwrap();
    for number in 0..MINTS {
        let call = ArenaToken::mintCall { to: Address::repeat_byte(1), amount: U256::from(1 << number) };
        account.send_once(format!("mint {number}"), u64::MAX, token.parse().unwrap(), &call).await.unwrap();
    }
    account.confirm(u64::MAX, 0).await.unwrap();
}

/// When a chain mines what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mining {
    AtOnce,
    AfterTwoRaises,
}

impl Mining {
    /// After how many milliseconds a process raises a fee.
    fn raise_millis(self) -> u64 {
        match self {
            Self::AtOnce => 15_000,
            Self::AfterTwoRaises => 20,
        }
    }
}

/// A chain, and the folder of a process that is killed.
struct World {
    provider: DynProvider,
    server: Server,
    token: Address,
    folder: TempDir,
    mining: Mining,
    miner: Option<JoinHandle<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.miner.as_ref().inspect(|miner| miner.abort());
    }
}

impl World {
    async fn new(mining: Mining) -> Self {
        let config = Config::default().with_balance(key().address(), U256::from(10_u128.pow(24)));
        let chain = EmbeddedChain::new(config).unwrap();
        let account = Account::new(chain.rpc_client(), key());
        let token =
            account.deploy("ArenaToken", ArenaToken::BYTECODE.clone()).await.unwrap().created.unwrap();
        let server = chain.listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (provider, folder) = (chain.provider(), tempfile::tempdir().unwrap());
        let miner = match mining {
            Mining::AtOnce => None,
            Mining::AfterTwoRaises => {
                provider.anvil_set_auto_mine(false).await.unwrap();
                Some(tokio::spawn(mine_after_two_raises(provider.clone())))
            }
        };
        Self { provider, server, token, folder, mining, miner }
    }

    /// Runs the process until its step of this number, or to its end; `room`: the largest file that it can write, in bytes.
    async fn run(&self, nth: usize, room: Option<u64>) -> Output {
        let program = std::env::current_exe().unwrap();
        let mut command = match room {
            None => Command::new(program),
            Some(room) => {
                let mut limited = Command::new("prlimit");
                limited.arg(format!("--fsize={room}")).arg(program);
                limited
            }
        };
        command.args(["child", &self.server.url(), &self.token.to_string()]);
        command.arg(self.folder.path()).arg(self.mining.raise_millis().to_string());
        command.arg(nth.to_string()).output().await.unwrap()
    }

    async fn check(&self, story: &str) {
        let supply = ArenaToken::new(self.token, &self.provider).totalSupply().call().await.unwrap();
        assert_eq!(supply, U256::from((1 << MINTS) - 1), "{story}: each amount once");
        let nonce = self.provider.get_transaction_count(key().address()).await.unwrap();
        assert_eq!(nonce, 1 + u64::from(MINTS), "{story}: no nonce was wasted");
    }
}

async fn parent() {
    let killed = killed_after_every_step(Mining::AtOnce).await;
    println!("test killed after {} steps ... ok", killed.len());
    let raising = killed_after_every_step(Mining::AfterTwoRaises).await;
    let signed = raising.iter().filter(|step| *step == "Signed").count();
    assert!(signed >= 3 * MINTS as usize, "{raising:?}");
    println!("test killed after {} steps with two raises of each fee ... ok", raising.len());
    let full = full_disks().await;
    println!("test {full} full disks ... ok");
    println!("\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

async fn killed_after_every_step(mining: Mining) -> Vec<String> {
    let mut killed_after = Vec::new();
    for nth in 0..MOST_STEPS {
        let world = World::new(mining).await;
        let first = world.run(nth, None).await;
        let steps = String::from_utf8(first.stdout).unwrap();
        let last = steps.lines().last().unwrap_or_default().to_owned();
        let second = world.run(MOST_STEPS, None).await;
        assert!(second.status.success(), "after {nth}: {}", String::from_utf8_lossy(&second.stderr));
        world.check(&format!("mined {mining:?}, killed after step {nth}, {last}")).await;
        if first.status.success() {
            let all = ["Intended", "Signed", "Sent", "Mined", "Final"];
            assert!(all.iter().all(|step| killed_after.iter().any(|seen| seen == step)), "{killed_after:?}");
            return killed_after;
        }
        killed_after.push(last);
    }
    panic!("the process never came to its end");
}

/// The journal cannot grow any further, at various points. Nothing is sent that was not written down.
async fn full_disks() -> u32 {
    let mut full = 0;
    for room in (0..16).map(|step| 4_096 * (step * step + 1)) {
        let world = World::new(Mining::AtOnce).await;
        let first = world.run(MOST_STEPS, Some(room)).await;
        full += u32::from(!first.status.success());
        let second = world.run(MOST_STEPS, None).await;
        assert!(second.status.success(), "{room} bytes: {}", String::from_utf8_lossy(&second.stderr));
        world.check(&format!("files of {room} bytes at most")).await;
    }
    assert!((3..16).contains(&full), "{full} of 16 disks were too small, and the others were not");
    full
}
