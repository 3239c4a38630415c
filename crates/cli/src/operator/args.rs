//! The command line of operators.

use std::path::PathBuf;

use alloy::primitives::Address;
use clap::{Args, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};

use crate::{address, config::Preset};

/// Which configuration is used.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// The configuration; without it the file that AIARENA_CONFIG names, else ./aiarena.toml
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
}

/// How transactions are sent.
#[derive(Debug, Clone, Args)]
pub struct SendArgs {
    /// Do not ask whether to go on
    #[arg(short, long)]
    pub yes: bool,
    /// Only say what would be sent, what it would cost, and whether the contracts would refuse it
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What `init` writes.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder of the configuration
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// A network that is known by name
    #[arg(long, value_enum, conflicts_with_all = ["rpc", "chain_id"], required_unless_present = "rpc")]
    pub network: Option<Preset>,
    /// An endpoint of another network; may be given more than once
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new(), requires = "chain_id")]
    pub rpc: Vec<String>,
    /// The number of that network's chain
    #[arg(long, value_name = "N", requires = "rpc", value_parser = clap::value_parser!(u64).range(1..))]
    pub chain_id: Option<u64>,
    /// Overwrite a configuration that is there already
    #[arg(long)]
    pub force: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How the embedded chain is served.
#[derive(Debug, Args)]
pub struct ChainArgs {
    /// The port on the loopback address; 0 chooses a free one
    #[arg(long, default_value_t = 8545)]
    pub port: u16,
    /// The chain's number
    #[arg(long, value_name = "N", default_value_t = 31_337)]
    pub chain_id: u64,
    /// Continue the chain of this file, and save it there: every half minute, and when the program is stopped
    #[arg(long, value_name = "FILE")]
    pub chain_file: Option<PathBuf>,
    /// Seconds between blocks without transactions, which follow this machine's clock; 0 for none. A transaction gets a
    /// block at once
    #[arg(long, value_name = "SECONDS", default_value_t = 12, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub block_time: u64,
    /// Give this address 100 coins to pay for gas; may be given more than once
    #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
    pub fund: Vec<Address>,
}

/// Keys.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What is done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new key and write it encrypted; the key itself is never shown
    New {
        /// Its name in the folder of keys; without it the file that the configuration names
        name: Option<String>,
        /// A file whose first line is the password; else AIARENA_PASSWORD, else the terminal is asked twice
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Encrypt a key that exists: from a question on the terminal, standard input, or a file
    Import {
        /// Its name in the folder of keys; without it the file that the configuration names
        name: Option<String>,
        /// A file with the private key in hexadecimal digits, or an encrypted file of geth or cast
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// A file whose first line is the password; else AIARENA_PASSWORD, else the terminal is asked twice
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// List the keys in the folder of keys
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show the address of a key
    Show {
        /// Its name; without it the file that the configuration names
        name: Option<String>,
        /// Check the password, too
        #[arg(long)]
        verify: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// The checks.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A deployment.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What is to be deployed
    #[arg(long, value_name = "FILE", required_unless_present = "write_params")]
    pub params: Option<PathBuf>,
    /// Write commented parameters with their defaults to this file, and nothing else
    #[arg(long, value_name = "FILE", conflicts_with = "params")]
    pub write_params: Option<PathBuf>,
    /// Take a genesis that is more than a year ahead
    #[arg(long)]
    pub far_genesis: bool,
    /// How to send
    #[command(flatten)]
    pub send: SendArgs,
}

/// Tasks.
#[derive(Debug, Args)]
pub struct TaskArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do
    #[command(subcommand)]
    pub command: TaskCommand,
}

/// What is done with tasks.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Create a task, which runs from the next epoch on; the vault takes the bond
    Create {
        /// What the task is
        #[arg(long, value_name = "FILE", required_unless_present = "write_params")]
        params: Option<PathBuf>,
        /// Write commented parameters to this file, a description beside it, and nothing else
        #[arg(long, value_name = "FILE", conflicts_with = "params")]
        write_params: Option<PathBuf>,
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// Put a task's description into the configured stores, where all who take part look for it
    ///
    /// The description comes from `--params`, or from any of the configured stores that has it. Only the one whose SHA-256 is
    /// on the chain is put anywhere. Nothing is sent to the chain. Exit codes: 0 all that can be written have it, 1 it is
    /// another description, 2 it could not be had or put everywhere.
    Publish {
        /// The task's number
        task: u64,
        /// The parameters with which the task was created, which name the description; without it the stores are asked
        #[arg(long, value_name = "FILE")]
        params: Option<PathBuf>,
        /// Put it into this store instead of the configured ones; may be given more than once
        #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
        store: Vec<String>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// List all tasks
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show one task
    Show {
        /// Its number
        task: u64,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Add to a task's bounty
    Fund {
        /// Its number
        task: u64,
        /// How many tokens
        #[arg(allow_negative_numbers = true)]
        amount: String,
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// End your task early, after as many epochs as stake takes to unbond
    End {
        /// Its number
        task: u64,
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
}

/// What an operator does in a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Trains models
    Node,
    /// Scores them
    Validator,
}

/// Stake as an operator.
#[derive(Debug, Args)]
pub struct StakeArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The task
    pub task: u64,
    /// How many tokens
    #[arg(allow_negative_numbers = true)]
    pub amount: String,
    /// What you do in the task; needed for the first stake, and fixed by it
    #[arg(long, value_enum)]
    pub role: Option<RoleArg>,
    /// How to send
    #[command(flatten)]
    pub send: SendArgs,
}

/// Take own stake out.
#[derive(Debug, Args)]
pub struct UnstakeArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The task
    pub task: u64,
    /// How many tokens
    #[arg(allow_negative_numbers = true)]
    pub amount: String,
    /// How to send
    #[command(flatten)]
    pub send: SendArgs,
}

/// Delegate to an operator, or take it back.
#[derive(Debug, Args)]
pub struct DelegateArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The task
    pub task: u64,
    /// The operator's address
    #[arg(value_parser = address::parse)]
    pub operator: Address,
    /// How many tokens
    #[arg(allow_negative_numbers = true)]
    pub amount: String,
    /// How to send
    #[command(flatten)]
    pub send: SendArgs,
}

/// Set your commission.
#[derive(Debug, Args)]
pub struct CommissionArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The task
    pub task: u64,
    /// Per cent of your delegators' rewards, 0 to 100, such as 12.5
    #[arg(allow_negative_numbers = true)]
    pub percent: String,
    /// How to send
    #[command(flatten)]
    pub send: SendArgs,
}

/// Take out what has finished unbonding.
#[derive(Debug, Args)]
pub struct WithdrawArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The task
    pub task: u64,
    /// The operator to whom it was delegated; you, if it is your own stake
    #[arg(value_parser = address::parse)]
    pub operator: Option<Address>,
    /// How to send
    #[command(flatten)]
    pub send: SendArgs,
}

/// Take out rewards.
#[derive(Debug, Args)]
pub struct ClaimArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The task
    #[arg(required_unless_present = "all")]
    pub task: Option<u64>,
    /// The operator to whom you delegated; you, if you are the operator
    #[arg(value_parser = address::parse)]
    pub operator: Option<Address>,
    /// Everything that you can claim, in all tasks
    #[arg(long, conflicts_with_all = ["task", "operator"])]
    pub all: bool,
    /// How to send
    #[command(flatten)]
    pub send: SendArgs,
}

/// Take back what a task that is over left.
#[derive(Debug, Args)]
pub struct ReclaimArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// The task
    pub task: u64,
    /// How to send
    #[command(flatten)]
    pub send: SendArgs,
}

/// Where you stand.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Another account than that of the configured key
    #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
    pub of: Option<Address>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// The emission.
#[derive(Debug, Args)]
pub struct EmissionArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do
    #[command(subcommand)]
    pub command: EmissionCommand,
}

/// What is done with the emission.
#[derive(Debug, Subcommand)]
pub enum EmissionCommand {
    /// Show owner, fee, reserve, and the tasks that take part
    Show {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Add to what is left to be emitted; anyone may
    Fund {
        /// How many tokens
        #[arg(allow_negative_numbers = true)]
        amount: String,
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// Let a task take part from the next epoch but one on; for the owner
    Admit {
        /// Its number
        task: u64,
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// Let a task take part no more from the next epoch but one on; for the owner
    Dismiss {
        /// Its number
        task: u64,
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// Set the fee on claims from the next epoch but one on, and who gets it; for the owner
    Fee {
        /// Per cent of claims, up to the limit that the deployment fixed, such as 2.5
        #[arg(allow_negative_numbers = true)]
        percent: String,
        /// Who gets the fees from then on; without it who gets them already
        #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
        treasury: Option<Address>,
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// Pay the fees of claims to the treasury; anyone may
    Collect {
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// Burn what was slashed; anyone may
    Burn {
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// Offer the emission to another owner, who has to accept it; for the owner
    Transfer {
        /// The new owner
        #[arg(value_parser = address::parse)]
        to: Address,
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// Become the owner, if the emission was offered to you
    Accept {
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
    /// Leave the emission without an owner, for ever: nobody can admit tasks or set the fee any more; for the owner
    Renounce {
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
}

/// The token.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What to do
    #[command(subcommand)]
    pub command: TokenCommand,
}

/// What is done with the token.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make tokens of a test deployment, whose deployer alone may do it
    Mint {
        /// How many tokens
        #[arg(allow_negative_numbers = true)]
        amount: String,
        /// Who gets them; you, if nobody is named
        #[arg(long, value_name = "ADDRESS", value_parser = address::parse)]
        to: Option<Address>,
        /// How to send
        #[command(flatten)]
        send: SendArgs,
    },
}
