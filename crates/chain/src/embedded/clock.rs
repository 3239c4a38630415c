//! The chain's clock: timestamps come from commands and from the previous block, never from the machine.

use serde::{Deserialize, Serialize};

use super::{config::MAX_TIMESTAMP, error::RpcError};

/// Decides the timestamp of the next block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Clock {
    /// Seconds from a block to the next when nothing else was asked for.
    interval_secs: u64,
    /// Set by `evm_setNextBlockTimestamp`, used up by the next block.
    next_exact: Option<u64>,
    /// Set by `evm_increaseTime`, used up by the next block.
    skip_secs: u64,
    /// All seconds ever skipped, which `evm_increaseTime` answers.
    skipped_secs: u64,
}

impl Clock {
    pub(super) fn new(interval_secs: u64) -> Self {
        Self { interval_secs, next_exact: None, skip_secs: 0, skipped_secs: 0 }
    }

    /// The timestamp of the block after one at `parent`.
    pub(super) fn next(&self, parent: u64) -> Result<u64, RpcError> {
        let step = self.interval_secs.max(self.skip_secs);
        let next = self.next_exact.unwrap_or_else(|| parent.saturating_add(step));
        if next > MAX_TIMESTAMP {
            return Err(RpcError::rejected(format!(
                "timestamp {next} is beyond the last one, {MAX_TIMESTAMP}"
            )));
        }
        Ok(next)
    }

    /// Forgets what was asked for the block that has just been mined.
    pub(super) fn advance(&mut self) {
        self.next_exact = None;
        self.skip_secs = 0;
    }

    /// The next block is at exactly `timestamp`, which must be later than `parent`.
    pub(super) fn set_next(&mut self, parent: u64, timestamp: u64) -> Result<(), RpcError> {
        if timestamp <= parent {
            return Err(RpcError::invalid_params(format!(
                "timestamp {timestamp} is not later than the previous block's timestamp {parent}"
            )));
        }
        if timestamp > MAX_TIMESTAMP {
            return Err(RpcError::invalid_params(format!(
                "timestamp {timestamp} is beyond the last one, {MAX_TIMESTAMP}"
            )));
        }
        self.next_exact = Some(timestamp);
        Ok(())
    }

    /// The next block is `secs` later than it would have been; answers all seconds skipped so far.
    pub(super) fn increase(&mut self, parent: u64, secs: u64) -> Result<u64, RpcError> {
        let skip = self.skip_secs.saturating_add(secs);
        let next = self.next_exact.map(|exact| exact.saturating_add(secs));
        if parent.saturating_add(skip) > MAX_TIMESTAMP || next.is_some_and(|next| next > MAX_TIMESTAMP) {
            return Err(RpcError::invalid_params(format!(
                "{secs} seconds more would be beyond the last timestamp, {MAX_TIMESTAMP}"
            )));
        }
        self.skip_secs = skip;
        self.next_exact = next;
        self.skipped_secs = self.skipped_secs.saturating_add(secs);
        Ok(self.skipped_secs)
    }

    /// Seconds from a block to the next from now on.
    pub(super) fn set_interval(&mut self, secs: u64) -> Result<(), RpcError> {
        if !(1..=31_536_000).contains(&secs) {
            return Err(RpcError::invalid_params(format!(
                "interval is {secs} seconds, expected 1 to 31536000"
            )));
        }
        self.interval_secs = secs;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_time_is_used_once() {
        let mut clock = Clock::new(1);
        assert_eq!(clock.next(100), Ok(101));
        clock.set_next(100, 500).unwrap();
        assert_eq!(clock.next(100), Ok(500));
        clock.advance();
        assert_eq!(clock.next(500), Ok(501));
        assert!(clock.set_next(500, 500).is_err());
        assert!(clock.set_next(500, MAX_TIMESTAMP + 1).is_err());
    }

    #[test]
    fn skipped_seconds_add_up() {
        let mut clock = Clock::new(1);
        assert_eq!(clock.increase(100, 30), Ok(30));
        assert_eq!(clock.increase(100, 30), Ok(60));
        assert_eq!(clock.next(100), Ok(160));
        clock.advance();
        assert_eq!(clock.next(160), Ok(161));
        assert!(clock.increase(160, u64::MAX).is_err());
        assert_eq!(clock.next(160), Ok(161));
        clock.set_next(160, 200).unwrap();
        clock.increase(160, 10).unwrap();
        assert_eq!(clock.next(160), Ok(210));
    }

    #[test]
    fn the_last_timestamp_is_the_end() {
        assert!(Clock::new(1).next(MAX_TIMESTAMP).is_err());
        assert!(Clock::new(1).next(u64::MAX).is_err());
        assert_eq!(Clock::new(1).next(MAX_TIMESTAMP - 1), Ok(MAX_TIMESTAMP));
    }
}
