//! Settles an epoch from what was revealed, in the simplest way: what each submission was scored, its median, the ranks.

use aiarena_chain::{
    bindings::Arena,
    ledger::{Flight, Task},
};
use aiarena_mechanism::{Score, assignment, consensus, rewards};
use alloy::primitives::{Address, U256};

/// How many submissions a validator scores in the epoch in flight, and its key.
pub(crate) fn duty(task: &Task, flight: &Flight, validator: Address) -> (u32, U256) {
    let (direct, delegated) = task.stake_at(validator, flight.epoch);
    let stake = rewards::effective(direct, delegated, task.params.rules.epsilon_wad).unwrap();
    let listed = u32::try_from(flight.listed.len()).unwrap();
    let count =
        assignment::count(task.params.rules.redundancy, listed, stake, flight.validator_stake).unwrap();
    (count, stake)
}

/// One tally for each submission on the list, with the scores of the revealers that `counts` picks, score by score.
pub(crate) fn tallies(
    task: &Task,
    flight: &Flight,
    mut counts: impl FnMut(u32) -> bool,
) -> Vec<Arena::Tally> {
    let listed = u32::try_from(flight.listed.len()).unwrap();
    // By place on the scored list: revealer, weight and score.
    let mut scores: Vec<Vec<(u32, U256, Score)>> = vec![Vec::new(); flight.listed.len()];
    for (index, validator) in (0..).zip(&flight.revealers) {
        let (count, stake) = duty(task, flight, *validator);
        let key = assignment::key(flight.seed, U256::from(task.number), flight.epoch, *validator);
        let places = assignment::draw(key, listed, count).unwrap();
        for (place, word) in places.zip(&flight.reveals[validator].scores) {
            if let Some(score) = Score::from_wire(*word).unwrap().filter(|_| counts(index)) {
                scores[place as usize].push((index, consensus::weight(stake, listed, count).unwrap(), score));
            }
        }
    }
    let tally = |(index, entry): (u32, &aiarena_chain::ledger::Entry)| {
        let Some(place) = flight.listed.iter().position(|listed| *listed == index) else {
            return Arena::Tally { node: entry.node, place: 7, median: 7, revealers: Default::default() };
        };
        let scores = &scores[place];
        let total = scores.iter().map(|(_, weight, _)| *weight).sum();
        let mut weighted: Vec<_> = scores.iter().map(|(_, weight, score)| (*weight, *score)).collect();
        let quorum = consensus::has_quorum(total, flight.validator_stake).unwrap();
        let median = if quorum { consensus::consensus_score(&mut weighted).unwrap().get() } else { 0 };
        let revealers = scores.iter().flat_map(|(index, _, _)| index.to_be_bytes()).collect();
        Arena::Tally { node: entry.node, place: u32::try_from(place).unwrap(), median, revealers }
    };
    (0..).zip(&flight.entries).map(tally).collect()
}

/// Nodes by rank, best first, as the arena tallied them.
pub(crate) fn order(flight: &Flight) -> Vec<Address> {
    let mut ranked: Vec<_> = flight
        .entries
        .iter()
        .filter(|entry| !entry.duplicate)
        .filter_map(|entry| Some((entry, flight.outcome.tallies.get(&entry.node)?)))
        .filter(|(_, tally)| tally.scored && tally.consensus != 0 && !tally.stake.is_zero())
        .map(|(entry, tally)| (std::cmp::Reverse(tally.consensus), entry.number, entry.node))
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, _, node)| node).collect()
}
