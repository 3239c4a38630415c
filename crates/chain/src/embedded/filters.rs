//! Log queries and the filters that clients poll.

use std::collections::BTreeMap;

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{B256, TxHash},
    rpc::types::{Filter, FilterBlockOption, Log},
};

use super::{chain::Chain, error::RpcError};

/// How many filters are kept; the oldest goes first, since clients are free never to uninstall theirs.
const MAX_FILTERS: usize = 1_024;

/// How many unread transaction hashes one filter keeps.
const MAX_UNREAD: usize = 10_000;

/// What a filter reports.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Logs(Box<Filter>),
    Blocks,
    /// Hashes of accepted transactions that have not been polled yet.
    Transactions(Vec<TxHash>),
}

/// A filter and the first block that its owner has not seen.
#[derive(Debug)]
struct Installed {
    kind: Kind,
    next_block: u64,
}

/// Installed filters by id.
#[derive(Debug, Default)]
pub(super) struct Filters {
    installed: BTreeMap<u64, Installed>,
    last_id: u64,
}

/// What a poll answers.
#[derive(Debug)]
pub(super) enum Changes {
    Logs(Vec<Log>),
    Hashes(Vec<B256>),
}

impl Filters {
    /// Tells the filters of transactions about a new one.
    pub(super) fn announce(&mut self, hash: TxHash) {
        for filter in self.installed.values_mut() {
            if let Kind::Transactions(unread) = &mut filter.kind
                && unread.len() < MAX_UNREAD
            {
                unread.push(hash);
            }
        }
    }

    /// After a revert, blocks that are mined again from `next_block` on are news.
    pub(super) fn rewind(&mut self, next_block: u64) {
        for filter in self.installed.values_mut() {
            filter.next_block = filter.next_block.min(next_block);
        }
    }

    pub(super) fn uninstall(&mut self, id: u64) -> bool {
        self.installed.remove(&id).is_some()
    }
}

impl Chain {
    /// Installs a filter for what happens from now on; answers its id.
    pub(super) fn install_filter(&mut self, kind: Kind) -> Result<u64, RpcError> {
        if let Kind::Logs(filter) = &kind {
            self.check_range(filter)?;
        }
        self.filters.last_id += 1;
        let id = self.filters.last_id;
        self.filters.installed.insert(id, Installed { kind, next_block: self.head_number() + 1 });
        if self.filters.installed.len() > MAX_FILTERS {
            self.filters.installed.pop_first();
        }
        Ok(id)
    }

    /// What is new to the owner of a filter since the last poll.
    pub(super) fn filter_changes(&mut self, id: u64) -> Result<Changes, RpcError> {
        let head = self.head_number();
        let filter =
            self.filters.installed.get_mut(&id).ok_or_else(|| RpcError::rejected("filter not found"))?;
        let first = std::mem::replace(&mut filter.next_block, head + 1);
        let kind = match &mut filter.kind {
            Kind::Transactions(unread) => return Ok(Changes::Hashes(std::mem::take(unread))),
            other => other.clone(),
        };
        match kind {
            Kind::Logs(filter) => {
                // Tags mean the time of installation here, which `first` already stands for.
                let (from, to) = filter.extract_block_range();
                let (from, to) = (first.max(from.unwrap_or(0)), head.min(to.unwrap_or(head)));
                Ok(Changes::Logs(self.scan(&filter, from, to)))
            }
            _ => Ok(Changes::Hashes(
                (first..=head).filter_map(|n| Some(self.block_by_number(n)?.hash)).collect(),
            )),
        }
    }

    /// All logs that a log filter matches, whether or not they were polled before.
    pub(super) fn filter_logs(&self, id: u64) -> Result<Vec<Log>, RpcError> {
        match self.filters.installed.get(&id).map(|filter| &filter.kind) {
            Some(Kind::Logs(filter)) => self.logs(filter),
            _ => Err(RpcError::rejected("filter not found")),
        }
    }

    /// The answer to `eth_getLogs`.
    pub(super) fn logs(&self, filter: &Filter) -> Result<Vec<Log>, RpcError> {
        self.check_range(filter)?;
        match self.range(filter)? {
            Some((from, to)) => Ok(self.scan(filter, from, to)),
            None => Ok(Vec::new()),
        }
    }

    fn check_range(&self, filter: &Filter) -> Result<(), RpcError> {
        filter
            .block_option
            .ensure_valid_block_range()
            .map_err(|error| RpcError::invalid_params(error.to_string()))
    }

    /// First and last block that a filter covers; `None` if it covers none so far.
    fn range(&self, filter: &Filter) -> Result<Option<(u64, u64)>, RpcError> {
        let head = self.head_number();
        let (from, to) = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let block = self.block_by_hash(hash).ok_or_else(|| RpcError::rejected("unknown block"))?;
                (block.header.number, block.header.number)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let number = |tag: Option<BlockNumberOrTag>| match tag.unwrap_or_default() {
                    BlockNumberOrTag::Number(number) => number,
                    // Nothing of the pending block is known before it is mined.
                    BlockNumberOrTag::Pending => head + 1,
                    tag => self.number_of(tag).unwrap_or(head),
                };
                (number(from_block), number(to_block).min(head))
            }
        };
        Ok((from <= to).then_some((from, to)))
    }

    fn scan(&self, filter: &Filter, from: u64, to: u64) -> Vec<Log> {
        (from..=to)
            .map_while(|number| self.block_by_number(number))
            .flat_map(|block| block.logs())
            .filter(|log| filter.matches(&log.inner))
            .collect()
    }
}
