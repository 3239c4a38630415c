//! `aiarena status`: where an account stands.

use aiarena_chain::ledger::{Clock, Phase, Pool, Role, Task};
use aiarena_mechanism::slashing;
use alloy::{
    primitives::{Address, U256},
    providers::Provider,
};
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::{args::StatusArgs, date::utc, say, session::Session};
use crate::{amount, config::Config};

/// One pool in which an account has something.
#[derive(Debug, Serialize)]
struct Holding {
    task: u64,
    operator: Address,
    /// `node`, `validator` or `delegator`.
    role: &'static str,
    /// What counts from the next epoch on.
    stake: String,
    /// The least stake with which an operator takes part in the task; of operators alone.
    minimum: Option<String>,
    /// Whether there is as much.
    enough: Option<bool>,
    delegated_by_others: Option<String>,
    commission_percent: Option<String>,
    claimable: String,
    unbonding: Vec<Unbonding>,
}

#[derive(Debug, Serialize)]
struct Unbonding {
    amount: String,
    release_epoch: u32,
    release: String,
    due: bool,
}

/// Runs `aiarena status`.
pub(super) async fn run(args: StatusArgs) -> Result<bool> {
    let config = Config::find(args.config.config.as_deref())?;
    let session = match args.of {
        Some(account) => Session::open_as(config, account).await?,
        None => Session::open(config).await?,
    };
    let (me, token) = (session.me, &session.token);
    let follower = session.follow().await?;
    let (ledger, now) = (follower.ledger(), follower.now());
    let (epoch, phase) = ledger.clock.at(now);
    let (next, deadline) = next(&ledger.clock, epoch, phase);
    let (tokens, allowance) = session.purse(me).await?;
    let coins = session.provider.get_balance(me).await.context("cannot ask for the balance")?;
    let mut holdings = Vec::new();
    for task in ledger.tasks.values() {
        for (operator, pool) in &task.pools {
            holdings.extend(holding(&session, &ledger.clock, (task, *operator), pool, epoch)?);
        }
    }
    if args.json {
        let report = json!({
            "account": me,
            "chain_id": session.deployment.chain_id,
            "time": now,
            "epoch": epoch,
            "phase": format!("{phase:?}"),
            "next_phase": next,
            "next_phase_at": deadline,
            "coins": amount::show(coins, 18),
            "token": token.symbol,
            "tokens": amount::show(tokens, token.decimals),
            "allowance": amount::show(allowance, token.decimals),
            "evaluation_key": ledger.keys.get(&me),
            "holdings": holdings,
        });
        say(&serde_json::to_string_pretty(&report)?)?;
        return Ok(true);
    }
    say(&format!("account    {me}"))?;
    say(&format!("balances   {}, {} ETH", token.show(tokens), amount::show(coins, 18)))?;
    say(&format!("chain time {}, epoch {epoch}, phase {phase:?}", utc(now)))?;
    say(&format!("next       {next} at {}", utc(deadline)))?;
    let key = ledger.keys.get(&me).map_or("none".to_owned(), |key| format!("{key} is registered"));
    say(&format!("evaluation key {key}"))?;
    if holdings.is_empty() {
        say("stakes     none: `aiarena stake` and `aiarena delegate` make some")?;
    }
    for holding in holdings {
        let Holding { task, operator, role, stake, claimable, .. } = &holding;
        let minimum = holding.minimum.as_ref().map_or(String::new(), |least| format!(" (at least {least})"));
        say(&format!(
            "task {task}: {role} {operator}: stake {stake}{minimum}, claimable {claimable} {}",
            token.symbol
        ))?;
        if holding.enough == Some(false) {
            say("  too little stake of its own to take part: add some with `aiarena stake`")?;
        }
        if let Some((by_others, commission)) = holding.delegated_by_others.zip(holding.commission_percent) {
            say(&format!("  delegated by others {by_others}, commission {commission} %"))?;
        }
        for request in &holding.unbonding {
            let due = if request.due { "can be withdrawn" } else { "can be withdrawn from" };
            let at = if request.due { String::new() } else { format!(" {}", request.release) };
            say(&format!("  unbonding {}: {due}{at} (epoch {})", request.amount, request.release_epoch))?;
        }
    }
    Ok(true)
}

/// The next phase and when it begins.
fn next(clock: &Clock, epoch: u32, phase: Phase) -> (String, u64) {
    let (epoch, phase) = match phase {
        _ if epoch == 0 => (1, Phase::Submit),
        Phase::Submit => (epoch, Phase::Disclose),
        Phase::Disclose => (epoch, Phase::Seed),
        Phase::Seed => (epoch, Phase::Commit),
        Phase::Commit => (epoch, Phase::Reveal),
        Phase::Reveal => (epoch, Phase::Settle),
        Phase::Settle => (epoch.saturating_add(1), Phase::Submit),
    };
    (format!("{phase:?} of epoch {epoch}"), clock.start(epoch, phase))
}

/// What an account has in a pool; `None` if nothing.
fn holding(
    session: &Session,
    clock: &Clock,
    (task, operator): (&Task, Address),
    pool: &Pool,
    epoch: u32,
) -> Result<Option<Holding>> {
    let (me, decimals) = (session.me, session.token.decimals);
    let show = |amount: U256| amount::show(amount, decimals);
    let shares = pool.positions.get(&me).map_or(U256::ZERO, |position| position.shares.latest());
    let own = me == operator;
    let stake = if own { pool.stakes.latest().0 } else { slashing::worth(shares, pool.factor_wad())? };
    let claimable = pool.claimable(operator, me)?;
    let mut unbonding = Vec::new();
    for request in pool.unbonding.get(&me).into_iter().flatten() {
        unbonding.push(Unbonding {
            amount: show(pool.payable(request)?),
            release_epoch: request.release_epoch,
            release: utc(clock.start(request.release_epoch, Phase::Submit)),
            due: request.release_epoch <= epoch,
        });
    }
    if !own && stake.is_zero() && claimable.is_zero() && unbonding.is_empty() {
        return Ok(None);
    }
    let role = match pool.role {
        _ if !own => "delegator",
        Role::Node => "node",
        Role::Validator => "validator",
    };
    let minimum = task.minimum(pool.role);
    Ok(Some(Holding {
        task: task.number,
        operator,
        role,
        stake: show(stake),
        minimum: own.then(|| show(minimum)),
        enough: own.then_some(stake >= minimum),
        delegated_by_others: if own { Some(show(pool.delegated()?)) } else { None },
        commission_percent: own.then(|| amount::show(pool.commission.latest(), 16)),
        claimable: show(claimable),
        unbonding,
    }))
}
