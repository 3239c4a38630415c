//! `aiarena demo`: a whole arena on this machine.

pub mod behaviour;
mod checks;
pub mod fairness;
pub mod play;
pub mod population;
pub mod report;
pub mod stage;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use aiarena_chain::{
    bindings::ArenaToken,
    ledger::{Phase, Task},
};
use aiarena_ml::Dataset;
use aiarena_node::{judge::Verdict, operator::Shelves};
use aiarena_store::FolderStore;
use alloy::primitives::{Address, U256, address};
use anyhow::{Context, Result};

use self::{
    fairness::{Rows, fairness, ideal, paid, verdicts},
    population::{NodeKind, Population, Size},
    report::{DelegatorRow, NodeRow, OperatorRow, Report, gas_rows, paid_by_role},
    stage::{ARTIFACTS_FOLDER, SLICE, Stage, TASK, embedded_chain, keep, rpc_client},
};
use crate::{
    audit::{AuditOptions, audit},
    ui::Ui,
};

/// Largest artifact that the demo's store takes, in bytes.
const STORE_LIMIT: u64 = aiarena_ml::MAX_ARTIFACT_BYTES as u64;

/// Where burned tokens are: nobody has a key of it.
const GRAVE: Address = address!("000000000000000000000000000000000000dEaD");

/// How the demo is played.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Everything random follows from it.
    pub seed: u64,
    /// Epochs to play.
    pub epochs: u32,
    /// Who takes part.
    pub size: Size,
    /// A development chain on the network, instead of the embedded one.
    pub rpc_url: Option<String>,
    /// Where to keep chain, artifacts and data.
    pub keep: Option<PathBuf>,
}

/// Times by phase.
struct Stopwatch {
    since: Instant,
    seconds: BTreeMap<String, f64>,
}

impl Stopwatch {
    fn lap(&mut self, phase: &str) {
        *self.seconds.entry(phase.to_owned()).or_default() += self.since.elapsed().as_secs_f64();
        self.since = Instant::now();
    }
}

/// Plays the demo and reports on it.
///
/// # Errors
/// If anything could not be done at all; a check that fails is no error, but in the report.
pub async fn run(options: &DemoOptions, ui: &Ui) -> Result<Report> {
    let begun = Instant::now();
    let mut watch = Stopwatch { since: begun, seconds: BTreeMap::new() };
    let population = Population::new(options.seed, options.size)?;
    let (folder, _temporary) = folder(options.keep.as_deref())?;
    let store = FolderStore::open(folder.join(ARTIFACTS_FOLDER), STORE_LIMIT)?;
    let drafts = tempfile::tempdir().context("cannot create a temporary folder")?;
    let shelves = Shelves {
        drafts: FolderStore::open(drafts.path(), STORE_LIMIT)?,
        public: store.clone(),
        remote: None,
    };
    let data = Arc::new(Dataset::embedded());

    ui.title("Deploying the contracts, staking and delegating");
    let (rpc, embedded) = match &options.rpc_url {
        Some(url) => (rpc_client(url)?, None),
        None => {
            let chain = embedded_chain(options.seed)?;
            (chain.rpc_client(), Some(chain))
        }
    };
    let mut stage = Stage::build(rpc, embedded, &population, &data, options.epochs).await?;
    ui.step(&format!("arena {}", stage.deployment.arena));
    watch.lap("setup");

    let mut actors = play::actors(&population, &stage, &shelves, &data, options.seed);
    for epoch in 1..=options.epochs {
        ui.title(&format!("Epoch {epoch} of {}", options.epochs));
        // Early enough for the withdrawal to fall due right after the last epoch.
        if epoch == options.epochs.saturating_sub(1).max(1) {
            play::undelegate(&mut stage, &population, ui).await?;
        }
        play::epoch(&mut stage, &mut actors, &data, epoch, ui, &mut |phase| watch.lap(phase)).await?;
        play::claim(&mut stage, &population, ui).await?;
        watch.lap("claims");
    }
    ui.title("After the last epoch");
    let end = stage.follower.ledger().clock.start(options.epochs + 1, Phase::Submit);
    stage.dev.advance_to(end + u64::from(stage::UNBONDING * stage::EPOCH_LENGTH)).await?;
    play::withdraw(&mut stage, &population, ui).await?;
    watch.lap("claims");

    if options.keep.is_some() {
        keep(&folder, &stage, &data)?;
    }
    ui.title("Recomputing every payment");
    let audited = audit(stage.dev.provider(), AuditOptions::new(stage.deployment)).await?;
    watch.lap("audit");
    let task = stage.follower.ledger().tasks.get(&TASK).context("the task is gone")?.clone();
    let paid = paid(&task);
    let (exact, whole) =
        (ideal(&task, &data, &store, Rows::Slice(SLICE))?, ideal(&task, &data, &store, Rows::All)?);
    let leaderboard = leaderboard(&task, &population, &data, &store, &paid);
    watch.lap("ideal");

    let mut report = Report {
        ok: false,
        seed: options.seed,
        epochs: options.epochs,
        chain_id: stage.deployment.chain_id,
        wall_seconds: begun.elapsed().as_secs_f64(),
        seconds: watch.seconds,
        fairness: fairness(&paid, &exact),
        fairness_whole_set: fairness(&paid, &whole),
        conservation_difference: conservation(&stage, &population).await?,
        leaderboard,
        validators: validators(&task, &population),
        burned: stage.follower.ledger().burned.to_string(),
        fees: stage.follower.ledger().collected.to_string(),
        delegators: delegators(&stage, &population),
        paid: paid_by_role(&task),
        payments: audited.payments,
        audit_findings: audited.findings.iter().map(ToString::to_string).collect(),
        gas: gas_rows(&stage.gas),
        checks: Vec::new(),
    };
    report.checks = checks::checks(&report, &population);
    report.ok = report.checks.iter().all(|check| check.ok);
    Ok(report)
}

/// The folder for artifacts: kept if the user named one, else gone at the end.
fn folder(keep: Option<&Path>) -> Result<(PathBuf, Option<tempfile::TempDir>)> {
    match keep {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            Ok((folder.to_owned(), None))
        }
        None => {
            let temporary = tempfile::tempdir().context("cannot create a temporary folder")?;
            Ok((temporary.path().to_owned(), Some(temporary)))
        }
    }
}

/// Tokens that were minted less tokens that anybody has, and the vault's balance less what it owes: both must be 0.
async fn conservation(stage: &Stage, population: &Population) -> Result<String> {
    let token = ArenaToken::new(stage.deployment.token, stage.dev.provider());
    let mut everybody = U256::ZERO;
    let others = [population.treasury, GRAVE, stage.deployment.vault];
    for holder in population.signers().map(|signer| signer.address()).chain(others) {
        everybody += token.balanceOf(holder).call().await?;
    }
    if everybody != stage.minted {
        let lost = everybody < stage.minted;
        let amount = everybody.abs_diff(stage.minted);
        return Ok(format!("{}{amount}", if lost { "-" } else { "" }));
    }
    let held = token.balanceOf(stage.deployment.vault).call().await?;
    Ok(report::difference(held, &stage.follower.ledger().liabilities()?))
}

fn leaderboard(
    task: &Task,
    population: &Population,
    data: &Dataset,
    store: &FolderStore,
    paid: &fairness::Rewards,
) -> Vec<NodeRow> {
    let Some(last) = task.settled.last() else { return Vec::new() };
    let exact = verdicts(task, last, data, store, Rows::All);
    let mut rows: Vec<NodeRow> = population
        .nodes
        .iter()
        .map(|node| {
            let address = node.signer.address();
            let place = last.entries.iter().position(|entry| entry.node == address);
            let tally = last.outcome.tallies.get(&address);
            let rank = last.outcome.nodes.iter().position(|payment| payment.operator == address);
            NodeRow {
                name: node.name.clone(),
                address,
                behaviour: match &node.kind {
                    NodeKind::Honest(skill) => skill.label.to_owned(),
                    NodeKind::Copier => "copies the leader".to_owned(),
                    NodeKind::Malformed => "submits broken files".to_owned(),
                },
                true_score: place.and_then(|place| exact.get(place)).map_or(0, |verdict| match verdict {
                    Verdict::Valid(score) => score.get(),
                    _ => 0,
                }),
                consensus_score: tally.filter(|tally| tally.scored).map(|tally| tally.consensus),
                rank: rank.and_then(|rank| u32::try_from(rank + 1).ok()),
                stake: effective(task, address, last.epoch).to_string(),
                reward: paid.get(&address).copied().unwrap_or_default().to_string(),
            }
        })
        .collect();
    rows.sort_by_key(|row| (row.rank.is_none(), row.rank));
    rows
}

fn effective(task: &Task, operator: Address, epoch: u32) -> U256 {
    let (direct, delegated) = task.stake_at(operator, epoch);
    aiarena_mechanism::rewards::effective(direct, delegated, task.params.rules.epsilon_wad).unwrap_or(direct)
}

fn validators(task: &Task, population: &Population) -> Vec<OperatorRow> {
    let last = task.settled.last().map_or(0, |flight| flight.epoch);
    let reward = |address| {
        let payments = task.settled.iter().flat_map(|flight| &flight.outcome.validators);
        payments
            .filter(|payment| payment.operator == address)
            .fold(U256::ZERO, |sum, payment| sum + payment.with_delegation)
    };
    let row = |validator: &population::ValidatorSpec| {
        let address = validator.signer.address();
        // Nobody unstakes here.
        let direct = task.pools.get(&address).map_or(U256::ZERO, |pool| pool.stakes.latest().0);
        OperatorRow {
            name: validator.name.clone(),
            address,
            behaviour: validator.kind.label().to_owned(),
            stake: effective(task, address, last).to_string(),
            reward: reward(address).to_string(),
            slashed: validator.stake.saturating_sub(direct).to_string(),
        }
    };
    population.validators.iter().map(row).collect()
}

fn delegators(stage: &Stage, population: &Population) -> Vec<DelegatorRow> {
    let mut rows = Vec::new();
    for delegator in &population.delegators {
        let address = delegator.signer.address();
        let stake = delegator.delegations.iter().fold(U256::ZERO, |sum, (_, amount)| sum + amount);
        let reward = stage.follower.ledger().claims.get(&address).map_or(U256::ZERO, |claims| claims.amount);
        let (stake, reward) = (stake.to_string(), reward.to_string());
        rows.push(DelegatorRow { name: delegator.name.clone(), address, stake, reward });
    }
    rows
}
