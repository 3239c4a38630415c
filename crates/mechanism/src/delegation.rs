//! How delegators share what a pool earned for them (M-6): one running sum per pool, nothing per delegator.
//!
//! A credit adds ⌊amount·2^96/delegated⌋ to the pool's reward per unit of delegated stake. A delegator whose stake stood
//! unchanged from one value of that sum to another is owed ⌊stake·difference/2^96⌋.

use alloy_primitives::U256;

use crate::Error;
use crate::fixed_point::Checked;

/// Binary places of the reward per unit of delegated stake.
pub const SHARE_SCALE_BITS: usize = 96;

/// What a credit of `amount` adds to the reward per unit of `delegated` stake. Rounds down.
///
/// # Errors
/// [`Error::DivisionByZero`] without delegated stake, [`Error::Overflow`] for amounts of 2^160 and more.
pub fn reward_per_share(amount: U256, delegated: U256) -> Result<U256, Error> {
    let scaled = amount.times(U256::ONE << SHARE_SCALE_BITS)?;
    scaled.over(delegated)
}

/// What a delegator with `stake` is owed for the rise of the reward per share from `since` to `until`. Rounds down, so
/// that claiming often pays at most one unit per claim less than claiming once, and never more (P8).
///
/// # Errors
/// [`Error::Overflow`] if `since` is above `until` or the product does not fit.
pub fn accrued(stake: U256, since: U256, until: U256) -> Result<U256, Error> {
    Ok(stake.times(until.minus(since)?)? >> SHARE_SCALE_BITS)
}
