//! A task: its rules, its list of submissions, and its epochs.

use std::collections::BTreeMap;

use aiarena_mechanism::{
    Error,
    ranking::RankingRule,
    rewards::{effective, proportional},
    settle::Task as Rules,
};
use alloy::primitives::{Address, B256, U256};

use super::{Pool, Role, Slash, Trace};
use crate::bindings::Arena;

/// Stands in the place of a score that could not be evaluated.
const ABSTAINED: u32 = u32::MAX;

/// What a creator fixed for a task.
#[derive(Debug, Clone)]
pub struct TaskParams {
    /// SHA-256 of the task's description.
    pub metadata: B256,
    /// Merkle root of the evaluation slices; zero if the data are public.
    pub evaluation_root: B256,
    /// How many epochs it runs, if its creator does not end it.
    pub epochs: u32,
    /// Least direct stake of a node, in base units.
    pub min_node_stake: U256,
    /// Least direct stake of a validator, in base units.
    pub min_validator_stake: U256,
    /// Cap on standing submissions.
    pub max_submissions: u16,
    /// Whether evaluation data is drawn anew in each epoch (M-9).
    pub fresh_data: bool,
    /// What decides a payment.
    pub rules: Rules,
}

impl From<&Arena::TaskParams> for TaskParams {
    fn from(p: &Arena::TaskParams) -> Self {
        let rule = if p.rule == 0 {
            RankingRule::StakeIntegral { phi_wad: U256::from(p.phiWad) }
        } else {
            RankingRule::RankGeometric {
                q_wad: U256::from(p.qWad),
                alpha_wad: U256::from(p.alphaWad),
                cutoff: p.rankCutoff.into(),
            }
        };
        let rules = Rules {
            rule,
            gamma_wad: U256::from(p.gammaWad),
            epsilon_wad: U256::from(p.epsilonWad),
            tolerance: p.tolerance,
            redundancy: p.redundancy.into(),
        };
        Self {
            metadata: p.metadata,
            evaluation_root: p.evaluationRoot,
            epochs: p.epochs,
            min_node_stake: U256::from(p.minNodeStake),
            min_validator_stake: U256::from(p.minValidatorStake),
            max_submissions: p.maxSubmissions,
            fresh_data: p.freshData,
            rules,
        }
    }
}

/// A node's last commitment to a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pledge {
    /// The hash that it committed to.
    pub commitment: B256,
    /// The order in which commitments arrived in the task.
    pub number: u64,
    /// The epoch of the commitment.
    pub epoch: u32,
    /// Whether it was opened.
    pub opened: bool,
}

/// A standing submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who submitted it.
    pub node: Address,
    /// Its commitment number.
    pub number: u64,
    /// SHA-256 of the artifact.
    pub content_hash: B256,
    /// Where the artifact is.
    pub uri: String,
    /// The epoch in which the node withdrew it.
    pub withdrawn_in: Option<u32>,
    /// The consensus score that a quorum gave it last.
    pub consensus: Option<u32>,
    /// Whether another node disclosed the same content under a lower commitment number (M-11).
    pub duplicate: bool,
    /// Whether it waits to be scored by the next draw (tasks without fresh data).
    pub queued: bool,
}

/// An opened submission; it stays known after the submission is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// Who submitted it.
    pub node: Address,
    /// Its commitment number.
    pub number: u64,
    /// The epoch in which it was opened.
    pub epoch: u32,
    /// SHA-256 of the artifact.
    pub content_hash: B256,
    /// Where the artifact is.
    pub uri: String,
}

/// Who first disclosed a content hash, by commitment number (M-11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The node.
    pub node: Address,
    /// Its commitment number.
    pub number: u64,
}

/// A validator's last commitment to scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    /// The hash that it committed to.
    pub commitment: B256,
    /// The epoch of the commitment.
    pub epoch: u32,
    /// Whether it was revealed, or reported because it was not.
    pub closed: bool,
}

/// A validator's epochs of silence in a row, as they were reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// The last of them.
    pub epoch: u32,
    /// How many; 0 once they led to a slash.
    pub count: u32,
}

/// What a validator can be reported for (M-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offence {
    /// It committed to scores and did not reveal them.
    Unrevealed,
    /// It owed scores and did not commit to any.
    Silent,
}

/// What one validator revealed in an epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reveal {
    /// Salt of the commitment.
    pub salt: B256,
    /// All of its scores, in the order of the draw.
    pub scores: Vec<u32>,
}

/// How far an epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the stages of the arena")]
pub enum Stage {
    Scoring,
    Ranking,
    Paying,
    Settled,
}

/// What the arena said of one submission; what counted more scores replaced what it said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the event `Tallied`")]
pub struct Tally {
    pub scored: bool,
    pub consensus: u32,
    pub stake: U256,
    pub counted: u32,
}

/// What the arena said of the ranking as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the event `Ranked`")]
pub struct Ranked {
    pub ranked: u32,
    pub upper_score: u32,
    pub lower_score: u32,
}

/// What the vault said of one operator's reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// The operator.
    pub operator: Address,
    /// The pool's reward.
    pub with_delegation: U256,
    /// What it would be without the delegated stake.
    pub without_delegation: U256,
    /// The operator's part of the reward.
    pub operator_amount: U256,
}

/// What the contracts said follows from an epoch. Compared with, never derived from.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// By node.
    pub tallies: BTreeMap<Address, Tally>,
    /// How many scores of a node's submission one settler counted against one median, by node, settler and median.
    pub counted: BTreeMap<(Address, Address, u32), u32>,
    /// The ranking, once it is complete.
    pub ranked: Option<Ranked>,
    /// One per ranked node, by rank.
    pub nodes: Vec<Payment>,
    /// Weight of each revealed sheet, by validator.
    pub weights: BTreeMap<Address, U256>,
    /// One per revealer, in the order of the reveals.
    pub validators: Vec<Payment>,
    /// Paid, returned to the reserve, returned to the bounty.
    pub settled: Option<(U256, U256, U256)>,
}

/// One epoch of a task, from its seed to its settlement.
#[derive(Debug, Clone)]
pub struct Flight {
    /// The epoch.
    pub epoch: u32,
    /// Its seed (M-9).
    pub seed: B256,
    /// The list when the seed was drawn.
    pub entries: Vec<Entry>,
    /// Places of the entries that are to be scored, in the order of the list that the draw permutes.
    pub listed: Vec<u32>,
    /// V: effective stake of all eligible validators, as the arena said it.
    pub validator_stake: U256,
    /// Budgets of nodes and of validators, as the arena said them.
    pub budgets: (U256, U256),
    /// Emission and bounty of the epoch, as the vault said them.
    pub budget_parts: (U256, U256),
    /// Commitments to scores.
    pub commitments: BTreeMap<Address, B256>,
    /// Validators in the order of their reveals.
    pub revealers: Vec<Address>,
    /// What each of them revealed.
    pub reveals: BTreeMap<Address, Reveal>,
    /// What the contracts said.
    pub outcome: Outcome,
}

/// A settled epoch.
pub type Settled = Flight;

impl Flight {
    /// How far the epoch is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let outcome = &self.outcome;
        let counted: u64 = outcome.tallies.values().map(|tally| u64::from(tally.counted)).sum();
        if outcome.settled.is_some() {
            Stage::Settled
        } else if outcome.tallies.len() < self.entries.len() || counted < self.revealed() {
            Stage::Scoring
        } else if outcome.ranked.is_none() && self.rankable() != 0 {
            Stage::Ranking
        } else {
            Stage::Paying
        }
    }

    /// How many scores were revealed, without abstentions.
    #[must_use]
    pub fn revealed(&self) -> u64 {
        let scores = self.reveals.values().flat_map(|reveal| &reveal.scores);
        scores.filter(|score| **score != ABSTAINED).count() as u64
    }

    /// How many submissions are to be ranked, as the arena tallied them.
    #[must_use]
    pub fn rankable(&self) -> usize {
        let rankable = |entry: &&Entry| {
            self.outcome.tallies.get(&entry.node).is_some_and(|tally| {
                tally.scored && tally.consensus != 0 && !tally.stake.is_zero() && !entry.duplicate
            })
        };
        self.entries.iter().filter(rankable).count()
    }

    /// What is left of its budget, as far as the vault said what it paid.
    #[must_use]
    pub fn unpaid(&self) -> U256 {
        if self.outcome.settled.is_some() {
            return U256::ZERO;
        }
        let payments = self.outcome.nodes.iter().chain(&self.outcome.validators);
        let paid = payments.map(|payment| payment.with_delegation).sum();
        (self.budget_parts.0 + self.budget_parts.1).saturating_sub(paid)
    }
}

/// A task.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its number in the arena.
    pub number: u64,
    /// What its creator fixed.
    pub params: TaskParams,
    /// Who created it.
    pub creator: Address,
    /// The first epoch that can pay.
    pub first_epoch: u32,
    /// The last epoch that can pay; earlier than at first if its creator ended it.
    pub last_epoch: u32,
    /// The epoch up to which its bounty streams: the last one as it was created.
    pub stream_end: u32,
    /// What its creator locked and did not get back, in base units.
    pub bond: U256,
    /// What was added to its bounty, cumulative, by the epoch from which it counts.
    pub funded: Trace<U256>,
    /// What of its bounty was paid or is set aside for the epoch in flight.
    pub spent: U256,
    /// What each account added to its bounty and has not reclaimed.
    pub contributions: BTreeMap<Address, U256>,
    /// What of its bounty was reclaimed.
    pub reclaimed: U256,
    /// Pools by operator.
    pub pools: BTreeMap<Address, Pool>,
    /// Last commitments of the nodes.
    pub pledges: BTreeMap<Address, Pledge>,
    /// Number of commitments so far.
    pub commitments: u64,
    /// Digest of what was done to its list (M-1).
    pub history: B256,
    /// Standing submissions, in the arena's order.
    pub entries: Vec<Entry>,
    /// Nodes whose submissions wait to be scored by the next draw, in the arena's order (tasks without fresh data).
    pub waiting: Vec<Address>,
    /// All submissions that were ever opened, in the order of their opening.
    pub disclosures: Vec<Disclosure>,
    /// Who first disclosed what.
    pub origins: BTreeMap<B256, Origin>,
    /// Last commitments of the validators, whether or not their epoch was drawn.
    pub ballots: BTreeMap<Address, Ballot>,
    /// Reported silence, by validator.
    pub silences: BTreeMap<Address, Silence>,
    /// The epoch in flight.
    pub flight: Option<Flight>,
    /// Settled epochs, oldest first.
    pub settled: Vec<Settled>,
    pub(super) awaited_slash: Option<Address>,
}

impl Task {
    /// A task as it is created.
    #[must_use]
    pub fn new(number: u64, creator: Address, epochs: (u32, u32), params: TaskParams) -> Self {
        let (first_epoch, last_epoch) = epochs;
        Self {
            number,
            params,
            creator,
            first_epoch,
            last_epoch,
            stream_end: last_epoch,
            bond: U256::ZERO,
            funded: Trace::default(),
            spent: U256::ZERO,
            contributions: BTreeMap::new(),
            reclaimed: U256::ZERO,
            pools: BTreeMap::new(),
            pledges: BTreeMap::new(),
            commitments: 0,
            history: B256::ZERO,
            entries: Vec::new(),
            waiting: Vec::new(),
            disclosures: Vec::new(),
            origins: BTreeMap::new(),
            ballots: BTreeMap::new(),
            silences: BTreeMap::new(),
            flight: None,
            settled: Vec::new(),
            awaited_slash: None,
        }
    }

    /// Direct and delegated stake of an operator in an epoch, in base units; zeros if it has no pool.
    #[must_use]
    pub fn stake_at(&self, operator: Address, epoch: u32) -> (U256, U256) {
        self.pools.get(&operator).map_or((U256::ZERO, U256::ZERO), |pool| stake_at(pool, epoch))
    }

    /// Sums of direct and delegated stake over the pools of a role that reach its minimum in an epoch.
    #[must_use]
    pub fn totals_at(&self, role: Role, epoch: u32) -> (U256, U256) {
        let minimum = self.minimum(role);
        self.pools
            .values()
            .filter(|pool| pool.role == role)
            .map(|pool| stake_at(pool, epoch))
            .filter(|(direct, _)| *direct >= minimum)
            .fold((U256::ZERO, U256::ZERO), |sum, stake| (sum.0 + stake.0, sum.1 + stake.1))
    }

    /// Least direct stake of a role.
    #[must_use]
    pub fn minimum(&self, role: Role) -> U256 {
        match role {
            Role::Node => self.params.min_node_stake,
            Role::Validator => self.params.min_validator_stake,
        }
    }

    /// Whether an entry may be ranked in an epoch: its node has the least direct stake, and it was not withdrawn before.
    #[must_use]
    pub fn is_eligible(&self, entry: &Entry, epoch: u32) -> bool {
        self.stake_at(entry.node, epoch).0 >= self.params.min_node_stake
            && entry.withdrawn_in.is_none_or(|withdrawn| withdrawn >= epoch)
    }

    /// What is left of its bounty, without the epoch in flight. Reclaiming does not change it.
    #[must_use]
    pub fn bounty(&self) -> U256 {
        self.funded.latest().saturating_sub(self.spent)
    }

    /// What an account that contributed `own` gets back of the bounty once the task is over (M-2). Rounding: down.
    ///
    /// # Errors
    /// The mechanism's, for a history that no vault can have made.
    pub fn reclaimable(&self, own: U256) -> Result<U256, Error> {
        proportional(self.bounty(), own, self.funded.latest())
    }

    /// The epoch in flight or settled with this number.
    #[must_use]
    pub fn epoch(&self, epoch: u32) -> Option<&Flight> {
        self.flight.iter().chain(&self.settled).find(|flight| flight.epoch == epoch)
    }

    /// The epoch whose seed was drawn last.
    #[must_use]
    pub fn drawn(&self) -> Option<&Flight> {
        self.flight.as_ref().or(self.settled.last())
    }

    /// The epoch whose seed was drawn before that of [`Task::drawn`]; 0 if there was none.
    #[must_use]
    pub fn drawn_before(&self) -> u32 {
        let settled = self.settled.iter().rev();
        settled.skip(usize::from(self.flight.is_none())).map(|flight| flight.epoch).next().unwrap_or(0)
    }

    /// The effective stake with which a validator owed scores in the epoch drawn last; `None` if it owed none.
    #[must_use]
    pub fn duty(&self, validator: Address) -> Option<U256> {
        let drawn = self.drawn().filter(|drawn| !drawn.listed.is_empty())?;
        let pool = self.pools.get(&validator).filter(|pool| pool.role == Role::Validator)?;
        let (direct, delegated) = pool.stake_at(drawn.epoch).ok()?;
        let eligible = direct >= self.params.min_validator_stake;
        eligible.then(|| effective(direct, delegated, self.params.rules.epsilon_wad).ok()).flatten()
    }

    /// What a validator can be reported for, once Reveal of the epoch drawn last is over and until the next draw (M-12).
    #[must_use]
    pub fn offence(&self, validator: Address) -> Option<Offence> {
        let epoch = self.drawn()?.epoch;
        self.duty(validator)?;
        match self.ballots.get(&validator).filter(|ballot| ballot.epoch == epoch) {
            Some(ballot) => (!ballot.closed).then_some(Offence::Unrevealed),
            None => {
                let reported = self.silences.get(&validator).is_some_and(|silence| silence.epoch == epoch);
                (!reported).then_some(Offence::Silent)
            }
        }
    }

    /// How many silent epochs in a row a report makes it, this one included.
    #[must_use]
    pub fn silent_epochs(&self, validator: Address) -> u32 {
        let before = self.drawn_before();
        let silence = self.silences.get(&validator).filter(|silence| before != 0 && silence.epoch == before);
        silence.map_or(1, |silence| silence.count + 1)
    }

    /// What a slash of a validator takes if it is reported in `epoch` (M-12); `None` if it owed no scores.
    ///
    /// # Errors
    /// The mechanism's, for a history that no vault can have made.
    pub fn slash_due(&self, validator: Address, epoch: u32, slash_wad: U256) -> Result<Option<Slash>, Error> {
        let Some((stake, pool)) = self.duty(validator).zip(self.pools.get(&validator)) else {
            return Ok(None);
        };
        pool.slash_due(validator, epoch, stake, slash_wad).map(Some)
    }
}

/// A pool's stake, whose factor is at most 1 in any history.
fn stake_at(pool: &Pool, epoch: u32) -> (U256, U256) {
    pool.stake_at(epoch).unwrap_or_default()
}
