//! Networks that are known by name, and the commented file that `aiarena init` writes.

use clap::ValueEnum;

/// A network that is known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// A chain on this machine that `aiarena chain` serves
    Embedded,
    /// Anvil on this machine
    Anvil,
    /// The test network of Base
    BaseSepolia,
    /// Base
    Base,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Embedded, Self::Anvil, Self::BaseSepolia, Self::Base];

    /// The chain's number and an endpoint.
    #[must_use]
    pub fn network(self) -> (u64, Vec<String>) {
        let (chain_id, rpc) = match self {
            Self::Embedded | Self::Anvil => (31_337, "http://127.0.0.1:8545"),
            Self::BaseSepolia => (84_532, "https://sepolia.base.org"),
            Self::Base => (8_453, "https://mainnet.base.org"),
        };
        (chain_id, vec![rpc.to_owned()])
    }

    fn remark(self) -> &'static str {
        match self {
            Self::Embedded => "# Served by `aiarena chain`, which must run beside this.\n",
            Self::Anvil => "# Anvil with its defaults.\n",
            Self::BaseSepolia => {
                "# The test network of Base. Its public endpoint is slow and limited: add one of your own before it.\n"
            }
            Self::Base => "# Base. Its public endpoint is slow and limited: add one of your own before it.\n",
        }
    }
}

/// The text of a configuration.
#[must_use]
pub fn template((chain_id, rpc): &(u64, Vec<String>), preset: Option<Preset>) -> String {
    let rpc: Vec<String> = rpc.iter().map(|url| toml::Value::from(url.as_str()).to_string()).collect();
    let rpc = rpc.join(", ");
    let remark = preset.map_or("", Preset::remark);
    format!(
        r#"# Configuration of AIArena. Paths are relative to this file. `aiarena doctor` checks all of it.

# Everything that is kept between runs.
data_dir = "data"

[network]
{remark}# The chain's number; an endpoint that answers another one is refused.
chain_id = {chain_id}
# Endpoints, the preferred one first.
rpc = [{rpc}]
# Blocks that a transaction must be deep before it counts as done.
confirmations = 1
# Nothing is sent while a unit of gas may cost more than this.
max_fee_gwei = "10"

[contracts]
# Where the contracts are: `aiarena deploy` writes it, and others who take part in the same arena copy it.
address_book = "contracts.json"

[key]
# The encrypted key that signs: `aiarena key new` or `aiarena key import` writes it.
keystore = "keys/operator.json"
# A file whose first line is the password. Without it: the variable AIARENA_PASSWORD, or a question on the terminal.
# password_file = "keys/password"

[store]
# The folder of the artifacts; beside the other data by default.
# folder = "data/artifacts"

# For `aiarena node train` and `aiarena node validate`.
[operator]
# In which tasks; without it in all in which the key has stake of its own.
# tasks = [1]
# Where artifacts are found, in order, and put where it can be written: file:FOLDER, s3://BUCKET/PREFIX, https://HOST/PREFIX.
# All who take part in a task must be able to read what the others put. Without it the folder of the artifacts.
# stores = ["s3://bucket/prefix", "https://artifacts.example.org"]
# The folder of the evaluation data, if a task does not use those of this program.
# data = "evaluation-data"
# Milliseconds between two looks at the chain.
poll_ms = 2000
# Seconds that a validator leaves the one before it in line for what anyone may do, so that they do not race.
turn_secs = 10
# Metrics for Prometheus on /metrics, and /health; on this machine alone.
# listen = "127.0.0.1:9464"

[train]
# The program that makes the model of an epoch: it finds AIARENA_TASK, AIARENA_EPOCH, AIARENA_SECONDS_LEFT and
# AIARENA_OUTPUT, the file to write, in its environment.
# command = ["python3", "train.py"]
# Without a command this program trains: widths of the hidden layers, rows to train on, passes in the first epoch.
hidden = [64]
rows = 8000
passes = 3

[seal]
# For creators of tasks with sealed evaluation data: folders of these data, if the copy is gone that `aiarena task create` kept.
# With them the daemon needs the password, too, to make the slices again.
# evaluation = ["my-rows"]
"#
    )
}
