//! `aiarena task`.

use std::path::Path;

use aiarena_chain::{
    bindings::{Arena, Vault},
    deploy::Deployment,
    ledger::{Ledger, Phase, Role, Task},
};
use aiarena_node::sealed::{EvaluationTree, slice_secret};
use alloy::primitives::U256;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{
    args::{SendArgs, TaskArgs, TaskCommand},
    date::utc,
    evaluation::{self, Kept},
    publish, say,
    send::{Refusal, Step, carry_out, carry_out_and},
    session::{Session, Token},
    stake::open,
    task_params::{self, NewTask},
    wallet,
};
use crate::{
    config::Config,
    description::TaskDescription,
    files::{folder_of, write_new},
};

/// Runs `aiarena task`.
pub(super) async fn run(args: TaskArgs) -> Result<bool> {
    let config = &args.config;
    match args.command {
        TaskCommand::Create { write_params: Some(file), .. } => write_params(&file),
        TaskCommand::Create { params, send, .. } => {
            let file = params.context("name the parameters with --params FILE")?;
            create(open(config).await?, &file, &send).await
        }
        TaskCommand::Publish { task, params, store, json } => {
            publish::run(config.config.as_deref(), task, params, &store, json).await
        }
        TaskCommand::List { json } => show(&reader(config.config.as_deref()).await?, None, json).await,
        TaskCommand::Show { task, json } => {
            show(&reader(config.config.as_deref()).await?, Some(task), json).await
        }
        TaskCommand::Fund { task, amount, send } => {
            let session = open(config).await?;
            let amount = session.token.parse(&amount)?;
            let mut steps = session.approval(amount).await?;
            let what = format!("add {} to the bounty of task {task}", session.token.show(amount));
            let call = Vault::fundCall { task: U256::from(task), amount: amount.to() };
            steps.push(Step::new(what, session.deployment.vault, call));
            carry_out(&session, steps, &send).await
        }
        TaskCommand::End { task, send } => {
            let session = open(config).await?;
            let call = Arena::endTaskCall { task: U256::from(task) };
            let step = Step::new(format!("end task {task} early"), session.deployment.arena, call);
            carry_out(&session, vec![step], &send).await
        }
    }
}

/// A session of somebody who needs no key.
pub(super) async fn reader(config: Option<&Path>) -> Result<Session> {
    Session::open_as(Config::find(config)?, Default::default()).await
}

fn write_params(file: &Path) -> Result<bool> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("{stem}-description.json");
    let beside = folder_of(file).join(&name);
    write_new(file, &task_params::TEMPLATE.replace("DESCRIPTION", &name), false)?;
    let description = serde_json::to_string_pretty(&TaskDescription::demo())? + "\n";
    write_new(&beside, &description, false)?;
    say(&format!("wrote {} and {}", file.display(), beside.display()))?;
    Ok(true)
}

async fn create(session: Session, file: &Path, flags: &SendArgs) -> Result<bool> {
    let NewTask { description, mut params, sealed } = task_params::read(file, &session.token)?;
    if let Some(rows) = sealed {
        let signer = wallet::unlock(&session.config)?;
        evaluation::check_unused(&session.config, signer.address(), &rows, session.follow().await?.ledger())?;
        let Deployment { chain_id, arena, .. } = session.deployment;
        let secret = slice_secret(&signer, chain_id, arena, &rows, params.epochs);
        params.evaluationRoot = EvaluationTree::of_rows(&rows, params.epochs, secret)?.root();
        if !flags.dry_run {
            let kept = Kept { secret, rows };
            let kept = kept.write(&session.config, signer.address(), params.evaluationRoot)?;
            eprintln!(
                "kept the evaluation data in {}: `aiarena node seal` sends them, so let it run while the task does",
                kept.display()
            );
        }
    }
    let constants = session.vault().config().call().await.context("cannot read the vault")?;
    let bond: U256 = constants.bond.to();
    let mut steps = session.approval(bond).await?;
    let what = format!(
        "create the task \"{}\" for {} epochs, and lock {} until it is over",
        description.title.escape_debug(),
        params.epochs,
        session.token.show(bond)
    );
    steps.push(Step::new(what, session.deployment.arena, Arena::createTaskCall { params }));
    carry_out_and(&session, steps, publish::created(&session.config, &description, file), flags).await
}

async fn show(session: &Session, only: Option<u64>, json: bool) -> Result<bool> {
    let follower = session.follow().await?;
    let ledger = follower.ledger();
    let tasks: Vec<&Task> = match only {
        Some(number) => match ledger.tasks.get(&number) {
            Some(task) => vec![task],
            None => bail!(Refusal(format!("there is no task {number}: `aiarena task list` shows them all"))),
        },
        None => ledger.tasks.values().collect(),
    };
    if json {
        let mut rows = Vec::new();
        for task in tasks {
            rows.push(facts(ledger, task, &session.token, follower.now())?);
        }
        let report = match only {
            Some(_) => rows.remove(0),
            None => json!({ "tasks": rows }),
        };
        say(&serde_json::to_string_pretty(&report)?)?;
        return Ok(true);
    }
    if tasks.is_empty() {
        eprintln!("there is no task yet: make one with `aiarena task create`");
    }
    for task in tasks {
        let facts = facts(ledger, task, &session.token, follower.now())?;
        match only {
            Some(_) => {
                for (name, value) in facts.as_object().into_iter().flatten() {
                    say(&format!(
                        "{name:20} {}",
                        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                    ))?;
                }
            }
            None => say(&format!(
                "task {} epochs {} to {} bounty {} nodes {} validators {} ({})",
                task.number,
                task.first_epoch,
                task.last_epoch,
                session.token.show(task.bounty().saturating_sub(task.reclaimed)),
                facts["nodes"],
                facts["validators"],
                facts["state"].as_str().unwrap_or_default(),
            ))?,
        }
    }
    Ok(true)
}

/// What is to be known of a task.
fn facts(ledger: &Ledger, task: &Task, token: &Token, now: u64) -> Result<Value> {
    let (epoch, _) = ledger.clock.at(now);
    let state = if epoch < task.first_epoch {
        "begins later"
    } else if epoch > task.last_epoch {
        "over"
    } else {
        "runs"
    };
    let count = |role| task.pools.values().filter(|pool| pool.role == role).count();
    Ok(json!({
        "task": task.number,
        "state": state,
        "creator": task.creator,
        "first_epoch": task.first_epoch,
        "last_epoch": task.last_epoch,
        "begins": utc(ledger.clock.start(task.first_epoch, Phase::Submit)),
        "ends": utc(ledger.clock.start(task.last_epoch.saturating_add(1), Phase::Submit)),
        "bounty": token.show(task.bounty().saturating_sub(task.reclaimed)),
        "bond": token.show(task.bond),
        "min_node_stake": token.show(task.params.min_node_stake),
        "min_validator_stake": token.show(task.params.min_validator_stake),
        "nodes": count(Role::Node),
        "validators": count(Role::Validator),
        "submissions": task.entries.len(),
        "max_submissions": task.params.max_submissions,
        "settled_epochs": task.settled.len(),
        "metadata": task.params.metadata,
        "evaluation_root": task.params.evaluation_root,
    }))
}
