//! The table of edge cases in `docs/mechanism.md` (M-15), row by row.

use aiarena_mechanism::budget::Budget;
use aiarena_mechanism::settle::{EpochInput, Settlement, Status, settle};
use aiarena_mechanism::{Error, Score};
use alloy_primitives::{B256, U256};

use crate::epochs::{DEFAULT_TASK, MOST, epoch, honest_epoch, n, pool, score, submission};

fn nodes(stakes: &[u64]) -> Vec<aiarena_mechanism::settle::Submission> {
    (1..).zip(stakes).map(|(operator, &stake)| submission(operator, n(stake))).collect()
}

fn paid_to_nodes(settled: &Settlement) -> Vec<U256> {
    settled.submissions.iter().map(|s| s.payment.reward.with_delegation).collect()
}

fn paid_to_validators(settled: &Settlement) -> Vec<U256> {
    settled.validators.iter().map(|v| v.payment.reward.with_delegation).collect()
}

fn assert_all_returns(input: &EpochInput) -> Settlement {
    let settled = settle(input).unwrap();
    assert_eq!(settled.paid, U256::ZERO);
    assert_eq!(settled.unpaid, input.budget);
    settled
}

#[test]
fn nobody_at_all() {
    let settled = assert_all_returns(&honest_epoch(vec![], &[], &[]));
    assert_eq!((settled.node_budget, settled.validator_budget), (U256::ZERO, U256::ZERO));
}

#[test]
fn zero_nodes() {
    let settled = assert_all_returns(&honest_epoch(vec![], &[], &[n(10), n(20)]));
    // γ of the budget was the nodes'; nobody is ranked, and nobody scored anything.
    assert_eq!(settled.node_budget, n(375_000));
    assert_eq!(settled.listed, 0);
    assert!(settled.validators.iter().all(|v| v.assigned == 0 && v.omega.is_zero()));
}

#[test]
fn zero_validators() {
    let settled = assert_all_returns(&honest_epoch(nodes(&[5, 6]), &[7, 8], &[]));
    assert!(settled.submissions.iter().all(|s| s.status == Status::NoQuorum));
}

#[test]
fn no_quorum() {
    // A quarter of the stake reveals, the rest is silent.
    let pools = [pool(100, n(25), U256::ZERO), pool(101, n(75), U256::ZERO)];
    let budget = Budget { emission: n(100), bounty: n(50) };
    let report = |j: usize, _: usize| (j == 0).then_some(Some(score(9)));
    let input = epoch(DEFAULT_TASK, budget, nodes(&[5, 6]), &pools, B256::ZERO, report);
    let settled = assert_all_returns(&input);
    assert!(settled.submissions.iter().all(|s| s.status == Status::NoQuorum && s.consensus.is_none()));
    assert_eq!((settled.ranked_stake, settled.validator_weight), (U256::ZERO, U256::ZERO));
}

#[test]
fn a_quorum_of_exactly_a_third() {
    let pools = [pool(100, n(1), U256::ZERO), pool(101, n(2), U256::ZERO)];
    let budget = Budget { emission: n(100), bounty: U256::ZERO };
    let report = |j: usize, _: usize| (j == 0).then_some(Some(score(9)));
    let settled = settle(&epoch(DEFAULT_TASK, budget, nodes(&[5]), &pools, B256::ZERO, report)).unwrap();
    assert_eq!(settled.submissions[0].status, Status::Ranked);
    assert_eq!(settled.paid, n(100));
}

#[test]
fn all_invalid() {
    let input = honest_epoch(nodes(&[5, 6]), &[0, 0], &[n(10), n(20)]);
    let settled = settle(&input).unwrap();
    assert!(settled.submissions.iter().all(|s| s.status == Status::Invalid && s.rank.is_none()));
    assert_eq!(paid_to_nodes(&settled), [U256::ZERO; 2]);
    // To find that out was honest work.
    assert_eq!(paid_to_validators(&settled).into_iter().sum::<U256>(), settled.validator_budget);
    assert_eq!(settled.unpaid.total().unwrap(), settled.node_budget);
}

#[test]
fn all_abstained() {
    let pools = [pool(100, n(10), U256::ZERO), pool(101, n(20), U256::ZERO)];
    let budget = Budget { emission: n(100), bounty: n(50) };
    assert_all_returns(&epoch(DEFAULT_TASK, budget, nodes(&[5]), &pools, B256::ZERO, |_, _| Some(None)));
}

#[test]
fn all_equal() {
    let settled = settle(&honest_epoch(nodes(&[5, 5, 5]), &[42, 42, 42], &[n(10), n(20)])).unwrap();
    // The spread is 0, so that distances count in score units; ties go to the lower number.
    assert_eq!(settled.spread, 0);
    assert_eq!(settled.order, [0, 1, 2]);
    let paid = paid_to_nodes(&settled);
    assert!(paid[0] > paid[1] && paid[1] > paid[2]);
    assert_eq!(settled.paid + settled.unpaid.total().unwrap(), n(1_500_000));
}

#[test]
fn a_tie_goes_to_the_lower_number() {
    let mut entries = nodes(&[5, 5]);
    (entries[0].number, entries[1].number) = (9, 3);
    let settled = settle(&honest_epoch(entries, &[42, 42], &[n(10)])).unwrap();
    assert_eq!(settled.order, [1, 0]);
    assert_eq!(settled.submissions[1].rank, Some(1));
}

#[test]
fn one_participant_on_each_side() {
    let settled = settle(&honest_epoch(nodes(&[5]), &[42], &[n(10)])).unwrap();
    assert_eq!(paid_to_nodes(&settled), [settled.node_budget]);
    assert_eq!(paid_to_validators(&settled), [settled.validator_budget]);
    assert_eq!((settled.paid, settled.unpaid), (n(1_500_000), Budget::default()));
}

#[test]
fn stakes_of_one() {
    let settled = settle(&honest_epoch(nodes(&[1, 1]), &[9, 8], &[n(1), n(1), n(1)])).unwrap();
    assert_eq!(settled.order, [0, 1]);
    // Three equal validators share alike; what does not divide is carried on.
    let share = settled.validator_budget / n(3);
    assert_eq!(paid_to_validators(&settled), [share; 3]);
    assert_eq!(settled.unpaid.total().unwrap(), settled.validator_budget - share * n(3));
}

#[test]
fn a_stake_of_one_beside_the_largest() {
    let mut entries = nodes(&[1, 1]);
    entries[1].pool.direct = MOST / n(4);
    let input = honest_epoch(entries, &[9, 8], &[n(1), MOST / n(4)]);
    let settled = settle(&input).unwrap();
    // The best rank with no stake to speak of earns nothing, and so does dust among the validators.
    assert_eq!(paid_to_nodes(&settled), [U256::ZERO, settled.node_budget]);
    assert_eq!(paid_to_validators(&settled)[0], U256::ZERO);
    assert_eq!(settled.validators[0].assigned, 1);
}

#[test]
fn budgets_of_zero_and_one() {
    for (emission, bounty) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let mut input = honest_epoch(nodes(&[5, 6]), &[7, 8], &[n(10), n(20)]);
        input.budget = Budget { emission: n(emission), bounty: n(bounty) };
        let settled = settle(&input).unwrap();
        assert_eq!(settled.paid + settled.unpaid.total().unwrap(), n(emission + bounty));
        assert_eq!(settled.order, [1, 0]);
    }
}

#[test]
fn the_largest_amounts() {
    let mut entries = nodes(&[1, 1, 1]);
    for entry in &mut entries {
        entry.pool.direct = MOST / n(6);
    }
    let mut input = honest_epoch(entries, &[9, 8, 7], &[MOST / n(6); 3]);
    input.budget = Budget { emission: MOST / n(2), bounty: MOST / n(2) };
    let settled = settle(&input).unwrap();
    assert_eq!(settled.paid + settled.unpaid.total().unwrap(), MOST / n(2) * n(2));
}

#[test]
fn ineligible_duplicate_and_invalid_submissions() {
    let mut entries = nodes(&[5, 6, 7, 8]);
    entries[0].eligible = false;
    entries[1].duplicate = true;
    let settled = settle(&honest_epoch(entries, &[90, 80, 0, 70], &[n(10), n(20)])).unwrap();
    let status: Vec<Status> = settled.submissions.iter().map(|s| s.status).collect();
    assert_eq!(status, [Status::Ineligible, Status::Duplicate, Status::Invalid, Status::Ranked]);
    assert_eq!(settled.order, [3]);
    assert_eq!(settled.ranked_stake, n(8));
    // Scores of the ineligible one weigh nothing, those of the copy and of the invalid one do: 10·1 and 20·1 for each.
    assert_eq!(settled.submissions[0].stake, U256::ZERO);
    let [first, second] = [0, 1].map(|j| settled.validators[j].weight);
    assert_eq!((first, second), (n((6 + 7 + 8) * 10), n((6 + 7 + 8) * 20)));
}

#[test]
fn unchanged_submissions_keep_their_score() {
    let mut entries = nodes(&[5, 6, 7]);
    entries[0].kept = Some(score(50));
    entries[1].kept = Some(Score::INVALID);
    let settled = settle(&honest_epoch(entries, &[0, 0, 60], &[n(10), n(20)])).unwrap();
    assert_eq!(settled.listed, 1);
    assert_eq!(settled.order, [2, 0]);
    assert_eq!(settled.submissions[1].status, Status::Invalid);
    // Only the submission that was scored earns its validators anything.
    assert_eq!(settled.validators[0].weight, n(7 * 10));
}

#[test]
fn nothing_to_score_pays_the_nodes_alone() {
    let mut entries = nodes(&[5, 6]);
    entries[0].kept = Some(score(50));
    entries[1].kept = Some(score(60));
    let settled = settle(&honest_epoch(entries, &[0, 0], &[n(10)])).unwrap();
    assert_eq!(settled.paid, settled.node_budget);
    assert_eq!(settled.unpaid.total().unwrap(), settled.validator_budget);
}

#[test]
fn the_spread_is_taken_at_the_quarters_of_stake() {
    // Quarters of 100 fall on the second and on the fourth node.
    let settled = settle(&honest_epoch(nodes(&[24, 1, 49, 26]), &[90, 80, 70, 60], &[n(1)])).unwrap();
    assert_eq!(settled.spread, 80 - 60);
    let settled = settle(&honest_epoch(nodes(&[25, 50, 25]), &[90, 80, 70], &[n(1)])).unwrap();
    assert_eq!(settled.spread, 90 - 80);
}

#[test]
fn amounts_beyond_any_vault_are_refused() {
    let mut input = honest_epoch(nodes(&[5]), &[7], &[n(10)]);
    input.budget = Budget { emission: U256::MAX, bounty: U256::ONE };
    assert_eq!(settle(&input), Err(Error::Overflow));
}
