//! An epoch of a task: what the mechanism makes of it, and whether the vault credited that.

use std::collections::BTreeMap;

use aiarena_chain::bindings::{Arena as Contract, Vault};
use aiarena_mechanism::{
    Score, assignment,
    budget::Budget,
    rewards,
    settle::{EpochInput, Settlement, Status, Submission, Validator},
};
use alloy::primitives::{Address, B256, U256};

use crate::{population::Population, random::Random, stakes::Member};

/// An epoch of a task as the chain drew it.
pub(crate) struct Flight {
    /// Which of the tasks.
    pub(crate) index: usize,
    pub(crate) epoch: u32,
    /// The task's epoch that was drawn before; 0 if there was none.
    pub(crate) previous: u32,
    pub(crate) seed: B256,
    pub(crate) validator_stake: U256,
    pub(crate) budget: Budget,
    /// Everybody as they were then.
    pub(crate) population: Population,
    /// What is scored: entries, in the order of the epoch's list.
    pub(crate) listed: Vec<usize>,
    /// Number of the validator and its sheet, in the order of reveals.
    pub(crate) sheets: Vec<(usize, Sheet)>,
    /// Validators that committed and did not reveal.
    pub(crate) unrevealed: Vec<usize>,
    /// Validators that owed scores and did not commit to any.
    pub(crate) silent: Vec<usize>,
}

/// What a validator drew, in the order of the draw, and what it says of it.
pub(crate) type Sheet = Vec<(u32, Option<Score>)>;

impl Flight {
    /// The node of an entry.
    pub(crate) fn operator(&self, entry: usize) -> Address {
        self.population.nodes[self.population.list.entries[entry].node].pool.operator
    }
}

/// The entries that a validator owes scores of, in the order of its draw.
pub(crate) fn places(flight: &Flight, validator: &Member) -> impl Iterator<Item = u32> {
    let (pool, rules) = (&validator.pool, &flight.population.rules);
    let stake = rewards::effective(pool.direct, pool.delegated, rules.epsilon_wad).unwrap();
    let listed = u32::try_from(flight.listed.len()).unwrap();
    let count = assignment::count(rules.redundancy, listed, stake, flight.validator_stake).unwrap();
    let key = assignment::key(flight.seed, flight.population.task, flight.epoch, pool.operator);
    let draw = assignment::draw(key, listed, count).unwrap();
    draw.map(|place| u32::try_from(flight.listed[place as usize]).unwrap())
}

pub(crate) fn input(flight: &Flight) -> EpochInput {
    let population = &flight.population;
    let submissions = population.list.entries.iter().enumerate().map(|(place, entry)| Submission {
        pool: population.nodes[entry.node].pool,
        number: entry.number,
        eligible: population.is_eligible(entry, flight.epoch),
        duplicate: entry.duplicate,
        kept: entry.consensus.filter(|_| !flight.listed.contains(&place)),
    });
    let validators = flight
        .sheets
        .iter()
        .map(|(i, sheet)| Validator { pool: population.validators[*i].pool, scores: sheet.clone() });
    EpochInput {
        task: population.rules,
        budget: flight.budget,
        totals: population.totals(),
        submissions: submissions.collect(),
        validators: validators.collect(),
    }
}

/// The consensus of an entry and who scored it. What keeps its score has no place on the epoch's list.
pub(crate) fn tally(flight: &Flight, settlement: &Settlement, entry: usize) -> Contract::Tally {
    let place = flight.listed.iter().position(|listed| *listed == entry);
    let scored = |(_, sheet): &(usize, Sheet)| {
        sheet.iter().any(|(scored, score)| *scored as usize == entry && score.is_some())
    };
    let revealers = (0_u32..).zip(&flight.sheets).filter(|(_, sheet)| scored(sheet));
    Contract::Tally {
        node: flight.operator(entry),
        place: place.map_or(0, |place| u32::try_from(place).unwrap()),
        median: settlement.submissions[entry].consensus.map_or(0, Score::get),
        revealers: revealers.flat_map(|(index, _)| index.to_be_bytes()).collect::<Vec<_>>().into(),
    }
}

/// Takes some of the first scores out of a tally of more than one score, to be counted before it.
pub(crate) fn part(tally: &mut Contract::Tally, random: &mut Random) -> Option<Contract::Tally> {
    let scores = tally.revealers.len() / 4;
    if scores < 2 || !random.chance(20) {
        return None;
    }
    let rest = tally.revealers.split_off(4 * (1 + random.below(scores - 1)));
    let part = tally.clone();
    tally.revealers = rest;
    Some(part)
}

/// Every pool got what the mechanism says; returns how many were paid.
pub(crate) fn compare(
    flight: &Flight,
    settlement: &Settlement,
    credited: &BTreeMap<Address, Vault::Credited>,
) -> usize {
    let population = &flight.population;
    let nodes = (0..).zip(&settlement.submissions).map(|(entry, submission)| {
        (flight.operator(entry), submission.payment, submission.status == Status::Ranked)
    });
    let validators = flight.sheets.iter().zip(&settlement.validators).map(|((i, _), validator)| {
        let paid = !settlement.validator_weight.is_zero();
        (population.validators[*i].pool.operator, validator.payment, paid)
    });
    let mut paid = U256::ZERO;
    for (operator, payment, expected) in nodes.chain(validators) {
        let of_task = format!("task {}, operator {operator}", population.task);
        let Some(credit) = credited.get(&operator) else {
            assert!(!expected, "{of_task} was not credited");
            continue;
        };
        assert!(expected, "{of_task} was credited");
        assert_eq!(credit.withDelegation, payment.reward.with_delegation, "{of_task}: reward");
        assert_eq!(credit.operatorAmount, payment.operator, "{of_task}: the operator's part");
        assert_eq!(
            credit.withDelegation - credit.operatorAmount,
            payment.delegators,
            "{of_task}: the delegators' part"
        );
        paid += credit.withDelegation;
    }
    assert_eq!(paid, settlement.paid, "task {}: the sum", population.task);
    credited.len()
}
