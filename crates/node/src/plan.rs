//! What an operator should do next: a pure function of what it sees.

use aiarena_chain::ledger::{Clock, Flight, Offence, Phase, Role, Stage, Task};
use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::settlement::{Count, Settling};

/// Submissions, or pools to be paid, that one settlement transaction handles, at up to 100 000 gas each: far below the
/// 16.7 million that a transaction may use.
pub const BATCH: usize = 64;

/// Scores that one transaction counts or weighs, at up to 7 000 gas each.
pub const SCORES: usize = 1_000;

/// A submission that is ready to be committed and opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The epoch for which it was trained.
    pub epoch: u32,
    /// The artifact; `None` if the node has nothing to submit in this epoch.
    pub content_hash: Option<B256>,
}

/// Scores that are ready to be committed and revealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// The epoch that was scored.
    pub epoch: u32,
    /// Its seed: a reorganisation may undo it, and another draw is another sheet.
    pub seed: B256,
    /// One word per assigned submission, in the order of the draw.
    pub scores: Vec<u32>,
}

/// All that an operator knows when it decides.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The operator.
    pub me: Address,
    /// The task, rebuilt from its events.
    pub task: &'a Task,
    /// Maps time to epochs and phases.
    pub clock: &'a Clock,
    /// The chain's time, in seconds since 1970.
    pub now: u64,
    /// A node's own work.
    pub prepared: Option<&'a Prepared>,
    /// A validator's own work.
    pub sheet: Option<&'a Sheet>,
    /// The key that it needs for the task's sealed data and that is not on chain.
    pub unregistered_key: Option<B256>,
}

/// One thing to do. The executor does it and chooses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Train a submission for an epoch.
    Train {
        /// The epoch.
        epoch: u32,
    },
    /// Commit to the prepared submission (M-1).
    CommitSubmission {
        /// The epoch.
        epoch: u32,
        /// The artifact.
        content_hash: B256,
    },
    /// Open the commitment (M-1).
    OpenSubmission {
        /// The epoch.
        epoch: u32,
        /// The artifact.
        content_hash: B256,
    },
    /// Register the key to which evaluation data are sealed.
    RegisterKey {
        /// Its public half.
        key: B256,
    },
    /// Remove a submission that cannot be ranked any more.
    Evict {
        /// Its node.
        node: Address,
    },
    /// Fix the seed of the epoch (M-9).
    DrawSeed,
    /// Score the assigned submissions.
    Score {
        /// The epoch.
        epoch: u32,
    },
    /// Commit to the scores (M-10).
    CommitScores {
        /// The epoch.
        epoch: u32,
    },
    /// Reveal the scores (M-10).
    RevealScores {
        /// The epoch.
        epoch: u32,
    },
    /// Find consensus scores (M-7).
    Tally {
        /// Submissions, with the scores to count.
        counts: Vec<Count>,
    },
    /// Count some scores of a submission that has too many for one transaction.
    TallyPart {
        /// The submission, with the next scores to count.
        part: Count,
    },
    /// Rank the submissions (M-5).
    Rank {
        /// All nodes to be ranked, best first.
        order: Vec<Address>,
    },
    /// Credit ranked nodes.
    PayNodes {
        /// Nodes paid before.
        from: u32,
        /// How many to pay.
        count: u32,
        /// The whole ranking.
        order: Vec<Address>,
    },
    /// Weigh revealed scores (M-8).
    Weigh {
        /// Validators weighed before, in the order of the reveals.
        from: u32,
        /// How many to weigh.
        count: u32,
    },
    /// Credit validators.
    PayValidators {
        /// Validators paid before, in the order of the reveals.
        from: u32,
        /// How many to pay.
        count: u32,
    },
    /// Report an offence (M-12).
    Report {
        /// Who offended.
        validator: Address,
        /// How.
        offence: Offence,
    },
}

impl Action {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Train { .. } => "train",
            Self::CommitSubmission { .. } => "commit_submission",
            Self::OpenSubmission { .. } => "open_submission",
            Self::RegisterKey { .. } => "register_key",
            Self::Evict { .. } => "evict",
            Self::DrawSeed => "draw_seed",
            Self::Score { .. } => "score",
            Self::CommitScores { .. } => "commit_scores",
            Self::RevealScores { .. } => "reveal_scores",
            Self::Tally { .. } => "tally",
            Self::TallyPart { .. } => "tally_part",
            Self::Rank { .. } => "rank",
            Self::PayNodes { .. } => "pay_nodes",
            Self::Weigh { .. } => "weigh",
            Self::PayValidators { .. } => "pay_validators",
            Self::Report { .. } => "report",
        }
    }

    /// Whether it is work on the operator's own machine, without a transaction.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Train { .. } | Self::Score { .. })
    }

    /// Whether anyone may do it, and whoever is first does it for all. A contract that refuses it says no more than that
    /// somebody else was faster.
    #[must_use]
    pub fn is_anyones(&self) -> bool {
        match self {
            Self::Train { .. }
            | Self::Score { .. }
            | Self::CommitSubmission { .. }
            | Self::OpenSubmission { .. }
            | Self::RegisterKey { .. }
            | Self::CommitScores { .. }
            | Self::RevealScores { .. } => false,
            Self::Evict { .. }
            | Self::DrawSeed
            | Self::Tally { .. }
            | Self::TallyPart { .. }
            | Self::Rank { .. }
            | Self::PayNodes { .. }
            | Self::Weigh { .. }
            | Self::PayValidators { .. }
            | Self::Report { .. } => true,
        }
    }
}

/// What to do now, in this order. Empty: wait for the next phase.
///
/// The same view always gives the same plan, and doing what is already done is never planned: after a lost race, or a
/// validator's crash, the next plan simply goes on. A node that lost its artifact cannot open its commitment.
#[must_use]
pub fn plan(view: &View<'_>) -> Vec<Action> {
    let (epoch, phase) = view.clock.at(view.now);
    // At once, also before the first epoch: a creator seals to the keys that are there when the seed is drawn.
    if let Some(key) = view.unregistered_key.filter(|_| is_validator(view) && epoch <= view.task.last_epoch) {
        return vec![Action::RegisterKey { key }];
    }
    let mut actions = settle(view, epoch, phase);
    actions.extend(reports(view));
    if epoch < view.task.first_epoch || epoch > view.task.last_epoch || !actions.is_empty() {
        return actions;
    }
    match view.task.pools.get(&view.me).map(|pool| pool.role) {
        Some(Role::Node) => actions.extend(node(view, epoch, phase)),
        Some(Role::Validator) => actions.extend(validator(view, epoch, phase)),
        None => {}
    }
    actions
}

fn is_eligible(view: &View<'_>, role: Role, epoch: u32) -> bool {
    view.task.stake_at(view.me, epoch).0 >= view.task.minimum(role)
}

fn node(view: &View<'_>, epoch: u32, phase: Phase) -> Option<Action> {
    let pledge = view.task.pledges.get(&view.me).filter(|pledge| pledge.epoch == epoch);
    let prepared = view.prepared.filter(|prepared| prepared.epoch == epoch);
    match (phase, pledge, prepared) {
        (Phase::Submit, None, None) if is_eligible(view, Role::Node, epoch) => Some(Action::Train { epoch }),
        (Phase::Submit, None, Some(prepared)) => {
            prepared.content_hash.map(|content_hash| Action::CommitSubmission { epoch, content_hash })
        }
        (Phase::Disclose, Some(pledge), Some(prepared)) if !pledge.opened && view.task.flight.is_none() => {
            prepared.content_hash.map(|content_hash| Action::OpenSubmission { epoch, content_hash })
        }
        _ => None,
    }
}

fn validator(view: &View<'_>, epoch: u32, phase: Phase) -> Vec<Action> {
    if phase <= Phase::Disclose {
        return evictions(view, epoch);
    }
    let Some(flight) = view.task.flight.as_ref().filter(|flight| flight.epoch == epoch) else {
        return seed(view, epoch, phase).into_iter().collect();
    };
    let scored = view.sheet.filter(|sheet| (sheet.epoch, sheet.seed) == (epoch, flight.seed));
    let committed = flight.commitments.contains_key(&view.me);
    let revealed = flight.reveals.contains_key(&view.me);
    let owes = !assigned(view, flight).is_empty();
    match (phase, scored) {
        // Honest scores and the salt can be found again, so a validator that lost its sheet after committing makes it anew.
        (Phase::Seed | Phase::Commit, None) if owes => vec![Action::Score { epoch }],
        (Phase::Reveal, None) if committed && !revealed => vec![Action::Score { epoch }],
        (Phase::Commit, Some(_)) if !committed && view.now >= commits_from(view.clock, epoch) => {
            vec![Action::CommitScores { epoch }]
        }
        (Phase::Reveal, Some(_)) if committed && !revealed => vec![Action::RevealScores { epoch }],
        _ => Vec::new(),
    }
}

/// When scores of an epoch are committed to first: an eighth into Commit. A seed that was drawn in the last second may be
/// undone by a reorganisation, and what was committed under it can then never be revealed.
#[must_use]
pub fn commits_from(clock: &Clock, epoch: u32) -> u64 {
    let (start, end) = (clock.start(epoch, Phase::Commit), clock.start(epoch, Phase::Reveal));
    start + end.saturating_sub(start) / 8
}

/// Places on the list that the operator has to score, in the order of the draw; empty if it may not score.
#[must_use]
pub fn assigned(view: &View<'_>, flight: &Flight) -> Vec<u32> {
    let is_validator = view.task.pools.get(&view.me).is_some_and(|pool| pool.role == Role::Validator);
    if !is_validator || !is_eligible(view, Role::Validator, flight.epoch) {
        return Vec::new();
    }
    crate::settlement::assigned(view.task, flight, view.me).unwrap_or_default()
}

fn seed(view: &View<'_>, epoch: u32, phase: Phase) -> Option<Action> {
    let ready = view.clock.start(epoch, Phase::Seed) + u64::from(view.clock.schedule.seed_delay);
    let drawn = view.task.epoch(epoch).is_some();
    let someone_can_score = !view.task.totals_at(Role::Validator, epoch).0.is_zero();
    let open = phase == Phase::Seed && view.now >= ready && view.task.flight.is_none();
    (open && !drawn && someone_can_score && !view.task.entries.is_empty()).then_some(Action::DrawSeed)
}

/// Submissions that only make work: withdrawn earlier, or without the least stake.
fn evictions(view: &View<'_>, epoch: u32) -> Vec<Action> {
    if view.task.flight.is_some() {
        return Vec::new();
    }
    let entries = view.task.entries.iter().filter(|entry| !view.task.is_eligible(entry, epoch));
    entries.map(|entry| Action::Evict { node: entry.node }).collect()
}

/// The next step of settling the epoch in flight, by validators; late is as good as in time.
fn settle(view: &View<'_>, epoch: u32, phase: Phase) -> Vec<Action> {
    let Some(flight) = view.task.flight.as_ref().filter(|flight| is_over(flight, epoch, phase)) else {
        return Vec::new();
    };
    if flight.stage() == Stage::Settled || !is_validator(view) {
        return Vec::new();
    }
    let Ok(settling) = Settling::new(view.task, flight) else { return Vec::new() };
    let outcome = &flight.outcome;
    match flight.stage() {
        Stage::Settled => Vec::new(),
        Stage::Scoring => tally(view, flight, &settling).into_iter().collect(),
        Stage::Ranking => vec![Action::Rank { order: settling.order().to_vec() }],
        Stage::Paying => {
            let order = settling.order();
            let unpaid = batches(order.len(), outcome.nodes.len(), |_| 1, BATCH);
            let mut actions: Vec<Action> = unpaid
                .into_iter()
                .map(|(from, count)| Action::PayNodes { from, count, order: order.to_vec() })
                .collect();
            let scores = |revealer: usize| {
                let reveal =
                    flight.revealers.get(revealer).and_then(|validator| flight.reveals.get(validator));
                reveal.map_or(0, |reveal| reveal.scores.len())
            };
            // A validator without a score costs something too.
            let unweighed =
                batches(flight.revealers.len(), outcome.weights.len(), |i| scores(i) + 10, SCORES);
            actions.extend(unweighed.into_iter().map(|(from, count)| Action::Weigh { from, count }));
            // Whether anyone earned weight shows only once all are weighed, so payments are planned then.
            if actions.is_empty() {
                let unpaid = batches(flight.revealers.len(), outcome.validators.len(), |_| 1, BATCH);
                actions.extend(unpaid.into_iter().map(|(from, count)| Action::PayValidators { from, count }));
            }
            actions
        }
    }
}

/// Whether Reveal of a drawn epoch is over.
fn is_over(flight: &Flight, epoch: u32, phase: Phase) -> bool {
    flight.epoch < epoch || phase == Phase::Settle
}

fn is_validator(view: &View<'_>) -> bool {
    view.task.pools.get(&view.me).is_some_and(|pool| pool.role == Role::Validator)
}

/// Other validators that owed scores in the epoch drawn last and did not give them, by validators.
fn reports(view: &View<'_>) -> Vec<Action> {
    let due = view.task.drawn().is_some_and(|drawn| view.clock.reports(drawn.epoch, view.now));
    if !due || !is_validator(view) {
        return Vec::new();
    }
    let others = view.task.pools.keys().filter(|operator| **operator != view.me);
    others
        .filter_map(|operator| {
            let offence = view.task.offence(*operator)?;
            Some(Action::Report { validator: *operator, offence })
        })
        .collect()
}

/// The next tally: as many submissions as one transaction can count, or a part of one that has too many scores.
fn tally(view: &View<'_>, flight: &Flight, settling: &Settling) -> Option<Action> {
    let mut room = SCORES;
    let mut batch = Vec::new();
    for count in settling.counts() {
        let all = count.revealers.len();
        let tallied = flight.outcome.tallies.get(&count.node);
        if tallied.is_some_and(|tallied| tallied.counted as usize >= all) {
            continue;
        }
        // What this settler counted in parts is the first of them.
        let key = (count.node, view.me, count.median);
        let done = flight.outcome.counted.get(&key).map_or(0, |done| *done as usize);
        let left = count.revealers.get(done..).unwrap_or_default();
        let part = |revealers: &[u32]| Count { revealers: revealers.to_vec(), ..count.clone() };
        if left.len() > SCORES && batch.is_empty() {
            return left.get(..SCORES).map(|first| Action::TallyPart { part: part(first) });
        }
        if left.len() > room || batch.len() == BATCH {
            break;
        }
        room -= left.len();
        batch.push(part(left));
    }
    (!batch.is_empty()).then_some(Action::Tally { counts: batch })
}

/// What is left of `total` after `done`, cut into ranges that weigh at most `limit` together, or hold a single item.
fn batches(total: usize, done: usize, weight: impl Fn(usize) -> usize, limit: usize) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut sum = 0;
    for item in done..total {
        sum += weight(item);
        match ranges.last_mut().filter(|_| sum <= limit) {
            Some((_, count)) => *count += 1,
            None => {
                sum = weight(item);
                ranges.push((u32::try_from(item).unwrap_or(u32::MAX), 1));
            }
        }
    }
    ranges
}
