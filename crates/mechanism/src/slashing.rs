//! What an offence costs the operator and its delegators (M-12).
//!
//! Delegated stake is held in shares. What a share is worth is the pool's factor, 1 at first; a slash lowers the factor,
//! and so reaches every delegator in one step. Factors, fractions and losses are in WAD, amounts in base units.

use alloy_primitives::U256;

use crate::Error;
use crate::fixed_point::{Checked, WAD, mul_div_down, mul_div_up};

/// What an offence costs for `stake`: ⌊stake·fraction⌋.
///
/// - *Source*: M-12.
///
/// # Errors
/// [`Error::FullMulDivFailed`] if the fraction is far above 1.
pub fn penalty(stake: U256, fraction_wad: U256) -> Result<U256, Error> {
    mul_div_down(stake, fraction_wad, WAD)
}

/// What fraction of each delegated unit is lost when the operator's own stake left `rest` of the penalty uncovered:
/// ⌈rest/active⌉, never above the fraction of the offence.
///
/// - Units: `active` is the delegated stake. Without any the fraction itself, and without a rest nothing is lost.
/// - Rounding: up. *Source*: M-12.
///
/// # Errors
/// [`Error::FullMulDivFailed`] for a rest far above the delegated stake and 2^96.
///
/// ```
/// use aiarena_mechanism::{fixed_point::WAD, slashing::loss_wad};
/// use alloy_primitives::U256;
///
/// let n = |value: u64| U256::from(value);
/// assert_eq!(loss_wad(n(1), n(8), WAD / n(4)), Ok(WAD / n(8)));
/// assert_eq!(loss_wad(n(4), n(8), WAD / n(4)), Ok(WAD / n(4)));
/// ```
pub fn loss_wad(rest: U256, active: U256, fraction_wad: U256) -> Result<U256, Error> {
    if rest.is_zero() {
        return Ok(U256::ZERO);
    }
    if active.is_zero() {
        return Ok(fraction_wad);
    }
    Ok(mul_div_up(rest, WAD, active)?.min(fraction_wad))
}

/// The factor after a loss: ⌊factor·(1 − loss)⌋.
///
/// - *Source*: M-12.
///
/// # Errors
/// [`Error::Overflow`] if the loss is above 1.
pub fn reduced(factor_wad: U256, loss_wad: U256) -> Result<U256, Error> {
    mul_div_down(factor_wad, WAD.minus(loss_wad)?, WAD)
}

/// What shares are worth: ⌊shares·factor⌋.
///
/// - *Source*: M-12.
///
/// # Errors
/// [`Error::FullMulDivFailed`] if it does not fit, which needs a factor above 1.
pub fn worth(shares: U256, factor_wad: U256) -> Result<U256, Error> {
    mul_div_down(shares, factor_wad, WAD)
}

/// How many shares a deposit buys: ⌊amount/factor⌋.
///
/// - *Source*: M-12.
///
/// # Errors
/// [`Error::FullMulDivFailed`] if the factor is zero or the shares do not fit.
///
/// ```
/// use aiarena_mechanism::{fixed_point::WAD, slashing::{shares_for, shares_of, worth}};
/// use alloy_primitives::U256;
///
/// // After a loss of a third a deposit buys down and a withdrawal costs up: neither gains a unit.
/// let (factor, n) = (WAD / U256::from(3) * U256::from(2), |value: u64| U256::from(value));
/// assert_eq!((shares_for(n(5), factor), shares_of(n(5), factor)), (Ok(n(7)), Ok(n(8))));
/// assert_eq!(worth(n(7), factor), Ok(n(4)));
/// ```
pub fn shares_for(amount: U256, factor_wad: U256) -> Result<U256, Error> {
    mul_div_down(amount, WAD, factor_wad)
}

/// How many shares a withdrawal costs: ⌈amount/factor⌉.
///
/// - *Source*: M-12.
///
/// # Errors
/// As [`shares_for`].
pub fn shares_of(amount: U256, factor_wad: U256) -> Result<U256, Error> {
    mul_div_up(amount, WAD, factor_wad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_at_the_edges() {
        let n = |value: u64| U256::from(value);
        let third = WAD / n(3);
        for (rest, active, fraction, expected) in [
            (n(0), n(0), WAD, Ok(n(0))),
            (n(0), n(1), WAD, Ok(n(0))),
            (n(1), n(0), third, Ok(third)),
            (n(1), n(3), WAD, Ok(third + n(1))),
            (n(1), n(3), third, Ok(third)),
            (n(3), n(1), WAD, Ok(WAD)),
            (n(1), U256::MAX, WAD, Ok(n(1))),
            (n(1), n(1), n(0), Ok(n(0))),
            (U256::MAX, n(1), WAD, Err(Error::FullMulDivFailed)),
        ] {
            assert_eq!(loss_wad(rest, active, fraction), expected, "{rest} {active} {fraction}");
        }
        assert_eq!(reduced(WAD, third), Ok(WAD - third));
        assert_eq!(reduced(n(1), n(1)), Ok(n(0)));
        assert_eq!(reduced(WAD, WAD), Ok(n(0)));
        assert_eq!(reduced(WAD, WAD + n(1)), Err(Error::Overflow));
        assert_eq!(penalty(n(999), WAD / n(100)), Ok(n(9)));
    }

    #[test]
    fn a_factor_of_zero_has_no_shares() {
        let one = U256::ONE;
        assert_eq!(worth(one, U256::ZERO), Ok(U256::ZERO));
        assert_eq!(shares_for(one, U256::ZERO), Err(Error::FullMulDivFailed));
        assert_eq!(shares_of(one, U256::ZERO), Err(Error::FullMulDivFailed));
    }
}
