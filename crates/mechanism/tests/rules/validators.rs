//! P2 splitting and P7 delegation, for validators, and what a lie, a constant and silence are worth.

use aiarena_mechanism::budget::Budget;
use aiarena_mechanism::ranking::Stake;
use aiarena_mechanism::rewards::{accuracy, validator_reward};
use aiarena_mechanism::settle::{Pool, settle};
use aiarena_mechanism::{Score, fixed_point::WAD};
use alloy_primitives::{U256, keccak256};
use proptest::prelude::*;

use crate::epochs::{
    DEFAULT_TASK, amount, any_score, epoch, n, percent, pool, ratio, score, stake, submission,
};

/// What the last validators of a list earn together on average over many seeds, when all of them report with the same
/// small error: `own` are their stakes, next to nine others.
fn mean_reward(own: &[u64]) -> u64 {
    const SEEDS: u64 = 300;
    let submissions: Vec<_> = (1..=40).map(|i| submission(i, n(100 + u64::from(i)))).collect();
    let stakes = [900, 1100, 1000, 800, 1200, 1000, 950, 1050, 1000].iter().chain(own);
    let pools: Vec<Pool> = (100..).zip(stakes).map(|(i, &stake)| pool(i, n(stake), U256::ZERO)).collect();
    let task = aiarena_mechanism::settle::Task { redundancy: 4, ..DEFAULT_TASK };
    let budget = Budget { emission: n(10_000_000), bounty: U256::ZERO };
    let total: U256 = (0..SEEDS)
        .map(|seed| {
            // The error of a report depends on its submission, not on who reports.
            let report = |_: usize, place: usize| {
                Some(Some(score(500_000_000 + 1_000_000 * u32::try_from(place).unwrap())))
            };
            let input =
                epoch(task, budget, submissions.clone(), &pools, keccak256(seed.to_be_bytes()), report);
            let settled = settle(&input).unwrap();
            settled.validators[9..].iter().map(|v| v.payment.reward.with_delegation).sum::<U256>()
        })
        .sum();
    (total / n(SEEDS)).to()
}

#[test]
fn p2_validators_gain_nothing_from_splitting_in_expectation() {
    let single = mean_reward(&[1000]);
    for parts in [&[500, 500][..], &[900, 100], &[100; 10]] {
        let many = mean_reward(parts);
        let permille = many.abs_diff(single) * 1000 / single;
        assert!(permille <= 10, "{parts:?}: {many} instead of {single}");
    }
}

proptest! {
    #[test]
    fn p7_delegation_never_lowers_a_validators_own_reward(
        budget in amount(),
        weight in amount(),
        others in amount(),
        direct in stake(),
        delegated in amount(),
        sigma in ratio(),
    ) {
        let stake = Stake { direct, effective: direct + delegated };
        let reward = validator_reward(budget, weight, weight + others, stake).unwrap();
        prop_assert!(reward.with_delegation >= reward.without_delegation);
        let (operator, delegators) = reward.split(delegated, sigma).unwrap();
        prop_assert!(operator >= reward.without_delegation);
        prop_assert_eq!(operator + delegators, reward.with_delegation);
    }

    #[test]
    fn accuracy_is_whole_within_the_tolerance_and_falls_with_distance(
        consensus in any_score(),
        near in any_score(),
        far in any_score(),
        tolerance in prop_oneof![Just(0), Just(1), Just(1_000_000_000), 0..1_000_000_u32],
        spread in prop_oneof![Just(0), Just(1), 0..1_000_000_000_u32],
    ) {
        let distance = |s: Score| s.get().abs_diff(consensus.get());
        let (near, far) = if distance(near) <= distance(far) { (near, far) } else { (far, near) };
        let [of_near, of_far] = [near, far].map(|score| accuracy(score, consensus, tolerance, spread));
        prop_assert!(of_far <= of_near && of_near <= WAD);
        prop_assert_eq!(of_near == WAD, distance(near) <= tolerance);
        let unit = u64::from(spread.max(tolerance).max(1));
        let beyond = 4 * u64::from(distance(far).saturating_sub(tolerance)) >= unit;
        prop_assert_eq!(of_far.is_zero(), beyond);
    }
}

#[test]
fn a_liar_a_lazy_one_and_a_silent_one_earn_less() {
    let submissions: Vec<_> = (1..=20).map(|i| submission(i, n(1000))).collect();
    let pools: Vec<Pool> = (100..110).map(|i| pool(i, n(1000), U256::ZERO)).collect();
    let budget = Budget { emission: n(1_000_000), bounty: U256::ZERO };
    let truth = |place: usize| score(500_000_000 + 10_000_000 * u32::try_from(place).unwrap());
    let input = epoch(DEFAULT_TASK, budget, submissions, &pools, keccak256("seed"), |j, place| match j {
        0 => Some(Some(if place == 0 { Score::MAX } else { truth(19 - place) })),
        1 => Some(Some(score(600_000_000))),
        2 => None,
        3 => Some(None),
        _ => Some(Some(truth(place))),
    });
    let settled = settle(&input).unwrap();
    let paid: Vec<U256> = settled.validators.iter().map(|v| v.payment.reward.with_delegation).collect();
    let honest = paid[4..].iter().copied().min().unwrap();
    assert!(paid[0] * n(4) < honest, "liar {} honest {honest}", paid[0]);
    assert!(paid[1] * n(4) < honest, "lazy {} honest {honest}", paid[1]);
    assert_eq!((paid[2], paid[3]), (U256::ZERO, U256::ZERO));
    // Lies of a tenth of the stake move no score.
    for (place, submission) in settled.submissions.iter().enumerate() {
        assert_eq!(submission.consensus, Some(truth(place)), "{place}");
    }
}

#[test]
fn an_operator_keeps_what_it_would_earn_alone() {
    let mut pools = [pool(100, n(1000), n(3000)), pool(101, n(4000), U256::ZERO)];
    pools[0].commission_wad = percent(10);
    let submissions: Vec<_> = (1..=4).map(|i| submission(i, n(100))).collect();
    let budget = Budget { emission: n(1_000_000), bounty: U256::ZERO };
    let input =
        epoch(DEFAULT_TASK, budget, submissions, &pools, keccak256("seed"), |_, _| Some(Some(score(7))));
    let settled = settle(&input).unwrap();
    let payment = settled.validators[0].payment;
    // Both validators have the same effective stake, and alone the first would have a fifth of the weight.
    assert_eq!(settled.validators[0].weight, settled.validators[1].weight);
    assert_eq!(payment.reward.with_delegation, settled.validator_budget / n(2));
    assert_eq!(payment.reward.without_delegation, settled.validator_budget / n(5));
    assert_eq!(
        payment.operator,
        payment.reward.without_delegation
            + (payment.delegators + payment.operator - payment.reward.without_delegation) / n(10)
    );
}
