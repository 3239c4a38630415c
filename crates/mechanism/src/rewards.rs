//! Budgets of the two sides, weights of validators, fees, and the split between operator and delegators (M-3, M-6, M-8,
//! M-14).

use alloy_primitives::U256;

use crate::fixed_point::{Checked, WAD, mul_div_down};
use crate::ranking::Stake;
use crate::{Error, Score};

/// λ: how much faster a validator's weight falls than its distance from the consensus grows (M-8).
pub const LAMBDA: u64 = 4;

/// A pool's reward, with its delegated stake and as it would be without it (M-6). Base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reward {
    /// What the pool is paid.
    pub with_delegation: U256,
    /// What it would be paid without its delegated stake.
    pub without_delegation: U256,
}

impl Reward {
    /// Delegation that adds no effective stake changes nothing, whatever rounding says.
    pub(crate) fn new(with_delegation: U256, without_delegation: U256, stake: Stake) -> Self {
        let same = stake.direct == stake.effective;
        Self { with_delegation, without_delegation: if same { with_delegation } else { without_delegation } }
    }

    /// The operator's part, and the delegators' part; their sum is the reward.
    ///
    /// - `delegated`: the pool's delegated stake. Without any, all is the operator's.
    /// - *Source*: M-6.
    ///
    /// # Errors
    /// Those of [`operator_share`].
    pub fn split(&self, delegated: U256, commission_wad: U256) -> Result<(U256, U256), Error> {
        if delegated.is_zero() {
            return Ok((self.with_delegation, U256::ZERO));
        }
        let operator = operator_share(self.with_delegation, self.without_delegation, commission_wad)?;
        Ok((operator, self.with_delegation.minus(operator)?))
    }
}

/// Effective stake: direct + ε·delegated. Rounds down.
///
/// # Errors
/// [`Error::FullMulDivFailed`] or [`Error::Overflow`] if it does not fit.
pub fn effective(direct: U256, delegated: U256, epsilon_wad: U256) -> Result<U256, Error> {
    direct.plus(mul_div_down(delegated, epsilon_wad, WAD)?)
}

/// The nodes' part of an epoch's budget: ⌊R·(γ·(D_n+D_v) + (1−2γ)·D_n) / (D_n+D_v)⌋. The validators' part is the rest.
///
/// - Units: direct stakes of all eligible nodes and validators. 0 if there is no stake at all.
/// - *Source*: M-3.
///
/// # Errors
/// [`Error::Overflow`] if γ is above ½ or the products do not fit.
///
/// ```
/// use aiarena_mechanism::{fixed_point::WAD, rewards::node_budget};
/// use alloy_primitives::U256;
///
/// // γ = ¼ and a third of the stake: ¼ + ½·⅓.
/// let n = |value: u64| U256::from(value);
/// assert_eq!(node_budget(n(1200), WAD / n(4), n(1), n(2)), Ok(n(500)));
/// ```
pub fn node_budget(
    budget: U256,
    gamma_wad: U256,
    direct_nodes: U256,
    direct_validators: U256,
) -> Result<U256, Error> {
    let direct = direct_nodes.plus(direct_validators)?;
    if direct.is_zero() {
        return Ok(U256::ZERO);
    }
    let fixed = gamma_wad.times(direct)?;
    let by_stake = WAD.minus(gamma_wad.times(U256::from(2))?)?.times(direct_nodes)?;
    mul_div_down(budget, fixed.plus(by_stake)?, direct.times(WAD)?)
}

/// How near a score is to the consensus, in WAD: 1 within the tolerance, falling to 0 at a quarter of the spread beyond it.
///
/// - Rounding: the penalty ⌈λ·max(0, |s−c|−tolerance) / max(spread, tolerance, 1)⌉ rounds up.
/// - *Source*: M-8.
pub fn accuracy(score: Score, consensus: Score, tolerance: u32, spread: u32) -> U256 {
    let excess = score.get().abs_diff(consensus.get()).saturating_sub(tolerance);
    let unit = spread.max(tolerance).max(1);
    // λ·2^30·1e18 is far below 2^256.
    let scaled = U256::from(LAMBDA * u64::from(excess)) * WAD;
    WAD.saturating_sub(scaled.div_ceil(U256::from(unit)))
}

/// What one score adds to its validator's weight: ⌊t·accuracy⌋·ω.
///
/// - Units: `stake` is the effective stake of the submission's node, `omega` the weight of the score (M-7).
/// - *Source*: M-8.
///
/// # Errors
/// [`Error::FullMulDivFailed`] or [`Error::Overflow`] if it does not fit.
pub fn validator_weight(stake: U256, omega: U256, accuracy_wad: U256) -> Result<U256, Error> {
    mul_div_down(stake, accuracy_wad, WAD)?.times(omega)
}

/// Part of a budget in proportion to a weight: ⌊B·w/W⌋; 0 if there is no weight at all.
///
/// # Errors
/// [`Error::FullMulDivFailed`] if it does not fit, which needs a weight above the total.
pub fn proportional(budget: U256, weight: U256, total: U256) -> Result<U256, Error> {
    if total.is_zero() { Ok(U256::ZERO) } else { mul_div_down(budget, weight, total) }
}

/// A validator's reward: its part of the budget by plain rounding down, so that the order of reveals cannot matter.
///
/// Without delegated stake its weight would be ⌊w·direct/effective⌋, since ω is in proportion to stake.
///
/// - *Source*: M-6, M-8, P4.
///
/// # Errors
/// [`Error::Overflow`] if `weight` is above `total`; those of [`proportional`].
pub fn validator_reward(budget: U256, weight: U256, total: U256, stake: Stake) -> Result<Reward, Error> {
    let with_delegation = proportional(budget, weight, total)?;
    let alone = proportional(weight, stake.direct, stake.effective)?;
    let without = proportional(budget, alone, total.minus(weight)?.plus(alone)?)?;
    Ok(Reward::new(with_delegation, without, stake))
}

/// The operator's part of its pool's reward: r_without + ⌊σ·(r_with − r_without)⌋, never more than the reward.
///
/// - *Source*: M-6. A difference that rounding makes negative counts as 0.
///
/// # Errors
/// [`Error::FullMulDivFailed`] or [`Error::Overflow`] if σ is far above 1.
///
/// ```
/// use aiarena_mechanism::{fixed_point::WAD, rewards::operator_share};
/// use alloy_primitives::U256;
///
/// let n = |value: u64| U256::from(value);
/// assert_eq!(operator_share(n(110), n(100), WAD / n(4)), Ok(n(102)));
/// assert_eq!(operator_share(n(99), n(100), WAD / n(4)), Ok(n(99)));
/// ```
pub fn operator_share(
    with_delegation: U256,
    without_delegation: U256,
    commission_wad: U256,
) -> Result<U256, Error> {
    if with_delegation <= without_delegation {
        return Ok(with_delegation);
    }
    let gained = with_delegation - without_delegation;
    without_delegation.plus(mul_div_down(commission_wad, gained, WAD)?)
}

/// The treasury's part of a claim: ⌊amount·fee⌋.
///
/// - *Source*: M-14.
///
/// # Errors
/// [`Error::FullMulDivFailed`] if the fee is far above 1.
pub fn fee(amount: U256, fee_wad: U256) -> Result<U256, Error> {
    mul_div_down(amount, fee_wad, WAD)
}
