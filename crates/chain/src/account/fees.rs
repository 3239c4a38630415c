//! What a transaction offers for its place in a block.

use std::time::Duration;

use alloy::providers::{Provider, utils::Eip1559Estimation};

use crate::client::ClientError;

/// What is paid at most, and how patiently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeePolicy {
    /// Most that is ever offered per gas, in wei. An eighth of what is offered for a transaction is kept below it, for the one
    /// that takes its place if it is given up.
    pub cap: u128,
    /// After how long a transaction that is not mined is offered more.
    pub raise_after: Duration,
    /// For how long an endpoint that fails is asked again while a transaction waits to be mined.
    pub patience: Duration,
}

impl Default for FeePolicy {
    /// At most 100 gwei; more after 15 seconds; two minutes of patience.
    fn default() -> Self {
        Self {
            cap: 100_000_000_000,
            raise_after: Duration::from_secs(15),
            patience: Duration::from_secs(120),
        }
    }
}

/// Fees of one attempt, in wei per gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fees {
    pub(super) max_fee: u128,
    pub(super) priority_fee: u128,
}

impl FeePolicy {
    /// What the market asks, within the cap.
    pub(super) async fn market(&self, provider: &impl Provider, action: &str) -> Result<Fees, ClientError> {
        let estimate = provider.estimate_eip1559_fees().await;
        let Eip1559Estimation { max_fee_per_gas, max_priority_fee_per_gas } =
            estimate.map_err(|source| ClientError::from_rpc(action, source))?;
        Ok(self.capped(max_fee_per_gas, max_priority_fee_per_gas))
    }

    fn capped(&self, max_fee: u128, priority_fee: u128) -> Fees {
        within(self.ordinary_cap(), max_fee, priority_fee)
    }

    /// The most that is offered for a transaction which is not given up: an eighth more is still within the cap.
    #[must_use]
    pub fn ordinary_cap(&self) -> u128 {
        self.cap.saturating_sub(1) / 9 * 8
    }

    /// What replaces an attempt: nodes take a replacement for an eighth more, or what the market asks if that is more
    /// still. `None` if that is above the cap.
    ///
    /// - `last`: whether nothing has to replace it any more.
    pub(super) fn raised(&self, from: Fees, market: Fees, last: bool) -> Option<Fees> {
        let eighth_more = |fee: u128| fee.saturating_add(fee / 8).saturating_add(1);
        let least = Fees { max_fee: eighth_more(from.max_fee), priority_fee: eighth_more(from.priority_fee) };
        let cap = if last { self.cap } else { self.ordinary_cap() };
        if least.max_fee > cap {
            return None;
        }
        let max_fee = least.max_fee.max(market.max_fee);
        Some(within(cap, max_fee, least.priority_fee.max(market.priority_fee)))
    }
}

fn within(cap: u128, max_fee: u128, priority_fee: u128) -> Fees {
    let max_fee = max_fee.min(cap);
    Fees { max_fee, priority_fee: priority_fee.min(max_fee) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_offers_an_eighth_more_and_never_more_than_the_cap() {
        let policy = FeePolicy { cap: 1_000, ..FeePolicy::default() };
        let fees = |max_fee, priority_fee| Fees { max_fee, priority_fee };
        let rows = [
            (fees(80, 8), fees(80, 8), false, Some(fees(91, 10))),
            (fees(80, 8), fees(500, 2), false, Some(fees(500, 10))),
            (fees(80, 8), fees(5_000, 5_000), false, Some(fees(888, 888))),
            (fees(80, 8), fees(5_000, 5_000), true, Some(fees(1_000, 1_000))),
            (fees(0, 0), fees(0, 0), false, Some(fees(1, 1))),
            (fees(789, 1), fees(1, 1), false, Some(fees(888, 2))),
            (fees(790, 1), fees(1, 1), false, None),
            (fees(888, 1), fees(9_000, 1), false, None),
            (fees(888, 1), fees(1, 1), true, Some(fees(1_000, 2))),
            (fees(889, 1), fees(1, 1), true, None),
        ];
        for (from, market, last, expected) in rows {
            assert_eq!(policy.raised(from, market, last), expected, "{from:?} {market:?} {last}");
        }
        assert_eq!(policy.capped(2_000, 3_000), fees(888, 888));
    }

    #[test]
    fn what_is_given_up_can_be_replaced_at_every_cap() {
        for cap in 1..5_000_u128 {
            let policy = FeePolicy { cap, ..FeePolicy::default() };
            let most = policy.capped(u128::MAX, u128::MAX);
            assert!(policy.raised(most, most, true).is_some_and(|fees| fees.max_fee <= cap), "{cap}");
        }
    }
}
