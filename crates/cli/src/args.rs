//! The command line: one definition for parsing, help and shell completions.

use std::path::PathBuf;

use alloy::primitives::Address;
use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};

use crate::{address, operator::OperatorCommand};

/// Decentralised AI training where nobody has to trust the organiser.
#[derive(Debug, Parser)]
#[command(name = "aiarena", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// Say more about what is done, on standard error; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How log lines are written on standard error: text or json
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, hide_possible_values = true)]
    pub log_format: LogFormat,
    /// Use no colours
    #[arg(long, global = true)]
    pub no_color: bool,
    /// The configuration of a command of operators; it may stand after the command, too
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object per line
    Json,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a whole arena on this machine: real models, real contracts, real payments
    ///
    /// Training nodes of different skill, a copier and one that submits broken files compete over several epochs.
    /// Validators score them, among them a liar, a lazy one and one that never reveals. Contracts find consensus scores,
    /// rank and pay; then every payment is recomputed from the chain's history. The exit code is 0 only if every check
    /// held.
    Demo(DemoArgs),
    /// Recompute every score, rank and payment of an arena from the chain's history, and compare to the unit
    ///
    /// Exit codes: 0 all agree, 1 differences were found, 2 the audit could not be done.
    Audit(AuditArgs),
    /// What operators do on a network
    #[command(flatten)]
    Operator(OperatorCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Takes a configuration that was named before the command, unless one is named after it.
    ///
    /// # Errors
    /// The name of a command that reads none.
    pub fn configure(&mut self, file: PathBuf) -> Result<(), &'static str> {
        match self {
            Self::Operator(command) => command.configure(file),
            Self::Demo(_) => Err("demo"),
            Self::Audit(_) => Err("audit"),
            Self::Completions { .. } => Err("completions"),
        }
    }
}

/// How the demo is played.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Everything random follows from it: the same seed gives the same report on the embedded chain
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Epochs to play
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub epochs: u32,
    /// Honest training nodes, 2 to 24; a copier and one that submits broken files join them
    #[arg(long, default_value_t = 6)]
    pub nodes: usize,
    /// Honest validators, 3 to 40; a liar, a lazy one and a silent one join them
    #[arg(long, default_value_t = 5)]
    pub validators: usize,
    /// Play on this development chain (Anvil, Hardhat) instead of the embedded one
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub rpc_url: Option<String>,
    /// Keep chain, artifacts, evaluation data and report in this folder, for `aiarena audit --dir`
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Write the report as JSON to this file; `-` for standard output instead of the one for people
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Stake of the liar in whole tokens; with a majority the checks fail, as they should
    #[arg(long, default_value_t = 2_000, hide = true)]
    pub liar_stake: u64,
}

/// What is audited.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// A folder that `aiarena demo --keep` wrote
    #[arg(long, value_name = "DIR", conflicts_with_all = ["rpc_url", "arena", "from_block"])]
    pub dir: Option<PathBuf>,
    /// RPC endpoint of the chain
    #[arg(long, value_name = "URL", requires = "arena", required_unless_present = "dir")]
    pub rpc_url: Option<String>,
    /// Address of the arena contract
    #[arg(long, requires = "rpc_url", value_parser = address::parse)]
    pub arena: Option<Address>,
    /// The block in which the first of the arena's contracts was deployed, or an earlier one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub from_block: u64,
    /// Evaluate every artifact again
    #[arg(long)]
    pub rescore: bool,
    /// Folder of public evaluation data; with --dir the one kept there, else those of this program
    #[arg(long, value_name = "DIR", requires = "rescore")]
    pub eval_data: Option<PathBuf>,
    /// Folder of the artifacts, descriptions and published slices; with --dir the one kept there
    #[arg(long, value_name = "DIR", requires = "rescore")]
    pub artifacts: Option<PathBuf>,
    /// Say line by line why this address was paid what it was paid
    #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
    pub receipt: Option<Address>,
    /// Write the report as JSON to this file; `-` for standard output instead of the one for people
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
