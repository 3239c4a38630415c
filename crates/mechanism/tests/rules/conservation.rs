//! P1 conservation, P4 order, P8 claims.

use aiarena_mechanism::budget::{emission, task_emission};
use aiarena_mechanism::delegation::{accrued, fold};
use aiarena_mechanism::rewards::fee;
use aiarena_mechanism::settle::{EpochInput, settle};
use alloy_primitives::U256;
use proptest::prelude::*;

use crate::epochs::{amount, any_epoch, n, named, ratio, stake};

proptest! {
    #[test]
    fn p1_whatever_happens_the_budget_is_paid_or_carried_on(input in any_epoch()) {
        let settled = settle(&input).unwrap();
        let total = input.budget.total().unwrap();
        prop_assert_eq!(settled.paid + settled.unpaid.total().unwrap(), total);
        prop_assert!(settled.unpaid.emission <= input.budget.emission);
        prop_assert!(settled.unpaid.bounty <= input.budget.bounty);

        let nodes: U256 = settled.submissions.iter().map(|s| s.payment.reward.with_delegation).sum();
        let ranked = !settled.order.is_empty();
        prop_assert_eq!(nodes, if ranked { settled.node_budget } else { U256::ZERO });

        let validators: U256 = settled.validators.iter().map(|v| v.payment.reward.with_delegation).sum();
        prop_assert!(validators <= settled.validator_budget);
        if settled.validator_weight.is_zero() {
            prop_assert_eq!(validators, U256::ZERO);
        } else {
            let dust = settled.validator_budget - validators;
            prop_assert!(dust <= n(settled.validators.len() as u64));
        }

        let payments = settled.submissions.iter().map(|s| s.payment).chain(settled.validators.iter().map(|v| v.payment));
        for payment in payments {
            prop_assert_eq!(payment.operator + payment.delegators, payment.reward.with_delegation);
        }
        for (entry, settled) in input.submissions.iter().zip(&settled.submissions) {
            let unranked = settled.rank.is_none();
            prop_assert!(!unranked || settled.payment.reward.with_delegation.is_zero());
            prop_assert!(settled.rank.is_none_or(|_| entry.eligible && !entry.duplicate));
            prop_assert!(!entry.pool.delegated.is_zero() || settled.payment.delegators.is_zero());
        }
    }

    /// Order of calls, of inputs and of identities: entries and validators are shuffled, addresses are replaced.
    #[test]
    fn p4_only_commitment_numbers_decide_ties(
        input in any_epoch(),
        entries in Just((0..12_u32).collect::<Vec<_>>()).prop_shuffle(),
        validators in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let before = settle(&input).unwrap();
        // `entries[new place] = old place`, restricted to the places that exist.
        let entries: Vec<u32> = entries.into_iter().filter(|&i| (i as usize) < input.submissions.len()).collect();
        let validators: Vec<usize> = validators.into_iter().filter(|&j| j < input.validators.len()).collect();
        let shuffled = shuffle(&input, &entries, &validators);
        let after = settle(&shuffled).unwrap();

        for (new, &old) in entries.iter().enumerate() {
            prop_assert_eq!(after.submissions[new], before.submissions[old as usize]);
        }
        for (new, &old) in validators.iter().enumerate() {
            prop_assert_eq!(after.validators[new], before.validators[old]);
        }
        prop_assert_eq!((after.paid, after.unpaid), (before.paid, before.unpaid));
    }

    /// Whoever holds which shares, a credit owes no more than what leaves the pending rewards.
    #[test]
    fn p1_delegators_are_never_owed_more_than_was_pending(
        per_share in per_share(),
        pending in amount(),
        parts in prop::collection::vec(amount(), 0..12),
    ) {
        let shares: U256 = parts.iter().copied().sum();
        let (risen, rest) = fold(per_share, pending, shares).unwrap();
        prop_assert!(per_share <= risen && risen <= most_per_share());
        let owed: U256 = parts.iter().map(|&part| accrued(part, per_share, risen).unwrap()).sum();
        prop_assert!(owed + rest <= pending);
        prop_assert!(pending - owed - rest <= n(parts.len() as u64));
    }

    /// Claiming after every credit, after some, or once at the end. Shares come and go between the credits.
    #[test]
    fn p8_claiming_often_pays_no_more(
        own in stake(),
        credits in prop::collection::vec((amount(), amount(), any::<bool>()), 1..20),
    ) {
        let (mut sum, mut pending, mut claimed_at) = (U256::ZERO, U256::ZERO, U256::ZERO);
        let (mut often, mut claims, mut given, mut paid_to_others) = (U256::ZERO, 0, U256::ZERO, U256::ZERO);
        for (credit, others, claim) in credits {
            let (risen, rest) = fold(sum, pending + credit, own + others).unwrap();
            paid_to_others += accrued(others, sum, risen).unwrap();
            given += credit;
            (sum, pending) = (risen, rest);
            if claim {
                often += accrued(own, claimed_at, sum).unwrap();
                claimed_at = sum;
                claims += 1;
            }
        }
        often += accrued(own, claimed_at, sum).unwrap();
        let once = accrued(own, U256::ZERO, sum).unwrap();
        prop_assert!(often <= once);
        prop_assert!(once - often <= n(claims));
        prop_assert!(once + paid_to_others + pending <= given);
    }

    /// All tasks together emit no more than the schedule says and the vault holds.
    #[test]
    fn p1_tasks_share_the_emission(
        initial in amount(),
        decay in ratio(),
        period in 1..100_u32,
        epoch in prop_oneof![Just(0), Just(1), Just(u32::MAX), 0..1_000_u32],
        held in amount(),
        stakes in prop::collection::vec(amount(), 0..12),
    ) {
        let rate = emission(initial, decay, period, epoch).unwrap();
        prop_assert!(rate <= initial);
        let total: U256 = stakes.iter().copied().sum();
        let emitted: U256 = stakes.iter().map(|&stake| task_emission(rate, held, stake, total).unwrap()).sum();
        let most = rate.min(held);
        prop_assert!(emitted <= most);
        prop_assert!(total.is_zero() || most - emitted <= n(stakes.len() as u64));
    }

    #[test]
    fn p1_a_fee_is_part_of_its_claim(claim in amount(), fee_wad in ratio()) {
        prop_assert!(fee(claim, fee_wad).unwrap() <= claim);
    }
}

fn most_per_share() -> U256 {
    U256::from(u128::MAX)
}

fn per_share() -> impl Strategy<Value = U256> {
    prop_oneof![
        3 => any::<u128>().prop_map(U256::from),
        1 => prop::sample::select(vec![U256::ZERO, n(1), most_per_share() - n(1), most_per_share()]),
    ]
}

fn shuffle(input: &EpochInput, entries: &[u32], validators: &[usize]) -> EpochInput {
    let new_place =
        |old: u32| u32::try_from(entries.iter().position(|&place| place == old).unwrap()).unwrap();
    let mut shuffled = input.clone();
    shuffled.submissions = entries.iter().map(|&old| input.submissions[old as usize]).collect();
    shuffled.validators = validators.iter().map(|&old| input.validators[old].clone()).collect();
    for (i, entry) in (5_000..).zip(&mut shuffled.submissions) {
        entry.pool.operator = named(i);
    }
    for (j, validator) in (6_000..).zip(&mut shuffled.validators) {
        validator.pool.operator = named(j);
        validator.scores.reverse();
        for (place, _) in &mut validator.scores {
            *place = new_place(*place);
        }
    }
    shuffled
}
