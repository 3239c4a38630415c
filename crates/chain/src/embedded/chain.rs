//! The chain itself: blocks, indices and the state after the latest block.

use std::collections::BTreeMap;

use alloy::{
    consensus::{EMPTY_ROOT_HASH, Header},
    eips::{BlockId, BlockNumberOrTag},
    primitives::{B256, TxHash, U256, keccak256},
};
use revm::context::BlockEnv;

use super::{
    Error,
    block::{Block, Template},
    clock::Clock,
    config::Config,
    error::RpcError,
    filters::Filters,
    pool::Pool,
    state::State,
};

/// How many snapshots are kept; the oldest goes first.
const MAX_SNAPSHOTS: usize = 64;

/// Everything an embedded chain holds. Its methods are spread over the modules by subject.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) config: Config,
    pub(super) state: State,
    pub(super) pool: Pool,
    pub(super) clock: Clock,
    pub(super) automine: bool,
    pub(super) filters: Filters,
    /// Never empty: block n is at index n.
    blocks: Vec<Block>,
    block_numbers: BTreeMap<B256, u64>,
    /// Block number and index in the block of each transaction.
    places: BTreeMap<TxHash, (u64, usize)>,
    snapshots: BTreeMap<u64, Snapshot>,
    next_snapshot: u64,
}

/// A point to which `evm_revert` returns.
#[derive(Debug)]
struct Snapshot {
    blocks: usize,
    state: State,
    pool: Pool,
    clock: Clock,
    automine: bool,
}

/// Which block a read or a simulation sees. Older states are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// The latest block.
    Head,
    /// The block that would be mined next.
    Pending,
}

impl Chain {
    /// A chain with block 0 only.
    pub(super) fn new(config: Config) -> Result<Self, Error> {
        config.validate()?;
        let mut state = State::default();
        for (&address, &balance) in &config.balances {
            state.update(address, |account| account.balance = balance);
        }
        let template = Template {
            parent_hash: B256::ZERO,
            number: 0,
            timestamp: config.genesis_timestamp,
            gas_limit: config.gas_limit,
            base_fee: config.base_fee,
            prevrandao: prevrandao(config.seed, 0),
        };
        let genesis = Block::seal(template, Vec::new());
        debug_assert_eq!(genesis.header.transactions_root, EMPTY_ROOT_HASH);
        let mut chain = Self::assemble(config, state);
        chain.push(genesis);
        Ok(chain)
    }

    /// A chain without any block, to which the caller pushes at least block 0 before anything else.
    pub(super) fn assemble(config: Config, state: State) -> Self {
        Self {
            clock: Clock::new(config.block_interval_secs),
            config,
            state,
            pool: Pool::default(),
            automine: true,
            filters: Filters::default(),
            blocks: Vec::new(),
            block_numbers: BTreeMap::new(),
            places: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            next_snapshot: 0,
        }
    }

    /// Appends a block and indexes it.
    pub(super) fn push(&mut self, block: Block) {
        let number = self.blocks.len() as u64;
        for (index, mined) in block.transactions.iter().enumerate() {
            self.places.insert(mined.hash(), (number, index));
        }
        self.block_numbers.insert(block.hash, number);
        self.state.push_block_hash(number, block.hash);
        self.blocks.push(block);
    }

    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    pub(super) fn head(&self) -> &Block {
        self.blocks.last().expect("block 0 is pushed at construction and never removed")
    }

    pub(super) fn head_number(&self) -> u64 {
        self.head().header.number
    }

    /// The number a tag stands for; `None` beyond the head and for the pending block.
    pub(super) fn number_of(&self, tag: BlockNumberOrTag) -> Option<u64> {
        match tag {
            BlockNumberOrTag::Number(number) => (number <= self.head_number()).then_some(number),
            BlockNumberOrTag::Earliest => Some(0),
            // Blocks are final as soon as they are mined: there is no one to disagree with.
            BlockNumberOrTag::Latest | BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized => {
                Some(self.head_number())
            }
            BlockNumberOrTag::Pending => None,
        }
    }

    pub(super) fn block_by_number(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    pub(super) fn block_by_hash(&self, hash: B256) -> Option<&Block> {
        self.block_by_number(*self.block_numbers.get(&hash)?)
    }

    pub(super) fn block(&self, id: BlockId) -> Option<&Block> {
        match id {
            BlockId::Hash(hash) => self.block_by_hash(hash.block_hash),
            BlockId::Number(tag) => self.block_by_number(self.number_of(tag)?),
        }
    }

    /// The block that holds a transaction, and the transaction's index in it.
    pub(super) fn place(&self, hash: TxHash) -> Option<(&Block, usize)> {
        let &(number, index) = self.places.get(&hash)?;
        Some((self.block_by_number(number)?, index))
    }

    /// Which state `id` names; an error if it is one that is not kept, since a wrong answer would be worse.
    pub(super) fn at(&self, id: Option<BlockId>) -> Result<At, RpcError> {
        let id = id.unwrap_or_default();
        if id == BlockId::pending() {
            return Ok(At::Pending);
        }
        let head = self.head_number();
        match self.block(id).map(|block| block.header.number) {
            Some(number) if number == head => Ok(At::Head),
            Some(number) => Err(RpcError::rejected(format!(
                "the state at block {number} is not kept: only the latest state, of block {head}, can be read"
            ))),
            None => Err(RpcError::rejected("header not found")),
        }
    }

    /// What contracts see of the block at `at`.
    pub(super) fn block_env(&self, at: At) -> Result<BlockEnv, RpcError> {
        Ok(match at {
            At::Head => environment(&self.head().header),
            At::Pending => self.environment_of(&self.next_template()?),
        })
    }

    /// The header fields of the next block that are known before its transactions.
    pub(super) fn next_template(&self) -> Result<Template, RpcError> {
        let head = self.head();
        let number = head.header.number + 1;
        Ok(Template {
            parent_hash: head.hash,
            number,
            timestamp: self.clock.next(head.header.timestamp)?,
            gas_limit: self.config.gas_limit,
            base_fee: self.config.base_fee,
            prevrandao: prevrandao(self.config.seed, number),
        })
    }

    /// What contracts see of a block that is being mined.
    pub(super) fn environment_of(&self, template: &Template) -> BlockEnv {
        BlockEnv {
            number: U256::from(template.number),
            timestamp: U256::from(template.timestamp),
            gas_limit: template.gas_limit,
            basefee: template.base_fee,
            prevrandao: Some(template.prevrandao),
            ..BlockEnv::default()
        }
    }

    /// Remembers the present for [`Self::revert`]; answers the snapshot's id.
    pub(super) fn snapshot(&mut self) -> u64 {
        let id = self.next_snapshot;
        self.next_snapshot += 1;
        let snapshot = Snapshot {
            blocks: self.blocks.len(),
            state: self.state.clone(),
            pool: self.pool.clone(),
            clock: self.clock.clone(),
            automine: self.automine,
        };
        self.snapshots.insert(id, snapshot);
        if self.snapshots.len() > MAX_SNAPSHOTS {
            self.snapshots.pop_first();
        }
        id
    }

    /// Returns to a snapshot, which is used up together with all later ones; false if there is none of that id.
    pub(super) fn revert(&mut self, id: u64) -> bool {
        let Some(snapshot) = self.snapshots.remove(&id) else { return false };
        self.snapshots.split_off(&id);
        for block in self.blocks.drain(snapshot.blocks..) {
            self.block_numbers.remove(&block.hash);
            for mined in &block.transactions {
                self.places.remove(&mined.hash());
            }
        }
        self.state = snapshot.state;
        self.pool = snapshot.pool;
        self.clock = snapshot.clock;
        self.automine = snapshot.automine;
        self.filters.rewind(self.blocks.len() as u64);
        true
    }
}

/// What contracts see of a block that has been mined.
fn environment(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        prevrandao: Some(header.mix_hash),
        ..BlockEnv::default()
    }
}

/// The randomness of block `number`: fixed by the seed, unknown to contracts before the block.
fn prevrandao(seed: B256, number: u64) -> B256 {
    keccak256([seed.as_slice(), &number.to_be_bytes()].concat())
}
