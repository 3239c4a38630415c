//! Saved chains: one JSON file that a person can read.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use alloy::{
    consensus::Header,
    eips::eip2718::Encodable2718,
    primitives::{Address, B256, Bytes, Log, U256},
};
use revm::bytecode::Bytecode;
use serde::{Deserialize, Serialize};

use super::{
    Config, Error, MAX_TIMESTAMP,
    block::{Block, Mined},
    chain::Chain,
    clock::Clock,
    mine::decode,
    state::State,
};

const FORMAT: &str = "aiarena-embedded-chain";
const VERSION: u32 = 1;

/// The largest file that is read, in bytes. A chain of 100 000 transactions stays below.
const MAX_FILE: u64 = 1 << 30;

/// The members by which a file is recognised before the others are looked at.
#[derive(Deserialize)]
struct Heading {
    #[serde(default)]
    format: String,
    #[serde(default)]
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Saved {
    format: String,
    version: u32,
    config: Config,
    clock: Clock,
    automine: bool,
    blocks: Vec<SavedBlock>,
    waiting: Vec<SavedWaiting>,
    accounts: BTreeMap<Address, SavedAccount>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedBlock {
    hash: B256,
    header: Header,
    transactions: Vec<SavedTransaction>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedTransaction {
    raw: Bytes,
    from: Address,
    success: bool,
    gas_used: u64,
    logs: Vec<Log>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedWaiting {
    raw: Bytes,
    from: Address,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SavedAccount {
    nonce: u64,
    balance: U256,
    #[serde(default, skip_serializing_if = "is_empty")]
    code: Bytes,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    storage: BTreeMap<U256, U256>,
}

/// The bytes of a file that [`load`] reads back.
pub(super) fn encode(chain: &Chain) -> Result<Vec<u8>, Error> {
    let saved = Saved {
        format: FORMAT.to_owned(),
        version: VERSION,
        config: chain.config.clone(),
        clock: chain.clock.clone(),
        automine: chain.automine,
        blocks: chain.blocks().iter().map(save_block).collect(),
        waiting: chain
            .pool
            .in_order()
            .into_iter()
            .map(|waiting| SavedWaiting { raw: waiting.envelope.encoded_2718().into(), from: waiting.from })
            .collect(),
        accounts: chain
            .state
            .accounts()
            .map(|(&address, account)| {
                let saved = SavedAccount {
                    nonce: account.nonce,
                    balance: account.balance,
                    code: account.code.original_bytes(),
                    storage: account.storage.clone(),
                };
                (address, saved)
            })
            .collect(),
    };
    let mut json = serde_json::to_vec_pretty(&saved)?;
    json.push(b'\n');
    Ok(json)
}

fn save_block(block: &Block) -> SavedBlock {
    let transactions = block.transactions.iter().map(|mined| SavedTransaction {
        raw: mined.envelope.encoded_2718().into(),
        from: mined.from,
        success: mined.success,
        gas_used: mined.gas_used,
        logs: mined.logs.clone(),
    });
    SavedBlock { hash: block.hash, header: block.header.clone(), transactions: transactions.collect() }
}

/// Replaces the file at `path` by `bytes`: a reader sees the old content or the new, never a part.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_FILE });
    }
    let failed = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let mut name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let partial = path.with_file_name(name);
    let written = File::create(&partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // The error that matters is the one before; a file left behind is harmless.
        let _ = fs::remove_file(&partial);
    }
    written.map_err(failed)
}

/// Reads a saved chain from a file.
pub(super) fn load(path: &Path) -> Result<Chain, Error> {
    let failed = |source| Error::Io { action: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_FILE });
    }
    parse(&bytes)
}

/// Reads a saved chain, whatever the bytes may be.
pub(super) fn parse(bytes: &[u8]) -> Result<Chain, Error> {
    let heading: Heading = serde_json::from_slice(bytes)?;
    if heading.format != FORMAT || heading.version != u64::from(VERSION) {
        return Err(Error::Format {
            format: heading.format.chars().take(64).collect(),
            version: heading.version,
            expected: FORMAT,
            expected_version: VERSION.into(),
        });
    }
    let saved: Saved = serde_json::from_slice(bytes)?;
    saved.config.validate()?;
    let mut state = State::default();
    for (address, account) in saved.accounts {
        let code = Bytecode::new_raw_checked(account.code)
            .map_err(|error| malformed(format!("account {address}"), error.to_string()))?;
        state.update(address, |new| {
            (new.nonce, new.balance, new.code) = (account.nonce, account.balance, code);
            account.storage.into_iter().for_each(|(slot, value)| new.set_slot(slot, value));
        });
    }
    let mut chain = Chain::assemble(saved.config, state);
    if saved.blocks.is_empty() {
        return Err(malformed("blocks", "there is no block 0"));
    }
    for (number, block) in saved.blocks.into_iter().enumerate() {
        let block = load_block(&chain, number as u64, block)?;
        chain.push(block);
    }
    chain.clock = saved.clock;
    chain.automine = saved.automine;
    for (index, waiting) in saved.waiting.into_iter().enumerate() {
        let place = || format!("waiting transaction {index}");
        let envelope = decode(&waiting.raw).map_err(|reason| malformed(place(), reason))?;
        chain.pool.insert(envelope, waiting.from).map_err(|error| malformed(place(), error.message))?;
    }
    Ok(chain)
}

fn load_block(chain: &Chain, number: u64, saved: SavedBlock) -> Result<Block, Error> {
    let place = || format!("block {number}");
    let header = saved.header;
    if header.number != number {
        return Err(malformed(place(), format!("its header says number {}", header.number)));
    }
    if header.timestamp > MAX_TIMESTAMP {
        return Err(malformed(place(), format!("timestamp {} is beyond the last one", header.timestamp)));
    }
    if chain.block_by_hash(saved.hash).is_some() {
        return Err(malformed(place(), format!("hash {} occurs twice", saved.hash)));
    }
    let mut transactions = Vec::with_capacity(saved.transactions.len());
    for (index, transaction) in saved.transactions.into_iter().enumerate() {
        let place = || format!("block {number}, transaction {index}");
        let envelope = decode(&transaction.raw).map_err(|reason| malformed(place(), reason))?;
        if let Some(log) = transaction.logs.iter().find(|log| log.topics().len() > 4) {
            return Err(malformed(place(), format!("a log with {} topics", log.topics().len())));
        }
        let hash = *envelope.tx_hash();
        if chain.place(hash).is_some() || transactions.iter().any(|mined: &Mined| mined.hash() == hash) {
            return Err(malformed(place(), format!("transaction {hash} occurs twice")));
        }
        transactions.push(Mined {
            envelope,
            from: transaction.from,
            success: transaction.success,
            gas_used: transaction.gas_used,
            logs: transaction.logs,
            cumulative_gas_used: 0,
            first_log: 0,
        });
    }
    Block::accumulate(&mut transactions);
    Ok(Block { hash: saved.hash, header, transactions })
}

fn malformed(place: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Malformed { place: place.into(), reason: reason.into() }
}

/// `Bytes` has this only through `Deref`, which serde's attribute does not see.
fn is_empty(code: &Bytes) -> bool {
    code.is_empty()
}
