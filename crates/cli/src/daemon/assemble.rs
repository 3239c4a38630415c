//! Puts a daemon together from its configuration.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use aiarena_chain::{
    account::{Account, FeePolicy, Journal, JournalError},
    bindings::ArenaToken,
    client::ClientError,
    deploy::Deployment,
    endpoints::{Endpoints, EndpointsConfig},
    follow::{Follower, MAX_REORG, contract_error},
    ledger::{Role, Task},
};
use aiarena_ml::{Architecture, Dataset, EMBEDDED_DIGEST, MAX_ARTIFACT_BYTES, Rows, TrainingConfig};
use aiarena_node::{
    daemon::{Courier, Daemon, Pace, Route, Sealer},
    operator::{Duty, Honest, Operator, Remote, Shelves, Trainer},
    salt::Salts,
    sandbox::{self, Sandbox},
    sealed::EvaluationKey,
    trainers::{BuiltinTrainer, CommandTrainer},
};
use aiarena_store::{ContentHash, FolderStore};
use alloy::{primitives::Address, signers::local::PrivateKeySigner};
use anyhow::{Context, Result, bail, ensure};
use tracing::{info, warn};

use super::slices::OwnSlices;
use crate::{
    config::{Config, Training},
    description::TaskDescription,
    operator::{
        deploy::AddressBook,
        network,
        sole::{Held, Sole},
        stores, wallet,
    },
};

/// Largest artifact, in bytes.
const ARTIFACT: u64 = MAX_ARTIFACT_BYTES as u64;
/// Between two tries to reach an endpoint at the start.
const RETRY: Duration = Duration::from_secs(5);
/// How long a training or an evaluation that was begun before a reload may take to end.
const WORK: Duration = Duration::from_secs(3_600);

/// Everything that a daemon needs, checked: it either starts well or says what to do.
///
/// - `reloaded`: this process had a daemon before, whose work may still hold the journal until it ends.
pub(super) async fn daemon(
    config: &Config,
    role: Role,
    stop: Arc<AtomicBool>,
    reloaded: bool,
) -> Result<(Daemon, Held)> {
    let Base { signer, deployment, folder, account, follower, pace, decimals, held } =
        Base::open(config, reloaded).await?;
    let me = signer.address();
    let shelves = shelves(config, &folder)?;
    if role == Role::Validator {
        let sandbox = Sandbox::new(sandbox::Limits::default());
        match tokio::task::spawn_blocking(move || sandbox::probe(&sandbox)).await? {
            Ok(enforced) => info!(?enforced, "strangers' models are evaluated in a sandbox"),
            Err(fault) => bail!("the sandbox for strangers' models does not work on this machine: {fault}"),
        }
    }
    let mut operators = Vec::new();
    for number in tasks(config, &follower, me, role) {
        let ledger = follower.ledger();
        let task = ledger.tasks.get(&number).with_context(|| {
            format!("there is no task {number} in this arena; `aiarena task list` shows them")
        })?;
        check_role(task, me, role)?;
        let description = describe(task, &shelves).await?;
        let data = Arc::new(data(config, &description, role)?);
        let duty = match role {
            Role::Node => Duty::Node(trainer(config, &data, &signer, Arc::clone(&stop))?),
            Role::Validator => Duty::Validator {
                reporter: Box::new(Honest),
                slice: description.slice,
                sandbox: Some(Sandbox::new(sandbox::Limits::default())),
            },
        };
        let salts = Salts::new(&signer, deployment.chain_id, deployment.arena);
        let mut operator = Operator::new(account.clone(), salts, deployment, number, shelves.clone(), duty)
            .with_largest_model(description.largest_model);
        if role == Role::Validator && !description.evaluation.is_public() {
            let key = EvaluationKey::new(&signer, deployment.chain_id, deployment.arena);
            operator = operator.with_sealed_data(key, Arc::clone(&stop));
        }
        operators.push((operator, data));
        info!(task = number, title = description.title, operator = %me, "taking part");
    }
    ensure!(
        !operators.is_empty(),
        "{me} takes part in no task: stake in one with `aiarena stake`, or name tasks in [operator] of the configuration"
    );
    let mut daemon = Daemon::new(follower, account, pace, decimals);
    for (operator, data) in operators {
        daemon.add(operator, data).await?;
    }
    Ok((daemon, held))
}

/// What a daemon that sends begins with.
struct Base {
    signer: PrivateKeySigner,
    deployment: Deployment,
    /// That of the key.
    folder: PathBuf,
    account: Account,
    follower: Follower,
    pace: Pace,
    /// Those of the token.
    decimals: u8,
    /// Its name among this machine's daemons.
    held: Held,
}

impl Base {
    /// Opens the key and its journal, brings to an end what was on its way, and reads the arena's history.
    async fn open(config: &Config, reloaded: bool) -> Result<Self> {
        let signer = wallet::unlock(config)?;
        let deployment = AddressBook::finished(config)?;
        let me = signer.address();
        let folder = config.folder_of_key(me);
        let journal = open_journal(&folder, config.network.chain_id, me, reloaded).await?;
        let endpoints = network::endpoints(&config.network, EndpointsConfig::default())?;
        let sole = loop {
            match Sole::of(&endpoints.provider(), config.network.chain_id, me).await {
                Ok(sole) => break sole,
                Err(error) => warn!(%error, "cannot reach the chain yet; trying again"),
            }
            tokio::time::sleep(RETRY).await;
        };
        let held = sole.take()?;
        let rpc = endpoints.rpc_client();
        rpc.set_poll_interval(config.operator.poll);
        let policy = FeePolicy { cap: config.network.max_fee.0, ..FeePolicy::default() };
        let account = Account::with_journal(rpc, signer.clone(), journal, policy).await?;
        while let Err(error) = account.resume().await {
            ensure!(
                error.is_retryable() || matches!(error, ClientError::Rpc { .. }),
                "cannot finish what was on its way: {error}"
            );
            warn!(%error, "cannot finish what was on its way yet; trying again");
            tokio::time::sleep(RETRY).await;
        }
        let follower = read(&endpoints, deployment, &folder.join("chain.db")).await?;
        let decimals = decimals(&endpoints, deployment.token).await?;
        let pace = Pace {
            poll: config.operator.poll,
            confirmations: config.network.confirmations.max(MAX_REORG),
            turn_secs: config.operator.turn_secs,
        };
        Ok(Self { signer, deployment, folder, account, follower, pace, decimals, held })
    }
}

/// Asks the token in what its amounts are shown.
async fn decimals(endpoints: &Endpoints, token: Address) -> Result<u8> {
    loop {
        match ArenaToken::new(token, endpoints.provider()).decimals().call().await {
            Ok(decimals) => return Ok(decimals),
            Err(error) => match contract_error("read the token", error) {
                error if error.is_retryable() => {
                    warn!(%error, "cannot read the token yet; trying again");
                    tokio::time::sleep(RETRY).await;
                }
                error => return Err(error).context("the token does not say its decimals"),
            },
        }
    }
}

/// Opens the journal, once the work of this process' last daemon does not hold it any more.
async fn open_journal(folder: &Path, chain_id: u64, me: Address, reloaded: bool) -> Result<Journal> {
    let begun = Instant::now();
    loop {
        match Journal::open(folder, chain_id, me).await {
            Err(JournalError::InUse { .. }) if reloaded && begun.elapsed() < WORK => {
                info!("waiting for the work of before to end");
                tokio::time::sleep(RETRY).await;
            }
            opened => return Ok(opened?),
        }
    }
}

/// Reads the arena's history, as far as it is not in the archive yet.
async fn read(endpoints: &Endpoints, deployment: Deployment, archive: &Path) -> Result<Follower> {
    let mut follower = loop {
        match Follower::open(endpoints.provider(), deployment, archive).await {
            Ok(follower) => break follower,
            Err(error) if error.is_retryable() => {
                warn!(%error, "cannot begin to read the chain yet; trying again");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error).context("cannot read the arena's history"),
        }
    };
    loop {
        match follower.advance().await {
            Ok(synced) if synced.caught_up => break,
            Ok(synced) => info!(block = synced.head.map(|head| head.number), "reading the arena's history"),
            Err(error) if error.is_retryable() => {
                warn!(%error, "cannot read the chain yet; trying again");
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => return Err(error).context("cannot read the arena's history"),
        }
    }
    Ok(follower)
}

/// The configured tasks; without any, all in which the key has this role.
fn tasks(config: &Config, follower: &Follower, me: Address, role: Role) -> Vec<u64> {
    if !config.operator.tasks.is_empty() {
        return config.operator.tasks.clone();
    }
    let tasks = follower.ledger().tasks.values();
    let mine = tasks.filter(|task| task.pools.get(&me).is_some_and(|pool| pool.role == role));
    mine.map(|task| task.number).collect()
}

/// A key has one role in a task for ever; without any stake, it may get one later.
fn check_role(task: &Task, me: Address, role: Role) -> Result<()> {
    match task.pools.get(&me).map(|pool| pool.role) {
        Some(found) if found != role => {
            bail!("in task {} the key {me} is a {found:?}, for ever: use another key", task.number)
        }
        Some(_) => {
            let (stake, least) = (task.pools[&me].stakes.latest().0, task.minimum(role));
            if stake < least {
                warn!(task = task.number, %stake, %least, "{me} has too little stake of its own to take part: add to it");
            }
            Ok(())
        }
        None => {
            warn!(task = task.number, "{me} has no stake in it yet: `aiarena stake` gives it one");
            Ok(())
        }
    }
}

fn shelves(config: &Config, folder: &Path) -> Result<Shelves> {
    let (stores, limits) = stores::open(config)?;
    Ok(Shelves {
        drafts: FolderStore::open(folder.join("drafts"), ARTIFACT)?,
        public: FolderStore::open(folder.join("cache"), ARTIFACT)?,
        remote: Some(Remote { stores, limits }),
    })
}

/// What the task's creator says of it: an artifact like any other, whose hash is on chain.
pub(super) async fn describe(task: &Task, shelves: &Shelves) -> Result<TaskDescription> {
    let hash = ContentHash(task.params.metadata.0);
    let remote = shelves.remote.as_ref().context("no store is configured")?;
    remote.stores.fetch(hash, &[], &shelves.public, &remote.limits).await.with_context(|| {
        format!(
            "the description of task {}, {hash}, is in none of the stores: ask its creator where it is",
            task.number
        )
    })?;
    let bytes = shelves.public.get(hash, ARTIFACT)?;
    TaskDescription::read(&bytes, task.number)
}

/// The data that the description names: those that come with this program, or a folder's. Of a sealed task the training rows.
pub(crate) fn data(config: &Config, description: &TaskDescription, role: Role) -> Result<Dataset> {
    if !description.evaluation.is_public() {
        let evaluation = Rows::new(Vec::new(), Vec::new())?;
        // Whoever brings models from elsewhere, or only scores, needs no rows here.
        let none = Rows::new(Vec::new(), Vec::new())?;
        let needed = role == Role::Node && matches!(config.train, Training::Builtin { .. });
        let training = if needed { training_rows(config, description)? } else { none };
        return Ok(Dataset { training, evaluation });
    }
    let data = match &config.operator.data {
        None if description.data == EMBEDDED_DIGEST => return Ok(Dataset::embedded()),
        None => bail!(
            "the task uses data with the digest {}: name their folder as data in [operator] of the configuration",
            description.data
        ),
        Some(folder) => Dataset::load(folder).with_context(|| format!("cannot read {}", folder.display()))?,
    };
    let found = data.digest_hex();
    ensure!(
        found == description.data,
        "the data have the digest {found}, but the task names {}",
        description.data
    );
    Ok(data)
}

/// The public part of a sealed task's data.
fn training_rows(config: &Config, description: &TaskDescription) -> Result<Rows> {
    let rows = match &config.operator.data {
        None => Dataset::embedded().training,
        Some(folder) => Dataset::load_training(folder)
            .with_context(|| format!("cannot read the training rows in {}", folder.display()))?,
    };
    let found = rows.digest_hex();
    ensure!(
        found == description.data,
        "the training rows have the digest {found}, but the task names {}: name the folder of its training rows as data in \
         [operator] of the configuration",
        description.data
    );
    Ok(rows)
}

/// A creator's daemon: all tasks of this key whose evaluation data are sealed, or those of them that are configured. It signs
/// nothing, so it needs the key's address alone.
pub(super) async fn sealer(config: &Config) -> Result<Sealer<OwnSlices>> {
    let me = wallet::address(config)?;
    let signer = match config.seal.evaluation.is_empty() {
        true => None,
        false => Some(wallet::unlock(config)?),
    };
    let deployment = AddressBook::finished(config)?;
    let folder = config.folder_of_key(me);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let shelves = shelves(config, &folder)?;
    let Remote { stores, limits } = shelves.remote.clone().context("no store is configured")?;
    ensure!(
        stores.stores().iter().any(aiarena_store::Store::is_writable),
        "none of the stores can be written: name a folder or a bucket as stores in [operator] of the configuration"
    );
    let endpoints = network::endpoints(&config.network, EndpointsConfig::default())?;
    // Another file than that of a daemon or a command that sends with this key.
    let follower = read(&endpoints, deployment, &folder.join("seal.db")).await?;
    for number in &config.operator.tasks {
        let task = follower.ledger().tasks.get(number);
        let task = task.with_context(|| format!("there is no task {number} in this arena"))?;
        ensure!(task.creator == me, "task {number} was created by {}, not by {me}", task.creator);
    }
    let decimals = decimals(&endpoints, deployment.token).await?;
    let route = Route {
        chain_id: deployment.chain_id,
        arena: deployment.arena,
        creator: me,
        only: config.operator.tasks.iter().copied().collect(),
        patience_blocks: config.network.confirmations.saturating_sub(MAX_REORG),
        limits,
    };
    info!(creator = %me, "sealing the slices of its tasks, also of those that are created later");
    let source = OwnSlices { config: config.clone(), deployment, me, signer, shelves };
    Ok(Sealer::new(follower, Courier::new(route, source, &stores), config.operator.poll, decimals))
}

fn trainer(
    config: &Config,
    data: &Arc<Dataset>,
    signer: &PrivateKeySigner,
    stop: Arc<AtomicBool>,
) -> Result<Box<dyn Trainer>> {
    Ok(match &config.train {
        Training::Command(command) => {
            let folder = crate::files::folder_of(&config.file).to_owned();
            let scratch = config.folder_of_key(signer.address()).join("training");
            Box::new(CommandTrainer::new(command.clone(), folder, scratch, stop))
        }
        Training::Builtin { hidden, rows, passes } => {
            let architecture = match hidden.as_slice() {
                [] => Architecture::linear(),
                hidden => Architecture::mlp(hidden).context("[train] hidden")?,
            };
            let first = TrainingConfig {
                rows: *rows,
                passes: *passes,
                batch: 32,
                learning_rate: 0.01,
                momentum: 0.9,
                // Everybody begins elsewhere, so that nobody's model looks like a copy of another's.
                seed: alloy::primitives::keccak256(signer.address()).0,
            };
            Box::new(BuiltinTrainer::new(architecture, first, 1, Arc::clone(data)))
        }
    })
}
