//! What a new embedded chain starts from.

use std::collections::BTreeMap;

use alloy::primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};

use super::Error;

/// The latest timestamp a block may carry: the last second of the year 9999.
///
/// Far below `u64::MAX`, so that neither the chain nor a contract that adds a few epochs to `block.timestamp` can
/// overflow after a client asked for an absurd point in time.
pub const MAX_TIMESTAMP: u64 = 253_402_300_799;

/// The largest difference between two consecutive blocks' default timestamps, one year.
const MAX_BLOCK_INTERVAL_SECS: u64 = 31_536_000;

/// The smallest block gas limit that still fits one plain transfer.
const MIN_GAS_LIMIT: u64 = 21_000;

/// The largest block gas limit. One call may burn all of it, so it bounds how long a single request takes.
const MAX_GAS_LIMIT: u64 = 10_000_000_000;

/// Parameters of an embedded chain, fixed at its start and saved with it.
///
/// The defaults are constants, never the wall clock or a random number: the same transactions sent to two chains with
/// the same configuration give the same block hashes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// EIP-155 chain id; 31337, the usual id of development chains, by default.
    pub chain_id: u64,
    /// Timestamp of block 0, seconds since the Unix epoch; 2026-01-01T00:00:00Z by default.
    pub genesis_timestamp: u64,
    /// Seconds between a block and the next when no command sets the time; at least 1.
    pub block_interval_secs: u64,
    /// Gas limit of every block; 400 million by default, as on Base.
    pub gas_limit: u64,
    /// Largest gas limit of one transaction; `None` by default, which leaves only the block's limit.
    ///
    /// 16 777 216 is the limit of Base and of every chain with EIP-7825.
    pub tx_gas_limit_cap: Option<u64>,
    /// Base fee of every block, wei per gas, constant; 0.005 gwei by default, the least on Base.
    pub base_fee: u64,
    /// Tip that `eth_maxPriorityFeePerGas` suggests, wei per gas.
    pub priority_fee: u64,
    /// Block n carries `keccak256(seed ++ n as 8 bytes big endian)` as its `prevrandao`.
    pub seed: B256,
    /// Balances at block 0, wei.
    pub balances: BTreeMap<Address, U256>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chain_id: 31_337,
            genesis_timestamp: 1_767_225_600,
            block_interval_secs: 1,
            gas_limit: 400_000_000,
            tx_gas_limit_cap: None,
            base_fee: 5_000_000,
            priority_fee: 1_000_000,
            seed: B256::ZERO,
            balances: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Gives `address` a balance at block 0, in wei.
    #[must_use]
    pub fn with_balance(mut self, address: Address, balance: U256) -> Self {
        self.balances.insert(address, balance);
        self
    }

    /// Checks every field against its bounds.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let within = |field, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) { Ok(()) } else { Err(Error::Config { field, value, min, max }) }
        };
        // Wallets compute `2 * chain id + 36` in 64 bits for the signature of a legacy transaction.
        within("chainId", self.chain_id, 1, u64::MAX / 2 - 36)?;
        within("genesisTimestamp", self.genesis_timestamp, 0, MAX_TIMESTAMP)?;
        within("blockIntervalSecs", self.block_interval_secs, 1, MAX_BLOCK_INTERVAL_SECS)?;
        within("gasLimit", self.gas_limit, MIN_GAS_LIMIT, MAX_GAS_LIMIT)?;
        within("txGasLimitCap", self.tx_gas_limit_cap.unwrap_or(MIN_GAS_LIMIT), MIN_GAS_LIMIT, u64::MAX)?;
        within("baseFee", self.base_fee, 0, u64::MAX / 4)?;
        within("priorityFee", self.priority_fee, 0, u64::MAX / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert!(Config::default().validate().is_ok());
        let bad: [fn(&mut Config); 6] = [
            |config| config.chain_id = 0,
            |config| config.chain_id = u64::MAX,
            |config| config.genesis_timestamp = u64::MAX,
            |config| config.block_interval_secs = 0,
            |config| config.gas_limit = u64::MAX,
            |config| config.base_fee = u64::MAX,
        ];
        for change in bad {
            let mut config = Config::default();
            change(&mut config);
            assert!(matches!(config.validate(), Err(Error::Config { .. })), "{config:?}");
        }
    }
}
