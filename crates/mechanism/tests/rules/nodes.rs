//! P2 splitting, P3 monotony and P7 delegation, for nodes.

use aiarena_mechanism::ranking::{RankingRule, Stake, node_rewards};
use alloy_primitives::U256;
use proptest::prelude::*;

use crate::epochs::{DEFAULT_RULE, MOST, WAD, amount, n, percent, phi, ranked_stake, ratio, rule, stake};

fn alone(stake: U256) -> Stake {
    Stake { direct: stake, effective: stake }
}

fn ranked() -> impl Strategy<Value = Vec<Stake>> {
    prop::collection::vec(ranked_stake(), 1..20)
}

fn rewards(rule: RankingRule, budget: U256, ranked: &[Stake]) -> Vec<U256> {
    node_rewards(rule, budget, ranked).unwrap().iter().map(|reward| reward.with_delegation).collect()
}

/// One unit for the two ends of an interval, and the budget times the resolution of F: 1e-17 at the default φ.
fn tolerance(rule: RankingRule, budget: U256) -> U256 {
    let parts = if rule == DEFAULT_RULE { n(100_000_000_000_000_000) } else { n(20_000_000_000_000_000) };
    budget / parts + U256::ONE
}

/// `whole` in `parts` positive stakes.
fn split(whole: U256, parts: u64) -> Vec<U256> {
    let each = whole / n(parts);
    let mut stakes = vec![each; usize::try_from(parts).unwrap()];
    stakes[0] = whole - each * n(parts - 1);
    stakes
}

proptest! {
    #[test]
    fn p2_neighbouring_identities_share_what_one_earns(
        phi_wad in phi(),
        budget in amount(),
        others in ranked(),
        own in stake(),
        place in any::<prop::sample::Index>(),
        parts in 1..50_u64,
    ) {
        let rule = RankingRule::StakeIntegral { phi_wad };
        let parts = parts.min(own.saturating_to());
        let place = place.index(others.len() + 1);
        let list = |own: Vec<U256>| {
            let mut list = others.clone();
            list.splice(place..place, own.into_iter().map(alone));
            list
        };
        let single = rewards(rule, budget, &list(vec![own]))[place];
        let many: U256 =
            rewards(rule, budget, &list(split(own, parts)))[place..][..usize::try_from(parts).unwrap()].iter().sum();
        prop_assert!(many.abs_diff(single) <= n(parts), "{many} {single}");
    }

    /// Identities that other nodes of the same score come between: every one but the first is further down.
    #[test]
    fn p2_identities_apart_earn_no_more(budget in amount(), phi_wad in phi(), between in ranked(), own in stake()) {
        let rule = RankingRule::StakeIntegral { phi_wad };
        let own = own.max(n(2));
        let halves = split(own, 2);
        let single = rewards(rule, budget, &[vec![alone(own)], between.clone()].concat())[0];
        let list = [vec![alone(halves[0])], between.clone(), vec![alone(halves[1])]].concat();
        let paid = rewards(rule, budget, &list);
        let many = paid[0] + paid[list.len() - 1];
        prop_assert!(many <= single + n(2) + tolerance(rule, budget), "{many} {single}");
    }

    #[test]
    fn p3_a_better_score_never_lowers_a_reward(
        rule in prop_oneof![Just(DEFAULT_RULE), rule()],
        budget in amount(),
        ranked in ranked(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let from = from.index(ranked.len());
        let to = to.index(from + 1);
        let before = rewards(rule, budget, &ranked)[from];
        let mut improved = ranked;
        let node = improved.remove(from);
        improved.insert(to, node);
        let after = rewards(rule, budget, &improved)[to];
        prop_assert!(after + tolerance(rule, budget) >= before, "{before} {after}");
    }

    #[test]
    fn p3_more_stake_never_lowers_a_reward(
        rule in prop_oneof![Just(DEFAULT_RULE), rule()],
        budget in amount(),
        ranked in ranked(),
        place in any::<prop::sample::Index>(),
        more in amount(),
    ) {
        let place = place.index(ranked.len());
        let before = rewards(rule, budget, &ranked)[place];
        let mut staked = ranked;
        staked[place].effective += more;
        let after = rewards(rule, budget, &staked)[place];
        prop_assert!(after + tolerance(rule, budget) >= before, "{before} {after}");
        if let RankingRule::StakeIntegral { .. } = rule {
            // Both ends of the interval move outwards, and F never falls.
            prop_assert!(after >= before, "{before} {after}");
        }
    }

    #[test]
    fn p7_delegation_never_lowers_a_nodes_own_reward(
        rule in rule(),
        budget in amount(),
        ranked in ranked(),
        place in any::<prop::sample::Index>(),
        sigma in ratio(),
    ) {
        let place = place.index(ranked.len());
        let reward = node_rewards(rule, budget, &ranked).unwrap()[place];
        let delegated = ranked[place].effective - ranked[place].direct;
        let (operator, delegators) = reward.split(delegated, sigma).unwrap();
        prop_assert_eq!(operator + delegators, reward.with_delegation);

        let mut without = ranked;
        without[place] = alone(without[place].direct);
        let own = rewards(rule, budget, &without)[place];
        prop_assert!(own.abs_diff(reward.without_delegation) <= U256::ONE, "{own} {reward:?}");
        prop_assert!(operator + U256::ONE >= own, "{operator} {own}");
    }

    #[test]
    fn rewards_sum_to_the_budget(rule in rule(), budget in amount(), ranked in ranked()) {
        prop_assert_eq!(rewards(rule, budget, &ranked).into_iter().sum::<U256>(), budget);
    }
}

/// Equal stakes under the default rule earn a geometric series in the rank: the paper's rule.
#[test]
fn equal_stakes_earn_a_geometric_series() {
    let budget = WAD;
    let paid = rewards(DEFAULT_RULE, budget, &[alone(n(7)); 10]);
    // e^(−1/(10·φ)) = e^(−½).
    let ratio = 0.606_530_659_712_633_4;
    for pair in paid.windows(2) {
        let [better, worse] = [pair[0], pair[1]].map(|reward| reward.to::<u64>() as f64);
        assert!((worse / better - ratio).abs() < 1e-14, "{worse} / {better}");
    }
}

/// A leader against four equal rivals, q = 0.9: what ten clones are worth to it.
#[test]
fn rank_geometric_pays_for_clones() {
    let share = |alpha_percent: u64, clones: u64| {
        let rule =
            RankingRule::RankGeometric { q_wad: percent(90), alpha_wad: percent(alpha_percent), cutoff: 0 };
        let stake = n(1000) * WAD;
        let own = split(stake, clones).into_iter().map(alone);
        let list: Vec<_> = own.chain([alone(stake); 4]).collect();
        let paid = rewards(rule, WAD, &list);
        paid[..usize::try_from(clones).unwrap()].iter().sum::<U256>()
    };
    let thousandths = |share: U256| (share + WAD / n(2000)) / (WAD / n(1000));
    assert_eq!(thousandths(share(100, 1)), n(244));
    assert_eq!(thousandths(share(100, 10)), n(352));
    assert_eq!(thousandths(share(50, 10)), n(632));
}

/// The same under the default rule: nothing, to within a unit per clone.
#[test]
fn stake_integral_does_not() {
    let stake = n(1000) * WAD;
    let share = |clones: u64| {
        let list: Vec<_> = split(stake, clones).into_iter().map(alone).chain([alone(stake); 4]).collect();
        rewards(DEFAULT_RULE, WAD, &list)[..usize::try_from(clones).unwrap()].iter().sum::<U256>()
    };
    assert!(share(10).abs_diff(share(1)) <= n(10));
    assert!(share(1000).abs_diff(share(1)) <= n(1000));
}

#[test]
fn the_whole_vault_can_be_staked_and_paid() {
    let half = MOST / n(2);
    for rule in [
        DEFAULT_RULE,
        RankingRule::RankGeometric { q_wad: WAD, alpha_wad: WAD, cutoff: 0 },
        RankingRule::RankGeometric { q_wad: U256::ONE, alpha_wad: U256::ZERO, cutoff: 1 },
    ] {
        let list = [Stake { direct: U256::ONE, effective: half }, alone(half)];
        assert_eq!(rewards(rule, MOST, &list).into_iter().sum::<U256>(), MOST, "{rule:?}");
    }
    let many = vec![alone(MOST / n(2048)); 2048];
    assert_eq!(rewards(DEFAULT_RULE, MOST, &many).into_iter().sum::<U256>(), MOST);
}
