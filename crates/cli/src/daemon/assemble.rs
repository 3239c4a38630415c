//! Puts a daemon together from its configuration.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use aiarena_chain::{
    account::{Account, FeePolicy, Journal, JournalError},
    client::ClientError,
    deploy::Deployment,
    endpoints::{Endpoints, EndpointsConfig},
    follow::{Follower, MAX_REORG},
    ledger::{Role, Task},
};
use aiarena_ml::{Architecture, Dataset, EMBEDDED_DIGEST, MAX_ARTIFACT_BYTES, TrainingConfig};
use aiarena_node::{
    daemon::{Daemon, Pace},
    operator::{Duty, Honest, Operator, Remote, Shelves, Trainer},
    salt::Salts,
    sandbox::{self, Sandbox},
    sealed::EvaluationKind,
    trainers::{BuiltinTrainer, CommandTrainer},
};
use aiarena_store::{ContentHash, FolderStore};
use alloy::{primitives::Address, signers::local::PrivateKeySigner};
use anyhow::{Context, Result, bail, ensure};
use tracing::{info, warn};

use crate::{
    config::{Config, Training},
    description::TaskDescription,
    operator::{deploy::AddressBook, network, stores, wallet},
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
) -> Result<Daemon> {
    let signer = wallet::unlock(config)?;
    let deployment = AddressBook::finished(config)?;
    let me = signer.address();
    let folder = config.folder_of_key(me);
    let journal = open_journal(&folder, config.network.chain_id, me, reloaded).await?;
    let endpoints = network::endpoints(&config.network, EndpointsConfig::default())?;
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
    let follower = read(&endpoints, deployment, &folder).await?;

    let shelves = shelves(config, &folder)?;
    let pace = Pace {
        poll: config.operator.poll,
        confirmations: config.network.confirmations.max(MAX_REORG),
        turn_secs: config.operator.turn_secs,
    };
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
        ensure!(
            description.evaluation == EvaluationKind::PublicRows,
            "the evaluation data of task {number} are sealed, which daemons cannot open yet"
        );
        let data = Arc::new(data(config, &description)?);
        let duty = match role {
            Role::Node => Duty::Node(trainer(config, &data, &signer, Arc::clone(&stop))?),
            Role::Validator => Duty::Validator {
                reporter: Box::new(Honest),
                slice: description.slice,
                sandbox: Some(Sandbox::new(sandbox::Limits::default())),
            },
        };
        let salts = Salts::new(&signer, deployment.chain_id, deployment.arena);
        operators
            .push((Operator::new(account.clone(), salts, deployment, number, shelves.clone(), duty), data));
        info!(task = number, title = description.title, operator = %me, "taking part");
    }
    ensure!(
        !operators.is_empty(),
        "{me} takes part in no task: stake in one with `aiarena stake`, or name tasks in [operator] of the configuration"
    );
    let mut daemon = Daemon::new(follower, account, pace);
    for (operator, data) in operators {
        daemon.add(operator, data).await?;
    }
    Ok(daemon)
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
async fn read(endpoints: &Endpoints, deployment: Deployment, folder: &Path) -> Result<Follower> {
    let archive = folder.join("chain.db");
    let mut follower = loop {
        match Follower::open(endpoints.provider(), deployment, &archive).await {
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
async fn describe(task: &Task, shelves: &Shelves) -> Result<TaskDescription> {
    let hash = ContentHash(task.params.metadata.0);
    let remote = shelves.remote.as_ref().context("no store is configured")?;
    remote.stores.fetch(hash, &[], &shelves.public, &remote.limits).await.with_context(|| {
        format!(
            "the description of task {}, {hash}, is in none of the stores: ask its creator where it is",
            task.number
        )
    })?;
    let bytes = shelves.public.get(hash, ARTIFACT)?;
    serde_json::from_slice(&bytes).with_context(|| {
        format!("the description of task {} is not one that this version understands", task.number)
    })
}

/// The data that the description names: those that come with this program, or a folder's.
pub(crate) fn data(config: &Config, description: &TaskDescription) -> Result<Dataset> {
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
