//! How delegators share what a pool earned for them (M-6): one running sum per pool, nothing per delegator.
//!
//! What is pending is folded into the pool's reward per share, which has 64 binary places and stays below 2^128. A
//! delegator whose shares stood unchanged from one value of that sum to another is owed ⌊shares·difference/2^64⌋.

use alloy_primitives::{U256, uint};

use crate::Error;
use crate::fixed_point::Checked;

/// Binary places of the reward per share.
pub const SCALE_BITS: usize = 64;

/// A pool with fewer shares is counted as one with so many, so that a credit to next to no shares does not use up the range
/// of the reward per share.
pub const LEAST_SHARES: U256 = uint!(0x1_0000_U256);

const SCALE: U256 = uint!(0x1_0000_0000_0000_0000_U256);

/// The most that the reward per share may reach.
const MAX_PER_SHARE: U256 = uint!(0xffff_ffff_ffff_ffff_ffff_ffff_ffff_ffff_U256);

/// Folds what is `pending` into the reward per share: the new reward per share, and what stays pending.
///
/// What does not divide stays pending, so that nothing is lost; it is folded with the next credit.
///
/// - Units: `pending` in base units and `shares` of all delegators, both below 2^96 on chain.
/// - Rounding: the rise ⌊pending·2^64 / max(shares, 2^16)⌋ down, what it takes ⌈rise·shares / 2^64⌉ up. All positions
///   together are never owed more than what left `pending`.
/// - *Source*: M-6.
///
/// # Errors
/// [`Error::Overflow`] for a reward per share of 2^128 and more, and for amounts far above 2^96.
///
/// ```
/// use aiarena_mechanism::delegation::{accrued, fold};
/// use alloy_primitives::U256;
///
/// // 100 units over 3·2^64 shares: a unit stays, because it is no third of anything.
/// let (part, n) = (U256::ONE << 64, |value: u64| U256::from(value));
/// let (per_share, rest) = fold(U256::ZERO, n(100), n(3) * part).expect("small");
/// assert_eq!((accrued(part, U256::ZERO, per_share), rest), (Ok(n(33)), n(1)));
/// ```
pub fn fold(per_share: U256, pending: U256, shares: U256) -> Result<(U256, U256), Error> {
    let rise = pending.times(SCALE)?.over(shares.max(LEAST_SHARES))?;
    let rise = rise.min(MAX_PER_SHARE.minus(per_share)?);
    let rest = pending.minus(rise.times(shares)?.div_ceil(SCALE))?;
    Ok((per_share.plus(rise)?, rest))
}

/// What `shares` are owed for the rise of the reward per share from `from` to `to`. Rounds down, so that claiming often pays
/// at most one unit per claim less than claiming once, and never more (P8).
///
/// # Errors
/// [`Error::Overflow`] if `from` is above `to` or the product does not fit.
pub fn accrued(shares: U256, from: U256, to: U256) -> Result<U256, Error> {
    Ok(shares.times(to.minus(from)?)? >> SCALE_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_at_the_edges() {
        let n = |value: u64| U256::from(value);
        let most = (U256::ONE << 96) - U256::ONE;
        for (per_share, pending, shares, expected) in [
            (n(0), n(0), n(0), Ok((n(0), n(0)))),
            (n(7), n(0), most, Ok((n(7), n(0)))),
            // Without shares nobody takes anything.
            (n(0), n(1), n(0), Ok((SCALE / LEAST_SHARES, n(1)))),
            // What a single share is owed is far below a unit, and takes one.
            (n(0), n(1), n(1), Ok((SCALE / LEAST_SHARES, n(0)))),
            (n(0), n(1), LEAST_SHARES, Ok((SCALE / LEAST_SHARES, n(0)))),
            (n(0), n(1), most, Ok((n(0), n(1)))),
            (n(0), most, most, Ok((SCALE, n(0)))),
            // More than the range holds stays pending.
            (n(0), most, LEAST_SHARES, Ok((MAX_PER_SHARE, most - (n(1) << 80)))),
            (MAX_PER_SHARE, most, most, Ok((MAX_PER_SHARE, most))),
            (MAX_PER_SHARE - n(1), n(2), n(1), Ok((MAX_PER_SHARE, n(1)))),
            (MAX_PER_SHARE + n(1), n(0), n(0), Err(Error::Overflow)),
            (n(0), U256::MAX, n(0), Err(Error::Overflow)),
        ] {
            assert_eq!(fold(per_share, pending, shares), expected, "{per_share} {pending} {shares}");
        }
    }

    #[test]
    fn nothing_is_owed_backwards() {
        let n = |value: u64| U256::from(value);
        assert_eq!(accrued(n(1), n(2), n(1)), Err(Error::Overflow));
        assert_eq!(accrued(n(3), n(0), SCALE / n(2)), Ok(n(1)));
        assert_eq!(accrued(U256::MAX, n(0), n(2)), Err(Error::Overflow));
    }
}
