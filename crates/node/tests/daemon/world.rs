//! An arena on an embedded chain, a store that everybody uses, and operators with folders of their own.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use aiarena_chain::{
    account::{Account, FeePolicy, Journal, JournalError, Watcher},
    bindings::{Arena, ArenaToken, Vault},
    deploy::{DeployConfig, Deployment, Schedule, deploy},
    embedded::{Config, EmbeddedChain},
    follow::Follower,
};
use aiarena_ml::{Architecture, Dataset, MAX_ARTIFACT_BYTES, TrainingConfig};
use aiarena_node::{
    daemon::{Daemon, Pace},
    operator::{Duty, Honest, Operator, Remote, Shelves},
    salt::Salts,
    trainers::BuiltinTrainer,
};
use aiarena_store::{FolderStore, Limits, Settings, Stores};
use alloy::{
    primitives::{B256, U256, aliases::U96, keccak256},
    providers::{DynProvider, Provider, ProviderBuilder, ext::AnvilApi},
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
};

use crate::weather::{Faulty, Weather};

/// Length of a phase, in seconds.
pub(crate) const PHASE: u64 = 320;
/// Phases in which something is to be done, before Settle.
pub(crate) const PHASES: u64 = 5;
pub(crate) const VALIDATORS: usize = 2;
pub(crate) const TASK: u64 = 1;
/// Rows of an epoch's evaluation.
pub(crate) const SLICE: u32 = 40;
/// Seconds between two blocks.
pub(crate) const BLOCK: u64 = 2;
const GENESIS: u64 = 1_800_000_000;
const WAD: u64 = 1_000_000_000_000_000_000;
const ARTIFACT: u64 = MAX_ARTIFACT_BYTES as u64;

const SCHEDULE: Schedule = Schedule {
    submit_end: 320,
    disclose_end: 640,
    seed_end: 960,
    commit_end: 1_280,
    reveal_end: 1_600,
    seed_delay: 0,
    silent_epochs: 2,
};

pub(crate) fn data() -> Arc<Dataset> {
    static DATA: OnceLock<Arc<Dataset>> = OnceLock::new();
    Arc::clone(DATA.get_or_init(|| Arc::new(Dataset::embedded())))
}

pub(crate) struct World {
    chain: EmbeddedChain,
    pub(crate) provider: DynProvider,
    pub(crate) deployment: Deployment,
    pub(crate) weather: Arc<Mutex<Weather>>,
    pub(crate) folder: tempfile::TempDir,
    /// The chain's time.
    now: Cell<u64>,
}

/// A key and what its daemon has on this machine. The node is number 0.
pub(crate) fn key(operator: usize) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256([u8::try_from(operator).unwrap(), 42])).unwrap()
}

fn amount(tokens: u64) -> U96 {
    U96::from(tokens) * U96::from(WAD)
}

impl World {
    /// Everything is ready for the first epoch, which begins now.
    pub(crate) async fn build(seed: u64) -> Self {
        let owner = PrivateKeySigner::from_bytes(&keccak256([255, 42])).unwrap();
        let people = (0..=VALIDATORS).map(key).chain([owner.clone()]);
        let rich = U256::from(WAD) * U256::from(1_000);
        let config = Config {
            genesis_timestamp: GENESIS - 10_000,
            seed: keccak256(seed.to_be_bytes()),
            tx_gas_limit_cap: Some(16_777_216),
            ..Config::default()
        };
        let config = people.fold(config, |config, key| config.with_balance(key.address(), rich));
        let chain = EmbeddedChain::new(config).unwrap();
        let provider = chain.provider();
        let creator = Account::new(chain.rpc_client(), owner);
        let rules = DeployConfig {
            unbonding_epochs: 2,
            bond: U256::ZERO,
            ..DeployConfig::new(GENESIS, u32::try_from(6 * PHASE).unwrap(), SCHEDULE)
        };
        let (deployment, _) = deploy(&creator, rules).await.unwrap();
        let Deployment { token, vault, arena, .. } = deployment;
        let mint = |to, amount: U96| ArenaToken::mintCall { to, amount: amount.to() };
        let approve = ArenaToken::approveCall { spender: vault, value: U256::MAX };
        creator.send(token, &mint(creator.address(), amount(1_000))).await.unwrap();
        creator.send(token, &approve).await.unwrap();
        creator.send(arena, &Arena::createTaskCall { params: params() }).await.unwrap();
        let task = U256::from(TASK);
        creator.send(vault, &Vault::fundCall { task, amount: amount(1_000) }).await.unwrap();
        for operator in 0..=VALIDATORS {
            let account = Account::new(chain.rpc_client(), key(operator));
            creator.send(token, &mint(account.address(), amount(100))).await.unwrap();
            account.send(token, &approve).await.unwrap();
            let role = if operator == 0 { 1 } else { 2 };
            account.send(vault, &Vault::stakeCall { task, role, amount: amount(100) }).await.unwrap();
        }
        provider.anvil_set_auto_mine(false).await.unwrap();
        // Nothing here has to survive a power failure.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let world = Self {
            chain,
            provider,
            deployment,
            weather: Weather::new(seed),
            folder: folder.unwrap(),
            now: Cell::new(GENESIS),
        };
        std::fs::create_dir(world.store()).unwrap();
        world.mine().await;
        world
    }

    /// A second passes.
    pub(crate) fn pass(&self) {
        self.now.set(self.now.get() + 1);
    }

    /// Mines a block at the chain's time.
    pub(crate) async fn mine(&self) {
        self.mine_at(self.now.get()).await;
    }

    /// Mines as many blocks as there were since a time, in seconds after the epoch's start.
    pub(crate) async fn mine_since(&self, elapsed: u64) {
        for time in GENESIS + elapsed + 1..=self.now.get() {
            if (time - GENESIS).is_multiple_of(BLOCK) {
                self.mine_at(time).await;
            }
        }
    }

    async fn mine_at(&self, time: u64) {
        self.provider.anvil_set_next_block_timestamp(time).await.unwrap();
        self.provider.anvil_mine(Some(1), None).await.unwrap();
    }

    /// Seconds since the epoch's start.
    pub(crate) fn elapsed(&self) -> u64 {
        self.now.get() - GENESIS
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The folder of an operator's process; each replica has one of its own.
    pub(crate) fn home(&self, (operator, replica): (usize, usize)) -> PathBuf {
        self.folder.path().join(format!("operator {operator} {replica}"))
    }

    /// An account as a process finds it that starts now. It works at an endpoint that may fail.
    pub(crate) async fn account(
        &self,
        operator: usize,
        home: &Path,
        watcher: Option<Watcher>,
    ) -> Result<Account, JournalError> {
        let inner = self.chain.rpc_client().transport().clone();
        let rpc = RpcClient::new(Faulty { inner, weather: Arc::clone(&self.weather) }, true);
        rpc.set_poll_interval(Duration::from_secs(4));
        let key = key(operator);
        let mut journal = Journal::open(home, self.deployment.chain_id, key.address()).await?;
        if let Some(watcher) = watcher {
            journal = journal.watched(watcher);
        }
        let account = Account::with_journal(rpc, key, journal, FeePolicy::default()).await;
        match account {
            Ok(account) => Ok(account),
            Err(aiarena_chain::client::ClientError::Journal(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    /// A daemon as `aiarena node` puts it together.
    pub(crate) async fn daemon(
        &self,
        operator: usize,
        home: &Path,
        account: Account,
    ) -> Result<Daemon, String> {
        account.resume().await.map_err(|error| error.to_string())?;
        let rpc = account.provider().client().transport().clone();
        let provider = ProviderBuilder::new()
            .disable_recommended_fillers()
            .connect_client(RpcClient::new(rpc, true))
            .erased();
        let mut follower =
            Follower::connect(provider, self.deployment).await.map_err(|error| error.to_string())?;
        follower.sync().await.map_err(|error| error.to_string())?;
        let duty = match operator {
            0 => Duty::Node(Box::new(BuiltinTrainer::new(Architecture::linear(), training(), 1, data()))),
            _ => Duty::Validator { reporter: Box::new(Honest), slice: SLICE, sandbox: None },
        };
        let store = format!("file:{}", self.store().display());
        let stores =
            Stores::open([store.as_str()], &Settings::default()).map_err(|error| error.to_string())?;
        let open = |name| FolderStore::open(home.join(name), ARTIFACT).map_err(|error| error.to_string());
        let shelves = Shelves {
            drafts: open("drafts")?,
            public: open("cache")?,
            remote: Some(Remote { stores, limits: Limits::new(ARTIFACT) }),
        };
        let salts = Salts::new(&key(operator), self.deployment.chain_id, self.deployment.arena);
        let one = Operator::new(account.clone(), salts, self.deployment, TASK, shelves, duty);
        let pace = Pace { poll: Duration::from_secs(10), confirmations: 64, turn_secs: 30 };
        let mut daemon = Daemon::new(follower, account, pace, 18);
        daemon.add(one, data()).await.map_err(|error| error.to_string())?;
        Ok(daemon)
    }
}

fn training() -> TrainingConfig {
    TrainingConfig { rows: 64, passes: 1, batch: 32, learning_rate: 0.01, momentum: 0.9, seed: [1; 32] }
}

fn params() -> Arena::TaskParams {
    Arena::TaskParams {
        metadata: B256::ZERO,
        evaluationRoot: B256::ZERO,
        minNodeStake: amount(100),
        minValidatorStake: amount(100),
        redundancy: 15,
        freshData: true,
        rule: 0,
        metric: 0,
        maxSubmissions: 8,
        rankCutoff: 0,
        epsilonWad: WAD,
        gammaWad: WAD / 4,
        phiWad: WAD / 5,
        tolerance: 0,
        epochs: 1,
        qWad: WAD / 10 * 9,
        alphaWad: WAD,
        lossCapWad: 0,
    }
}
