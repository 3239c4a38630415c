//! A task: its rules, its list of submissions, and its epochs.

use std::collections::BTreeMap;

use aiarena_mechanism::{ranking::RankingRule, settle::Task as Rules};
use alloy::primitives::{Address, B256, U256};

use super::{Pool, Role, Trace};
use crate::bindings::Arena;

/// What a creator fixed for a task.
#[derive(Debug, Clone)]
pub struct TaskParams {
    /// SHA-256 of the task's description.
    pub metadata: B256,
    /// How many epochs it runs.
    pub epochs: u32,
    /// Most that one epoch draws from the reserve, in base units.
    pub emission_per_epoch: U256,
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
            epochs: p.epochs,
            emission_per_epoch: U256::from(p.emissionPerEpoch),
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
    /// Whether it waits to be scored (tasks without fresh data).
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

/// What one validator revealed in an epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reveals {
    /// Salt of the commitment.
    pub salt: B256,
    /// Merkle root over the chunks.
    pub root: B256,
    /// Scores by chunk, in the order of the draw.
    pub chunks: BTreeMap<u32, Vec<u32>>,
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

/// What the arena said of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the event `Tallied`")]
pub struct Tally {
    pub node: Address,
    pub scored: bool,
    pub ranked: bool,
    pub consensus: u32,
    pub stake: U256,
}

/// What the arena and the vault said of one operator's reward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The operator.
    pub operator: Address,
    /// The pool's reward.
    pub with_delegation: U256,
    /// What it would be without the delegated stake.
    pub without_delegation: U256,
}

/// What the contracts said follows from an epoch. Compared with, never derived from.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// One per entry, in their order.
    pub tallies: Vec<Tally>,
    /// Scores of an entry that were counted against a median before its tally.
    pub counted: BTreeMap<(u32, u32), u32>,
    /// Entries by rank, best first.
    pub order: Vec<u32>,
    /// One per ranked node, by rank.
    pub nodes: Vec<Payment>,
    /// Weight of each revealed chunk.
    pub weights: BTreeMap<(Address, u32), U256>,
    /// One per revealer, in the order of their first reveals.
    pub validators: Vec<Payment>,
    /// What the vault credited: operator's and delegators' part, by operator.
    pub credits: BTreeMap<Address, (U256, U256)>,
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
    /// Validators in the order of their first reveals.
    pub revealers: Vec<Address>,
    /// Their reveals.
    pub reveals: BTreeMap<Address, Reveals>,
    /// What the contracts said.
    pub outcome: Outcome,
}

/// A settled epoch.
pub type Settled = Flight;

impl Flight {
    /// How far the epoch is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let rankable = self.outcome.tallies.iter().filter(|tally| tally.ranked).count();
        if self.outcome.settled.is_some() {
            Stage::Settled
        } else if self.outcome.tallies.len() < self.entries.len() {
            Stage::Scoring
        } else if self.outcome.order.len() < rankable {
            Stage::Ranking
        } else {
            Stage::Paying
        }
    }

    /// All chunks that were revealed: validator and chunk, validators in the order of their first reveals.
    pub fn chunks(&self) -> impl Iterator<Item = (Address, u32, &[u32])> {
        self.revealers.iter().flat_map(|validator| {
            self.reveals
                .get(validator)
                .into_iter()
                .flat_map(|reveals| reveals.chunks.iter())
                .map(move |(chunk, scores)| (*validator, *chunk, scores.as_slice()))
        })
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
    /// The last epoch that can pay.
    pub last_epoch: u32,
    /// Emission and bounty that were funded, cumulative, by epoch.
    pub funded: Trace<(U256, U256)>,
    /// Emission and bounty that were spent or are set aside for the epoch in flight.
    pub spent: (U256, U256),
    /// Pools by operator.
    pub pools: BTreeMap<Address, Pool>,
    /// Last commitments of the nodes.
    pub pledges: BTreeMap<Address, Pledge>,
    /// Number of commitments so far.
    pub commitments: u64,
    /// Standing submissions, in the arena's order.
    pub entries: Vec<Entry>,
    /// Places of the entries that wait to be scored (tasks without fresh data).
    pub waiting: Vec<u32>,
    /// All submissions that were ever opened, in the order of their opening.
    pub disclosures: Vec<Disclosure>,
    /// Who first disclosed what.
    pub origins: BTreeMap<B256, Origin>,
    /// The epoch in flight.
    pub flight: Option<Flight>,
    /// Settled epochs, oldest first.
    pub settled: Vec<Settled>,
    /// Epochs up to this one are closed.
    pub closed_through: u32,
}

impl Task {
    /// Direct and delegated stake of an operator in an epoch; zeros if it has no pool.
    #[must_use]
    pub fn stake_at(&self, operator: Address, epoch: u32) -> (U256, U256) {
        self.pools.get(&operator).map_or((U256::ZERO, U256::ZERO), |pool| pool.stakes.at(epoch))
    }

    /// Sums of direct and delegated stake over the pools of a role that reach its minimum in an epoch.
    #[must_use]
    pub fn totals_at(&self, role: Role, epoch: u32) -> (U256, U256) {
        let minimum = self.minimum(role);
        self.pools
            .values()
            .filter(|pool| pool.role == role)
            .map(|pool| pool.stakes.at(epoch))
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

    /// Emission and bounty left, without the epoch in flight.
    #[must_use]
    pub fn unspent(&self) -> (U256, U256) {
        let (emission, bounty) = self.funded.latest();
        (emission.saturating_sub(self.spent.0), bounty.saturating_sub(self.spent.1))
    }

    /// The epoch in flight or settled with this number.
    #[must_use]
    pub fn epoch(&self, epoch: u32) -> Option<&Flight> {
        self.flight.iter().chain(&self.settled).find(|flight| flight.epoch == epoch)
    }
}
