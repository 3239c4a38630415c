//! Commands of development chains, with Anvil's names, parameters and answers.

use alloy::primitives::{Address, B256, Bytes, U256};
use revm::bytecode::Bytecode;
use serde_json::Value;

use super::{Maybe, Params, found, params, quantity};
use crate::embedded::{chain::Chain, error::RpcError};

/// How many blocks one command may mine.
const MAX_BLOCKS: u64 = 65_536;

impl Chain {
    /// Time, mining, snapshots and direct changes of the state.
    pub(super) fn command(&mut self, method: &str, params: &mut Params) -> Maybe {
        match method {
            "evm_mine" => {
                let (blocks, timestamp) = mine_options(params.raw(0))?;
                self.mine_many(blocks, timestamp, None)?;
                found("0x0")
            }
            "anvil_mine" | "hardhat_mine" => {
                let blocks = params.optional_quantity(0, "blocks")?.unwrap_or(1);
                let interval = params.optional_quantity(1, "interval")?;
                self.mine_many(blocks, None, interval)?;
                found(())
            }
            "evm_setAutomine" | "anvil_setAutomine" => {
                self.automine = params.required(0, "automine")?;
                found(())
            }
            "anvil_getAutomine" | "hardhat_getAutomine" => found(self.automine),
            "evm_setNextBlockTimestamp" | "anvil_setNextBlockTimestamp" => {
                let timestamp = params.quantity(0, "timestamp")?;
                self.clock.set_next(self.head().header.timestamp, timestamp)?;
                found(())
            }
            "evm_increaseTime" | "anvil_increaseTime" => {
                let secs = params.quantity(0, "seconds")?;
                found(self.clock.increase(self.head().header.timestamp, secs)?)
            }
            "anvil_setBlockTimestampInterval" => {
                self.clock.set_interval(params.quantity(0, "seconds")?)?;
                found(())
            }
            "evm_snapshot" | "anvil_snapshot" => found(quantity(self.snapshot())),
            "evm_revert" | "anvil_revert" => found(self.revert(params.quantity(0, "snapshot id")?)),
            "anvil_setBalance" | "hardhat_setBalance" => {
                let (address, balance): (Address, U256) =
                    (params.required(0, "address")?, params.required(1, "balance")?);
                self.state.update(address, |account| account.balance = balance);
                found(())
            }
            "anvil_setNonce" | "hardhat_setNonce" => {
                let (address, nonce): (Address, _) =
                    (params.required(0, "address")?, params.quantity(1, "nonce")?);
                let present = self.state.nonce(address);
                if nonce < present {
                    return Err(RpcError::invalid_params(format!(
                        "nonce {nonce} is below the present {present}"
                    )));
                }
                self.state.update(address, |account| account.nonce = nonce);
                found(())
            }
            "anvil_setCode" | "hardhat_setCode" => {
                let (address, code): (Address, Bytes) =
                    (params.required(0, "address")?, params.required(1, "code")?);
                let code = Bytecode::new_raw_checked(code)
                    .map_err(|error| RpcError::invalid_params(format!("invalid code: {error}")))?;
                self.state.update(address, |account| account.code = code);
                found(())
            }
            "anvil_setStorageAt" | "hardhat_setStorageAt" => {
                let (address, slot): (Address, U256) =
                    (params.required(0, "address")?, params.required(1, "slot")?);
                let value: B256 = params.required(2, "value")?;
                self.state.update(address, |account| account.set_slot(slot, value.into()));
                found(true)
            }
            _ => Ok(None),
        }
    }

    /// Mines `blocks`, the first at `timestamp` and the others `interval` seconds apart, where these are given.
    fn mine_many(
        &mut self,
        blocks: u64,
        timestamp: Option<u64>,
        interval: Option<u64>,
    ) -> Result<(), RpcError> {
        if blocks > MAX_BLOCKS {
            return Err(RpcError::invalid_params(format!("{blocks} blocks, expected at most {MAX_BLOCKS}")));
        }
        if let Some(timestamp) = timestamp {
            self.clock.set_next(self.head().header.timestamp, timestamp)?;
        }
        for index in 0..blocks {
            if let (1.., Some(secs @ 1..)) = (index, interval) {
                let parent = self.head().header.timestamp;
                self.clock.set_next(parent, parent.saturating_add(secs))?;
            }
            self.mine()?;
        }
        Ok(())
    }
}

/// Number of blocks and timestamp from what `evm_mine` takes: nothing, a timestamp, or an object with both.
fn mine_options(value: Option<Value>) -> Result<(u64, Option<u64>), RpcError> {
    let read = |value: Option<&Value>, name| match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => params::quantity(value)
            .map(Some)
            .ok_or_else(|| RpcError::invalid_params(format!("invalid {name}: expected a 64-bit quantity"))),
    };
    match value {
        Some(Value::Object(options)) => Ok((
            read(options.get("blocks"), "blocks")?.unwrap_or(1),
            read(options.get("timestamp"), "timestamp")?,
        )),
        other => Ok((1, read(other.as_ref(), "timestamp")?)),
    }
}
