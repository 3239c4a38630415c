//! What the rules make of an epoch: builds the mechanism's input from the ledger.

use aiarena_chain::ledger::{Flight, Reveals, Role, Task};
use aiarena_mechanism::{
    Error, Score, assignment,
    budget::Budget,
    commitment::{self, MerkleTree},
    rewards,
    settle::{EpochInput, Pool, Settlement, Submission, Totals, Validator, settle},
};
use alloy::primitives::{Address, B256, U256};

pub use aiarena_mechanism::commitment::CHUNK;

/// An epoch in flight, settled in the mind.
#[derive(Debug, Clone)]
pub struct Settling {
    settlement: Settlement,
    lanes: Vec<u32>,
}

impl Settling {
    /// Settles `flight` by the rules, from what was revealed so far.
    ///
    /// # Errors
    /// The mechanism's, for a history that no arena can have made.
    pub fn new(task: &Task, flight: &Flight) -> Result<Self, Error> {
        let input = epoch_input(task, flight)?;
        let mut lanes = vec![0; input.submissions.len()];
        for (place, _) in input.validators.iter().flat_map(|v| &v.scores).filter(|(_, score)| score.is_some())
        {
            lanes[*place as usize] += 1;
        }
        Ok(Self { settlement: settle(&input)?, lanes })
    }

    /// The result.
    #[must_use]
    pub fn settlement(&self) -> &Settlement {
        &self.settlement
    }

    /// Medians as the arena's `tally` takes them: 0 for an entry without quorum, or one that was not to be scored.
    #[must_use]
    pub fn medians(&self, flight: &Flight) -> Vec<u32> {
        let consensus = |place: usize| self.settlement.submissions[place].consensus.map_or(0, Score::get);
        let listed = |place: usize| flight.listed.iter().any(|listed| *listed as usize == place);
        (0..flight.entries.len()).map(|place| if listed(place) { consensus(place) } else { 0 }).collect()
    }

    /// Entries by rank, best first.
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.settlement.order
    }

    /// Scores, without abstentions, that were revealed for an entry.
    #[must_use]
    pub fn lanes(&self, entry: u32) -> u32 {
        self.lanes.get(entry as usize).copied().unwrap_or(0)
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
                Some(reveals) => revealed(task, flight, *validator, reveals)?,
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
            let kept = entry.consensus.filter(|_| !task.params.fresh_data && !entry.queued);
            Ok(Submission {
                pool: pool(task, entry.node, epoch),
                number: entry.number,
                eligible: task.is_eligible(entry, epoch),
                duplicate: task
                    .origins
                    .get(&entry.content_hash)
                    .is_some_and(|origin| origin.node != entry.node),
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

/// What a validator revealed, by entry.
fn revealed(
    task: &Task,
    flight: &Flight,
    validator: Address,
    reveals: &Reveals,
) -> Result<Vec<(u32, Option<Score>)>, Error> {
    let places = assigned(task, flight, validator)?;
    let mut scores = Vec::new();
    for (chunk, words) in &reveals.chunks {
        let start = (*chunk as usize).saturating_mul(CHUNK);
        for (i, word) in words.iter().enumerate() {
            let place = places
                .get(start.saturating_add(i))
                .ok_or_else(|| too_many(validator, start.saturating_add(words.len()), places.len()))?;
            scores.push((*place, Score::from_wire(*word)?));
        }
    }
    Ok(scores)
}

/// The Merkle tree over a validator's scores, cut into chunks and bound to the content hashes (M-10).
///
/// # Errors
/// The mechanism's, if there is no score at all or not one for each assigned entry.
pub fn tree(task: &Task, flight: &Flight, validator: Address, scores: &[u32]) -> Result<MerkleTree, Error> {
    let places = assigned(task, flight, validator)?;
    if places.len() != scores.len() {
        return Err(too_many(validator, scores.len(), places.len()));
    }
    let leaves =
        (0..).zip(places.chunks(CHUNK).zip(scores.chunks(CHUNK))).map(|(chunk, (places, scores))| {
            let hashes: Vec<B256> =
                places.iter().map(|place| flight.entries[*place as usize].content_hash).collect();
            let words: Vec<u8> = scores.iter().flat_map(|score| score.to_be_bytes()).collect();
            commitment::leaf(chunk, &hashes, &words)
        });
    MerkleTree::new(leaves.collect())
}

fn too_many(validator: Address, given: usize, assigned: usize) -> Error {
    Error::TooManyScores { validator, given, assigned: u32::try_from(assigned).unwrap_or(u32::MAX) }
}
