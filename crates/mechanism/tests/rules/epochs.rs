//! Random epochs, and short ways to write one down.

use aiarena_mechanism::budget::Budget;
use aiarena_mechanism::ranking::{RankingRule, Stake};
use aiarena_mechanism::rewards::effective;
use aiarena_mechanism::settle::{EpochInput, Pool, Submission, Task, Totals, Validator};
use aiarena_mechanism::{Score, assignment};
use alloy_primitives::{Address, B256, U256, keccak256, uint};
use proptest::prelude::*;

pub(crate) const WAD: U256 = uint!(1_000_000_000_000_000_000_U256);

/// What a vault may hold in total.
pub(crate) const MOST: U256 = uint!(0xffffffffffffffffffffffff_U256);

/// φ = 0.2.
pub(crate) const DEFAULT_RULE: RankingRule =
    RankingRule::StakeIntegral { phi_wad: uint!(200_000_000_000_000_000_U256) };

pub(crate) const DEFAULT_TASK: Task = Task {
    rule: DEFAULT_RULE,
    gamma_wad: uint!(250_000_000_000_000_000_U256),
    epsilon_wad: WAD,
    tolerance: 0,
    redundancy: 15,
};

pub(crate) fn n(value: u64) -> U256 {
    U256::from(value)
}

pub(crate) fn score(value: u32) -> Score {
    Score::new(value).unwrap()
}

/// A ratio from a percentage.
pub(crate) fn percent(value: u64) -> U256 {
    WAD * n(value) / n(100)
}

pub(crate) fn pool(operator: u8, direct: U256, delegated: U256) -> Pool {
    Pool { operator: Address::repeat_byte(operator), direct, delegated, commission_wad: percent(20) }
}

/// An eligible submission, numbered by its operator.
pub(crate) fn submission(operator: u8, direct: U256) -> Submission {
    let pool = pool(operator, direct, U256::ZERO);
    Submission { pool, number: operator.into(), eligible: true, duplicate: false, kept: None }
}

/// An epoch with every score revealed that the draw assigns. `report` says what a validator reveals for a submission:
/// nothing at all, an abstention, or a score.
pub(crate) fn epoch(
    task: Task,
    budget: Budget,
    submissions: Vec<Submission>,
    pools: &[Pool],
    seed: B256,
    report: impl Fn(usize, usize) -> Option<Option<Score>>,
) -> EpochInput {
    let sum = |amounts: &mut dyn Iterator<Item = U256>| amounts.sum::<U256>();
    let totals = Totals {
        nodes_direct: sum(&mut submissions
            .iter()
            .filter(|entry| entry.eligible)
            .map(|entry| entry.pool.direct)),
        validators_direct: sum(&mut pools.iter().map(|pool| pool.direct)),
        validators_delegated: sum(&mut pools.iter().map(|pool| pool.delegated)),
    };
    let total = effective(totals.validators_direct, totals.validators_delegated, task.epsilon_wad).unwrap();
    let listed: Vec<u32> =
        (0..).zip(&submissions).filter(|(_, entry)| entry.kept.is_none()).map(|(place, _)| place).collect();
    let length = u32::try_from(listed.len()).unwrap();
    let validators = pools.iter().enumerate().map(|(j, pool)| {
        let stake = effective(pool.direct, pool.delegated, task.epsilon_wad).unwrap();
        let count = assignment::count(task.redundancy, length, stake, total).unwrap();
        let key = assignment::key(seed, U256::ONE, 1, pool.operator);
        let places = assignment::draw(key, length, count).unwrap().map(|place| listed[place as usize]);
        let scores = places.filter_map(|place| Some((place, report(j, place as usize)?))).collect();
        Validator { pool: *pool, scores }
    });
    EpochInput { task, budget, totals, validators: validators.collect(), submissions }
}

/// An epoch in which everybody reveals the given score of each submission.
pub(crate) fn honest_epoch(
    submissions: Vec<Submission>,
    scores: &[u32],
    validator_stakes: &[U256],
) -> EpochInput {
    let pools: Vec<Pool> =
        (100..).zip(validator_stakes).map(|(operator, &stake)| pool(operator, stake, U256::ZERO)).collect();
    let budget = Budget { emission: n(1_000_000), bounty: n(500_000) };
    epoch(DEFAULT_TASK, budget, submissions, &pools, B256::ZERO, |_, place| Some(Some(score(scores[place]))))
}

/// Amounts that a vault can hold: 0, 1 and the most that leaves room for 64 others, and all bit lengths between.
pub(crate) fn amount() -> impl Strategy<Value = U256> {
    prop_oneof![
        Just(U256::ZERO),
        Just(U256::ONE),
        Just(MOST / n(64)),
        (any::<u128>(), 38_usize..128).prop_map(|(word, shift)| U256::from(word >> shift)),
    ]
}

/// Stakes: amounts without 0.
pub(crate) fn stake() -> impl Strategy<Value = U256> {
    amount().prop_map(|amount| amount.max(U256::ONE))
}

/// A ratio from 0 to 1, both included.
pub(crate) fn ratio() -> impl Strategy<Value = U256> {
    prop_oneof![
        Just(U256::ZERO),
        Just(U256::ONE),
        Just(WAD),
        (0..=1_000_000_000_000_000_000_u64).prop_map(U256::from)
    ]
}

/// φ as a task may have it.
pub(crate) fn phi() -> impl Strategy<Value = U256> {
    prop_oneof![
        Just(percent(5)),
        Just(percent(20)),
        Just(percent(1000)),
        (50_000_000_000_000_000_u64..=10_000_000_000_000_000_000).prop_map(U256::from),
    ]
}

pub(crate) fn rule() -> impl Strategy<Value = RankingRule> {
    prop_oneof![
        phi().prop_map(|phi_wad| RankingRule::StakeIntegral { phi_wad }),
        (ratio(), ratio(), prop_oneof![Just(0), 1..20_u32]).prop_map(|(q, alpha_wad, cutoff)| {
            RankingRule::RankGeometric { q_wad: q.max(U256::ONE), alpha_wad, cutoff }
        }),
    ]
}

/// Direct and effective stake of a ranked node.
pub(crate) fn ranked_stake() -> impl Strategy<Value = Stake> {
    (stake(), prop_oneof![Just(U256::ZERO), amount()])
        .prop_map(|(direct, added)| Stake { direct, effective: direct + added })
}

pub(crate) fn any_score() -> impl Strategy<Value = Score> {
    prop_oneof![2 => Just(0), 1 => Just(1), 1 => Just(1_000_000_000), 8 => 0..=1_000_000_000_u32]
        .prop_map(score)
}

fn any_task() -> impl Strategy<Value = Task> {
    let tolerance = prop_oneof![Just(0), Just(1_000_000_000), 0..1_000_000_u32];
    (rule(), ratio(), ratio(), tolerance, 1..=255_u32).prop_map(
        |(rule, gamma, epsilon_wad, tolerance, redundancy)| Task {
            rule,
            gamma_wad: gamma / n(2),
            epsilon_wad,
            tolerance,
            redundancy,
        },
    )
}

fn any_pool() -> impl Strategy<Value = Pool> {
    (stake(), prop_oneof![Just(U256::ZERO), amount()], ratio()).prop_map(
        |(direct, delegated, commission_wad)| Pool {
            operator: Address::ZERO,
            direct,
            delegated,
            commission_wad,
        },
    )
}

fn any_submission() -> impl Strategy<Value = Submission> {
    let kept = prop_oneof![4 => Just(None), 1 => any_score().prop_map(Some)];
    (any_pool(), prop::bool::weighted(0.9), prop::bool::weighted(0.1), kept).prop_map(
        |(pool, eligible, duplicate, kept)| Submission { pool, number: 0, eligible, duplicate, kept },
    )
}

/// Whole epochs of every kind, up to 12 submissions and 12 validators, either of them possibly none.
pub(crate) fn any_epoch() -> impl Strategy<Value = EpochInput> {
    let report =
        prop_oneof![1 => Just(None), 1 => Just(Some(None)), 6 => any_score().prop_map(|s| Some(Some(s)))];
    (
        any_task(),
        (amount(), amount()),
        prop::collection::vec(any_submission(), 0..=12),
        prop::collection::vec(any_pool(), 0..=12),
        any::<[u8; 32]>(),
        prop::collection::vec(report, 144),
    )
        .prop_map(|(task, (emission, bounty), mut submissions, mut pools, seed, reports)| {
            for (i, entry) in (1_u64..).zip(&mut submissions) {
                // Distinct, and in no order.
                entry.number = i * 7919 % 10_007;
                entry.pool.operator = named(i);
            }
            for (j, pool) in (1_000_u64..).zip(&mut pools) {
                pool.operator = named(j);
            }
            let budget = Budget { emission, bounty };
            epoch(task, budget, submissions, &pools, seed.into(), |j, place| reports[12 * j + place])
        })
}

pub(crate) fn named(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}
