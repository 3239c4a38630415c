//! What operators do on a real network: configure, keep keys, check, deploy, create tasks, stake, claim.
//!
//! Everything that sends goes through `wallet::open` and `send::carry_out`: the first makes the account, the second
//! says what will be done, asks, sends, and explains refusals.

pub mod args;
mod chain;
mod date;
pub(crate) mod deploy;
mod doctor;
mod emission;
pub(crate) mod evaluation;
mod explain;
mod keys;
mod keystore;
pub(crate) mod network;
mod params;
mod publish;
mod secret;
mod send;
mod session;
pub(crate) mod sole;
mod stake;
mod status;
pub(crate) mod stores;
mod task;
mod task_params;
pub mod wallet;

use std::path::PathBuf;

use anyhow::Result;

use self::args::{
    ChainArgs, ClaimArgs, CommissionArgs, DelegateArgs, DeployArgs, DoctorArgs, EmissionArgs, InitArgs,
    KeyArgs, ReclaimArgs, StakeArgs, StatusArgs, TaskArgs, TokenArgs, UnstakeArgs, WithdrawArgs,
};
use crate::{
    config::{self, Config},
    daemon::{self, NodeArgs},
    files::write_new,
};

/// A command of an operator.
#[derive(Debug, clap::Subcommand)]
pub enum OperatorCommand {
    /// Write a commented configuration, aiarena.toml
    Init(InitArgs),
    /// Serve a chain of your own on this machine, for trying things out
    ///
    /// JSON-RPC over HTTP on the loopback address, for this program, cast and wallets. The first account of the development
    /// mnemonic that everybody knows holds coins; never send anything of value to it.
    Chain(ChainArgs),
    /// Make, import and list encrypted keys
    Key(KeyArgs),
    /// Check configuration, key, endpoints, contracts, balances, clock, disk, and all that a daemon needs
    ///
    /// Of a daemon: tasks, role and stake, data, training, stores, sandbox, address of metrics. A few bytes are put into each
    /// store that can be written; they stay in buckets. Exit codes: 0 all is well or there are only warnings, 1 a check failed, 2 the checks could not be made.
    Doctor(DoctorArgs),
    /// Deploy the contracts of an arena, or finish a deployment that was interrupted
    ///
    /// Exit codes: 0 deployed, 1 the contracts refused, a parameter is out of its bounds, or you said no, 2 it could not be done.
    Deploy(DeployArgs),
    /// Create, list, show, fund and end tasks
    Task(TaskArgs),
    /// Stake as a node or as a validator of a task
    Stake(StakeArgs),
    /// Start unbonding stake of your own
    Unstake(UnstakeArgs),
    /// Delegate to an operator of a task
    Delegate(DelegateArgs),
    /// Start unbonding what you delegated
    Undelegate(DelegateArgs),
    /// Set your commission as an operator
    Commission(CommissionArgs),
    /// Take out stake that has finished unbonding
    Withdraw(WithdrawArgs),
    /// Take out rewards
    Claim(ClaimArgs),
    /// Take back what a task that is over left of your bounty, and the bond of its creator
    Reclaim(ReclaimArgs),
    /// Show your stakes, delegations, rewards and balances
    Status(StatusArgs),
    /// Show and fund the emission, and do what its owner may: admit tasks, set the fee, hand it over
    Emission(EmissionArgs),
    /// Make tokens of a test deployment
    Token(TokenArgs),
    /// Run a training node, a validator, or the daemon of a task's creator
    Node(NodeArgs),
}

impl OperatorCommand {
    /// Takes a configuration that was named before the command, unless one is named after it.
    ///
    /// # Errors
    /// The name of a command that reads none.
    pub fn configure(&mut self, file: PathBuf) -> Result<(), &'static str> {
        let args = match self {
            Self::Init(_) => return Err("init"),
            Self::Chain(_) => return Err("chain"),
            Self::Key(args) => &mut args.config,
            Self::Doctor(args) => &mut args.config,
            Self::Deploy(args) => &mut args.config,
            Self::Task(args) => &mut args.config,
            Self::Stake(args) => &mut args.config,
            Self::Unstake(args) => &mut args.config,
            Self::Delegate(args) | Self::Undelegate(args) => &mut args.config,
            Self::Commission(args) => &mut args.config,
            Self::Withdraw(args) => &mut args.config,
            Self::Claim(args) => &mut args.config,
            Self::Reclaim(args) => &mut args.config,
            Self::Status(args) => &mut args.config,
            Self::Emission(args) => &mut args.config,
            Self::Token(args) => &mut args.config,
            Self::Node(args) => &mut args.config,
        };
        args.config.get_or_insert(file);
        Ok(())
    }
}

/// Runs a command; false if it found something wrong, which it has told.
pub async fn run(command: OperatorCommand) -> Result<bool> {
    match command {
        OperatorCommand::Init(args) => init(args),
        OperatorCommand::Chain(args) => chain::run(args).await,
        OperatorCommand::Key(args) => keys::run(args),
        OperatorCommand::Doctor(args) => doctor::run(args).await,
        OperatorCommand::Deploy(args) => deploy::run(args).await,
        OperatorCommand::Task(args) => task::run(args).await,
        OperatorCommand::Stake(args) => stake::stake(args).await,
        OperatorCommand::Unstake(args) => stake::unstake(args).await,
        OperatorCommand::Delegate(args) => stake::delegate(args).await,
        OperatorCommand::Undelegate(args) => stake::undelegate(args).await,
        OperatorCommand::Commission(args) => stake::commission(args).await,
        OperatorCommand::Withdraw(args) => stake::withdraw(args).await,
        OperatorCommand::Claim(args) => stake::claim(args).await,
        OperatorCommand::Reclaim(args) => stake::reclaim(args).await,
        OperatorCommand::Status(args) => status::run(args).await,
        OperatorCommand::Emission(args) => emission::run(args).await,
        OperatorCommand::Token(args) => stake::token(args).await,
        OperatorCommand::Node(args) => daemon::run(args).await,
    }
}

/// Whether an error means that what was asked for cannot be had as things stand, rather than that something is broken.
#[must_use]
pub fn is_refusal(error: &anyhow::Error) -> bool {
    let stopped = error.downcast_ref::<send::Stopped>();
    error.is::<send::Refusal>() || stopped.is_some_and(send::Stopped::is_refusal)
}

/// An error as the one object that a command prints with `--json`: `ok` is false, `error` says why, `advice` what to do or is
/// null, `transactions` are those that were mined before. Some commands add what else they found.
#[must_use]
pub fn error_report(error: &anyhow::Error) -> serde_json::Value {
    send::error_report(error)
}

fn init(args: InitArgs) -> Result<bool> {
    let network = match (args.network, args.chain_id) {
        (Some(preset), _) => preset.network(),
        (None, chain_id) => {
            for (number, url) in (1..).zip(&args.rpc) {
                config::RpcUrl::try_from(url.clone())
                    .map_err(|error| anyhow::anyhow!("--rpc number {number}: {error}"))?;
            }
            (chain_id.unwrap_or_default(), args.rpc)
        }
    };
    let file = args.folder.join(config::FILE_NAME);
    write_new(&file, &config::template(&network, args.network), args.force)?;
    // What was written is read at once, so that it cannot be of no use.
    Config::read(&file)?;
    if args.json {
        let report = serde_json::json!({ "ok": true, "file": file });
        say(&serde_json::to_string_pretty(&report)?)?;
    } else {
        say(&format!("wrote {}", file.display()))?;
    }
    Ok(true)
}

/// Prints a result.
fn say(text: &str) -> Result<()> {
    use std::io::Write;

    use anyhow::Context;
    writeln!(std::io::stdout().lock(), "{text}").context("cannot write to standard output")
}
