//! What the rules make of an epoch: builds the mechanism's input from the ledger.

use aiarena_chain::ledger::{Entry, Flight, Reveal, Role, Task};
use aiarena_mechanism::{
    Error, Score, assignment,
    budget::Budget,
    rewards,
    settle::{EpochInput, Pool, Settlement, Submission, Totals, Validator, settle},
};
use alloy::primitives::{Address, U256};

/// What a settler says of one submission, and the arena checks (M-7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Its node.
    pub node: Address,
    /// Its place on the list that is scored; 0 for one that keeps its score.
    pub place: u32,
    /// The median of its scores; 0 without a quorum, or for one that keeps its score.
    pub median: u32,
    /// Who scored it and is to be counted: places in the order of the reveals, rising.
    pub revealers: Vec<u32>,
}

/// An epoch in flight, settled in the mind.
#[derive(Debug, Clone)]
pub struct Settling {
    settlement: Settlement,
    counts: Vec<Count>,
    order: Vec<Address>,
}

impl Settling {
    /// Settles `flight` by the rules, from what was revealed so far.
    ///
    /// # Errors
    /// The mechanism's, for a history that no arena can have made.
    pub fn new(task: &Task, flight: &Flight) -> Result<Self, Error> {
        let input = epoch_input(task, flight)?;
        let settlement = settle(&input)?;
        let nodes: Vec<Address> = flight.entries.iter().map(|entry| entry.node).collect();
        let mut counts: Vec<Count> = nodes
            .iter()
            .map(|node| Count { node: *node, place: 0, median: 0, revealers: Vec::new() })
            .collect();
        for (place, listed) in (0..).zip(&flight.listed) {
            let listed = *listed as usize;
            let median = settlement.submissions[listed].consensus.map_or(0, Score::get);
            (counts[listed].place, counts[listed].median) = (place, median);
        }
        for (revealer, validator) in (0..).zip(&input.validators) {
            for (entry, _) in validator.scores.iter().filter(|(_, score)| score.is_some()) {
                counts[*entry as usize].revealers.push(revealer);
            }
        }
        let order = settlement.order.iter().map(|place| nodes[*place as usize]).collect();
        Ok(Self { settlement, counts, order })
    }

    /// The result.
    #[must_use]
    pub fn settlement(&self) -> &Settlement {
        &self.settlement
    }

    /// One per submission, in the order of the list, with all that was revealed for it.
    #[must_use]
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// Nodes by rank, best first.
    #[must_use]
    pub fn order(&self) -> &[Address] {
        &self.order
    }
}

/// The mechanism's input for an epoch: stakes as they count in it, and what was revealed.
///
/// # Errors
/// The mechanism's, if a revealed score or its place is none that the arena accepts.
pub fn epoch_input(task: &Task, flight: &Flight) -> Result<EpochInput, Error> {
    let validators = flight
        .revealers
        .iter()
        .map(|validator| {
            let scores = match flight.reveals.get(validator) {
                Some(reveal) => revealed(task, flight, *validator, reveal)?,
                None => Vec::new(),
            };
            Ok(Validator { pool: pool(task, *validator, flight.epoch), scores })
        })
        .collect::<Result<_, Error>>()?;
    input_with(task, flight, validators)
}

/// The mechanism's input for an epoch in which the given validators revealed the given scores.
///
/// # Errors
/// The mechanism's, if a kept consensus score is none.
pub fn input_with(task: &Task, flight: &Flight, validators: Vec<Validator>) -> Result<EpochInput, Error> {
    let epoch = flight.epoch;
    let submissions = flight
        .entries
        .iter()
        .map(|entry| {
            let kept = kept(task, entry);
            Ok(Submission {
                pool: pool(task, entry.node, epoch),
                number: entry.number,
                eligible: task.is_eligible(entry, epoch),
                duplicate: entry.duplicate,
                kept: kept.map(Score::new).transpose()?,
            })
        })
        .collect::<Result<_, Error>>()?;
    let (nodes_direct, _) = task.totals_at(Role::Node, epoch);
    let (validators_direct, validators_delegated) = task.totals_at(Role::Validator, epoch);
    let (emission, bounty) = flight.budget_parts;
    Ok(EpochInput {
        task: task.params.rules,
        budget: Budget { emission, bounty },
        totals: Totals { nodes_direct, validators_direct, validators_delegated },
        submissions,
        validators,
    })
}

/// A pool's stake and terms as they count in an epoch.
#[must_use]
pub fn pool(task: &Task, operator: Address, epoch: u32) -> Pool {
    let (direct, delegated) = task.stake_at(operator, epoch);
    let commission_wad = task.pools.get(&operator).map_or(U256::ZERO, |pool| pool.commission.at(epoch));
    Pool { operator, direct, delegated, commission_wad }
}

/// Places on the list that a validator has to score, in the order of its draw (M-9).
///
/// # Errors
/// The mechanism's, for a history that no arena can have made.
pub fn assigned(task: &Task, flight: &Flight, validator: Address) -> Result<Vec<u32>, Error> {
    let rules = task.params.rules;
    let (direct, delegated) = task.stake_at(validator, flight.epoch);
    let stake = rewards::effective(direct, delegated, rules.epsilon_wad)?;
    let (direct, delegated) = task.totals_at(Role::Validator, flight.epoch);
    let total = rewards::effective(direct, delegated, rules.epsilon_wad)?;
    let listed = u32::try_from(flight.listed.len()).map_err(|_| Error::Overflow)?;
    let count = assignment::count(rules.redundancy, listed, stake, total)?;
    let key = assignment::key(flight.seed, U256::from(task.number), flight.epoch, validator);
    Ok(assignment::draw(key, listed, count)?.map(|place| flight.listed[place as usize]).collect())
}

/// The consensus score that an entry of the list keeps in an epoch in which it is not scored.
fn kept(task: &Task, entry: &Entry) -> Option<u32> {
    entry.consensus.filter(|_| !task.params.fresh_data && !entry.queued)
}

/// What a validator revealed, by entry.
fn revealed(
    task: &Task,
    flight: &Flight,
    validator: Address,
    reveal: &Reveal,
) -> Result<Vec<(u32, Option<Score>)>, Error> {
    let places = assigned(task, flight, validator)?;
    let (given, assigned) = (reveal.scores.len(), u32::try_from(places.len()).unwrap_or(u32::MAX));
    if given > places.len() {
        return Err(Error::TooManyScores { validator, given, assigned });
    }
    places
        .into_iter()
        .zip(&reveal.scores)
        .map(|(place, word)| Ok((place, Score::from_wire(*word)?)))
        .collect()
}
