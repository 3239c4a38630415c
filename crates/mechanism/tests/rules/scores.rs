//! P5: who can move a consensus score. P6: a loser changes no order.

use aiarena_mechanism::consensus::{consensus_score, has_quorum, is_lower_median};
use aiarena_mechanism::settle::settle;
use aiarena_mechanism::{Error, Score};
use alloy_primitives::U256;
use proptest::prelude::*;

use crate::epochs::{any_epoch, any_score, n, score, stake, submission};

fn reveals() -> impl Strategy<Value = Vec<(U256, Score)>> {
    prop::collection::vec((stake(), any_score()), 1..20)
}

fn total(reveals: &[(U256, Score)]) -> U256 {
    reveals.iter().map(|&(weight, _)| weight).sum()
}

proptest! {
    #[test]
    fn p5_less_than_half_of_the_weight_stays_within_the_honest_range(honest in reveals(), hostile in reveals()) {
        let low = honest.iter().map(|&(_, score)| score).min().unwrap();
        let high = honest.iter().map(|&(_, score)| score).max().unwrap();
        let mut all = [honest.clone(), hostile.clone()].concat();
        let consensus = consensus_score(&mut all).unwrap();
        let (honest, hostile) = (total(&honest), total(&hostile));
        if hostile < honest {
            prop_assert!(low <= consensus && consensus <= high);
        } else if hostile == honest {
            prop_assert!(consensus <= high);
        }
    }

    /// The equality that random weights never hit.
    #[test]
    fn p5_exactly_half_can_only_push_down(honest in reveals(), lie in any_score()) {
        let high = honest.iter().map(|&(_, score)| score).max().unwrap();
        let mut all = honest.clone();
        all.push((total(&honest), lie));
        let alone = consensus_score(&mut honest.clone()).unwrap();
        let consensus = consensus_score(&mut all).unwrap();
        prop_assert!(consensus <= high);
        prop_assert!(lie < alone || consensus >= alone);
    }

    /// What the contract checks in one pass is what sorting finds, and nothing else.
    #[test]
    fn p5_the_median_is_the_only_score_that_passes_the_check(reveals in reveals(), other in any_score()) {
        let mut sorted = reveals.clone();
        let median = consensus_score(&mut sorted).unwrap();
        for candidate in reveals.iter().map(|&(_, score)| score).chain([other]) {
            let weight = |include: &dyn Fn(Score) -> bool| -> U256 {
                reveals.iter().filter(|&&(_, score)| include(score)).map(|&(weight, _)| weight).sum()
            };
            let (below, at_or_below) = (weight(&|s| s < candidate), weight(&|s| s <= candidate));
            let passes = is_lower_median(candidate.get(), below, at_or_below, total(&reveals)).unwrap();
            prop_assert_eq!(passes, candidate == median);
        }
    }

    #[test]
    fn p5_a_third_is_a_quorum(weight in stake(), stake in stake()) {
        prop_assert_eq!(has_quorum(weight, stake).unwrap(), weight * n(3) >= stake);
    }

    /// With the consensus scores of the others as they are, whatever rule, stakes and ties.
    #[test]
    fn p6_a_loser_never_changes_the_order_of_the_others(input in any_epoch(), loser_stake in stake()) {
        let mut input = input;
        let decided = settle(&input).unwrap();
        for (entry, settled) in input.submissions.iter_mut().zip(&decided.submissions) {
            entry.kept = Some(settled.consensus.unwrap_or_default());
        }
        input.validators.clear();
        let before = settle(&input).unwrap();
        let worst = before.order.last().map_or(2, |&place| before.submissions[place as usize].consensus.unwrap().get());

        let mut loser = submission(1, loser_stake);
        loser.number = u64::MAX;
        loser.kept = Some(score(worst.min(1)));
        input.submissions.push(loser);
        let after = settle(&input).unwrap();
        let (last, others) = after.order.split_last().unwrap();
        prop_assert_eq!(*last as usize, input.submissions.len() - 1);
        prop_assert_eq!(others, &before.order[..]);
    }

    /// An invalid submission is nobody: it changes no payment of a node either.
    #[test]
    fn p6_an_invalid_submission_changes_nothing(input in any_epoch(), stake in stake()) {
        let mut input = input;
        let before = settle(&input).unwrap();
        let mut invalid = submission(1, stake);
        (invalid.number, invalid.kept) = (u64::MAX, Some(Score::INVALID));
        input.submissions.push(invalid);
        let after = settle(&input).unwrap();
        prop_assert_eq!(&after.submissions[..before.submissions.len()], &before.submissions[..]);
        prop_assert_eq!(after.validators, before.validators);
    }

    #[test]
    fn hostile_input_is_refused_and_not_settled(input in any_epoch(), which in 0..4_u8) {
        let mut hostile = input;
        let length = u32::try_from(hostile.submissions.len()).unwrap();
        let Some(validator) = hostile.validators.iter_mut().find(|validator| !validator.scores.is_empty()) else {
            return Ok(());
        };
        let operator = validator.pool.operator;
        let (place, report) = validator.scores[0];
        let refused = match which {
            0 => {
                validator.scores[0].0 = length;
                settle(&hostile) == Err(Error::IndexOutOfRange { index: length, length })
            }
            1 => {
                validator.scores.push((place, report));
                let error = settle(&hostile);
                matches!(error, Err(Error::ScoredTwice { validator, .. } | Error::TooManyScores { validator, .. })
                    if validator == operator)
            }
            2 => {
                hostile.submissions[place as usize].kept = Some(Score::MAX);
                let error = settle(&hostile);
                matches!(error, Err(Error::NotListed { .. } | Error::TooManyScores { .. }))
            }
            _ => {
                let twin = hostile.submissions[place as usize];
                hostile.submissions.push(twin);
                let error = settle(&hostile);
                // A longer list may also change what each validator owes.
                matches!(error, Err(Error::NumberTwice(_) | Error::TooManyScores { .. }))
            }
        };
        prop_assert!(refused);
    }
}
