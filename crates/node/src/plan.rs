//! What an operator should do next: a pure function of what it sees.

use aiarena_chain::ledger::{Clock, Flight, Phase, Role, Stage, Task};
use alloy::primitives::{Address, B256};

use crate::settlement::Settling;

/// Entries, ranks or validators that one settlement transaction handles: far below the gas of one transaction.
pub const BATCH: usize = 64;

/// Scores that one transaction counts, at some 3 000 gas each.
pub const LANES: u32 = 1_500;

/// A submission that is ready to be committed and opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The epoch for which it was trained.
    pub epoch: u32,
    /// The artifact; `None` if the node has nothing to submit in this epoch.
    pub content_hash: Option<B256>,
}

/// Scores that are ready to be committed and revealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// The epoch that was scored.
    pub epoch: u32,
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
    /// Reveal one chunk of the scores (M-10).
    RevealScores {
        /// The epoch.
        epoch: u32,
        /// The chunk.
        chunk: u32,
    },
    /// Find consensus scores (M-7).
    Tally {
        /// Entries tallied before.
        from: u32,
        /// Medians of the next ones.
        medians: Vec<u32>,
    },
    /// Count some scores of an entry that has too many for one transaction.
    TallyPart {
        /// The entry.
        entry: u32,
        /// Its median.
        median: u32,
        /// How many scores to count.
        lanes: u32,
    },
    /// Rank entries (M-5).
    Rank {
        /// Entries ranked before.
        from: u32,
        /// The next ones, best first.
        order: Vec<u32>,
    },
    /// Credit ranked nodes.
    PayNodes {
        /// Nodes paid before.
        from: u32,
        /// The entries of the next ranks.
        order: Vec<u32>,
    },
    /// Weigh a revealed chunk (M-8).
    Weigh {
        /// Who revealed it.
        validator: Address,
        /// The chunk.
        chunk: u32,
    },
    /// Credit validators.
    PayValidators {
        /// Validators paid before.
        from: u32,
        /// How many to pay.
        count: u32,
    },
}

impl Action {
    /// Whether it is work on the operator's own machine, without a transaction.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Train { .. } | Self::Score { .. })
    }
}

/// What to do now, in this order. Empty: wait for the next phase.
///
/// The same view always gives the same plan, and doing what is already done is never planned: after a lost race, or a
/// validator's crash, the next plan simply goes on. A node that lost its artifact cannot open its commitment.
#[must_use]
pub fn plan(view: &View<'_>) -> Vec<Action> {
    let (epoch, phase) = view.clock.at(view.now);
    let mut actions = settle(view, epoch, phase);
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
    let scored = view.sheet.filter(|sheet| sheet.epoch == epoch);
    let committed = flight.commitments.contains_key(&view.me);
    let revealed = flight.reveals.get(&view.me).map_or(0, |reveals| reveals.chunks.len());
    let owed = assigned(view, flight).len().div_ceil(crate::settlement::CHUNK);
    match (phase, scored) {
        // Honest scores and the salt can be found again, so a validator that lost its sheet after committing makes it anew.
        (Phase::Seed | Phase::Commit, None) if owed > 0 => {
            vec![Action::Score { epoch }]
        }
        (Phase::Reveal, None) if committed && revealed < owed => vec![Action::Score { epoch }],
        (Phase::Commit, Some(_)) if !committed => vec![Action::CommitScores { epoch }],
        (Phase::Reveal, Some(sheet)) if committed => reveals(view, flight, sheet),
        _ => Vec::new(),
    }
}

fn reveals(view: &View<'_>, flight: &Flight, sheet: &Sheet) -> Vec<Action> {
    let done = |chunk: &u32| flight.reveals.get(&view.me).is_some_and(|r| r.chunks.contains_key(chunk));
    let chunks = u32::try_from(sheet.scores.chunks(crate::settlement::CHUNK).count()).unwrap_or(0);
    (0..chunks)
        .filter(|chunk| !done(chunk))
        .map(|chunk| Action::RevealScores { epoch: sheet.epoch, chunk })
        .collect()
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
    let open = phase <= Phase::Commit && view.now >= ready && view.task.flight.is_none();
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
    let Some(flight) = &view.task.flight else {
        return Vec::new();
    };
    let over = flight.epoch < epoch || phase == Phase::Settle;
    let is_validator = view.task.pools.get(&view.me).is_some_and(|pool| pool.role == Role::Validator);
    if !over || !is_validator {
        return Vec::new();
    }
    let outcome = &flight.outcome;
    match flight.stage() {
        Stage::Settled => Vec::new(),
        Stage::Scoring => {
            let Ok(settling) = Settling::new(view.task, flight) else { return Vec::new() };
            tally(flight, &settling).into_iter().collect()
        }
        Stage::Ranking => {
            let Ok(settling) = Settling::new(view.task, flight) else { return Vec::new() };
            batches(settling.order(), outcome.order.len())
                .map(|(from, order)| Action::Rank { from, order })
                .collect()
        }
        Stage::Paying => {
            let mut actions: Vec<Action> = batches(&outcome.order, outcome.nodes.len())
                .map(|(from, order)| Action::PayNodes { from, order })
                .collect();
            let weighed = |validator, chunk| outcome.weights.contains_key(&(validator, chunk));
            actions.extend(
                flight
                    .chunks()
                    .filter(|(validator, chunk, _)| !weighed(*validator, *chunk))
                    .map(|(validator, chunk, _)| Action::Weigh { validator, chunk }),
            );
            // Whether anyone earned weight shows only once all chunks are weighed, so payments are planned then.
            if actions.is_empty() {
                actions.extend(
                    batches(&flight.revealers, outcome.validators.len())
                        .map(|(from, batch)| Action::PayValidators { from, count: len32(&batch) }),
                );
            }
            actions
        }
    }
}

/// The next tally: as many entries as one transaction can count, or a part of one that has too many scores.
fn tally(flight: &Flight, settling: &Settling) -> Option<Action> {
    let from = len32(&flight.outcome.tallies);
    let medians = settling.medians(flight);
    let mut batch = Vec::new();
    let mut room = LANES;
    for (entry, median) in (from..).zip(medians.get(from as usize..)?) {
        let counted = flight.outcome.counted.get(&(entry, *median)).copied().unwrap_or(0);
        let left = settling.lanes(entry).saturating_sub(counted);
        if left > LANES && batch.is_empty() {
            return Some(Action::TallyPart { entry, median: *median, lanes: LANES });
        }
        if left > room || batch.len() == BATCH {
            break;
        }
        room -= left;
        batch.push(*median);
    }
    (!batch.is_empty()).then_some(Action::Tally { from, medians: batch })
}

/// What is left of `items` after `done`, cut into batches, each with its start.
fn batches<T: Clone>(items: &[T], done: usize) -> impl Iterator<Item = (u32, Vec<T>)> {
    let left = items.get(done..).unwrap_or_default();
    left.chunks(BATCH)
        .enumerate()
        .map(move |(i, batch)| (u32::try_from(done + i * BATCH).unwrap_or(u32::MAX), batch.to_vec()))
}

fn len32<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}
