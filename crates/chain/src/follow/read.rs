//! Reads a stretch of blocks and proves it.

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, B256, Log as PrimitiveLog},
    providers::{DynProvider, Provider},
    rpc::{
        client::BatchRequest,
        json_rpc::{RpcRecv, RpcSend},
        types::{Filter, Header, Log},
    },
    transports::{RpcError, TransportErrorKind},
};

use super::{
    Head,
    archive::{Kept, Link},
    proof::{self, Receipt, Verdict},
};
use crate::{
    client::ClientError,
    deploy::Deployment,
    endpoints::{Endpoints, Reader},
    history::decode,
};

/// How the logs of blocks are proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Proof {
    /// By receipts, for each block whose bloom does not exclude the contracts.
    #[default]
    Receipts,
    /// By receipts for blocks that have logs; for the others it is enough that a second endpoint names none either.
    ///
    /// For chains whose blocks are so full that no bloom excludes anything: there, the receipts of all blocks would be read.
    Agreement,
}

/// Why a reading came to nothing.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The endpoint failed or refused.
    Rpc(ClientError),
    /// Its answer cannot be right, whatever the chain does.
    Untrue(String),
    /// Its answers do not fit each other, as when the chain is reorganised between them.
    Moved(String),
    /// None of the blocks that were kept is on its chain.
    TooDeep { depth: u64, block: u64, expected: B256, found: B256 },
}

type Read<T> = Result<T, ReadError>;

/// Where to read from: one node, so that the answers fit each other.
#[derive(Debug)]
pub(super) struct Source {
    provider: DynProvider,
    reader: Option<Reader>,
}

/// A verified stretch of blocks.
#[derive(Debug)]
pub(super) struct Stretch {
    /// All its blocks, oldest first.
    pub(super) links: Vec<Link>,
    /// All events of the contracts in them.
    pub(super) logs: Vec<Kept>,
}

/// What is to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) first: u64,
    pub(super) last: u64,
    /// Hash of the block before, if there is one.
    pub(super) parent: Option<B256>,
    /// Headers of one request.
    pub(super) batch: u64,
    pub(super) proof: Proof,
}

/// The nodes behind a provider, the best first.
pub(super) async fn sources(provider: &DynProvider) -> Read<Vec<Source>> {
    let Some(endpoints) = Endpoints::of(provider) else {
        return Ok(vec![Source { provider: provider.clone(), reader: None }]);
    };
    let readers = endpoints.readers().await;
    if readers.is_empty() {
        let error = ClientError::from_rpc("read the chain", endpoints.unavailable());
        return Err(ReadError::Rpc(error));
    }
    let source = |reader: Reader| Source { provider: reader.provider(), reader: Some(reader) };
    Ok(readers.into_iter().map(source).collect())
}

impl Source {
    /// Holds a wrong answer against the endpoint, if there are others.
    pub(super) fn lied(&self, what: &str) {
        if let Some(reader) = &self.reader {
            reader.lied(what);
        }
    }

    async fn request<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        parameters: P,
    ) -> Result<R, RpcError<TransportErrorKind>> {
        self.provider.client().request(method, parameters).await
    }

    /// The newest block.
    pub(super) async fn newest(&self) -> Read<Header> {
        let header: Option<Header> = self
            .request("eth_getBlockByNumber", ("latest", false))
            .await
            .map_err(rpc("read the newest block"))?;
        let header = header.ok_or_else(|| untrue("there is no newest block"))?;
        let number = header.number;
        check(header, number)
    }

    /// The headers of blocks `first..=last`, each with the hash that its fields give.
    pub(super) async fn headers(&self, first: u64, last: u64, batch: u64) -> Read<Vec<Header>> {
        let mut headers = Vec::new();
        let mut from = first;
        while from <= last {
            let to = last.min(from.saturating_add(batch.max(1) - 1));
            let page = if from == to { vec![self.header(from).await?] } else { self.page(from, to).await? };
            for (number, header) in (from..).zip(page) {
                headers.push(check(header, number)?);
            }
            from = to + 1;
        }
        Ok(headers)
    }

    async fn header(&self, number: u64) -> Read<Header> {
        let header: Option<Header> = self
            .request("eth_getBlockByNumber", (quantity(number), false))
            .await
            .map_err(rpc("read a header"))?;
        header.ok_or_else(|| missing(number))
    }

    async fn page(&self, from: u64, to: u64) -> Read<Vec<Header>> {
        let failed = rpc("read headers");
        let client = self.provider.client();
        let mut batch = BatchRequest::new(client);
        let mut waiting = Vec::new();
        for number in from..=to {
            let call = batch.add_call("eth_getBlockByNumber", &(quantity(number), false));
            waiting.push((number, call.map_err(&failed)?));
        }
        batch.send().await.map_err(&failed)?;
        let mut headers = Vec::with_capacity(waiting.len());
        for (number, waiter) in waiting {
            let header: Option<Header> = waiter.await.map_err(&failed)?;
            headers.push(header.ok_or_else(|| missing(number))?);
        }
        Ok(headers)
    }

    /// Reads a stretch and proves it. `newest` is used if it is the last block; `second` is asked where receipts prove
    /// nothing.
    pub(super) async fn stretch(
        &self,
        second: Option<&Self>,
        deployment: &Deployment,
        newest: &Header,
        wanted: Wanted,
    ) -> Read<Stretch> {
        let Wanted { first, last, .. } = wanted;
        let known = last == newest.number;
        let mut headers = match (known, first == last) {
            (true, true) => Vec::new(),
            (true, false) => self.headers(first, last - 1, wanted.batch).await?,
            (false, _) => self.headers(first, last, wanted.batch).await?,
        };
        headers.extend(known.then(|| newest.clone()));
        let links = link(&headers, wanted.parent)?;
        let mut by_block = self.logs(deployment, &headers).await?;

        let contracts = contracts(deployment);
        let mut unproven = Vec::new();
        for header in &headers {
            let named = by_block.get(&header.number).map_or(&[][..], Vec::as_slice);
            if !proof::may_hold(&header.logs_bloom, &contracts) {
                if let Some(kept) = named.first() {
                    return Err(untrue(format!(
                        "log {} of block {}, whose bloom excludes it",
                        kept.record.log_index, header.number
                    )));
                }
                continue;
            }
            let skip = wanted.proof == Proof::Agreement && named.is_empty();
            if skip || !self.proven(header, &contracts, named).await? {
                unproven.push(header);
            }
        }
        self.agree(second, deployment, &headers, &unproven, &by_block).await?;
        let logs =
            headers.iter().flat_map(|header| by_block.remove(&header.number).unwrap_or_default()).collect();
        Ok(Stretch { links, logs })
    }

    /// The logs of the contracts in these blocks, by block.
    async fn logs(&self, deployment: &Deployment, headers: &[Header]) -> Read<BTreeMap<u64, Vec<Kept>>> {
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return Ok(BTreeMap::new()) };
        let filter = filter(deployment).from_block(first.number).to_block(last.number);
        let logs: Vec<Log> = self.request("eth_getLogs", (filter,)).await.map_err(rpc("read the history"))?;
        let mut by_block: BTreeMap<u64, Vec<Kept>> = BTreeMap::new();
        let mut last_place = None;
        for log in logs {
            let kept = keep(deployment, log, first.number, last.number)?;
            let place = (kept.record.block, kept.record.log_index);
            if last_place.is_some_and(|last| last >= place) {
                return Err(untrue(format!("log {} of block {} is out of order", place.1, place.0)));
            }
            last_place = Some(place);
            let index = usize::try_from(place.0 - first.number).ok();
            let header = index.and_then(|index| headers.get(index));
            if header.is_none_or(|header| header.hash != kept.record.block_hash) {
                return Err(ReadError::Moved(format!("a log of another block {}", place.0)));
            }
            by_block.entry(place.0).or_default().push(kept);
        }
        Ok(by_block)
    }

    /// Compares the logs of a block with its receipts. False if these prove nothing.
    async fn proven(&self, header: &Header, contracts: &[Address], named: &[Kept]) -> Read<bool> {
        let number = header.number;
        let receipts: Option<Vec<Receipt>> = match self.request("eth_getBlockReceipts", (header.hash,)).await
        {
            Ok(receipts) => receipts,
            // Many endpoints do not have the method. They are free to say so, and are then checked as those without proof.
            Err(error)
                if error
                    .as_error_resp()
                    .is_some_and(|payload| is_unknown_method(payload.code, &payload.message)) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(rpc("read receipts")(error)),
        };
        let receipts =
            receipts.ok_or_else(|| ReadError::Moved(format!("block {number} ({}) is gone", header.hash)))?;
        let logs = match proof::judge(&receipts, header.receipts_root) {
            Verdict::Proven(logs) => logs,
            Verdict::Unknown => return Ok(false),
            Verdict::False { found } => {
                return Err(untrue(format!(
                    "the receipts of block {number} have the root {found}, expected {}",
                    header.receipts_root
                )));
            }
        };
        let logs =
            logs.iter().filter(|(_, log)| contracts.contains(&log.address)).map(|(index, log)| (*index, log));
        same(number, "its receipts", logs, places(named))?;
        Ok(true)
    }

    /// Asks a second time for the logs of blocks that nothing proves: another endpoint, or the same by the block's hash.
    async fn agree(
        &self,
        second: Option<&Self>,
        deployment: &Deployment,
        headers: &[Header],
        unproven: &[&Header],
        named: &BTreeMap<u64, Vec<Kept>>,
    ) -> Read<()> {
        if unproven.is_empty() {
            return Ok(());
        }
        let by_second = match second {
            Some(second) => Some((second, second.logs(deployment, headers).await?)),
            None => None,
        };
        for header in unproven {
            let number = header.number;
            let named = named.get(&number).map_or(&[][..], Vec::as_slice);
            let Some((second, by_block)) = &by_second else {
                let again = self.logs_of(deployment, header).await?;
                same(number, "a second answer", places(&again), places(named))?;
                continue;
            };
            let again = by_block.get(&number).map_or(&[][..], Vec::as_slice);
            if let Err(ReadError::Untrue(what)) = same(number, "this one", places(named), places(again)) {
                // One of the two is wrong, and only receipts can tell which.
                if !self.proven(header, &contracts(deployment), named).await? {
                    return Err(ReadError::Moved(format!("two endpoints do not agree: {what}")));
                }
                second.lied(&what);
            }
        }
        Ok(())
    }

    async fn logs_of(&self, deployment: &Deployment, header: &Header) -> Read<Vec<Kept>> {
        let filter = filter(deployment).at_block_hash(header.hash);
        let logs: Vec<Log> =
            self.request("eth_getLogs", (filter,)).await.map_err(rpc("read a block's logs"))?;
        logs.into_iter().map(|log| keep(deployment, log, header.number, header.number)).collect()
    }
}

fn contracts(deployment: &Deployment) -> [Address; 3] {
    [deployment.arena, deployment.vault, deployment.emission]
}

fn filter(deployment: &Deployment) -> Filter {
    Filter::new().address(contracts(deployment).to_vec())
}

/// Each header must name the one before it.
fn link(headers: &[Header], parent: Option<B256>) -> Read<Vec<Link>> {
    let mut parent = parent;
    let mut links = Vec::with_capacity(headers.len());
    for header in headers {
        let number = header.number;
        if parent.is_some_and(|parent| parent != header.parent_hash) {
            return Err(ReadError::Moved(format!("block {number} does not follow the one before it")));
        }
        // The archive's numbers are signed.
        if i64::try_from(number).is_err() || i64::try_from(header.timestamp).is_err() {
            return Err(untrue(format!("block {number} at time {}", header.timestamp)));
        }
        parent = Some(header.hash);
        let head = Head { number, hash: header.hash, timestamp: header.timestamp };
        links.push(Link { head, parent: header.parent_hash });
    }
    Ok(links)
}

fn check(header: Header, number: u64) -> Read<Header> {
    if header.number != number {
        return Err(untrue(format!("block {}, asked was {number}", header.number)));
    }
    let hash = header.inner.hash_slow();
    if hash != header.hash {
        return Err(untrue(format!("block {number} has the hash {hash}, it says {}", header.hash)));
    }
    Ok(header)
}

fn keep(deployment: &Deployment, log: Log, first: u64, last: u64) -> Read<Kept> {
    let record = decode(deployment, &log, first, last).map_err(|error| untrue(error.to_string()))?;
    Ok(Kept { record, log: log.inner })
}

fn places(kept: &[Kept]) -> impl Iterator<Item = (u64, &PrimitiveLog)> {
    kept.iter().map(|kept| (kept.record.log_index, &kept.log))
}

/// The logs that were named for a block must be those that `witness` names.
fn same<'a>(
    number: u64,
    witness: &str,
    expected: impl Iterator<Item = (u64, &'a PrimitiveLog)>,
    named: impl Iterator<Item = (u64, &'a PrimitiveLog)>,
) -> Read<()> {
    let (expected, named): (Vec<_>, Vec<_>) = (expected.collect(), named.collect());
    if expected == named {
        return Ok(());
    }
    let (expected, found) = (expected.len(), named.len());
    if expected == found {
        return Err(untrue(format!("the logs of block {number} are not those of {witness}")));
    }
    Err(untrue(format!("{found} logs of block {number}, {witness} has {expected}")))
}

fn is_unknown_method(code: i64, message: &str) -> bool {
    let message = message.to_lowercase();
    let says = [
        "method not found",
        "does not exist",
        "not supported",
        "unsupported",
        "not allowed",
        "not available",
    ];
    code == -32601 || says.iter().any(|words| message.contains(words))
}

fn quantity(number: u64) -> String {
    format!("{number:#x}")
}

fn rpc(action: &'static str) -> impl Fn(RpcError<TransportErrorKind>) -> ReadError {
    move |source| ReadError::Rpc(ClientError::from_rpc(action, source))
}

/// A node that lags, or a chain that has become shorter.
fn missing(number: u64) -> ReadError {
    ReadError::Moved(format!("there is no block {number}"))
}

fn untrue(what: impl Into<String>) -> ReadError {
    ReadError::Untrue(what.into())
}
