//! Scores, and the map from a metric to a score (M-16).

use crate::Error;

/// Word that stands for an abstention on the wire and on chain.
pub const ABSTAINED: u32 = u32::MAX;

/// One, in WAD.
const WAD: u64 = 1_000_000_000_000_000_000;

/// A score: 0 is invalid, 1 … 1 000 000 000 is valid, higher is better. An abstention is no score: `Option<Score>`.
///
/// *Source*: `docs/mechanism.md`, Units and M-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Score(u32);

impl Score {
    /// The score of an invalid submission.
    pub const INVALID: Self = Self(0);
    /// The lowest score of a valid submission.
    pub const MIN: Self = Self(1);
    /// The best score.
    pub const MAX: Self = Self(1_000_000_000);

    /// Checks the range.
    ///
    /// # Errors
    /// [`Error::IllegalScore`] above [`Score::MAX`].
    pub const fn new(value: u32) -> Result<Self, Error> {
        if value <= Self::MAX.0 { Ok(Self(value)) } else { Err(Error::IllegalScore(value)) }
    }

    /// The score as an integer.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Whether the score is 0.
    pub const fn is_invalid(self) -> bool {
        self.0 == 0
    }

    /// Reads a revealed word: a score, or `None` for an abstention.
    ///
    /// # Errors
    /// [`Error::IllegalScore`] for every other word.
    pub const fn from_wire(word: u32) -> Result<Option<Self>, Error> {
        if word == ABSTAINED {
            return Ok(None);
        }
        match Self::new(word) {
            Ok(score) => Ok(Some(score)),
            Err(error) => Err(error),
        }
    }

    /// The word that is revealed for a score or an abstention.
    pub const fn to_wire(report: Option<Self>) -> u32 {
        match report {
            Some(score) => score.0,
            None => ABSTAINED,
        }
    }

    /// Score of a bounded gain that is a ratio of counts, such as accuracy: max(1, round(1e9·correct/total)).
    ///
    /// - Rounding: to the nearest, halves up. More than all is all.
    /// - *Source*: M-16.
    ///
    /// # Errors
    /// [`Error::DivisionByZero`] if `total` is zero: nothing was measured.
    ///
    /// ```
    /// use aiarena_mechanism::Score;
    ///
    /// assert_eq!(Score::from_ratio(2, 3).map(Score::get), Ok(666_666_667));
    /// assert_eq!(Score::from_ratio(0, 3), Ok(Score::MIN));
    /// ```
    pub fn from_ratio(correct: u64, total: u64) -> Result<Self, Error> {
        Self::rounded(u128::from(correct.min(total)), total)
    }

    /// Score of a bounded gain in WAD, such as AUC or R²: max(1, round(1e9·clamp(x))), clamped to [0, 1].
    ///
    /// - Rounding: to the nearest, halves up.
    /// - *Source*: M-16.
    pub fn from_gain_wad(gain_wad: i128) -> Self {
        let gain = gain_wad.clamp(0, i128::from(WAD)).unsigned_abs();
        // A WAD is never zero.
        Self::rounded(gain, WAD).unwrap_or(Self::MIN)
    }

    /// Score of a loss in WAD, such as nats or bits per byte: max(1, round(1e9·(1 − clamp(loss/cap)))).
    ///
    /// - Rounding: to the nearest, halves up, in one step.
    /// - *Source*: M-16.
    ///
    /// # Errors
    /// [`Error::DivisionByZero`] if the task's cap is zero.
    ///
    /// ```
    /// use aiarena_mechanism::Score;
    ///
    /// let nats = 1_000_000_000_000_000_000;
    /// assert_eq!(Score::from_loss_wad(nats / 2, nats as u64).map(Score::get), Ok(500_000_000));
    /// ```
    pub fn from_loss_wad(loss_wad: i128, cap_wad: u64) -> Result<Self, Error> {
        let loss = loss_wad.clamp(0, i128::from(cap_wad)).unsigned_abs();
        Self::rounded(u128::from(cap_wad) - loss, cap_wad)
    }

    /// max(1, round(1e9·part/whole)) for a part of at most the whole. The product stays below 2^96.
    fn rounded(part: u128, whole: u64) -> Result<Self, Error> {
        let whole = u128::from(whole);
        let twice = 2 * u128::from(Self::MAX.0) * part + whole;
        let rounded = twice.checked_div(2 * whole).ok_or(Error::DivisionByZero)?;
        let value = u32::try_from(rounded).map_err(|_| Error::Overflow)?;
        Ok(Self(value.clamp(Self::MIN.0, Self::MAX.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: i128 = WAD as i128;

    #[test]
    fn range_is_checked() {
        assert_eq!(Score::new(0), Ok(Score::INVALID));
        assert_eq!(Score::new(1_000_000_000), Ok(Score::MAX));
        assert_eq!(Score::new(1_000_000_001), Err(Error::IllegalScore(1_000_000_001)));
        assert_eq!(Score::from_wire(u32::MAX), Ok(None));
        assert_eq!(Score::from_wire(u32::MAX - 1), Err(Error::IllegalScore(u32::MAX - 1)));
        assert_eq!(Score::to_wire(None), ABSTAINED);
        assert_eq!(Score::to_wire(Some(Score::MIN)), 1);
    }

    #[test]
    fn ratios_round_to_the_nearest() {
        for (correct, total, score) in [
            (0, 1, 1),
            (1, 1, 1_000_000_000),
            (2, 1, 1_000_000_000),
            (1, 2_000_000_000, 1),
            (3, 2_000_000_000, 2),
            (5, 4_000_000_000, 1),
            (1, 3, 333_333_333),
            (u64::MAX, u64::MAX, 1_000_000_000),
            (u64::MAX - 1, u64::MAX, 1_000_000_000),
            (1, u64::MAX, 1),
        ] {
            assert_eq!(Score::from_ratio(correct, total).unwrap().get(), score, "{correct}/{total}");
        }
        assert_eq!(Score::from_ratio(0, 0), Err(Error::DivisionByZero));
    }

    #[test]
    fn gains_are_clamped() {
        for (gain, score) in [
            (i128::MIN, 1),
            (-1, 1),
            (0, 1),
            (1_499_999_999, 1),
            (1_500_000_000, 2),
            (ONE / 2, 500_000_000),
            (ONE, 1_000_000_000),
            (ONE + 1, 1_000_000_000),
            (i128::MAX, 1_000_000_000),
        ] {
            assert_eq!(Score::from_gain_wad(gain).get(), score, "{gain}");
        }
    }

    #[test]
    fn losses_are_measured_against_the_cap() {
        for (loss, cap, score) in [
            (i128::MIN, 1, 1_000_000_000),
            (0, 1, 1_000_000_000),
            (1, 1, 1),
            (i128::MAX, u64::MAX, 1),
            (ONE, 4 * WAD, 750_000_000),
            (ONE, 3 * WAD, 666_666_667),
            (i128::from(u64::MAX) - 1, u64::MAX, 1),
        ] {
            assert_eq!(Score::from_loss_wad(loss, cap).unwrap().get(), score, "{loss} of {cap}");
        }
        assert_eq!(Score::from_loss_wad(0, 0), Err(Error::DivisionByZero));
    }

    #[test]
    fn a_gain_in_wad_and_as_a_ratio_agree() {
        for total in 1..200_u64 {
            for correct in 0..=total {
                let wad = i128::from(correct) * ONE / i128::from(total);
                let (a, b) =
                    (Score::from_gain_wad(wad).get(), Score::from_ratio(correct, total).unwrap().get());
                assert!(a.abs_diff(b) <= 1, "{correct}/{total}");
            }
        }
    }
}
