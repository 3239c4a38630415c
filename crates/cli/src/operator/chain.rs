//! `aiarena chain`: serves the embedded chain on this machine.

use std::{
    fs::{File, TryLockError},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use aiarena_chain::{
    devnet::DevChain,
    embedded::{Config, EmbeddedChain},
};
use alloy::{
    primitives::{Address, U256, address},
    providers::Provider,
};
use anyhow::{Context, Result, bail, ensure};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{args::ChainArgs, doctor::machine_time, say, send::Refusal};
use crate::files::folder_of;

/// The first account of the development mnemonic of Anvil and Hardhat, whose key everybody has.
const DEVELOPMENT: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
/// Coins of the development account, and of each funded one.
const COINS: (u64, u64) = (10_000, 100);
/// How often the chain is saved.
const SAVING: Duration = Duration::from_secs(30);

/// Runs `aiarena chain`, until it is stopped.
pub(super) async fn run(args: ChainArgs) -> Result<bool> {
    let _lock = args.chain_file.as_deref().map(lock).transpose()?;
    let chain = start(&args)?;
    let dev = DevChain::detect(chain.rpc_client()).await?;
    for account in &args.fund {
        if chain.provider().get_balance(*account).await? < coins(COINS.1) {
            dev.set_balance(*account, coins(COINS.1)).await?;
        }
    }
    save(&chain, args.chain_file.as_deref())?;
    let server = chain.listen((Ipv4Addr::LOCALHOST, args.port).into()).await?;
    say(&format!("chain {} at {}", args.chain_id, server.url()))?;
    say(&format!("development account {DEVELOPMENT}: everybody has its key"))?;
    for account in &args.fund {
        say(&format!("funded {account}"))?;
    }
    eprintln!("Stop it with Ctrl-C.");
    let result = serve(&chain, &dev, &args).await;
    server.shutdown().await;
    save(&chain, args.chain_file.as_deref())?;
    result.map(|()| true)
}

/// Keeps the file for this process, until it ends, however it ends: two that save the same file would each lose what the
/// other did.
fn lock(file: &Path) -> Result<File> {
    // Another name of the same file has the same lock.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = folder_of(&file);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut path = file.clone().into_os_string();
    path.push(".lock");
    let path = PathBuf::from(path);
    let locking = || format!("cannot lock {}", path.display());
    let lock = File::options().create(true).truncate(false).write(true).open(&path).with_context(locking)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!(Refusal(format!(
            "{} is in use: another process serves this chain; stop it first, or name another --chain-file",
            file.display()
        ))),
        Err(TryLockError::Error(error)) => Err(error).with_context(locking),
    }
}

fn start(args: &ChainArgs) -> Result<EmbeddedChain> {
    let file = args.chain_file.as_deref();
    match file.filter(|file| file.exists()) {
        Some(file) => EmbeddedChain::load(file).with_context(|| format!("cannot load {}", file.display())),
        None => {
            let config =
                Config { chain_id: args.chain_id, genesis_timestamp: machine_time(), ..Config::default() };
            let chain = EmbeddedChain::new(config.with_balance(DEVELOPMENT, coins(COINS.0)));
            chain.context("start the embedded chain")
        }
    }
}

/// Mines and saves, until a signal comes.
async fn serve(chain: &EmbeddedChain, dev: &DevChain, args: &ChainArgs) -> Result<()> {
    let id = chain.provider().get_chain_id().await?;
    ensure!(id == args.chain_id, "the file holds chain {id}: say --chain-id {id}");
    let ticker = |every: Duration| {
        let mut ticker = interval_at(Instant::now() + every, every);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticker
    };
    // Without a block time the ticker never matters.
    let mut blocks = ticker(Duration::from_secs(args.block_time.max(1)));
    let mut saving = ticker(SAVING);
    let mut saved = chain.provider().get_block_number().await?;
    let stop = stopped();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            result = &mut stop => return result,
            _ = blocks.tick(), if args.block_time != 0 => dev.advance_to(machine_time()).await?,
            _ = saving.tick() => {
                let head = chain.provider().get_block_number().await?;
                if head != saved {
                    save(chain, args.chain_file.as_deref())?;
                    saved = head;
                }
            }
        }
    }
}

/// Waits for Ctrl-C, or for what a service manager sends.
async fn stopped() -> Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result.context("cannot wait for signals"),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.context("cannot wait for signals")
}

fn save(chain: &EmbeddedChain, file: Option<&Path>) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let folder = folder_of(file);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    chain.save(file).with_context(|| format!("cannot save the chain to {}", file.display()))
}

fn coins(number: u64) -> U256 {
    U256::from(number) * U256::from(1_000_000_000_000_000_000_u64)
}
