//! `aiarena doctor`: is everything ready?

mod daemon;

use std::{path::Path, process::Command};

use aiarena_chain::account::FeePolicy;
use aiarena_ml::MAX_ARTIFACT_BYTES;
use aiarena_store::FolderStore;
use alloy::{
    eips::BlockId,
    primitives::{Address, U256},
    providers::Provider,
};
use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::json;

use super::{args::DoctorArgs, keystore, network, say, send::Stopped, session::Session, wallet};
use crate::{amount, audit::differences, config::Config, ui::told};

/// Blocks that an endpoint may be behind the others.
const MOST_LAG: u64 = 5;
/// Seconds by which the newest block may differ from this machine's clock.
const MOST_DRIFT: u64 = 120;
/// Kibibytes of disk below which there is a warning.
const LITTLE_DISK: u64 = 2 << 20;
/// Gas that should be affordable.
const SOME_GAS: u64 = 2_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One line.
#[derive(Debug, Serialize)]
struct Check {
    check: &'static str,
    verdict: Verdict,
    text: String,
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn note(&mut self, check: &'static str, verdict: Verdict, text: impl Into<String>) {
        self.0.push(Check { check, verdict, text: text.into() });
    }

    /// Notes a result: an error is a failure.
    fn result(&mut self, check: &'static str, result: Result<String>) -> bool {
        match result {
            Ok(text) => self.note(check, Verdict::Ok, text),
            Err(error) => self.note(check, Verdict::Fail, told(&error)),
        }
        self.0.last().is_some_and(|check| check.verdict == Verdict::Ok)
    }
}

/// Runs `aiarena doctor`.
pub(super) async fn run(args: DoctorArgs) -> Result<bool> {
    let mut checks = Checks::default();
    match Config::find(args.config.config.as_deref()) {
        Ok(config) => {
            checks.note("configuration", Verdict::Ok, config.file.display().to_string());
            key(&config, &mut checks);
            disk(&config, &mut checks);
            daemon::local(&config, &mut checks).await;
            let mut validates = false;
            if endpoints(&config, &mut checks).await {
                validates = arena(&config, &mut checks).await;
            }
            daemon::sandboxed(validates, &mut checks).await;
        }
        Err(error) => checks.note("configuration", Verdict::Fail, told(&error)),
    }
    let ok = checks.0.iter().all(|check| check.verdict != Verdict::Fail);
    if args.json {
        let report = json!({ "ok": ok, "checks": checks.0 });
        ensure!(ok, Stopped::with("a check failed".to_owned(), true, report));
        say(&serde_json::to_string_pretty(&report)?)?;
    } else {
        for Check { check, verdict, text } in &checks.0 {
            let verdict = match verdict {
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
                Verdict::Fail => "fail",
            };
            say(&format!("{verdict:5} {check}: {text}"))?;
        }
    }
    Ok(ok)
}

fn key(config: &Config, checks: &mut Checks) {
    let opened = wallet::unlock(config).map(|signer| format!("{} opens", signer.address()));
    checks.result("key", opened);
    let files = [Some(&config.key.keystore), config.key.password_file.as_ref()];
    for warning in files.into_iter().flatten().filter_map(|path| keystore::loose(path)) {
        checks.note("key", Verdict::Warn, warning);
    }
}

fn disk(config: &Config, checks: &mut Checks) {
    let folder = &config.data_dir;
    let writable = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder).map(drop));
    let writable = writable.map(|()| format!("{} can be written", folder.display())).map_err(|error| {
        anyhow::anyhow!("{}: {error}: correct data_dir or its permissions", folder.display())
    });
    if checks.result("data folder", writable) {
        match free_kib(folder) {
            Some(free) if free < LITTLE_DISK => {
                checks.note("disk", Verdict::Warn, format!("only {} MiB are free: make room", free >> 10));
            }
            Some(free) => checks.note("disk", Verdict::Ok, format!("{} GiB are free", free >> 20)),
            None => checks.note("disk", Verdict::Warn, "`df` does not tell how much is free"),
        }
    }
    let store = FolderStore::open(&config.store, MAX_ARTIFACT_BYTES as u64);
    let store = store
        .map(|_| format!("{} can be used", config.store.display()))
        .map_err(|error| anyhow::anyhow!("{error}: correct [store] folder or its permissions"));
    checks.result("store", store);
}

/// Kibibytes that are free where a folder lies, as POSIX's `df` tells.
fn free_kib(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    String::from_utf8(output.stdout).ok()?.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

/// Checks every endpoint; true if the contracts can be asked.
async fn endpoints(config: &Config, checks: &mut Checks) -> bool {
    let endpoints = match network::probed(&config.network).await {
        Ok(endpoints) => endpoints,
        Err(error) => {
            checks.note("endpoint", Verdict::Fail, told(&error));
            return false;
        }
    };
    let health = endpoints.health();
    let highest = health.iter().filter_map(|endpoint| endpoint.head).max().unwrap_or_default();
    for endpoint in health {
        let url = endpoint.url;
        let (verdict, text) = match (endpoint.wrong_chain, endpoint.head) {
            (Some(found), _) => {
                let want = config.network.chain_id;
                (Verdict::Fail, format!("{url} is of chain {found}, not of {want}: correct chain_id or rpc"))
            }
            (None, Some(head)) => {
                let behind = highest - head;
                let took = endpoint.latency.as_millis();
                let text = format!("{url} is at block {head}, {behind} behind the others, {took} ms");
                if behind > MOST_LAG {
                    (Verdict::Warn, format!("{text}: is it in step? If it stays behind, name another one"))
                } else {
                    (Verdict::Ok, text)
                }
            }
            (None, None) => {
                let why = endpoint.last_error.unwrap_or_else(|| "it has no newest block".to_owned());
                (Verdict::Fail, format!("{url}: {why}: is the node running, and rpc right?"))
            }
        };
        checks.note("endpoint", verdict, text);
    }
    let block = endpoints.provider().get_block(BlockId::latest()).await.ok().flatten();
    if let Some(block) = block {
        let drift = machine_time().abs_diff(block.header.timestamp);
        let verdict = if drift > MOST_DRIFT { Verdict::Warn } else { Verdict::Ok };
        let text = format!(
            "the newest block is {drift} s from this machine's clock{}",
            if drift > MOST_DRIFT {
                ": the chain's clock decides; is the node in step, and this clock right?"
            } else {
                ""
            }
        );
        checks.note("clock", verdict, text);
    }
    network::connect(&config.network).await.is_ok()
}

/// Seconds since 1970, by this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the machine is what is compared with the chain's"
)]
pub(super) fn machine_time() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map(|duration| duration.as_secs()).unwrap_or_default()
}

/// Checks contracts, balances and tasks; true if the key is a validator.
async fn arena(config: &Config, checks: &mut Checks) -> bool {
    let me = wallet::address(config).ok();
    let session = match Session::open_as(config.clone(), me.unwrap_or_default()).await {
        Ok(session) => session,
        Err(error) => {
            checks.note("contracts", Verdict::Fail, told(&error));
            return false;
        }
    };
    match differences(&session.provider, &session.deployment).await {
        Ok(found) if found.is_empty() => {
            let text = "their code is that of this release, and they name each other";
            checks.note("contracts", Verdict::Ok, text);
        }
        Ok(found) => {
            for difference in found {
                checks.note(
                    "contracts",
                    Verdict::Fail,
                    format!("{difference}: is the address book the right one?"),
                );
            }
        }
        Err(error) => checks.note("contracts", Verdict::Fail, told(&error)),
    }
    if me.is_some() {
        let result = balances(&session, checks).await;
        if let Err(error) = result {
            checks.note("balances", Verdict::Fail, told(&error));
        }
    }
    tasks(&session, me, checks).await
}

async fn tasks(session: &Session, me: Option<Address>, checks: &mut Checks) -> bool {
    daemon::tasks(session, me, checks).await.unwrap_or_else(|error| {
        checks.note("tasks", Verdict::Fail, told(&error));
        false
    })
}

async fn balances(session: &Session, checks: &mut Checks) -> Result<()> {
    let coins = session.provider.get_balance(session.me).await?;
    let price = session.provider.get_gas_price().await?;
    let some = U256::from(price).saturating_mul(U256::from(SOME_GAS));
    let held = format!("{} ETH", amount::show(coins, 18));
    if coins.is_zero() {
        checks.note("coins", Verdict::Fail, format!("{} has none to pay for gas: send it some", session.me));
    } else if coins < some {
        let cost = amount::show(some, 18);
        let text = format!("{held} are few, {SOME_GAS} gas cost {cost} ETH now: send {} some", session.me);
        checks.note("coins", Verdict::Warn, text);
    } else {
        checks.note("coins", Verdict::Ok, held);
    }
    let cap = session.config.network.max_fee;
    let most = FeePolicy { cap: cap.0, ..FeePolicy::default() }.ordinary_cap();
    if price > most {
        let (price, most) = (crate::config::Gwei(price), crate::config::Gwei(most));
        let text = format!(
            "gas costs {price}, more than the {most} that max_fee_gwei = {cap} allows: wait, or raise it"
        );
        checks.note("gas", Verdict::Warn, text);
    }
    let (tokens, allowance) = session.purse(session.me).await?;
    let show = |amount| session.token.show(amount);
    let verdict = if tokens.is_zero() { Verdict::Warn } else { Verdict::Ok };
    let text = format!(
        "{}; the vault may take {} of it, and commands approve what they need",
        show(tokens),
        show(allowance)
    );
    checks.note("tokens", verdict, text);
    Ok(())
}
