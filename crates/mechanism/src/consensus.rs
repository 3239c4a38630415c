//! The score that a submission's validators agree on (M-7).

use alloy_primitives::U256;

use crate::fixed_point::Checked;
use crate::{Error, Score};

/// ω: weight of one score of a validator that scores `k` of `n` submissions with effective `stake`.
///
/// It is not the stake: assignment is already in proportion to stake, and stake would count twice.
///
/// - Rounding: down. *Source*: M-7, M-9.
///
/// # Errors
/// [`Error::DivisionByZero`] if `k` is zero, [`Error::Overflow`] if `stake`·`n` does not fit.
pub fn weight(stake: U256, n: u32, k: u32) -> Result<U256, Error> {
    stake.times(U256::from(n))?.over(U256::from(k))
}

/// Whether the revealed weight of a submission reaches a third of all validators' effective stake.
///
/// # Errors
/// [`Error::Overflow`] if three times the weight does not fit.
pub fn has_quorum(revealed_weight: U256, total_stake: U256) -> Result<bool, Error> {
    Ok(!revealed_weight.is_zero() && revealed_weight.times(U256::from(3))? >= total_stake)
}

/// Whether `candidate` is the lower weighted median, from one pass over the revealed scores: `below` is the weight of the
/// scores below it, `at_or_below` the weight of those not above it, `total` the weight of all.
///
/// This is how the contract checks a median that somebody else computed with [`consensus_score`]. A word that is no
/// score, or one that nobody revealed, is no median.
///
/// # Errors
/// [`Error::Overflow`] if twice a weight does not fit.
pub fn is_lower_median(candidate: u32, below: U256, at_or_below: U256, total: U256) -> Result<bool, Error> {
    let two = U256::from(2);
    Ok(Score::new(candidate).is_ok()
        && at_or_below > below
        && below.times(two)? < total
        && at_or_below.times(two)? >= total)
}

/// The lower weighted median: the smallest revealed score at which at least half of the revealed weight is reached.
///
/// - `reveals`: one `(ω, score)` per validator that did not abstain, in any order; sorted in place.
/// - Rounding: none, the result is one of the inputs.
/// - *Source*: M-7. Less than half of the weight cannot move it outside the others' range; exactly half can only
///   push it down.
///
/// # Errors
/// [`Error::NoWeight`] if the weights sum to zero, [`Error::Overflow`] if twice their sum does not fit.
///
/// ```
/// use aiarena_mechanism::{Score, consensus::consensus_score};
/// use alloy_primitives::U256;
///
/// let score = |value| Score::new(value).expect("legal");
/// let mut reveals = [(U256::from(2), score(9)), (U256::from(1), score(5)), (U256::from(1), score(7))];
/// assert_eq!(consensus_score(&mut reveals), Ok(score(7)));
/// ```
pub fn consensus_score(reveals: &mut [(U256, Score)]) -> Result<Score, Error> {
    reveals.sort_unstable_by_key(|&(_, score)| score);
    let total = reveals.iter().try_fold(U256::ZERO, |sum, &(weight, _)| sum.plus(weight))?;
    // If twice the sum fits, so does twice every part of it.
    let two = U256::from(2);
    total.times(two)?;
    let mut at_or_below = U256::ZERO;
    for &(weight, score) in reveals.iter() {
        at_or_below += weight;
        if !at_or_below.is_zero() && at_or_below * two >= total {
            return Ok(score);
        }
    }
    Err(Error::NoWeight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn check(reveals: &[(u64, u32)], expected: Result<u32, Error>) {
        let mut reveals: Vec<_> =
            reveals.iter().map(|&(weight, score)| (U256::from(weight), Score::new(score).unwrap())).collect();
        assert_eq!(consensus_score(&mut reveals).map(Score::get), expected, "{reveals:?}");
    }

    #[test]
    fn lower_weighted_median() {
        check(&[], Err(Error::NoWeight));
        check(&[(0, 5)], Err(Error::NoWeight));
        check(&[(1, 5)], Ok(5));
        check(&[(1, 5), (1, 7)], Ok(5));
        check(&[(1, 5), (2, 7)], Ok(7));
        check(&[(1, 0), (1, 0), (1, 9)], Ok(0));
        check(&[(0, 1), (1, 5), (1, 7)], Ok(5));
        check(&[(3, 7), (2, 5), (1, 9)], Ok(7));
        check(&[(1, 5), (1, 5), (1, 4), (1, 9)], Ok(5));
        let half = U256::MAX / U256::from(2);
        assert_eq!(consensus_score(&mut [(half, Score::MAX)]), Ok(Score::MAX));
        assert_eq!(consensus_score(&mut [(U256::MAX, Score::MAX)]), Err(Error::Overflow));
        assert_eq!(consensus_score(&mut [(half, Score::MAX); 3]), Err(Error::Overflow));
    }

    #[test]
    fn quorum_is_a_third() {
        for (revealed, total, expected) in
            [(0, 0, false), (1, 3, true), (1, 4, false), (1, 0, true), (0, 1, false)]
        {
            assert_eq!(
                has_quorum(U256::from(revealed), U256::from(total)),
                Ok(expected),
                "{revealed}/{total}"
            );
        }
        assert_eq!(has_quorum(U256::MAX, U256::MAX), Err(Error::Overflow));
    }

    #[test]
    fn only_a_revealed_score_is_a_median() {
        let n = U256::from;
        assert_eq!(is_lower_median(5, n(0), n(1), n(1)), Ok(true));
        assert_eq!(is_lower_median(5, n(1), n(1), n(2)), Ok(false));
        assert_eq!(is_lower_median(5, n(0), n(1), n(2)), Ok(true));
        assert_eq!(is_lower_median(5, n(1), n(2), n(2)), Ok(false));
        assert_eq!(is_lower_median(u32::MAX, n(0), n(1), n(1)), Ok(false));
    }

    #[test]
    fn weight_divides_by_the_number_of_scores() {
        assert_eq!(weight(U256::from(10), 7, 3), Ok(U256::from(23)));
        assert_eq!(weight(U256::from(10), 7, 0), Err(Error::DivisionByZero));
        assert_eq!(weight(U256::MAX, 2, 1), Err(Error::Overflow));
    }
}
