//! What an epoch of a task may pay, and where the rest goes (M-2, M-15).

use alloy_primitives::U256;

use crate::Error;
use crate::fixed_point::Checked;
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
    /// The budget of an epoch: its emission as far as the reserve holds it, and an equal part of the bounty for each
    /// epoch that remains, this one included. What came in during an epoch counts from the next one.
    ///
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
    /// assert_eq!(Budget::open(n(50), n(30), n(100), 3), Ok(Budget { emission: n(30), bounty: n(33) }));
    /// ```
    pub fn open(
        emission_per_epoch: U256,
        reserve: U256,
        bounty: U256,
        epochs_remaining: u32,
    ) -> Result<Self, Error> {
        let bounty = bounty.over(U256::from(epochs_remaining))?;
        Ok(Self { emission: emission_per_epoch.min(reserve), bounty })
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
        assert_eq!(Budget::open(n(1), n(1), n(1), 0), Err(Error::DivisionByZero));
        assert_eq!(Budget { emission: U256::MAX, bounty: n(1) }.total(), Err(Error::Overflow));
    }
}
