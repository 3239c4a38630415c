//! Stakes, delegations, commissions, rewards, and the test token.

use aiarena_chain::{
    bindings::{ArenaToken, Vault},
    follow::contract_error,
};
use alloy::primitives::{Address, U256};
use anyhow::{Context, Result, bail, ensure};

use super::{
    args::{
        ClaimArgs, CommissionArgs, ConfigArgs, DelegateArgs, ReclaimArgs, RoleArg, StakeArgs, TokenArgs,
        TokenCommand, UnstakeArgs, WithdrawArgs,
    },
    send::{Refusal, Step, carry_out, carry_out_warned},
    session::Session,
};
use crate::{amount, config::Config};

/// Requests that one withdrawal pays out at most: it costs gas for each.
const MOST_REQUESTS: u64 = 64;

pub(super) async fn open(args: &ConfigArgs) -> Result<Session> {
    Session::open(Config::find(args.config.as_deref())?).await
}

/// Runs `aiarena stake`.
pub(super) async fn stake(args: StakeArgs) -> Result<bool> {
    let session = open(&args.config).await?;
    let task = U256::from(args.task);
    let amount = session.token.parse(&args.amount)?;
    let role = match args.role {
        Some(RoleArg::Node) => 1,
        Some(RoleArg::Validator) => 2,
        None => {
            let role = session.vault().roleOf(task, session.me).call().await;
            role.map_err(|error| contract_error("ask for your role", error))?
        }
    };
    ensure!(
        role != 0,
        "this is your first stake in task {task}: say what you do with --role node or --role validator"
    );
    let mut steps = session.approval(amount).await?;
    let name = if role == 1 { "node" } else { "validator" };
    let what = format!("stake {} as a {name} of task {task}", session.token.show(amount));
    steps.push(Step::new(
        what,
        session.deployment.vault,
        Vault::stakeCall { task, role, amount: amount.to() },
    ));
    carry_out(&session, steps, &args.send).await
}

/// Runs `aiarena unstake`.
pub(super) async fn unstake(args: UnstakeArgs) -> Result<bool> {
    let session = open(&args.config).await?;
    let amount = session.token.parse(&args.amount)?;
    let what = format!("start unbonding {} of your stake in task {}", session.token.show(amount), args.task);
    let call = Vault::unstakeCall { task: U256::from(args.task), amount: amount.to() };
    let warnings: Vec<String> = left(&session, args.task, amount).await?.into_iter().collect();
    let step = Step::new(what, session.deployment.vault, call);
    carry_out_warned(&session, vec![step], &warnings, &args.send).await
}

/// What to know before so much stake is taken out, if the rest is too little to take part.
async fn left(session: &Session, task: u64, amount: U256) -> Result<Option<String>> {
    let (vault, number) = (session.vault(), U256::from(task));
    let read = |error| contract_error("read your stake", error);
    let terms = vault.termsOf(number).call().await.map_err(read)?;
    let role = vault.roleOf(number, session.me).call().await.map_err(read)?;
    let minimum: U256 = match role {
        1 => terms.minNodeStake.to(),
        2 => terms.minValidatorStake.to(),
        _ => return Ok(None),
    };
    let next = vault.currentEpoch().call().await.map_err(read)?.saturating_add(1);
    let stake: U256 =
        vault.stakeAt(number, session.me, U256::from(next)).call().await.map_err(read)?.direct.to();
    // More than there is is refused, which says it better.
    let Some(left) = stake.checked_sub(amount).filter(|left| *left < minimum) else { return Ok(None) };
    Ok(Some(format!(
        "{} of your own stake would be left in task {task}, and {} are the least with which one takes part: from epoch {next} on \
         you would not",
        session.token.show(left),
        session.token.show(minimum)
    )))
}

/// Runs `aiarena delegate`.
pub(super) async fn delegate(args: DelegateArgs) -> Result<bool> {
    let session = open(&args.config).await?;
    let amount = session.token.parse(&args.amount)?;
    let mut steps = session.approval(amount).await?;
    let DelegateArgs { task, operator, .. } = args;
    let what = format!("delegate {} to {operator} in task {task}", session.token.show(amount));
    let call = Vault::delegateCall { task: U256::from(task), operator, amount: amount.to() };
    steps.push(Step::new(what, session.deployment.vault, call));
    carry_out(&session, steps, &args.send).await
}

/// Runs `aiarena undelegate`.
pub(super) async fn undelegate(args: DelegateArgs) -> Result<bool> {
    let session = open(&args.config).await?;
    let amount = session.token.parse(&args.amount)?;
    let DelegateArgs { task, operator, .. } = args;
    let what =
        format!("start unbonding {} delegated to {operator} in task {task}", session.token.show(amount));
    let call = Vault::undelegateCall { task: U256::from(task), operator, amount: amount.to() };
    carry_out(&session, vec![Step::new(what, session.deployment.vault, call)], &args.send).await
}

/// Runs `aiarena commission`.
pub(super) async fn commission(args: CommissionArgs) -> Result<bool> {
    let session = open(&args.config).await?;
    // The contract takes multiples of a billionth, which are seven decimals of a per cent.
    let billionths = amount::parse(&args.percent, 7)?;
    ensure!(billionths <= U256::from(1_000_000_000), "{} per cent is more than 100", args.percent);
    let wad: u64 = billionths.to::<u64>() * 1_000_000_000;
    let what =
        format!("set your commission in task {} to {} per cent", args.task, amount::show(billionths, 7));
    let call = Vault::setCommissionCall { task: U256::from(args.task), commissionWad: wad };
    carry_out(&session, vec![Step::new(what, session.deployment.vault, call)], &args.send).await
}

/// Runs `aiarena withdraw`.
pub(super) async fn withdraw(args: WithdrawArgs) -> Result<bool> {
    let session = open(&args.config).await?;
    let (task, operator) = (U256::from(args.task), args.operator.unwrap_or(session.me));
    let unbonding = session.vault().unbondingOf(task, operator, session.me).call().await;
    let due = unbonding.map_err(|error| contract_error("ask for what is due", error))?.due;
    if due.is_zero() {
        exists(&session, args.task).await?;
        let why = format!(
            "nothing has finished unbonding in the pool of {operator} in task {task}: `aiarena status` shows what will, and when"
        );
        bail!(Refusal(why));
    }
    let what = format!("withdraw {} from the pool of {operator} in task {task}", session.token.show(due));
    let call = Vault::withdrawCall { task, operator, limit: U256::from(MOST_REQUESTS) };
    carry_out(&session, vec![Step::new(what, session.deployment.vault, call)], &args.send).await
}

/// Runs `aiarena claim`.
pub(super) async fn claim(args: ClaimArgs) -> Result<bool> {
    let session = open(&args.config).await?;
    let mut steps = Vec::new();
    for (task, operator) in claims(&session, &args).await? {
        let task = U256::from(task);
        let due = session.vault().claimable(task, operator, session.me).call().await;
        let due = due.map_err(|error| contract_error("ask for your reward", error))?;
        if due.is_zero() {
            // Of all pools those alone are here in which there was something a moment ago.
            let Some(number) = args.task else { continue };
            exists(&session, number).await?;
            let why = format!(
                "there is no reward to claim for {} in the pool of {operator} in task {task}: it comes when an epoch is settled; \
                 `aiarena status` shows it",
                session.me
            );
            bail!(Refusal(why));
        }
        let what = format!("claim {} from the pool of {operator} in task {task}", session.token.show(due));
        steps.push(Step::new(what, session.deployment.vault, Vault::claimCall { task, operator }));
    }
    if steps.is_empty() {
        bail!(Refusal(format!("there is nothing to claim for {}", session.me)));
    }
    carry_out(&session, steps, &args.send).await
}

/// Refuses a task that there is not.
async fn exists(session: &Session, task: u64) -> Result<()> {
    let terms = session.vault().termsOf(U256::from(task)).call().await;
    let terms = terms.map_err(|error| contract_error("ask for the task", error))?;
    ensure!(
        !terms.creator.is_zero(),
        Refusal(format!("there is no task {task}: `aiarena task list` shows them all"))
    );
    Ok(())
}

/// Tasks and operators of whose pools something is claimed.
async fn claims(session: &Session, args: &ClaimArgs) -> Result<Vec<(u64, Address)>> {
    if let Some(task) = args.task {
        return Ok(vec![(task, args.operator.unwrap_or(session.me))]);
    }
    let follower = session.follow().await?;
    let mut found = Vec::new();
    for (number, task) in &follower.ledger().tasks {
        for (operator, pool) in &task.pools {
            if !pool.claimable(*operator, session.me)?.is_zero() {
                found.push((*number, *operator));
            }
        }
    }
    Ok(found)
}

/// Runs `aiarena reclaim`.
pub(super) async fn reclaim(args: ReclaimArgs) -> Result<bool> {
    let session = open(&args.config).await?;
    let what = format!("take back what task {} left for you", args.task);
    let call = Vault::reclaimCall { task: U256::from(args.task) };
    carry_out(&session, vec![Step::new(what, session.deployment.vault, call)], &args.send).await
}

/// Runs `aiarena token`.
pub(super) async fn token(args: TokenArgs) -> Result<bool> {
    let session = open(&args.config).await?;
    let TokenCommand::Mint { amount, to, send } = args.command;
    let base_units = session.token.parse(&amount)?;
    let token = ArenaToken::new(session.token.address, &session.provider);
    let minter = match token.minter().call().await {
        Ok(minter) => minter,
        Err(error) if matches!(error, alloy::contract::Error::TransportError(ref e) if !e.is_error_resp()) => {
            return Err(error).context("cannot ask the token");
        }
        Err(_) => bail!(Refusal(format!(
            "{} at {} is no test token, so nobody can make more of it here: get some where it is traded",
            session.token.symbol, session.token.address
        ))),
    };
    ensure!(
        minter == session.me,
        Refusal(format!(
            "only {minter}, which deployed the token, can mint; ask it for some, or use its key"
        ))
    );
    let to = to.unwrap_or(session.me);
    let what = format!("mint {} for {to}", session.token.show(base_units));
    let call = ArenaToken::mintCall { to, amount: base_units };
    carry_out(&session, vec![Step::new(what, session.token.address, call)], &send).await
}
