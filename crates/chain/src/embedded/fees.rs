//! What transactions paid: the answer to `eth_feeHistory`.

use alloy::{consensus::Transaction as _, eips::BlockNumberOrTag, rpc::types::FeeHistory};

use super::{block::Block, chain::Chain, error::RpcError};

/// How many blocks one answer covers at most, as in other nodes.
const MAX_BLOCKS: u64 = 1_024;

/// How many percentiles one request may ask for.
const MAX_PERCENTILES: usize = 100;

impl Chain {
    /// Base fees, fullness and, where `percentiles` are given, tips of up to `count` blocks that end with `newest`.
    pub(super) fn fee_history(
        &self,
        count: u64,
        newest: BlockNumberOrTag,
        percentiles: Option<&[f64]>,
    ) -> Result<FeeHistory, RpcError> {
        if let Some(percentiles) = percentiles {
            let bounded = percentiles.iter().all(|percentile| (0.0..=100.0).contains(percentile));
            if percentiles.len() > MAX_PERCENTILES || !bounded || !percentiles.is_sorted() {
                return Err(RpcError::invalid_params(
                    "reward percentiles must be at most 100 ascending numbers from 0 to 100",
                ));
            }
        }
        let newest = match newest {
            BlockNumberOrTag::Pending => self.head_number(),
            tag => self.number_of(tag).ok_or_else(|| RpcError::rejected("request beyond head block"))?,
        };
        let count = count.min(MAX_BLOCKS).min(newest + 1);
        if count == 0 {
            return Ok(FeeHistory::default());
        }
        let oldest = newest + 1 - count;
        let blocks: Vec<_> = (oldest..=newest).filter_map(|number| self.block_by_number(number)).collect();
        let mut base_fee_per_gas: Vec<_> = blocks.iter().map(|block| base_fee(block)).collect();
        // The list ends with the fee of the block after the newest.
        let next =
            self.block_by_number(newest + 1).map_or_else(|| u128::from(self.config.base_fee), base_fee);
        base_fee_per_gas.push(next);
        Ok(FeeHistory {
            oldest_block: oldest,
            base_fee_per_blob_gas: vec![1; base_fee_per_gas.len()],
            base_fee_per_gas,
            gas_used_ratio: blocks.iter().map(|block| fullness(block)).collect(),
            blob_gas_used_ratio: vec![0.0; blocks.len()],
            reward: percentiles.map(|wanted| blocks.iter().map(|block| tips(block, wanted)).collect()),
        })
    }
}

fn base_fee(block: &Block) -> u128 {
    block.header.base_fee_per_gas.unwrap_or_default().into()
}

fn fullness(block: &Block) -> f64 {
    if block.header.gas_limit == 0 {
        0.0
    } else {
        block.header.gas_used as f64 / block.header.gas_limit as f64
    }
}

/// The tip paid at each percentile of the block's gas, cheapest gas first; zeros for an empty block.
fn tips(block: &Block, percentiles: &[f64]) -> Vec<u128> {
    let mut paid: Vec<_> = block
        .transactions
        .iter()
        .map(|mined| {
            let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
            (mined.envelope.effective_tip_per_gas(base_fee).unwrap_or_default(), mined.gas_used)
        })
        .collect();
    paid.sort_unstable();
    let total = paid.iter().fold(0_u64, |sum, (_, gas)| sum.saturating_add(*gas)) as f64;
    percentiles
        .iter()
        .map(|percentile| {
            let threshold = total * percentile / 100.0;
            let mut sum = 0_u64;
            let reached = paid.iter().find(|(_, gas)| {
                sum = sum.saturating_add(*gas);
                sum as f64 >= threshold
            });
            reached.or(paid.last()).map_or(0, |(tip, _)| *tip)
        })
        .collect()
}
