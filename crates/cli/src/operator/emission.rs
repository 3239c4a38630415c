//! `aiarena emission`: which tasks share the emission, the fee on claims, and who decides on both.

use aiarena_chain::{
    bindings::{Emission, Vault},
    follow::{contract_error, read_constants},
    ledger::{Clock, Constants, Phase},
};
use aiarena_mechanism::budget;
use alloy::{
    eips::BlockId,
    primitives::{Address, U256},
    providers::Provider,
    sol_types::SolCall,
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::{
    args::{EmissionArgs, EmissionCommand, SendArgs},
    date::utc,
    say,
    send::{Refusal, Step, carry_out},
    session::Session,
    stake::open,
    task::reader,
};
use crate::amount;

/// Decimals of a per cent in WAD.
const PERCENT_DECIMALS: u8 = 16;

/// Runs `aiarena emission`.
pub(super) async fn run(args: EmissionArgs) -> Result<bool> {
    if let EmissionCommand::Show { json } = args.command {
        return show(&reader(args.config.config.as_deref()).await?, json).await;
    }
    let session = open(&args.config).await?;
    let Session { deployment, token, .. } = &session;
    let (vault, emission) = (deployment.vault, deployment.emission);
    let read = |error| contract_error("read the vault", error);
    match args.command {
        EmissionCommand::Show { .. } => Ok(true),
        EmissionCommand::Fund { amount, send } => {
            let amount = token.parse(&amount)?;
            let mut steps = session.approval(amount).await?;
            let what = format!("add {} to what is left to be emitted", token.show(amount));
            steps.push(Step::new(what, vault, Vault::fundEmissionCall { amount: amount.to() }));
            carry_out(&session, steps, &send).await
        }
        EmissionCommand::Admit { task, send } => {
            let (epoch, at) = acts(&session).await?;
            let terms = session.vault().termsOf(U256::from(task)).call().await.map_err(read)?;
            ensure!(
                terms.creator == Address::ZERO || terms.lastEpoch >= epoch,
                Refusal(format!("task {task} is over after epoch {}: it would get nothing", terms.lastEpoch))
            );
            let what = format!("admit task {task} to the emission from epoch {epoch} on, {at}");
            let call = Emission::admitCall { task: U256::from(task) };
            owners(&session, what, call, &send).await
        }
        EmissionCommand::Dismiss { task, send } => {
            let (epoch, at) = acts(&session).await?;
            let what = format!("dismiss task {task} from the emission from epoch {epoch} on, {at}");
            let call = Emission::dismissCall { task: U256::from(task) };
            owners(&session, what, call, &send).await
        }
        EmissionCommand::Fee { percent, treasury, send } => {
            let (what, call) = fee(&session, &percent, treasury).await?;
            owners(&session, what, call, &send).await
        }
        EmissionCommand::Collect { send } => {
            let fees: U256 = session.vault().fees().call().await.map_err(read)?.to();
            if fees.is_zero() {
                bail!(Refusal("no fee of a claim is there to be collected".to_owned()));
            }
            let treasury = session.vault().treasury().call().await.map_err(read)?;
            let what = format!("pay fees of {} to the treasury {treasury}", token.show(fees));
            carry_out(&session, vec![Step::new(what, vault, Vault::collectFeesCall {})], &send).await
        }
        EmissionCommand::Burn { send } => {
            let slashed: U256 = session.vault().slashed().call().await.map_err(read)?.to();
            if slashed.is_zero() {
                bail!(Refusal("nothing was slashed that is not burned yet".to_owned()));
            }
            let what = format!("burn {}, which was slashed", token.show(slashed));
            carry_out(&session, vec![Step::new(what, vault, Vault::burnCall {})], &send).await
        }
        EmissionCommand::Transfer { to, send } => {
            let what = if to.is_zero() {
                "take back the offer of the emission to another owner".to_owned()
            } else {
                format!("offer the emission to {to}, which owns it once it accepts")
            };
            owners(&session, what, Emission::transferOwnershipCall { newOwner: to }, &send).await
        }
        EmissionCommand::Accept { send } => {
            let what = "become the owner of the emission".to_owned();
            let step = Step::new(what, emission, Emission::acceptOwnershipCall {});
            carry_out(&session, vec![step], &send).await
        }
        EmissionCommand::Renounce { send } => {
            let what = "leave the emission without an owner, FOR EVER: the tasks that are admitted and the fee stay as they are, \
                        and nobody can admit or dismiss one or set the fee any more";
            owners(&session, what.to_owned(), Emission::renounceOwnershipCall {}, &send).await
        }
    }
}

/// Sends what only the owner may.
async fn owners<C: SolCall + Send + Sync + 'static>(
    session: &Session,
    what: String,
    call: C,
    flags: &SendArgs,
) -> Result<bool> {
    let emission = Emission::new(session.deployment.emission, &session.provider);
    let owner = emission.owner().call().await.map_err(|error| contract_error("ask for the owner", error))?;
    if owner.is_zero() {
        bail!(Refusal("the emission has no owner: nobody can change it any more".to_owned()));
    }
    ensure!(
        owner == session.me,
        Refusal(format!(
            "only the owner of the emission, {owner}, may do this, and your key is {}",
            session.me
        ))
    );
    carry_out(session, vec![Step::new(what, session.deployment.emission, call)], flags).await
}

/// What the deployment fixed, and the chain's time.
async fn fixed(session: &Session) -> Result<(Clock, Constants, u64)> {
    let (clock, constants) = read_constants(&session.provider, &session.deployment).await?;
    let block =
        session.provider.get_block(BlockId::latest()).await.context("cannot read the newest block")?;
    let now = block.context("the endpoint has no newest block")?.header.timestamp;
    Ok((clock, constants, now))
}

/// The epoch from which a change acts that is mined now, and when it begins.
async fn acts(session: &Session) -> Result<(u32, String)> {
    let (clock, _, now) = fixed(session).await?;
    let epoch = clock.at(now).0.saturating_add(2);
    Ok((epoch, utc(clock.start(epoch, Phase::Submit))))
}

/// The call that sets the fee.
async fn fee(
    session: &Session,
    percent: &str,
    treasury: Option<Address>,
) -> Result<(String, Emission::setFeeCall)> {
    let wad = amount::parse(percent, PERCENT_DECIMALS)?;
    let (clock, constants, now) = fixed(session).await?;
    let limit = constants.max_fee_wad;
    ensure!(
        wad <= limit,
        Refusal(format!(
            "the deployment fixed that the fee is at most {} per cent, and {percent} is more",
            amount::show(limit, PERCENT_DECIMALS)
        ))
    );
    let treasury = match treasury {
        Some(treasury) => treasury,
        None => session.follow().await?.ledger().treasury.latest(),
    };
    ensure!(!treasury.is_zero(), "nobody gets the fees yet: name the account with --treasury ADDRESS");
    let epoch = clock.at(now).0.saturating_add(2);
    let what = format!(
        "set the fee on claims to {} per cent from epoch {epoch} on, {}, and pay all that is collected from then on to {treasury}",
        amount::show(wad, PERCENT_DECIMALS),
        utc(clock.start(epoch, Phase::Submit))
    );
    Ok((what, Emission::setFeeCall { feeWad: wad.to(), treasury }))
}

async fn show(session: &Session, as_json: bool) -> Result<bool> {
    let follower = session.follow().await?;
    let (ledger, token) = (follower.ledger(), &session.token);
    let (epoch, _) = ledger.clock.at(follower.now());
    let someone = |address: Address| (!address.is_zero()).then_some(address);
    let percent = |wad: U256| amount::show(wad, PERCENT_DECIMALS);
    let next = ledger.fee.points().last().filter(|(from, _)| *from > epoch);
    let next_treasury = next.map(|(from, _)| ledger.treasury.at(*from));
    let c = &ledger.constants;
    let rate = budget::emission(c.emission, c.emission_decay_wad, c.emission_period, epoch)?;
    let tasks: Vec<_> = ledger
        .emission
        .list
        .iter()
        .filter_map(|task| Some((task, ledger.emission.admissions.get(task)?)))
        .map(|(task, admission)| {
            let until = (admission.until_epoch != u32::MAX).then_some(admission.until_epoch);
            json!({ "task": task, "from_epoch": admission.from_epoch, "until_epoch": until })
        })
        .collect();
    let report = json!({
        "owner": someone(ledger.emission.owner),
        "offered_to": someone(ledger.emission.pending_owner),
        "epoch": epoch,
        "reserve": token.show(ledger.reserve),
        "at_most_per_epoch": token.show(rate),
        "fee_percent": percent(ledger.fee_at(epoch)),
        "next_fee_percent": next.map(|(_, fee)| percent(*fee)),
        "next_fee_from_epoch": next.map(|(from, _)| from),
        "fee_limit_percent": percent(c.max_fee_wad),
        "treasury": someone(ledger.treasury.at(epoch)),
        "next_treasury": next_treasury,
        "fees_to_collect": token.show(ledger.fees),
        "slashed_to_burn": token.show(ledger.slashed),
        "tasks": tasks,
    });
    if as_json {
        say(&serde_json::to_string_pretty(&report)?)?;
        return Ok(true);
    }
    for (name, value) in report.as_object().into_iter().flatten().filter(|(name, _)| *name != "tasks") {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        say(&format!("{name:20} {}", if value == "null" { "none" } else { &value }))?;
    }
    for task in &tasks {
        let until =
            task["until_epoch"].as_u64().map_or(String::new(), |epoch| format!(", before epoch {epoch}"));
        say(&format!("task {} from epoch {}{until}", task["task"], task["from_epoch"]))?;
    }
    if tasks.is_empty() {
        eprintln!("no task takes part: the owner admits one with `aiarena emission admit TASK`");
    }
    Ok(true)
}
