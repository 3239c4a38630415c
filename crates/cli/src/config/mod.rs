//! The operator's configuration: a file of TOML, read once into a type that cannot be wrong.
//!
//! Each section is a struct of its own that refuses unknown fields. To add a section, give `Sections` a field with its
//! struct (`#[serde(default)]` if it may be missing), and `Config` what follows from it.

mod preset;
mod value;

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::primitives::Address;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

pub use self::{
    preset::{Preset, template},
    value::{Gwei, RpcUrl},
};
use crate::files::{folder_of, read_toml};

/// The name of a configuration in its folder.
pub const FILE_NAME: &str = "aiarena.toml";
/// Names the configuration, if `--config` does not.
pub const FILE_VARIABLE: &str = "AIARENA_CONFIG";

/// What an operator configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// Everything that is kept between runs.
    pub data_dir: PathBuf,
    /// The chain, and how to reach it.
    pub network: Network,
    /// The address book: where the contracts are.
    pub contracts: PathBuf,
    /// The key that signs.
    pub key: Key,
    /// The folder of the artifacts.
    pub store: PathBuf,
    /// How the daemons work.
    pub operator: Operator,
    /// How a training node's models are made.
    pub train: Training,
    /// What a creator's daemon seals.
    pub seal: Seal,
}

/// What a creator's daemon seals.
#[derive(Debug, Clone, Default)]
pub struct Seal {
    /// Folders of evaluation data, for tasks whose own copy in the folder of the key is gone.
    pub evaluation: Vec<PathBuf>,
}

/// How the daemons work.
#[derive(Debug, Clone)]
pub struct Operator {
    /// In which tasks; none: in all in which the key has the role.
    pub tasks: Vec<u64>,
    /// Where artifacts are found, and put if it can be written; none: the folder of the artifacts.
    pub stores: Vec<String>,
    /// The folder of the evaluation data, if a task does not use those of this program.
    pub data: Option<PathBuf>,
    /// Time between two looks at the chain.
    pub poll: Duration,
    /// What one validator leaves the one before it for what anyone may do, in seconds.
    pub turn_secs: u64,
    /// Where metrics and health are served.
    pub listen: Option<SocketAddr>,
}

/// How a training node's models are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Training {
    /// By a program of the operator and its arguments, run in the folder of the configuration.
    Command(Vec<String>),
    /// By this program.
    Builtin {
        /// Widths of the hidden layers; none: a linear model.
        hidden: Vec<usize>,
        /// Rows to train on.
        rows: usize,
        /// Passes over them in the first epoch; one in each later epoch.
        passes: usize,
    },
}

/// The chain, and how to reach it.
#[derive(Debug, Clone)]
pub struct Network {
    /// What every endpoint must answer.
    pub chain_id: u64,
    /// At least one endpoint; the one that does best is used.
    pub rpc: Vec<RpcUrl>,
    /// Blocks that a transaction must be deep before it counts as done, at least 1.
    pub confirmations: u64,
    /// Nothing is sent while a unit of gas may cost more.
    pub max_fee: Gwei,
}

/// The key that signs.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its encrypted file.
    pub keystore: PathBuf,
    /// The file that holds the password; `None`: `AIARENA_PASSWORD`, or a question on the terminal.
    pub password_file: Option<PathBuf>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    #[serde(default = "data_dir")]
    data_dir: PathBuf,
    network: NetworkSection,
    #[serde(default)]
    contracts: ContractsSection,
    #[serde(default)]
    key: KeySection,
    #[serde(default)]
    store: StoreSection,
    #[serde(default)]
    operator: OperatorSection,
    #[serde(default)]
    train: TrainSection,
    #[serde(default)]
    seal: SealSection,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SealSection {
    evaluation: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OperatorSection {
    tasks: Vec<u64>,
    stores: Vec<String>,
    data: Option<PathBuf>,
    poll_ms: u64,
    turn_secs: u64,
    listen: Option<SocketAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TrainSection {
    command: Option<Vec<String>>,
    hidden: Vec<usize>,
    rows: usize,
    passes: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkSection {
    chain_id: u64,
    rpc: Vec<RpcUrl>,
    #[serde(default = "one")]
    confirmations: u64,
    #[serde(default)]
    max_fee_gwei: Gwei,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ContractsSection {
    address_book: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeySection {
    keystore: PathBuf,
    password_file: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct StoreSection {
    folder: Option<PathBuf>,
}

impl Default for ContractsSection {
    fn default() -> Self {
        Self { address_book: "contracts.json".into() }
    }
}

impl Default for OperatorSection {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            stores: Vec::new(),
            data: None,
            poll_ms: 2_000,
            turn_secs: 10,
            listen: None,
        }
    }
}

impl Default for TrainSection {
    fn default() -> Self {
        Self { command: None, hidden: vec![64], rows: 8_000, passes: 3 }
    }
}

impl Default for KeySection {
    fn default() -> Self {
        Self { keystore: "keys/operator.json".into(), password_file: None }
    }
}

fn data_dir() -> PathBuf {
    "data".into()
}

fn one() -> u64 {
    1
}

impl Config {
    /// Finds and reads the configuration: the file that was named, else that of `AIARENA_CONFIG`, else `./aiarena.toml`.
    ///
    /// # Errors
    /// If there is none, or something in it is wrong, with file and line.
    pub fn find(named: Option<&Path>) -> Result<Self> {
        let variable = env::var_os(FILE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        match named.map(Path::to_owned).or(variable) {
            Some(file) => Self::read(&file),
            None if Path::new(FILE_NAME).exists() => Self::read(Path::new(FILE_NAME)),
            None => bail!(
                "there is no {FILE_NAME} here: write one with `aiarena init`, or name one with --config FILE or {FILE_VARIABLE}"
            ),
        }
    }

    /// What a key keeps between runs: its journal, the arena's history, and its artifacts.
    #[must_use]
    pub fn folder_of_key(&self, key: Address) -> PathBuf {
        self.data_dir.join(format!("{}-{key}", self.network.chain_id))
    }

    /// Reads a configuration. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// If something in it is wrong, with file and line.
    pub fn read(file: &Path) -> Result<Self> {
        let sections: Sections = read_toml(file).context("the configuration is of no use")?;
        let folder = folder_of(file);
        let within = |path: PathBuf| folder.join(path);
        let NetworkSection { chain_id, rpc, confirmations, max_fee_gwei } = sections.network;
        let wrong = |what: &str| format!("{}: [network] {what}", file.display());
        ensure!(chain_id != 0, wrong("chain_id must be the number of a chain, such as 84532"));
        ensure!(!rpc.is_empty(), wrong("rpc must name at least one endpoint, such as http://127.0.0.1:8545"));
        ensure!((1..=1_000).contains(&confirmations), wrong("confirmations must be 1 to 1000"));
        let OperatorSection { tasks, stores, data, poll_ms, turn_secs, listen } = sections.operator;
        let wrong = |what: &str| format!("{}: [operator] {what}", file.display());
        ensure!((50..=600_000).contains(&poll_ms), wrong("poll_ms must be 50 to 600000"));
        ensure!(turn_secs <= 3_600, wrong("turn_secs must be at most 3600"));
        ensure!(
            listen.is_none_or(|address| address.ip().is_loopback()),
            wrong(
                "listen must be a loopback address, such as 127.0.0.1:9464: what it serves is not protected"
            )
        );
        let TrainSection { command, hidden, rows, passes } = sections.train;
        let wrong = |what: &str| format!("{}: [train] {what}", file.display());
        ensure!(
            command.as_ref().is_none_or(|command| !command.is_empty()),
            wrong("command must name a program")
        );
        ensure!(rows > 0 && (1..=1_000).contains(&passes), wrong("rows and passes must be at least 1"));
        let data_dir = within(sections.data_dir);
        Ok(Self {
            operator: Operator {
                tasks,
                stores,
                data: data.map(within),
                poll: Duration::from_millis(poll_ms),
                turn_secs,
                listen,
            },
            train: match command {
                Some(command) => Training::Command(command),
                None => Training::Builtin { hidden, rows, passes },
            },
            seal: Seal { evaluation: sections.seal.evaluation.into_iter().map(within).collect() },
            file: file.to_owned(),
            network: Network { chain_id, rpc, confirmations, max_fee: max_fee_gwei },
            contracts: within(sections.contracts.address_book),
            key: Key {
                keystore: within(sections.key.keystore),
                password_file: sections.key.password_file.map(within),
            },
            store: sections.store.folder.map_or_else(|| data_dir.join("artifacts"), within),
            data_dir,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        std::fs::write(&file, text).unwrap();
        Config::read(&file)
    }

    #[test]
    fn every_preset_is_a_configuration() {
        for preset in Preset::ALL {
            let config = read(&template(&preset.network(), Some(preset))).unwrap();
            assert_eq!(config.network.chain_id, preset.network().0);
            assert!(config.key.keystore.ends_with("keys/operator.json"));
            assert!(config.store.ends_with("data/artifacts"));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let network = "[network]\nchain_id = 1\nrpc = [\"http://127.0.0.1:1\"]\n";
        assert!(read(network).is_ok());
        for (text, reason) in [
            ("", "missing field `network`"),
            ("\u{0}", "TOML"),
            ("[network]\nchain_id = 1\nrcp = []\n", "unknown field `rcp`, expected one of `chain_id`, `rpc`"),
            ("[network]\nchain_id = 1\nrcp = []\n", "line 3"),
            ("[network]\nchain_id = -1\nrpc = []\n", "line 2"),
            ("[network]\nchain_id = 1\nrpc = []\n", "at least one endpoint"),
            ("[network]\nchain_id = 0\nrpc = [\"http://a\"]\n", "number of a chain"),
            ("[network]\nchain_id = 1\nrpc = [\"ftp://a\"]\n", "http:// or https://"),
            ("[network]\nchain_id = 1\nrpc = [\"nonsense\"]\n", "is no URL"),
            (&format!("{network}confirmations = 0\n"), "confirmations must be 1 to 1000"),
            (&format!("{network}max_fee_gwei = \"-1\"\n"), "negative"),
            (&format!("{network}max_fee_gwei = 1.5\n"), "line 4"),
            (&format!("{network}[operator]\npoll_ms = 1\n"), "poll_ms must be 50 to 600000"),
            (&format!("{network}[operator]\nlisten = \"0.0.0.0:1\"\n"), "loopback"),
            (&format!("{network}[operator]\ntask = [1]\n"), "unknown field `task`"),
            (&format!("{network}[train]\ncommand = []\n"), "must name a program"),
            (&format!("{network}[train]\npasses = 0\n"), "at least 1"),
            (&format!("{network}[keys]\n"), "unknown field `keys`"),
            (&format!("data = \"x\"\n{network}"), "unknown field `data`"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains(FILE_NAME), "{error}");
        }
    }
}
