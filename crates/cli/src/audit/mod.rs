//! `aiarena audit`: is everybody paid what the rules give?
//!
//! It takes nothing but the chain's history and state, trusts none of it, and recomputes every score, rank and payment
//! with `mechanism`; with the artifacts and the evaluation data at hand it evaluates those again, too.

mod arena;
mod contracts;
mod emission;
mod evidence;
mod finding;
mod receipt;
mod recompute;
mod replay;
mod report;
mod rescore;
mod sequence;
mod source;
mod state;
mod tallies;
mod timing;
mod vault;

pub use contracts::differences;

use aiarena_chain::deploy::Deployment;
use alloy::providers::DynProvider;
use anyhow::Result;

pub use self::{
    contracts::Fixed,
    evidence::{BlockFacts, Evidence, Moved},
    finding::{Finding, Findings, Kind, Place},
    receipt::receipt,
    recompute::Recomputed,
    replay::{ClaimLine, Replayed, SlashLine, replay},
    report::{AuditReport, Owed, RewardRow},
    rescore::Rescore,
    state::Holdings,
};
use self::{
    report::{difference, reward_rows},
    source::Source,
};
use crate::{args::AuditArgs, ui::Ui};

/// What is audited, and how deep.
#[derive(Debug)]
pub struct AuditOptions {
    /// The contracts, and the block from which their history is read.
    pub deployment: Deployment,
    /// Evaluates every artifact again.
    pub rescore: Option<Rescore>,
    /// Says how far the audit is.
    pub progress: Option<Ui>,
}

impl AuditOptions {
    /// An audit of a deployment, without evaluating anything again.
    #[must_use]
    pub fn new(deployment: Deployment) -> Self {
        Self { deployment, rescore: None, progress: None }
    }
}

/// Carries out the command.
///
/// # Errors
/// If the audit cannot be done at all; differences are no error, but in the report.
pub async fn run(args: AuditArgs, ui: &Ui) -> Result<AuditReport> {
    let source = Source::open(&args)?;
    ui.title("Auditing");
    let (deployment, _) = contracts::find(&source.provider, source.arena, source.from_block).await?;
    let deployment = source.named.unwrap_or(deployment);
    let options = AuditOptions { deployment, rescore: source.rescore, progress: Some(ui.clone()) };
    audit(&source.provider, options).await
}

/// Audits a deployment from the block of its creation to the newest one.
///
/// # Errors
/// If there is no arena, or the endpoint fails; differences are no error, but in the report.
pub async fn audit(provider: &DynProvider, options: AuditOptions) -> Result<AuditReport> {
    let AuditOptions { deployment, rescore, progress } = options;
    let say = |text: String| progress.iter().for_each(|ui| ui.step(&text));
    let mut findings = Findings::default();
    let (found, fixed) = contracts::find(provider, deployment.arena, deployment.from_block).await?;
    contracts::check(provider, &deployment, &found, &fixed, &mut findings).await?;

    let decimals = contracts::decimals(provider, &found).await?;
    say(format!("reading the history of arena {}", found.arena));
    let mut evidence = Evidence::read(provider, found, fixed, &mut findings).await?;
    let readable = !evidence.records.is_empty() || findings.is_empty();
    say(format!("recomputing {} events", evidence.records.len()));
    let (replayed, holdings) = reckon(provider, &mut evidence, readable, &mut findings).await?;
    let at = rescore::At { chain_id: found.chain_id, arena: found.arena, now: evidence.head.timestamp };
    let rescored = rescore.map(|with| {
        let (ledger, ui) = (&replayed.ledger, progress.as_ref());
        rescore::rescore(&with, ledger, at, ui, &mut findings, &mut evidence.notes)
    });
    let Holdings { balance, owed } = holdings.unwrap_or_default();
    Ok(AuditReport {
        ok: findings.is_empty(),
        chain_id: found.chain_id,
        arena: found.arena,
        vault: found.vault,
        emission: found.emission,
        token: found.token,
        decimals,
        from_block: found.from_block,
        head: evidence.head,
        blocks: evidence.verified,
        events: evidence.records.len() as u64,
        tasks: replayed.ledger.tasks.len() as u64,
        epochs: replayed.epochs.iter().filter(|epoch| epoch.settled.is_some()).count() as u64,
        payments: replayed.payments,
        claims: replayed.claims.len() as u64,
        slashes: replayed.slashes.len() as u64,
        state_compared: holdings.is_some(),
        rescored,
        compared: findings.compared(),
        balance,
        owed: owed.into(),
        conservation_difference: difference(balance, owed.total()),
        rewards: reward_rows(&replayed),
        findings_left_out: findings.left_out(),
        findings: findings.into_list(),
        notes: evidence.notes,
        replayed,
    })
}

/// The part of an audit that trusts the blocks and nothing else: replays the history, recomputes it, and compares the
/// contracts' state. What the vault holds is known only if the history could be replayed to its end.
///
/// - `readable`: whether `evidence` holds all events that the endpoint gave.
///
/// # Errors
/// If the endpoint fails.
pub async fn reckon(
    provider: &DynProvider,
    evidence: &mut Evidence,
    readable: bool,
    findings: &mut Findings,
) -> Result<(Replayed, Option<Holdings>)> {
    let replayed = replay(evidence, findings);
    if replayed.complete && readable {
        let holdings = state::compare(provider, evidence, &replayed.ledger, findings).await?;
        return Ok((replayed, Some(holdings)));
    }
    evidence.notes.push(
        "the contracts' state was not compared: the history could not be replayed to its end".to_owned(),
    );
    Ok((replayed, None))
}
