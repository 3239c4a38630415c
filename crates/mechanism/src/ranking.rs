//! What a rank earns (M-5), and what it would earn without delegated stake (M-6).

use alloc::vec::Vec;
use core::cmp::Reverse;

use alloy_primitives::{I256, U256};

use crate::fixed_point::{Checked, WAD, exp_wad, mul_div_down, pow_wad};
use crate::rewards::{Reward, proportional};
use crate::{Error, Score};

/// What a rank earns: the task's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankingRule {
    /// Share = F((a+t)/S) − F(a/S). Splitting a stake over identities gains nothing.
    StakeIntegral {
        /// φ: the smaller, the more of the budget goes to the best. The contract allows 0.05 … 10.
        phi_wad: U256,
    },
    /// Weight = q^(rank−1)·t^α. It pays for splitting a stake over identities.
    RankGeometric {
        /// q, in (0, 1].
        q_wad: U256,
        /// α, in [0, 1].
        alpha_wad: U256,
        /// The last rank that is paid; 0 for none.
        cutoff: u32,
    },
}

/// Stakes of a ranked node. `effective` is positive; `direct` is at most `effective`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stake {
    /// The node's own stake, in base units.
    pub direct: U256,
    /// direct + ε·delegated, in base units.
    pub effective: U256,
}

/// Sort key of a submission: the best consensus score first, then the lowest commitment number.
pub fn rank_key(consensus: Score, number: u64) -> (Reverse<Score>, u64) {
    (Reverse(consensus), number)
}

/// Rewards of all ranked nodes, best first, with and without their delegated stake.
///
/// - Rounding: differences of the rounded-down cumulative function; the rewards with delegation sum to `budget` exactly,
///   unless nobody is ranked.
/// - *Source*: M-5, M-6, M-15.
///
/// # Errors
/// [`Error::NoStake`] for a node without effective stake; [`Error::Overflow`] and [`Error::FullMulDivFailed`] for
/// amounts beyond those of any vault.
pub fn node_rewards(rule: RankingRule, budget: U256, ranked: &[Stake]) -> Result<Vec<Reward>, Error> {
    for (rank, stake) in (1_u32..).zip(ranked) {
        if stake.effective.is_zero() {
            return Err(Error::NoStake { rank });
        }
    }
    match rule {
        RankingRule::StakeIntegral { phi_wad } => integral_rewards(budget, ranked, phi_wad),
        RankingRule::RankGeometric { q_wad, alpha_wad, cutoff } => {
            geometric_rewards(budget, ranked, q_wad, alpha_wad, cutoff)
        }
    }
}

fn integral_rewards(budget: U256, ranked: &[Stake], phi_wad: U256) -> Result<Vec<Reward>, Error> {
    let total = ranked.iter().try_fold(U256::ZERO, |sum, stake| sum.plus(stake.effective))?;
    let mut above = U256::ZERO;
    let mut boundary = U256::ZERO;
    ranked
        .iter()
        .map(|stake| {
            let upper = integral_cumulative(budget, above + stake.effective, total, phi_wad)?;
            // The running maximum: rounding can never make a reward negative.
            let with_delegation = upper.saturating_sub(boundary);
            boundary = boundary.max(upper);
            let alone =
                integral_without_delegation(budget, above, stake.effective, stake.direct, total, phi_wad)?;
            above += stake.effective;
            Ok(Reward::new(with_delegation, alone, *stake))
        })
        .collect()
}

fn geometric_rewards(
    budget: U256,
    ranked: &[Stake],
    q_wad: U256,
    alpha_wad: U256,
    cutoff: u32,
) -> Result<Vec<Reward>, Error> {
    let mut decay_wad = WAD;
    let mut total = U256::ZERO;
    let mut weights = Vec::with_capacity(ranked.len());
    for (rank, stake) in (1_u32..).zip(ranked) {
        let paid = cutoff == 0 || rank <= cutoff;
        let of = |amount| if paid { geometric_weight(decay_wad, amount, alpha_wad) } else { Ok(U256::ZERO) };
        let (weight, alone) = (of(stake.effective)?, of(stake.direct)?);
        total = total.plus(weight)?;
        weights.push((weight, alone));
        decay_wad = decay(decay_wad, q_wad)?;
    }

    let mut walked = U256::ZERO;
    weights
        .iter()
        .zip(ranked)
        .map(|(&(weight, alone), stake)| {
            let lower = proportional(budget, walked, total)?;
            walked += weight;
            let with_delegation = proportional(budget, walked, total)?.minus(lower)?;
            let without = proportional(budget, alone, (total - weight).plus(alone)?)?;
            Ok(Reward::new(with_delegation, without, *stake))
        })
        .collect()
}

/// F(x) = (1 − exp(−x/φ)) / (1 − exp(−1/φ)) in WAD, for x in WAD; F is 0 at 0 and 1 from 1 on.
///
/// - Rounding: every division down; exp as in [`exp_wad`].
/// - *Source*: M-5, stake-integral.
///
/// # Errors
/// [`Error::DivisionByZero`] if φ is zero, or so large that 1 − exp(−1/φ) is zero.
///
/// ```
/// use aiarena_mechanism::ranking::integral_wad;
/// use alloy_primitives::U256;
///
/// // The best fifth of the stake earns 64 % of the budget.
/// let fifth = U256::from(200_000_000_000_000_000_u64);
/// assert_eq!(integral_wad(fifth, fifth), Ok(U256::from(636_408_646_558_830_796_u64)));
/// ```
pub fn integral_wad(x: U256, phi_wad: U256) -> Result<U256, Error> {
    if x.is_zero() {
        return Ok(U256::ZERO);
    }
    if x >= WAD {
        return Ok(WAD);
    }
    let share = (complement(x, phi_wad)? * WAD).over(complement(WAD, phi_wad)?)?;
    Ok(share.min(WAD))
}

/// 1 − exp(−x/φ) in WAD, for x at most WAD.
fn complement(x: U256, phi_wad: U256) -> Result<U256, Error> {
    let exponent = (x * WAD).over(phi_wad)?;
    Ok(WAD - exp_wad(-I256::from_raw(exponent))?.into_raw())
}

/// ⌊B·F(stake_up_to/total)⌋: what all nodes within the best `stake_up_to` of the ranked stake earn together.
///
/// It never falls in `stake_up_to`, and is exactly `budget` at `total`.
///
/// # Errors
/// [`Error::FullMulDivFailed`] if `total` is zero; those of [`integral_wad`].
pub fn integral_cumulative(
    budget: U256,
    stake_up_to: U256,
    total: U256,
    phi_wad: U256,
) -> Result<U256, Error> {
    let share = integral_wad(mul_div_down(stake_up_to, WAD, total)?, phi_wad)?;
    mul_div_down(budget, share, WAD)
}

/// What a node would earn without its delegated stake, everything of the others unchanged (M-6): `above` is the
/// effective stake ranked above it, `stake` its own effective, `direct` its direct, `total` all ranked effective stake.
///
/// - Rounding: difference of two values rounded down, at least 0; 0 without direct stake.
///
/// # Errors
/// [`Error::Overflow`] if `stake` is above `total`; those of [`integral_cumulative`].
pub fn integral_without_delegation(
    budget: U256,
    above: U256,
    stake: U256,
    direct: U256,
    total: U256,
    phi_wad: U256,
) -> Result<U256, Error> {
    if direct.is_zero() {
        return Ok(U256::ZERO);
    }
    let reduced = total.minus(stake)?.plus(direct)?;
    let upper = integral_cumulative(budget, above.plus(direct)?, reduced, phi_wad)?;
    Ok(upper.saturating_sub(integral_cumulative(budget, above, reduced, phi_wad)?))
}

/// The decay of the next rank: `decay_wad`·q. Rank 1 has a decay of WAD. Rounds down.
///
/// # Errors
/// [`Error::Overflow`] if the product does not fit.
pub fn decay(decay_wad: U256, q_wad: U256) -> Result<U256, Error> {
    decay_wad.times(q_wad)?.over(WAD)
}

/// t^α on the scale on which t^1 = t: WAD for α = 0, at least 1 for any stake, 0 for none.
///
/// # Errors
/// Those of [`pow_wad`].
pub fn stake_power(stake: U256, alpha_wad: U256) -> Result<U256, Error> {
    if stake.is_zero() {
        return Ok(U256::ZERO);
    }
    if alpha_wad == WAD {
        return Ok(stake);
    }
    if alpha_wad.is_zero() {
        return Ok(WAD);
    }
    let power = pow_wad(I256::from_raw(stake), I256::from_raw(alpha_wad))?;
    Ok(power.into_raw().max(U256::ONE))
}

/// q^(rank−1)·t^α, without a division.
///
/// # Errors
/// [`Error::Overflow`] if the product does not fit; those of [`stake_power`].
pub fn geometric_weight(decay_wad: U256, stake: U256, alpha_wad: U256) -> Result<U256, Error> {
    decay_wad.times(stake_power(stake, alpha_wad)?)
}

/// Spread (M-8): the consensus score at a quarter of the ranked stake minus the one at three quarters; 0 if nobody is
/// ranked. `ranked` holds `(consensus, effective stake)`, best first.
///
/// # Errors
/// [`Error::Overflow`] if three times the ranked stake does not fit.
pub fn spread(ranked: &[(Score, U256)]) -> Result<u32, Error> {
    let total = ranked.iter().try_fold(U256::ZERO, |sum, &(_, stake)| sum.plus(stake))?;
    total.times(U256::from(4))?;
    let score_at = |quarters: u64| {
        let mut walked = U256::ZERO;
        ranked.iter().find_map(|&(score, stake)| {
            walked += stake;
            (walked * U256::from(4) >= total * U256::from(quarters)).then_some(score.get())
        })
    };
    Ok(score_at(1).unwrap_or(0) - score_at(3).unwrap_or(0))
}
