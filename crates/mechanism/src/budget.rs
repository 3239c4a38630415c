//! What an epoch of a task may pay, and where the rest goes (M-2, M-15).

use alloy_primitives::U256;

use crate::Error;
use crate::fixed_point::{Checked, WAD, mul_div_down, rpow_wad};
use crate::rewards::proportional;

/// Budget of one epoch, by the source it came from and to which its rest returns. Base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// From the task's reserve.
    pub emission: U256,
    /// From the task's bounty.
    pub bounty: U256,
}

impl Budget {
    /// The budget of an epoch: its emission, and an equal part of the bounty for each epoch that remains, this one
    /// included. What came in during an epoch counts from the next one.
    ///
    /// - `emission`: as [`task_emission`] gives it.
    /// - Rounding: down. *Source*: M-2.
    ///
    /// # Errors
    /// [`Error::DivisionByZero`] if no epoch remains.
    ///
    /// ```
    /// use aiarena_mechanism::budget::Budget;
    /// use alloy_primitives::U256;
    ///
    /// let n = |value: u64| U256::from(value);
    /// assert_eq!(Budget::open(n(30), n(100), 3), Ok(Budget { emission: n(30), bounty: n(33) }));
    /// ```
    pub fn open(emission: U256, bounty: U256, epochs_remaining: u32) -> Result<Self, Error> {
        let bounty = bounty.over(U256::from(epochs_remaining))?;
        Ok(Self { emission, bounty })
    }

    /// Emission and bounty together.
    ///
    /// # Errors
    /// [`Error::Overflow`] if they do not fit.
    pub fn total(&self) -> Result<U256, Error> {
        self.emission.plus(self.bounty)
    }

    /// What was not paid, as it goes back to the reserve (`emission`) and to the bounty: in proportion to what each gave.
    /// Unpaid sides and rounding dust are treated alike.
    ///
    /// - Rounding: the reserve's part down, the bounty gets the rest, never more than it gave.
    /// - *Source*: M-3, M-15.
    ///
    /// # Errors
    /// [`Error::Overflow`] if more was paid than the budget.
    pub fn unpaid(&self, paid: U256) -> Result<Self, Error> {
        let total = self.total()?;
        let rest = total.minus(paid)?;
        let emission = proportional(rest, self.emission, total)?;
        Ok(Self { emission, bounty: rest - emission })
    }
}

/// What all tasks together may emit in `epoch`: `initial`, times `decay_wad` after each `period` epochs. Nothing in epoch 0.
///
/// - Rounding: down; the power as [`rpow_wad`] rounds. *Source*: M-2.
///
/// # Errors
/// [`Error::DivisionByZero`] if `period` is zero; [`Error::RpowOverflow`] and [`Error::FullMulDivFailed`] only for a decay
/// above 1.
///
/// ```
/// use aiarena_mechanism::{budget::emission, fixed_point::WAD};
/// use alloy_primitives::U256;
///
/// // Halved every ten epochs: the 31st is the first of the fourth period.
/// let n = |value: u64| U256::from(value);
/// assert_eq!(emission(n(1000), WAD / n(2), 10, 31), Ok(n(125)));
/// ```
pub fn emission(initial: U256, decay_wad: U256, period: u32, epoch: u32) -> Result<U256, Error> {
    let Some(before) = epoch.checked_sub(1) else { return Ok(U256::ZERO) };
    let decays = before.checked_div(period).ok_or(Error::DivisionByZero)?;
    mul_div_down(initial, rpow_wad(decay_wad, decays)?, WAD)
}

/// A task's part of an epoch's emission, in proportion to its stake, as far as the vault holds it.
///
/// - `rate`: what all tasks may emit, as [`emission`] gives it; `held`: what is there to be emitted.
/// - Units: effective stakes at the epoch's start, of this task and of all admitted ones.
/// - Rounding: down; 0 if nobody has stake. *Source*: M-2.
///
/// # Errors
/// Those of [`proportional`].
///
/// ```
/// use aiarena_mechanism::budget::task_emission;
/// use alloy_primitives::U256;
///
/// let n = |value: u64| U256::from(value);
/// assert_eq!(task_emission(n(100), n(1000), n(1), n(3)), Ok(n(33)));
/// assert_eq!(task_emission(n(100), n(50), n(1), n(2)), Ok(n(25)));
/// ```
pub fn task_emission(rate: U256, held: U256, task_stake: U256, total_stake: U256) -> Result<U256, Error> {
    proportional(rate.min(held), task_stake, total_stake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_returns_in_proportion() {
        let n = |value: u64| U256::from(value);
        for (emission, bounty, paid, to_reserve, to_bounty) in [
            (0, 0, 0, 0, 0),
            (10, 0, 0, 10, 0),
            (0, 10, 3, 0, 7),
            (10, 10, 1, 9, 10),
            (1, 2, 2, 0, 1),
            (7, 3, 10, 0, 0),
        ] {
            let budget = Budget { emission: n(emission), bounty: n(bounty) };
            let rest = Budget { emission: n(to_reserve), bounty: n(to_bounty) };
            assert_eq!(budget.unpaid(n(paid)), Ok(rest), "{budget:?} {paid}");
        }
        assert_eq!(Budget::default().unpaid(n(1)), Err(Error::Overflow));
        assert_eq!(Budget::open(n(1), n(1), 0), Err(Error::DivisionByZero));
        assert_eq!(Budget { emission: U256::MAX, bounty: n(1) }.total(), Err(Error::Overflow));
    }

    #[test]
    fn emission_decays_by_periods() {
        let half = WAD / U256::from(2);
        for (initial, decay, period, epoch, expected) in [
            (1000, half, 10, 0, Ok(0)),
            (1000, half, 10, 1, Ok(1000)),
            (1000, half, 10, 10, Ok(1000)),
            (1000, half, 10, 11, Ok(500)),
            (1000, half, 10, u32::MAX, Ok(0)),
            (1000, WAD, 1, u32::MAX, Ok(1000)),
            (1000, U256::ONE, 1, 2, Ok(0)),
            (0, WAD, 1, 1, Ok(0)),
            (1000, half, 0, 0, Ok(0)),
            (1000, half, 0, 1, Err(Error::DivisionByZero)),
            (1000, U256::MAX, 1, 3, Err(Error::RpowOverflow)),
        ] {
            let emitted = emission(U256::from(initial), decay, period, epoch);
            assert_eq!(emitted, expected.map(U256::from), "{initial} {decay} {period} {epoch}");
        }
    }

    #[test]
    fn tasks_never_emit_more_than_there_is() {
        let n = |value: u64| U256::from(value);
        for (rate, held, stake, total, expected) in [
            (0, 9, 1, 1, 0),
            (9, 0, 1, 1, 0),
            (9, 9, 0, 0, 0),
            (9, 9, 0, 5, 0),
            (9, 7, 5, 5, 7),
            (10, 99, 2, 3, 6),
        ] {
            assert_eq!(task_emission(n(rate), n(held), n(stake), n(total)), Ok(n(expected)));
        }
    }
}
