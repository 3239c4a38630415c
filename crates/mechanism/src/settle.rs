//! A whole epoch of a task at once: from revealed scores to what everyone is paid.
//!
//! [`settle`] does what the arena and the vault do together in many bounded calls, with the same arithmetic to the unit.
//! It trusts nothing that it can compute: the number of scores a validator owes, its weight, the order of the
//! submissions and both budgets follow from stakes and parameters.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use alloy_primitives::{Address, U256};

use crate::budget::Budget;
use crate::fixed_point::Checked;
use crate::ranking::{RankingRule, Stake, node_rewards, rank_key, spread};
use crate::rewards::{Reward, accuracy, effective, node_budget, validator_reward, validator_weight};
use crate::{Error, Score, assignment, consensus};

/// Parameters of a task that decide a payment. Ratios are in WAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// What a rank earns (M-5).
    pub rule: RankingRule,
    /// γ: what each side gets whatever its stake, 0 … ½ (M-3).
    pub gamma_wad: U256,
    /// ε: weight of delegated stake, 0 … 1.
    pub epsilon_wad: U256,
    /// Difference that two honest validators may have, in score units (M-8).
    pub tolerance: u32,
    /// r: scores wanted per submission (M-9).
    pub redundancy: u32,
}

/// What a task's pools hold together, as it counts in the epoch. Direct and delegated stakes in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// D_n: direct stake of all eligible nodes, with or without a submission.
    pub nodes_direct: U256,
    /// D_v: direct stake of all eligible validators, whether they revealed or not.
    pub validators_direct: U256,
    /// Delegated stake of all eligible validators.
    pub validators_delegated: U256,
}

/// One pool's stake and terms, as they count in the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pool {
    /// The node or validator.
    pub operator: Address,
    /// The operator's own stake, in base units.
    pub direct: U256,
    /// What delegators added, in base units.
    pub delegated: U256,
    /// σ, in WAD (M-6).
    pub commission_wad: U256,
}

/// One entry of the task's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Submission {
    /// The node's pool.
    pub pool: Pool,
    /// Commitment number: decides ties, and nothing else (M-5).
    pub number: u64,
    /// Whether the node had the least direct stake when the epoch began, and had not withdrawn the submission before.
    pub eligible: bool,
    /// Whether another node disclosed the same content under a lower commitment number (M-11).
    pub duplicate: bool,
    /// The consensus score it keeps from an earlier epoch, in a task without fresh data (M-9). `None`: it is scored now.
    pub kept: Option<Score>,
}

/// One eligible validator and what it revealed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Validator {
    /// The validator's pool.
    pub pool: Pool,
    /// What it revealed: the place of the submission in [`EpochInput::submissions`], and the score or `None` for an
    /// abstention. In any order; all that it owes or nothing, since the arena takes a sheet whole (M-10). A validator that
    /// revealed nothing may be left out.
    pub scores: Vec<(u32, Option<Score>)>,
}

/// Everything that decides the payments of one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochInput {
    /// The task's parameters.
    pub task: Task,
    /// What the epoch may pay.
    pub budget: Budget,
    /// Stakes of all pools together.
    pub totals: Totals,
    /// The task's list, in any order.
    pub submissions: Vec<Submission>,
    /// The validators, in any order.
    pub validators: Vec<Validator>,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its node lacks the least stake, or withdrew it.
    Ineligible,
    /// Another node disclosed the same content earlier.
    Duplicate,
    /// Validators of less than a third of the stake scored it. It stays entered.
    NoQuorum,
    /// Its consensus score is 0.
    Invalid,
    /// It takes part in the ranking.
    Ranked,
}

/// What a pool is paid. Base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payment {
    /// The pool's reward, with and without its delegated stake.
    pub reward: Reward,
    /// The operator's part of it.
    pub operator: U256,
    /// The delegators' part of it.
    pub delegators: U256,
}

impl Payment {
    fn new(reward: Reward, pool: &Pool) -> Result<Self, Error> {
        let (operator, delegators) = reward.split(pool.delegated, pool.commission_wad)?;
        Ok(Self { reward, operator, delegators })
    }
}

/// What the epoch decided about a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledSubmission {
    /// t: effective stake of an eligible node, otherwise 0.
    pub stake: U256,
    /// Weight of all scores revealed for it, without abstentions.
    pub revealed_weight: U256,
    /// Its consensus score, if there is a quorum (M-7).
    pub consensus: Option<Score>,
    /// What became of it.
    pub status: Status,
    /// Its rank, 1 is best.
    pub rank: Option<u32>,
    /// What its node's pool is paid.
    pub payment: Payment,
}

/// What the epoch decided about a validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledValidator {
    /// s: effective stake.
    pub stake: U256,
    /// k: how many scores it owed (M-9).
    pub assigned: u32,
    /// ω: weight of each of its scores (M-7); 0 if it owed none.
    pub omega: U256,
    /// What its scores earned it (M-8).
    pub weight: U256,
    /// What its pool is paid.
    pub payment: Payment,
}

/// The result of an epoch. Submissions and validators are in the order of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// n: how many submissions were scored in this epoch.
    pub listed: u32,
    /// V: effective stake of all eligible validators.
    pub validator_stake: U256,
    /// S: effective stake of the ranked nodes.
    pub ranked_stake: U256,
    /// The unit of distances between scores (M-8).
    pub spread: u32,
    /// The nodes' part of the budget (M-3).
    pub node_budget: U256,
    /// The validators' part of the budget (M-3).
    pub validator_budget: U256,
    /// Sum of the validators' weights.
    pub validator_weight: U256,
    /// One per submission.
    pub submissions: Vec<SettledSubmission>,
    /// One per validator.
    pub validators: Vec<SettledValidator>,
    /// Places of the ranked submissions, best first.
    pub order: Vec<u32>,
    /// Sum of all rewards.
    pub paid: U256,
    /// What goes back to the reserve and to the bounty (M-15).
    pub unpaid: Budget,
}

/// Settles an epoch.
///
/// - Rounding: that of each rule; nothing is lost, `paid` and `unpaid` sum to the budget.
/// - *Source*: M-3, M-5 to M-9, M-15.
///
/// # Errors
/// [`Error::NumberTwice`], [`Error::ScoredTwice`], [`Error::NotListed`], [`Error::TooManyScores`] and
/// [`Error::IndexOutOfRange`] for input that no chain can produce; arithmetic errors for amounts beyond those of any vault.
pub fn settle(input: &EpochInput) -> Result<Settlement, Error> {
    let EpochInput { task, budget, totals, .. } = input;
    let total = budget.total()?;
    let node_budget = node_budget(total, task.gamma_wad, totals.nodes_direct, totals.validators_direct)?;
    // Without any stake neither side has a budget.
    let staked = !(totals.nodes_direct.is_zero() && totals.validators_direct.is_zero());
    let validator_budget = if staked { total - node_budget } else { U256::ZERO };
    let validator_stake = effective(totals.validators_direct, totals.validators_delegated, task.epsilon_wad)?;

    let listed = input.submissions.iter().filter(|submission| submission.kept.is_none()).count();
    let listed = u32::try_from(listed).map_err(|_| Error::Overflow)?;
    let mut validators = input
        .validators
        .iter()
        .map(|validator| assign(task, listed, validator_stake, validator))
        .collect::<Result<Vec<_>, _>>()?;
    let reveals = collect_reveals(input, &validators)?;
    let mut submissions = tally(input, validator_stake, reveals)?;
    let order = rank(&input.submissions, &mut submissions)?;

    let ranked: Vec<_> =
        order.iter().map(|&place| (place as usize, &input.submissions[place as usize])).collect();
    let scores: Vec<_> = ranked
        .iter()
        .map(|&(place, _)| (submissions[place].consensus.unwrap_or_default(), submissions[place].stake))
        .collect();
    let spread = spread(&scores)?;
    let ranked_stake = scores.iter().try_fold(U256::ZERO, |sum, &(_, stake)| sum.plus(stake))?;
    let stakes: Vec<_> = ranked
        .iter()
        .map(|&(place, entry)| Stake { direct: entry.pool.direct, effective: submissions[place].stake })
        .collect();
    for (&(place, entry), reward) in ranked.iter().zip(node_rewards(task.rule, node_budget, &stakes)?) {
        submissions[place].payment = Payment::new(reward, &entry.pool)?;
    }

    let validator_weight = weigh(input, spread, &submissions, &mut validators)?;
    for (settled, validator) in validators.iter_mut().zip(&input.validators) {
        let stake = Stake { direct: validator.pool.direct, effective: settled.stake };
        let reward = validator_reward(validator_budget, settled.weight, validator_weight, stake)?;
        settled.payment = Payment::new(reward, &validator.pool)?;
    }

    let mut payments = submissions.iter().map(|s| s.payment).chain(validators.iter().map(|v| v.payment));
    let paid = payments.try_fold(U256::ZERO, |sum, payment| sum.plus(payment.reward.with_delegation))?;
    Ok(Settlement {
        listed,
        validator_stake,
        ranked_stake,
        spread,
        node_budget,
        validator_budget,
        validator_weight,
        submissions,
        validators,
        order,
        paid,
        unpaid: budget.unpaid(paid)?,
    })
}

/// What a validator owes, and what each of its scores weighs (M-9, M-7).
fn assign(
    task: &Task,
    listed: u32,
    validator_stake: U256,
    validator: &Validator,
) -> Result<SettledValidator, Error> {
    let stake = effective(validator.pool.direct, validator.pool.delegated, task.epsilon_wad)?;
    let assigned = assignment::count(task.redundancy, listed, stake, validator_stake)?;
    let omega = if assigned == 0 { U256::ZERO } else { consensus::weight(stake, listed, assigned)? };
    Ok(SettledValidator { stake, assigned, omega, weight: U256::ZERO, payment: Payment::default() })
}

/// Checks the revealed scores and sorts them by submission: `(ω, score)` without abstentions.
fn collect_reveals(
    input: &EpochInput,
    validators: &[SettledValidator],
) -> Result<Vec<Vec<(U256, Score)>>, Error> {
    let length = u32::try_from(input.submissions.len()).map_err(|_| Error::Overflow)?;
    let mut reveals = vec![Vec::new(); input.submissions.len()];
    for (validator, settled) in input.validators.iter().zip(validators) {
        let (operator, given) = (validator.pool.operator, validator.scores.len());
        if given > settled.assigned as usize {
            return Err(Error::TooManyScores { validator: operator, given, assigned: settled.assigned });
        }
        let mut seen = BTreeSet::new();
        for &(place, score) in &validator.scores {
            let index = place as usize;
            let entry =
                input.submissions.get(index).ok_or(Error::IndexOutOfRange { index: place, length })?;
            if entry.kept.is_some() {
                return Err(Error::NotListed { validator: operator, submission: place });
            }
            if !seen.insert(place) {
                return Err(Error::ScoredTwice { validator: operator, submission: place });
            }
            if let Some(score) = score {
                reveals[index].push((settled.omega, score));
            }
        }
    }
    Ok(reveals)
}

/// Consensus score and status of each submission (M-7).
fn tally(
    input: &EpochInput,
    validator_stake: U256,
    reveals: Vec<Vec<(U256, Score)>>,
) -> Result<Vec<SettledSubmission>, Error> {
    let tally_one = |entry: &Submission, mut reveals: Vec<(U256, Score)>| {
        let revealed_weight = reveals.iter().try_fold(U256::ZERO, |sum, &(omega, _)| sum.plus(omega))?;
        let consensus = match entry.kept {
            Some(score) => Some(score),
            None if consensus::has_quorum(revealed_weight, validator_stake)? => {
                Some(consensus::consensus_score(&mut reveals)?)
            }
            None => None,
        };
        let stake = if entry.eligible {
            effective(entry.pool.direct, entry.pool.delegated, input.task.epsilon_wad)?
        } else {
            U256::ZERO
        };
        let status = match consensus {
            _ if stake.is_zero() => Status::Ineligible,
            _ if entry.duplicate => Status::Duplicate,
            None => Status::NoQuorum,
            Some(score) if score.is_invalid() => Status::Invalid,
            Some(_) => Status::Ranked,
        };
        let payment = Payment::default();
        Ok(SettledSubmission { stake, revealed_weight, consensus, status, rank: None, payment })
    };
    input.submissions.iter().zip(reveals).map(|(entry, reveals)| tally_one(entry, reveals)).collect()
}

/// Gives the ranks (M-5); returns the places of the ranked submissions, best first.
fn rank(entries: &[Submission], submissions: &mut [SettledSubmission]) -> Result<Vec<u32>, Error> {
    let mut numbers = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !numbers.insert(entry.number)) {
        return Err(Error::NumberTwice(twice.number));
    }
    let mut order: Vec<u32> = (0..)
        .zip(submissions.iter())
        .filter_map(|(place, submission)| (submission.status == Status::Ranked).then_some(place))
        .collect();
    order.sort_unstable_by_key(|&place| {
        let index = place as usize;
        rank_key(submissions[index].consensus.unwrap_or_default(), entries[index].number)
    });
    for (rank, &place) in (1..).zip(&order) {
        submissions[place as usize].rank = Some(rank);
    }
    Ok(order)
}

/// Weighs the validators (M-8); returns the sum of their weights.
fn weigh(
    input: &EpochInput,
    spread: u32,
    submissions: &[SettledSubmission],
    validators: &mut [SettledValidator],
) -> Result<U256, Error> {
    let mut total = U256::ZERO;
    for (validator, settled) in input.validators.iter().zip(validators) {
        for &(place, score) in &validator.scores {
            let submission = &submissions[place as usize];
            let (Some(score), Some(consensus)) = (score, submission.consensus) else { continue };
            let accuracy_wad = accuracy(score, consensus, input.task.tolerance, spread);
            let weight = validator_weight(submission.stake, settled.omega, accuracy_wad)?;
            settled.weight = settled.weight.plus(weight)?;
        }
        total = total.plus(settled.weight)?;
    }
    Ok(total)
}
