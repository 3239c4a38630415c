//! The ledger, the last blocks, and how they follow the chain.

use std::{collections::VecDeque, path::Path};

use alloy::{
    providers::DynProvider,
    rpc::types::Header,
    transports::{RpcError, TransportErrorKind},
};

use super::{
    FollowError, Head, Proof,
    archive::{Archive, Kept, Link},
    read::{ReadError, Source, Stretch, Wanted, sources},
    read_constants,
};
use crate::{
    client::ClientError,
    deploy::Deployment,
    history::Record,
    ledger::{Ledger, LedgerError},
};

/// Depth of the deepest reorganisation that is followed, in blocks.
pub const MAX_REORG: u64 = 64;

/// Blocks that are kept to be compared: those that may go, and the one before them.
const KEPT: usize = 65;

/// Most blocks of one stretch. Public endpoints refuse much more.
const MOST_BLOCKS: u64 = 2_000;

/// Blocks of the first stretch.
const FIRST_BLOCKS: u64 = 500;

/// Most headers of one request.
const MOST_HEADERS: u64 = 100;

/// Stretches in a row that must succeed before the next one is larger: an endpoint's limit is not tried out all the time.
const CALM: u32 = 4;

/// How often a stretch is tried before the error is handed on, for each endpoint there is.
const TRIES: usize = 3;

/// What a reading brought.
#[derive(Debug, Default)]
pub struct Synced {
    /// The events that are new, in order.
    pub records: Vec<Record>,
    /// If the chain was reorganised: the last block that is still as it was. Whatever was told before of later blocks no
    /// longer holds, and [`Self::records`] tells them anew. 0 also if nothing is as it was.
    pub rolled_back_to: Option<u64>,
    /// The newest block that was read; `None` before the first.
    pub head: Option<Head>,
    /// Whether that was the newest block of the chain.
    pub caught_up: bool,
}

/// A ledger and how far it has read.
#[derive(Debug)]
pub struct Follower {
    provider: DynProvider,
    deployment: Deployment,
    archive: Option<Archive>,
    proof: Proof,
    /// After the last of `links`.
    ledger: Ledger,
    /// After the first of `links`, as soon as there are [`KEPT`].
    base: Ledger,
    /// The newest blocks, each the parent of the next.
    links: VecDeque<Link>,
    /// All events after `base`.
    recent: VecDeque<Record>,
    now: u64,
    /// How many blocks the next stretch has, and how many headers are in a request.
    step: u64,
    batch: u64,
    /// What was read and not handed out yet: a reading may fail or be dropped after a part of it.
    news: Synced,
    /// Stretches since the last one that was refused or failed.
    calm: u32,
    /// A stretch that is being written. If it is still here later, the writing was dropped or failed, and only the archive
    /// knows whether it took place.
    unsure: Option<Unsure>,
}

/// What is told of a stretch if it turns out to have been written.
#[derive(Debug)]
struct Unsure {
    back_to: Option<Option<u64>>,
    last: Head,
    records: Vec<Record>,
}

/// What to do next, as one node sees it.
struct Reading {
    /// `Some` if blocks must go: the last that stays, if any does.
    back_to: Option<Option<u64>>,
    stretch: Stretch,
    caught_up: bool,
}

impl Follower {
    /// Reads what the deployment fixed and starts with an empty ledger, in memory alone.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect(provider: DynProvider, deployment: Deployment) -> Result<Self, ClientError> {
        let (clock, constants) = read_constants(&provider, &deployment).await?;
        let empty = Ledger::new(clock, constants);
        Ok(Self {
            provider,
            deployment,
            archive: None,
            proof: Proof::default(),
            ledger: empty.clone(),
            base: empty,
            links: VecDeque::new(),
            recent: VecDeque::new(),
            now: 0,
            step: FIRST_BLOCKS,
            batch: MOST_HEADERS,
            news: Synced::default(),
            calm: CALM,
            unsure: None,
        })
    }

    /// Continues with what the file `archive` holds, or creates it; everything that is read is kept there.
    ///
    /// # Errors
    /// [`FollowError::Archive`] if the file is damaged, in use, or of another deployment; [`FollowError::Client`].
    pub async fn open(
        provider: DynProvider,
        deployment: Deployment,
        archive: &Path,
    ) -> Result<Self, FollowError> {
        // First the file: to refuse it needs no endpoint.
        let archive = Archive::open(archive, &deployment).await?;
        let mut follower = Self::connect(provider, deployment).await?;
        follower.archive = Some(archive);
        follower.reload().await?;
        Ok(follower)
    }

    /// Chooses how logs are proven.
    #[must_use]
    pub fn with_proof(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }

    /// Reads up to the newest block; returns what was new since it last returned.
    ///
    /// Nothing is lost or told twice if it fails or is dropped halfway: the next call goes on from there. A backlog of
    /// months is better read by [`Self::advance`], which returns after each stretch.
    ///
    /// # Errors
    /// [`FollowError`]; what was verified before it stays.
    pub async fn sync(&mut self) -> Result<Synced, FollowError> {
        while !self.step().await? {}
        Ok(self.take_news())
    }

    /// Reads one stretch of at most 2 000 blocks; returns what was new.
    ///
    /// # Errors
    /// As [`Self::sync`].
    pub async fn advance(&mut self) -> Result<Synced, FollowError> {
        self.step().await?;
        Ok(self.take_news())
    }

    /// The state as of [`Self::head`].
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The state as of the newest block that no reorganisation can undo that is followed, [`MAX_REORG`] before
    /// [`Self::head`], and the time of that block; `None` before there are as many.
    #[must_use]
    pub fn settled(&self) -> Option<(&Ledger, u64)> {
        let first = self.links.front().filter(|_| self.links.len() == KEPT)?;
        Some((&self.base, first.head.timestamp))
    }

    /// Time of the newest block read, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The newest block that was read; `None` before the first.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.links.back().map(|link| link.head)
    }

    /// Whether a block has been read and has at least `confirmations` blocks on top of it.
    #[must_use]
    pub fn confirmed(&self, block: u64, confirmations: u64) -> bool {
        let last = self.head().and_then(|head| head.number.checked_sub(confirmations));
        last.is_some_and(|last| block <= last)
    }

    /// What is followed.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The endpoint.
    #[must_use]
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    fn take_news(&mut self) -> Synced {
        let mut news = std::mem::take(&mut self.news);
        news.head = self.head();
        news
    }

    /// Reads and applies a stretch; true if it ended at the newest block.
    async fn step(&mut self) -> Result<bool, FollowError> {
        if self.unsure.is_some() {
            self.reload().await?;
        }
        let (mut tries, mut turn) = (0, 0);
        loop {
            let (error, tries_allowed) = match sources(&self.provider).await {
                Err(error) => (error, 1),
                Ok(sources) => {
                    let source = &sources[turn % sources.len()];
                    let second = (sources.len() > 1).then(|| &sources[(turn + 1) % sources.len()]);
                    match self.read(source, second).await {
                        Ok(reading) => return self.take(reading).await,
                        Err(error) => {
                            match &error {
                                // The score of the endpoint has fallen, so that the next turn starts with another.
                                ReadError::Untrue(what) => source.lied(what),
                                ReadError::Rpc(_) => {}
                                ReadError::Moved(_) | ReadError::TooDeep { .. } => turn += 1,
                            }
                            (error, TRIES * sources.len())
                        }
                    }
                }
            };
            let smaller = matches!(error, ReadError::Rpc(_)) && self.shrink();
            let refused =
                matches!(&error, ReadError::Rpc(ClientError::Rpc { source, .. }) if refuses(source));
            // A smaller stretch is another question, and there are few sizes.
            tries += usize::from(!(refused && smaller));
            if tries >= tries_allowed {
                return Err(error.into());
            }
            tracing::debug!(?error, tries, "a stretch of blocks is read again");
        }
    }

    /// Halves the next stretch; false if it cannot be smaller.
    fn shrink(&mut self) -> bool {
        let smaller = self.step > 1 || self.batch > 1;
        self.calm = 0;
        self.step = (self.step / 2).max(1);
        self.batch = (self.batch / 2).max(1);
        smaller
    }

    /// Finds where the node's chain and ours part, and reads on from there.
    async fn read(&self, source: &Source, second: Option<&Source>) -> Result<Reading, ReadError> {
        let newest = source.newest().await?;
        let nothing =
            Reading { back_to: None, stretch: Stretch { links: vec![], logs: vec![] }, caught_up: true };
        let Some(tip) = self.links.back() else {
            if newest.number < self.deployment.from_block {
                return Ok(nothing);
            }
            return self.read_from(source, second, None, None, &newest).await;
        };
        if self.knows(&newest)? {
            return Ok(nothing);
        }
        if newest.parent_hash == tip.head.hash && newest.number == tip.head.number + 1 {
            return self.read_from(source, second, None, Some(tip.head), &newest).await;
        }
        let ancestor = self.ancestor(source, &newest).await?;
        let back_to = (ancestor != Some(tip.head)).then(|| ancestor.map(|head| head.number));
        self.read_from(source, second, back_to, ancestor, &newest).await
    }

    /// Whether a block is one that was read: then the node only lags.
    fn knows(&self, newest: &Header) -> Result<bool, ReadError> {
        let (Some(first), Some(tip)) = (self.links.front(), self.links.back()) else { return Ok(false) };
        if newest.number < first.head.number && first.head.number > self.deployment.from_block {
            let what = format!("the newest block is {}, {} was read before", newest.number, tip.head.number);
            return Err(ReadError::Moved(what));
        }
        Ok(self.links.iter().any(|link| link.head.hash == newest.hash))
    }

    /// The newest block that is on both chains.
    async fn ancestor(&self, source: &Source, newest: &Header) -> Result<Option<Head>, ReadError> {
        let ours: Vec<Head> =
            self.links.iter().map(|link| link.head).filter(|head| head.number <= newest.number).collect();
        let mut found = None;
        // Most reorganisations are of few blocks.
        let (mut rest, mut size) = (ours.as_slice(), 1);
        while !rest.is_empty() {
            let (left, page) = rest.split_at(rest.len().saturating_sub(size));
            let theirs = source.headers(page[0].number, page[page.len() - 1].number, self.batch).await?;
            let common = page.iter().zip(&theirs).rev().find(|(ours, theirs)| ours.hash == theirs.hash);
            if let Some((ours, _)) = common {
                return Ok(Some(*ours));
            }
            found = theirs.first().map(|header| header.hash);
            (rest, size) = (left, size * 4);
        }
        let Some(first) = self.links.front().map(|link| link.head) else { return Ok(None) };
        // Nothing that was read is left, and nothing that was not compared: it is all read again.
        if first.number == self.deployment.from_block && self.links.len() < KEPT {
            return Ok(None);
        }
        let depth = self.links.back().map_or(0, |tip| tip.head.number - first.number);
        let found = found.unwrap_or_default();
        Err(ReadError::TooDeep { depth, block: first.number, expected: first.hash, found })
    }

    async fn read_from(
        &self,
        source: &Source,
        second: Option<&Source>,
        back_to: Option<Option<u64>>,
        ancestor: Option<Head>,
        newest: &Header,
    ) -> Result<Reading, ReadError> {
        let first = ancestor.map_or(self.deployment.from_block, |head| head.number + 1);
        if newest.number < first {
            return Err(ReadError::Moved(format!(
                "the newest block is {}, before block {first}",
                newest.number
            )));
        }
        let last = newest.number.min(first.saturating_add(self.step - 1));
        let parent = ancestor.map(|head| head.hash);
        let wanted = Wanted { first, last, parent, batch: self.batch, proof: self.proof };
        let stretch = source.stretch(second, &self.deployment, newest, wanted).await?;
        Ok(Reading { back_to, stretch, caught_up: last == newest.number })
    }

    /// Applies a stretch to the ledger and the archive: to both or to none.
    async fn take(&mut self, reading: Reading) -> Result<bool, FollowError> {
        let Reading { back_to, stretch: Stretch { links, logs }, caught_up } = reading;
        self.news.caught_up = caught_up;
        let Some(last) = links.last().map(|link| link.head) else { return Ok(caught_up) };

        if let Err(error) = self.apply(back_to, &logs) {
            self.rebuild()?;
            return Err(error.into());
        }
        if let Some(archive) = &mut self.archive {
            let records = logs.iter().map(|kept| kept.record.clone()).collect();
            self.unsure = Some(Unsure { back_to, last, records });
            archive.append(back_to, &links, &logs, last.number.saturating_sub(MAX_REORG)).await?;
            self.unsure = None;
        }

        if let Some(back_to) = back_to {
            let depth = self.links.back().map_or(0, |tip| tip.head.number) - back_to.unwrap_or(0);
            tracing::warn!(depth, back_to, "the chain was reorganised");
            self.links.retain(|link| stays(Some(back_to), link.head.number));
            self.recent.retain(|record| stays(Some(back_to), record.block));
        }
        self.links.extend(links);
        let records: Vec<_> = logs.into_iter().map(|kept| kept.record).collect();
        self.recent.extend(records.iter().cloned());
        self.tell(back_to, records);
        self.settle()?;
        self.now = last.timestamp;
        self.calm = self.calm.saturating_add(1);
        if self.calm >= CALM {
            self.step = (self.step * 2).min(MOST_BLOCKS);
            self.batch = (self.batch * 2).min(MOST_HEADERS);
        }
        Ok(caught_up)
    }

    /// Adds to what the next caller is told.
    fn tell(&mut self, back_to: Option<Option<u64>>, records: Vec<Record>) {
        if let Some(last) = back_to {
            self.news.records.retain(|record| stays(Some(last), record.block));
            let last = last.unwrap_or(0);
            self.news.rolled_back_to = Some(self.news.rolled_back_to.map_or(last, |before| before.min(last)));
        }
        self.news.records.extend(records);
    }

    fn apply(&mut self, back_to: Option<Option<u64>>, logs: &[Kept]) -> Result<(), LedgerError> {
        if let Some(back_to) = back_to {
            self.ledger = self.base.clone();
            for record in self.recent.iter().filter(|record| stays(Some(back_to), record.block)) {
                self.ledger.apply(record)?;
            }
        }
        logs.iter().try_for_each(|kept| self.ledger.apply(&kept.record))
    }

    /// Moves into the base what can no longer be reorganised.
    fn settle(&mut self) -> Result<(), LedgerError> {
        while self.links.len() > KEPT {
            self.links.pop_front();
        }
        // With fewer blocks, all of them may have to go.
        if self.links.len() < KEPT {
            return Ok(());
        }
        let Some(first) = self.links.front().map(|link| link.head.number) else { return Ok(()) };
        while self.recent.front().is_some_and(|record| record.block <= first) {
            if let Some(record) = self.recent.pop_front() {
                self.base.apply(&record)?;
            }
        }
        Ok(())
    }

    /// The ledger after `base` and `recent`, after a failure that left it between two blocks.
    fn rebuild(&mut self) -> Result<(), LedgerError> {
        self.ledger = self.base.clone();
        self.recent.iter().try_for_each(|record| self.ledger.apply(record))
    }

    /// Starts over from the archive.
    async fn reload(&mut self) -> Result<(), FollowError> {
        let Some(archive) = &mut self.archive else { return Ok(()) };
        let links = archive.links().await?;
        let settled = if links.len() < KEPT { None } else { links.first().map(|link| link.head.number) };
        let mut base = Ledger::new(self.base.clock, self.base.constants);
        let mut recent = VecDeque::new();
        let replayed = archive.replay(|record| {
            if settled.is_some_and(|settled| record.block <= settled) {
                return base.apply(&record);
            }
            recent.push_back(record);
            Ok(())
        });
        replayed.await??;
        if let Some(unsure) = self.unsure.take()
            && links.last().is_some_and(|link| link.head == unsure.last)
        {
            self.tell(unsure.back_to, unsure.records);
        }
        (self.base, self.recent, self.links) = (base, recent, links.into());
        self.rebuild()?;
        self.now = self.links.back().map_or(self.now, |link| link.head.timestamp);
        Ok(())
    }
}

/// Whether an endpoint answered that it does not want to: a refusal of a whole batch names none of its requests.
fn refuses(error: &RpcError<TransportErrorKind>) -> bool {
    matches!(error, RpcError::ErrorResp(_) | RpcError::Transport(TransportErrorKind::MissingBatchResponse(_)))
}

/// Whether a block stays if the chain goes back to the one before.
fn stays(back_to: Option<Option<u64>>, block: u64) -> bool {
    back_to.is_none_or(|last| last.is_some_and(|last| block <= last))
}

impl From<ReadError> for FollowError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Rpc(error) => Self::Client(error),
            ReadError::Untrue(what) => Self::Untrue { what },
            ReadError::Moved(what) => Self::Moved { what },
            ReadError::TooDeep { depth, block, expected, found } => {
                Self::TooDeep { depth, block, expected, found }
            }
        }
    }
}
