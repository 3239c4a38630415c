//! Everything that the contracts of a deployment have ever said, in order.

use alloy::{
    primitives::{Address, B256, Log as PrimitiveLog},
    providers::Provider,
    rpc::types::{Filter, Log},
    sol_types::SolEventInterface,
};

use crate::{
    bindings::{Arena::ArenaEvents, Emission::EmissionEvents, Vault::VaultEvents},
    client::ClientError,
    deploy::Deployment,
};

/// Blocks that one request for logs covers. Public endpoints refuse much more.
const BLOCKS_PER_REQUEST: u64 = 2_000;

/// An event of one of the three contracts.
#[derive(Debug, Clone)]
pub enum Event {
    /// Of the arena.
    Arena(ArenaEvents),
    /// Of the vault.
    Vault(VaultEvents),
    /// Of the emission.
    Emission(EmissionEvents),
}

/// An event and where it stands in the chain.
#[derive(Debug, Clone)]
pub struct Record {
    /// Number of the block.
    pub block: u64,
    /// Hash of the block.
    pub block_hash: B256,
    /// The transaction that caused it.
    pub transaction: B256,
    /// Place of the event in its block.
    pub log_index: u64,
    /// The event.
    pub event: Event,
}

/// Reads all events of a deployment in blocks `from..=to`, in the order in which they happened.
///
/// # Errors
/// [`ClientError::Rpc`] if the endpoint fails; [`ClientError::Answer`] if it sends what the contracts cannot have said:
/// logs of other addresses or blocks, removed ones, out of order, or of an unknown kind.
pub async fn read_history(
    provider: &impl Provider,
    deployment: &Deployment,
    from: u64,
    to: u64,
) -> Result<Vec<Record>, ClientError> {
    let mut records = Vec::new();
    let mut start = from;
    while start <= to {
        let end = to.min(start + BLOCKS_PER_REQUEST - 1);
        let contracts = vec![deployment.arena, deployment.vault, deployment.emission];
        let filter = Filter::new().address(contracts).from_block(start).to_block(end);
        let logs = provider
            .get_logs(&filter)
            .await
            .map_err(|source| ClientError::from_rpc("read the history", source))?;
        for log in logs {
            let record = decode(deployment, &log, start, end)?;
            let place = (record.block, record.log_index);
            if records.last().is_some_and(|last: &Record| (last.block, last.log_index) >= place) {
                return Err(answer(format!("log {} of block {} is out of order", place.1, place.0)));
            }
            records.push(record);
        }
        start = end + 1;
    }
    Ok(records)
}

/// Reads a log that was asked for in blocks `start..=end`.
pub(crate) fn decode(
    deployment: &Deployment,
    log: &Log,
    start: u64,
    end: u64,
) -> Result<Record, ClientError> {
    let block = log.block_number.ok_or_else(|| answer("a log without a block".to_owned()))?;
    if !(start..=end).contains(&block) {
        return Err(answer(format!("a log of block {block}, asked were {start} to {end}")));
    }
    if log.removed {
        return Err(answer(format!("a log of block {block} that a reorganisation removed")));
    }
    let (Some(block_hash), Some(transaction), Some(log_index)) =
        (log.block_hash, log.transaction_hash, log.log_index)
    else {
        return Err(answer(format!("a log of block {block} without its place")));
    };
    let event = decode_event(deployment, &log.inner)
        .map_err(|what| answer(format!("log {log_index} of block {block}: {what}")))?;
    Ok(Record { block, block_hash, transaction, log_index, event })
}

/// Names the event in a log of one of the contracts.
pub(crate) fn decode_event(deployment: &Deployment, log: &PrimitiveLog) -> Result<Event, String> {
    let emitter: Address = log.address;
    if emitter == deployment.arena {
        ArenaEvents::decode_log(log).map(|log| Event::Arena(log.data)).map_err(|error| error.to_string())
    } else if emitter == deployment.vault {
        VaultEvents::decode_log(log).map(|log| Event::Vault(log.data)).map_err(|error| error.to_string())
    } else if emitter == deployment.emission {
        EmissionEvents::decode_log(log)
            .map(|log| Event::Emission(log.data))
            .map_err(|error| error.to_string())
    } else {
        Err(format!("emitted by {emitter}, which is neither the arena nor the vault nor the emission"))
    }
}

fn answer(what: String) -> ClientError {
    ClientError::Answer { action: "read the history".to_owned(), what }
}
