//! Everything that an audit takes from the chain before it begins to reckon.

use std::collections::{BTreeMap, BTreeSet};

use aiarena_chain::{
    bindings::ArenaToken,
    client::ClientError,
    deploy::Deployment,
    history::{Event, Record, read_history},
    verify::{VerifiedBlock, VerifyError, verify_block},
};
use alloy::{
    eips::BlockId,
    primitives::{Address, B256, LogData, U256},
    providers::{DynProvider, Provider},
    rpc::types::Filter,
    sol_types::SolEvent,
    transports::RpcError,
};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::{
    contracts::Fixed,
    finding::{Findings, Kind, Place},
};

/// Histories of at most so many blocks are verified whole, link by link; of longer ones the blocks that hold events.
const MOST_LINKED_BLOCKS: u64 = 10_000;
/// Blocks that one request for logs covers. Public endpoints refuse much more.
const BLOCKS_PER_REQUEST: u64 = 2_000;

/// What a block says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BlockFacts {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// The chain's randomness.
    #[serde(skip)]
    pub prevrandao: B256,
}

/// Tokens that a transaction moved into the vault and out of it, from one account and to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Into it.
    pub into: U256,
    /// Out of it.
    pub out: U256,
}

/// A deployment's history, as the chain tells it. Nothing in it is trusted.
#[derive(Debug)]
pub struct Evidence {
    /// The contracts.
    pub deployment: Deployment,
    /// What they fixed.
    pub fixed: Fixed,
    /// All events, in their order.
    pub records: Vec<Record>,
    /// The blocks that hold them.
    pub blocks: BTreeMap<u64, BlockFacts>,
    /// Tokens in and out of the vault by transaction and account, as the token tells it.
    pub transfers: BTreeMap<(B256, Address), Moved>,
    /// The newest block.
    pub head: BlockFacts,
    /// Blocks whose header, transactions and receipts were checked against their hash.
    pub verified: u64,
    /// What could not be checked, and why.
    pub notes: Vec<String>,
}

impl Evidence {
    /// Reads a deployment's history up to the newest block and verifies its blocks.
    ///
    /// Events that no contract can have emitted are a finding; `records` is then empty.
    ///
    /// # Errors
    /// If the endpoint fails, or the history begins beyond the newest block.
    pub async fn read(
        provider: &DynProvider,
        deployment: Deployment,
        fixed: Fixed,
        findings: &mut Findings,
    ) -> Result<Self> {
        let head = facts(provider, BlockId::latest()).await?;
        let from = deployment.from_block;
        ensure!(
            from <= head.number,
            "the history cannot begin at block {from}: the newest block is {}",
            head.number
        );
        let records = match read_history(provider, &deployment, from, head.number).await {
            Ok(records) => records,
            Err(ClientError::Answer { what, .. }) => {
                findings.push(Kind::History, "", Place::default(), what);
                Vec::new()
            }
            Err(error) => return Err(error).context("cannot read the history"),
        };
        let transfers = read_transfers(provider, &deployment, head.number).await?;
        let (blocks, notes) = (BTreeMap::new(), Vec::new());
        let mut evidence = Self { deployment, fixed, records, blocks, transfers, head, verified: 0, notes };
        evidence.read_blocks(provider, findings).await?;
        Ok(evidence)
    }

    async fn read_blocks(&mut self, provider: &DynProvider, findings: &mut Findings) -> Result<()> {
        let (from, to) = (self.deployment.from_block, self.head.number);
        let with_events: BTreeSet<u64> = self.records.iter().map(|record| record.block).collect();
        let linked = to - from < MOST_LINKED_BLOCKS;
        let numbers: Vec<u64> =
            if linked { (from..=to).collect() } else { with_events.into_iter().collect() };
        if !linked {
            let (all, some) = (to - from + 1, numbers.len());
            self.notes.push(format!("of {all} blocks only the {some} that hold events were verified"));
        }
        let mut plain = 0_u64;
        let mut last: Option<BlockFacts> = None;
        for number in numbers {
            let parent = last.filter(|last| last.number + 1 == number).map(|last| last.hash);
            last = match verify_block(provider, number, parent).await {
                Ok(block) => {
                    self.take(&block, findings);
                    Some(facts_of(&block))
                }
                Err(VerifyError::Mismatch { what, expected, found, .. }) => {
                    findings.equal((Kind::Block, ""), Place::block(number), what, expected, found);
                    None
                }
                // The endpoint answers, but not in a way that can be checked: blocks with a chain's own kinds of
                // transactions, or no receipts by block.
                Err(VerifyError::Missing { .. }) => {
                    plain += 1;
                    Some(plain_header(provider, number, parent, findings).await?)
                }
                Err(VerifyError::Transport { source, .. })
                    if source.is_error_resp() || matches!(source, RpcError::DeserError { .. }) =>
                {
                    plain += 1;
                    Some(plain_header(provider, number, parent, findings).await?)
                }
                Err(error) => return Err(error).context("cannot verify the history"),
            };
            let facts = match last {
                Some(facts) => facts,
                None => facts(provider, number.into()).await?,
            };
            self.blocks.insert(number, facts);
        }
        if plain != 0 {
            self.notes.push(format!(
                "of {plain} blocks the header alone was verified: the endpoint gives no receipts that can be checked"
            ));
        }
        Ok(())
    }

    /// Compares the events that the endpoint listed with those in a verified block's receipts.
    fn take(&mut self, block: &VerifiedBlock, findings: &mut Findings) {
        self.verified += 1;
        let contracts = [self.deployment.arena, self.deployment.vault, self.deployment.emission];
        let mut expected: Vec<(u64, Address, LogData)> = Vec::new();
        for log in block.receipts.iter().flat_map(|receipt| receipt.logs()) {
            if contracts.contains(&log.address()) {
                expected.push((log.log_index.unwrap_or_default(), log.address(), log.data().clone()));
            }
        }
        let listed: Vec<(u64, Address, LogData)> =
            self.of_block(block.number).iter().map(|record| raw(&self.deployment, record)).collect();
        findings.check(expected == listed, Kind::Block, "", Place::block(block.number), || {
            format!(
                "the endpoint lists {} events of the contracts, and the receipts hold {} or others",
                listed.len(),
                expected.len()
            )
        });
    }

    /// The events of a block; they stand in the order of their blocks.
    fn of_block(&self, number: u64) -> &[Record] {
        let start = self.records.partition_point(|record| record.block < number);
        let end = self.records.partition_point(|record| record.block <= number);
        &self.records[start..end]
    }
}

/// An event as the chain holds it.
fn raw(deployment: &Deployment, record: &Record) -> (u64, Address, LogData) {
    use alloy::primitives::IntoLogData;
    match &record.event {
        Event::Arena(event) => (record.log_index, deployment.arena, event.to_log_data()),
        Event::Vault(event) => (record.log_index, deployment.vault, event.to_log_data()),
        Event::Emission(event) => (record.log_index, deployment.emission, event.to_log_data()),
    }
}

fn facts_of(block: &VerifiedBlock) -> BlockFacts {
    BlockFacts {
        number: block.number,
        hash: block.hash,
        timestamp: block.timestamp,
        prevrandao: block.prevrandao,
    }
}

/// What a block's header says, without any check.
async fn facts(provider: &DynProvider, id: BlockId) -> Result<BlockFacts> {
    let block = provider.get_block(id).await.context("cannot read a block's header")?;
    let Some(block) = block else { bail!("the endpoint has no block {id}") };
    Ok(BlockFacts {
        number: block.header.number,
        hash: block.header.hash,
        timestamp: block.header.timestamp,
        prevrandao: block.header.mix_hash,
    })
}

/// Checks a header against its own hash and its parent's.
async fn plain_header(
    provider: &DynProvider,
    number: u64,
    parent: Option<B256>,
    findings: &mut Findings,
) -> Result<BlockFacts> {
    let id = BlockId::from(number);
    let block = provider.get_block(id).await.context("cannot read a block's header")?;
    let Some(block) = block else { bail!("the endpoint has no block {number}") };
    let (header, place) = (&block.header, Place::block(number));
    let about = (Kind::Block, "");
    findings.equal(about, place, "number", number, header.number);
    findings.equal(about, place, "hash", header.inner.hash_slow(), header.hash);
    findings.equal(about, place, "parent hash", parent.unwrap_or(header.parent_hash), header.parent_hash);
    let (timestamp, prevrandao) = (header.timestamp, header.mix_hash);
    Ok(BlockFacts { number, hash: header.hash, timestamp, prevrandao })
}

/// Tokens that went into the vault and out of it, by transaction and by whose they were or became.
async fn read_transfers(
    provider: &DynProvider,
    deployment: &Deployment,
    head: u64,
) -> Result<BTreeMap<(B256, Address), Moved>> {
    let mut moved: BTreeMap<(B256, Address), Moved> = BTreeMap::new();
    let vault = deployment.vault;
    let transfers =
        Filter::new().address(deployment.token).event_signature(ArenaToken::Transfer::SIGNATURE_HASH);
    let mut start = deployment.from_block;
    while start <= head {
        let end = head.min(start.saturating_add(BLOCKS_PER_REQUEST - 1));
        let range = transfers.clone().from_block(start).to_block(end);
        let (word, outgoing) = (vault.into_word(), range.clone());
        for (incoming, filter) in [(true, range.topic2(word)), (false, outgoing.topic1(word))] {
            let logs = provider.get_logs(&filter).await.context("cannot read the token's transfers")?;
            for log in logs {
                let Ok(transfer) = ArenaToken::Transfer::decode_log(&log.inner) else { continue };
                let account = if incoming { transfer.from } else { transfer.to };
                let of = moved.entry((log.transaction_hash.unwrap_or_default(), account)).or_default();
                let side = if incoming { &mut of.into } else { &mut of.out };
                *side = side.saturating_add(transfer.value);
            }
        }
        start = end.saturating_add(1);
    }
    Ok(moved)
}
