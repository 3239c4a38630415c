//! What a slash takes (M-12): never more than its fraction, and nobody gains a unit by moving around it.

use aiarena_mechanism::slashing::{loss_wad, penalty, reduced, shares_for, shares_of, worth};
use alloy_primitives::U256;
use proptest::prelude::*;

use crate::epochs::{WAD, amount, ratio};

/// A pool's factor: above 0, at most 1.
fn factor() -> impl Strategy<Value = U256> {
    ratio().prop_map(|ratio| ratio.max(U256::ONE))
}

proptest! {
    /// The operator's stake pays first, the delegators' the rest, and no unit of theirs loses more than the fraction.
    #[test]
    fn a_slash_takes_what_the_operator_lacks(direct in amount(), shares in amount(), factor in factor(), fraction in ratio()) {
        let active = worth(shares, factor).unwrap();
        let owed = penalty(direct + active, fraction).unwrap();
        prop_assert!(owed <= direct + active);
        let rest = owed.saturating_sub(direct);
        let loss = loss_wad(rest, active, fraction).unwrap();
        prop_assert!(loss <= fraction);
        let after = worth(shares, reduced(factor, loss).unwrap()).unwrap();
        if loss < fraction {
            prop_assert!(active - after >= rest);
        }
        // Two roundings of the factor apart, each delegated unit keeps 1 − loss.
        let kept = active * (WAD - loss) / WAD;
        let dust = shares / WAD + U256::from(2);
        prop_assert!(after + dust >= kept);
    }

    #[test]
    fn shares_never_gain_by_a_round_trip(amount in amount(), factor in factor()) {
        prop_assert!(worth(shares_for(amount, factor).unwrap(), factor).unwrap() <= amount);
        prop_assert!(worth(shares_of(amount, factor).unwrap(), factor).unwrap() >= amount);
        prop_assert!(shares_for(amount, factor).unwrap() <= shares_of(amount, factor).unwrap());
    }

    #[test]
    fn a_factor_only_falls(factor in factor(), loss in ratio(), shares in amount()) {
        let after = reduced(factor, loss).unwrap();
        prop_assert!(after <= factor);
        prop_assert!(worth(shares, after).unwrap() <= worth(shares, factor).unwrap());
    }
}
