//! Plays the epochs: every operator plans and acts, phase after phase.

use std::sync::{Arc, Mutex, PoisonError};

use aiarena_chain::{
    bindings::Vault,
    deploy::Deployment,
    ledger::{Ledger, Phase},
};
use aiarena_ml::Dataset;
use aiarena_node::{
    operator::{Duty, Honest, Operator, Reporter, Shelves, Trainer},
    plan::{Action, commits_from, plan},
    salt::Salts,
    trainers::BuiltinTrainer,
};
use alloy::{primitives::U256, signers::local::PrivateKeySigner};
use anyhow::{Context, Result, bail};

use super::{
    behaviour::{Copier, Lazy, Liar, Malformer},
    population::{NodeKind, Population, Skill, ValidatorKind, derive},
    stage::{SLICE, Stage, TASK},
};
use crate::ui::{Ui, in_tokens};

/// An operator of the demo.
pub struct Actor {
    name: String,
    operator: Operator,
    /// Commits to its scores, but keeps them.
    silent: bool,
}

/// More rounds than any phase needs; reached only if a plan never ends.
const MOST_ROUNDS: usize = 100;

/// All operators with their work.
#[must_use]
pub fn actors(
    population: &Population,
    stage: &Stage,
    shelves: &Shelves,
    data: &Arc<Dataset>,
    seed: u64,
) -> Vec<Actor> {
    let Deployment { chain_id, arena, .. } = stage.deployment;
    let operator = |signer: &PrivateKeySigner, duty| {
        let salts = Salts::new(signer, chain_id, arena);
        Operator::new(stage.account(signer), salts, stage.deployment, TASK, shelves.clone(), duty)
    };
    let nodes = population.nodes.iter().map(|node| {
        let trainer: Box<dyn Trainer> = match &node.kind {
            NodeKind::Honest(Skill { architecture, training, later_passes, .. }) => Box::new(
                BuiltinTrainer::new(architecture.clone(), training.clone(), *later_passes, data.clone()),
            ),
            NodeKind::Copier => Box::new(Copier::new(shelves.public.clone(), derive(seed, "noise", 0))),
            NodeKind::Malformed => Box::new(Malformer),
        };
        Actor {
            name: node.name.clone(),
            operator: operator(&node.signer, Duty::Node(trainer)),
            silent: false,
        }
    });
    let friend = population.friend();
    let validators = population.validators.iter().map(|validator| {
        let reporter: Box<dyn Reporter> = match validator.kind {
            ValidatorKind::Honest | ValidatorKind::Silent => Box::new(Honest),
            ValidatorKind::Liar => Box::new(Liar::new(friend)),
            ValidatorKind::Lazy => Box::new(Lazy),
        };
        Actor {
            name: validator.name.clone(),
            operator: operator(&validator.signer, Duty::Validator { reporter, slice: SLICE, sandbox: None }),
            silent: validator.kind == ValidatorKind::Silent,
        }
    });
    nodes.chain(validators).collect()
}

/// Plays one epoch from its Submit to its Settle.
///
/// # Errors
/// If a transaction fails, or the epoch does not settle.
pub async fn epoch(
    stage: &mut Stage,
    actors: &mut [Actor],
    data: &Dataset,
    epoch: u32,
    ui: &Ui,
    lap: &mut dyn FnMut(&str),
) -> Result<()> {
    for phase in [Phase::Submit, Phase::Disclose, Phase::Seed, Phase::Commit, Phase::Reveal, Phase::Settle] {
        let clock = stage.follower.ledger().clock;
        let start = match phase {
            Phase::Commit => commits_from(&clock, epoch),
            _ => clock.start(epoch, phase),
        };
        stage.dev.advance_to(start).await?;
        rounds(stage, actors, data, (epoch, phase), ui, lap)
            .await
            .with_context(|| format!("epoch {epoch}, phase {phase:?}"))?;
    }
    let settled = stage.follower.ledger().tasks.get(&TASK).and_then(|task| task.settled.last());
    if settled.is_none_or(|flight| flight.epoch != epoch) {
        bail!("epoch {epoch} did not settle");
    }
    Ok(())
}

/// Lets all operators act until nobody has anything left to do in this phase.
async fn rounds(
    stage: &mut Stage,
    actors: &mut [Actor],
    data: &Dataset,
    (epoch, phase): (u32, Phase),
    ui: &Ui,
    lap: &mut dyn FnMut(&str),
) -> Result<()> {
    let mut transactions = 0;
    for _ in 0..MOST_ROUNDS {
        stage.follower.sync().await?;
        lap("chain");
        let acted = work(stage, actors, data, epoch, ui)?;
        if let Some(kind) = acted {
            lap(kind);
        }
        let mut sent = 0;
        for actor in actors.iter() {
            stage.follower.sync().await?;
            for action in actor.plan(stage).into_iter().filter(|action| !action.is_local()) {
                match actor.operator.send(&action, stage.follower.ledger()).await {
                    Ok(mined) => stage.gas.note(&mined),
                    // Somebody else was faster; the next look at the chain shows what is left.
                    Err(error) if error.is_lost_race(&action) => break,
                    Err(error) => {
                        return Err(error).with_context(|| format!("{} cannot {action:?}", actor.name));
                    }
                }
                sent += 1;
            }
        }
        transactions += sent;
        lap("chain");
        if acted.is_none() && sent == 0 {
            if transactions != 0 {
                ui.step(&format!("epoch {epoch}  {phase:?}: {transactions} transactions"));
            }
            return Ok(());
        }
    }
    bail!("the operators found no end of things to do")
}

impl Actor {
    fn plan(&self, stage: &Stage) -> Vec<Action> {
        let Some(view) = self.operator.view(stage.follower.ledger(), stage.follower.now()) else {
            return Vec::new();
        };
        let mut actions = plan(&view);
        actions.retain(|action| !(self.silent && matches!(action, Action::RevealScores { .. })));
        actions
    }
}

/// Trains or scores on all cores, and says which; nothing to do is `None`. Each operator does its own work; the results do not depend on who is first.
fn work(
    stage: &Stage,
    actors: &mut [Actor],
    data: &Dataset,
    epoch: u32,
    ui: &Ui,
) -> Result<Option<&'static str>> {
    let (ledger, now): (&Ledger, u64) = (stage.follower.ledger(), stage.follower.now());
    let mut jobs: Vec<(&mut Actor, Action)> = Vec::new();
    for actor in actors.iter_mut() {
        let local = actor.plan(stage).into_iter().find(Action::is_local);
        if let Some(action) = local {
            jobs.push((actor, action));
        }
    }
    if jobs.is_empty() {
        return Ok(None);
    }
    let training = matches!(jobs.first(), Some((_, Action::Train { .. })));
    let title = if training { "training" } else { "scoring" };
    let bar = ui.bar(&format!("epoch {epoch}  {title}"), jobs.len());
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    // The longest jobs stand first, so a queue keeps all cores busy until the end.
    jobs.reverse();
    let queue = Mutex::new(jobs);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some((actor, action)) = job else { break };
                    if let Err(error) = actor.operator.work(&action, ledger, now, data, None) {
                        let error = anyhow::Error::new(error).context(actor.name.clone());
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish();
    match failures.into_inner().unwrap_or_else(PoisonError::into_inner).pop() {
        Some(error) => Err(error),
        None => Ok(Some(title)),
    }
}

/// The first delegator takes half of its first delegation back; it unbonds for some epochs.
///
/// # Errors
/// If the vault refuses.
pub async fn undelegate(stage: &mut Stage, population: &Population, ui: &Ui) -> Result<()> {
    let Some(delegator) = population.delegators.first() else { return Ok(()) };
    let Some((operator, amount)) = delegator.delegations.first() else { return Ok(()) };
    let account = stage.account(&delegator.signer);
    let half: U256 = amount / U256::from(2);
    let call = Vault::undelegateCall { task: U256::from(TASK), operator: *operator, amount: half.to() };
    stage.send(&account, stage.deployment.vault, &call).await?;
    ui.step(&format!("{} starts unbonding half of its delegation", delegator.name));
    Ok(())
}

/// Everybody claims what it may claim.
///
/// # Errors
/// If the vault refuses.
pub async fn claim(stage: &mut Stage, population: &Population, ui: &Ui) -> Result<()> {
    stage.follower.sync().await?;
    let mut claims = 0;
    let operators = population.nodes.iter().map(|node| &node.signer);
    let operators = operators.chain(population.validators.iter().map(|validator| &validator.signer));
    let own = operators.map(|signer| (signer, signer.address()));
    let delegated = population.delegators.iter().flat_map(|delegator| {
        delegator.delegations.iter().map(move |(operator, _)| (&delegator.signer, *operator))
    });
    for (signer, operator) in own.chain(delegated) {
        let Some(task) = stage.follower.ledger().tasks.get(&TASK) else { break };
        let Some(pool) = task.pools.get(&operator) else { continue };
        if pool.claimable(operator, signer.address())?.is_zero() {
            continue;
        }
        let account = stage.account(signer);
        let call = Vault::claimCall { task: U256::from(TASK), operator };
        stage.send(&account, stage.deployment.vault, &call).await?;
        claims += 1;
    }
    stage.follower.sync().await?;
    ui.step(&format!("{claims} claims"));
    Ok(())
}

/// Takes out what has finished unbonding; the creator takes back its bond and what the task left unspent; what was slashed is
/// burned, and the treasury gets the fees.
///
/// # Errors
/// If the vault refuses.
pub async fn withdraw(stage: &mut Stage, population: &Population, ui: &Ui) -> Result<()> {
    stage.follower.sync().await?;
    let (vault, number) = (stage.deployment.vault, U256::from(TASK));
    let task = stage.follower.ledger().tasks.get(&TASK).context("the task is gone")?.clone();
    for delegator in &population.delegators {
        let mine = delegator.signer.address();
        for (operator, pool) in &task.pools {
            if pool.unbonding.get(&mine).is_some_and(|requests| !requests.is_empty()) {
                let account = stage.account(&delegator.signer);
                let call = Vault::withdrawCall { task: number, operator: *operator, limit: U256::from(16) };
                stage.send(&account, vault, &call).await?;
                ui.step(&format!("{} withdraws what has unbonded", delegator.name));
            }
        }
    }
    let creator = stage.account(&population.creator);
    let own = task.contributions.get(&creator.address()).copied().unwrap_or_default();
    if !(task.reclaimable(own)? + task.bond).is_zero() {
        stage.send(&creator, vault, &Vault::reclaimCall { task: number }).await?;
        ui.step("the creator reclaims its bond and what was not spent");
    }
    let (slashed, fees) = (stage.follower.ledger().slashed, stage.follower.ledger().fees);
    if !slashed.is_zero() {
        stage.send(&creator, vault, &Vault::burnCall {}).await?;
        ui.step(&format!("{} slashed tokens are burned", in_tokens(slashed)));
    }
    if !fees.is_zero() {
        stage.send(&creator, vault, &Vault::collectFeesCall {}).await?;
        ui.step(&format!("the treasury gets {} tokens of fees", in_tokens(fees)));
    }
    stage.follower.sync().await?;
    Ok(())
}
