//! The verified events of a deployment in a file, so that a restart replays them instead of asking for them again.
//!
//! - **All or nothing.** A stretch of blocks and the cursor behind it are one transaction, written through a log of SQLite
//!   (WAL) that is synced before the transaction counts as done.
//! - **Bound** to chain, contracts and first block: a file of another deployment is refused.
//! - **Checked.** Each block's row holds a digest of all events up to it, recomputed when the file is read: SQLite itself
//!   would not notice a flipped bit.
//! - **One process at a time** holds the file.
//!
//! Nothing in it is secret, and nothing is lost with it: the chain has it all.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::primitives::{Address, B256, Bytes, Log as PrimitiveLog, LogData, keccak256};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous},
};

use super::Head;
use crate::{
    deploy::Deployment,
    history::{Record, decode_event},
};

/// `AAev`, in the header of the file: tells it from other SQLite files.
const APPLICATION: i64 = 0x4141_6576;

/// Raised whenever the tables change.
const FORMAT: i64 = 1;

/// Events that are read from the file at once.
const PAGE: i64 = 4_096;

/// How long another process may need to let go of the file.
const PATIENCE: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE binding (
    chain_id INTEGER NOT NULL, arena BLOB NOT NULL, vault BLOB NOT NULL, emission BLOB NOT NULL,
    from_block INTEGER NOT NULL
) STRICT;
CREATE TABLE header (
    number INTEGER PRIMARY KEY, hash BLOB NOT NULL, parent BLOB NOT NULL, timestamp INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE TABLE log (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, block_hash BLOB NOT NULL, tx_hash BLOB NOT NULL,
    address BLOB NOT NULL, topics BLOB NOT NULL, data BLOB NOT NULL, PRIMARY KEY (block, log_index)
) STRICT, WITHOUT ROWID;
CREATE TABLE cursor (number INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
";

/// Why the archive could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It is of another deployment.
    #[error("the event archive {path} is of another deployment: {what} is {found}, expected {expected}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// Ours.
        expected: String,
        /// The file's.
        found: String,
    },
    /// Another program, or another version of this one, wrote it.
    #[error(
        "{path} is no event archive of this version: format {found:#x}, expected {expected:#x}; choose another path"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Format of this version, with the mark of archives.
        expected: i64,
        /// The file's.
        found: i64,
    },
    /// What it holds cannot be.
    #[error("the event archive {path} is damaged: {what}; delete it, and it is read from the chain again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What cannot be.
        what: String,
    },
    /// The file could not be read or written.
    #[error("{action} the event archive {path}: {source}")]
    Database {
        /// What was attempted, a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// SQLite's reason.
        r#source: sqlx::Error,
    },
}

impl ArchiveError {
    /// Whether the same may succeed later: another process holds the file, or the disk was full.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        // Busy, locked, failed input or output, and a full disk.
        matches!(self, Self::Database { source, .. } if matches!(code(source), Some(5 | 6 | 10 | 13)))
    }
}

/// Block, place in it, hashes of block and transaction, address, topics, data.
type LogRow = (i64, i64, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);

/// A verified log and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) record: Record,
    pub(super) log: PrimitiveLog,
}

/// A block's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) head: Head,
    pub(super) parent: B256,
}

/// An open archive.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    connection: SqliteConnection,
    deployment: Deployment,
}

impl Archive {
    /// Opens the file, or creates it, and checks whose it is.
    pub(super) async fn open(path: &Path, deployment: &Deployment) -> Result<Self, ArchiveError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .busy_timeout(PATIENCE)
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging();
        let connection = options.connect().await.map_err(|source| failed(path, "open", source))?;
        let mut archive = Self { path: path.to_owned(), connection, deployment: *deployment };
        archive.bind().await?;
        Ok(archive)
    }

    fn failed(&self, action: &'static str) -> impl Fn(sqlx::Error) -> ArchiveError + use<> {
        let path = self.path.clone();
        move |source| failed(&path, action, source)
    }

    fn damaged(&self, what: impl Into<String>) -> ArchiveError {
        ArchiveError::Damaged { path: self.path.clone(), what: what.into() }
    }

    async fn bind(&mut self) -> Result<(), ArchiveError> {
        let failed = self.failed("read");
        let pragma = |(value,): (i64,)| value;
        let application = sqlx::query_as("PRAGMA application_id").fetch_one(&mut self.connection).await;
        let version = sqlx::query_as("PRAGMA user_version").fetch_one(&mut self.connection).await;
        let tables =
            sqlx::query_as("SELECT count(*) FROM sqlite_master").fetch_one(&mut self.connection).await;
        let (application, version, tables) = (
            application.map(pragma).map_err(&failed)?,
            version.map(pragma).map_err(&failed)?,
            tables.map(pragma).map_err(&failed)?,
        );
        if tables == 0 && application == 0 {
            return self.create().await;
        }
        let (found, expected) = (application << 16 | version, APPLICATION << 16 | FORMAT);
        if found != expected {
            return Err(ArchiveError::Format { path: self.path.clone(), expected, found });
        }
        self.check_pages().await?;
        self.check_binding().await
    }

    async fn create(&mut self) -> Result<(), ArchiveError> {
        let failed = self.failed("create");
        let deployment = self.deployment;
        let mut transaction = self.connection.begin().await.map_err(&failed)?;
        sqlx::raw_sql(TABLES).execute(&mut *transaction).await.map_err(&failed)?;
        sqlx::query("INSERT INTO binding VALUES (?, ?, ?, ?, ?)")
            .bind(whole(deployment.chain_id))
            .bind(deployment.arena.as_slice())
            .bind(deployment.vault.as_slice())
            .bind(deployment.emission.as_slice())
            .bind(whole(deployment.from_block))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        // `AAev` and the format; both are part of the transaction.
        sqlx::raw_sql("PRAGMA application_id = 0x41416576; PRAGMA user_version = 1;")
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)
    }

    async fn check_pages(&mut self) -> Result<(), ArchiveError> {
        let (found,): (String,) = sqlx::query_as("PRAGMA quick_check(1)")
            .fetch_one(&mut self.connection)
            .await
            .map_err(self.failed("check"))?;
        if found == "ok" { Ok(()) } else { Err(self.damaged(found)) }
    }

    async fn check_binding(&mut self) -> Result<(), ArchiveError> {
        type Binding = (i64, Vec<u8>, Vec<u8>, Vec<u8>, i64);
        let rows: Vec<Binding> =
            sqlx::query_as("SELECT chain_id, arena, vault, emission, from_block FROM binding")
                .fetch_all(&mut self.connection)
                .await
                .map_err(self.failed("read"))?;
        let [(chain_id, arena, vault, emission, from_block)] = rows.as_slice() else {
            return Err(self.damaged(format!("{} deployments in it, expected one", rows.len())));
        };
        let ours = self.deployment;
        let address = |bytes: &[u8]| {
            Address::try_from(bytes).map_or_else(|_| "no address".to_owned(), |a| a.to_string())
        };
        let pairs = [
            ("the chain", whole(ours.chain_id).to_string(), chain_id.to_string()),
            ("the arena", ours.arena.to_string(), address(arena)),
            ("the vault", ours.vault.to_string(), address(vault)),
            ("the emission", ours.emission.to_string(), address(emission)),
            ("the first block", whole(ours.from_block).to_string(), from_block.to_string()),
        ];
        match pairs.into_iter().find(|(_, expected, found)| expected != found) {
            None => Ok(()),
            Some((what, expected, found)) => {
                Err(ArchiveError::Foreign { path: self.path.clone(), what, expected, found })
            }
        }
    }

    /// The newest blocks, oldest first, each the parent of the next, up to the cursor.
    pub(super) async fn links(&mut self) -> Result<Vec<Link>, ArchiveError> {
        type Row = (i64, Vec<u8>, Vec<u8>, i64);
        let failed = self.failed("read");
        let rows: Vec<Row> =
            sqlx::query_as("SELECT number, hash, parent, timestamp FROM header ORDER BY number")
                .fetch_all(&mut self.connection)
                .await
                .map_err(&failed)?;
        let cursor: Vec<(i64, Vec<u8>)> = sqlx::query_as("SELECT number, hash FROM cursor")
            .fetch_all(&mut self.connection)
            .await
            .map_err(&failed)?;
        let mut links: Vec<Link> = Vec::with_capacity(rows.len());
        for (number, hash, parent, timestamp) in rows {
            let head = Head {
                number: self.number(number)?,
                hash: self.word(&hash)?,
                timestamp: self.number(timestamp)?,
            };
            let link = Link { head, parent: self.word(&parent)? };
            if links.last().is_some_and(|last| {
                last.head.hash != link.parent || last.head.number.checked_add(1) != Some(head.number)
            }) {
                return Err(self.damaged(format!("block {number} does not follow the one before")));
            }
            links.push(link);
        }
        match (cursor.as_slice(), links.last()) {
            ([], None) => Ok(links),
            ([(number, hash)], Some(last))
                if whole(last.head.number) == *number && *hash == last.head.hash.0 =>
            {
                Ok(links)
            }
            _ => Err(self.damaged("the cursor is not at the last block")),
        }
    }

    /// Hands all events to `take`, in order and one page at a time, and checks them against the digests of the blocks.
    pub(super) async fn replay<E>(
        &mut self,
        mut take: impl FnMut(Record) -> Result<(), E>,
    ) -> Result<Result<(), E>, ArchiveError> {
        let digests: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT number, digest FROM header ORDER BY number")
                .fetch_all(&mut self.connection)
                .await
                .map_err(self.failed("read"))?;
        let mut digests = digests.into_iter().peekable();
        let (mut digest, mut place) = (B256::ZERO, (-1_i64, -1_i64));
        loop {
            let page = self.page(place).await?;
            for kept in &page {
                let block = whole(kept.record.block);
                while let Some((number, expected)) = digests.next_if(|(number, _)| *number < block) {
                    self.check_digest(number, &expected, digest)?;
                }
                digest = next_digest(digest, kept);
                place = (block, whole(kept.record.log_index));
            }
            let last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            for kept in page {
                if let Err(error) = take(kept.record) {
                    return Ok(Err(error));
                }
            }
            if last {
                break;
            }
        }
        let mut end = None;
        for (number, expected) in digests {
            self.check_digest(number, &expected, digest)?;
            end = Some(number);
        }
        // An event behind the cursor would have been read by nobody.
        if end.unwrap_or(-1) < place.0 {
            return Err(self.damaged(format!("an event in block {}, behind the cursor", place.0)));
        }
        Ok(Ok(()))
    }

    async fn page(&mut self, after: (i64, i64)) -> Result<Vec<Kept>, ArchiveError> {
        let rows: Vec<LogRow> = sqlx::query_as(
            "SELECT block, log_index, block_hash, tx_hash, address, topics, data FROM log
             WHERE (block, log_index) > (?, ?) ORDER BY block, log_index LIMIT ?",
        )
        .bind(after.0)
        .bind(after.1)
        .bind(PAGE)
        .fetch_all(&mut self.connection)
        .await
        .map_err(self.failed("read"))?;
        rows.into_iter().map(|row| self.kept(row)).collect()
    }

    fn kept(
        &self,
        (block, log_index, block_hash, tx_hash, address, topics, data): LogRow,
    ) -> Result<Kept, ArchiveError> {
        let place = format!("log {log_index} of block {block}");
        let address = Address::try_from(address.as_slice())
            .map_err(|_| self.damaged(format!("{place}: no address")))?;
        if !topics.len().is_multiple_of(32) || topics.len() > 128 {
            return Err(self.damaged(format!("{place}: {} bytes of topics", topics.len())));
        }
        let topics = topics.chunks_exact(32).map(B256::from_slice).collect();
        let log = PrimitiveLog { address, data: LogData::new_unchecked(topics, Bytes::from(data)) };
        let event =
            decode_event(&self.deployment, &log).map_err(|what| self.damaged(format!("{place}: {what}")))?;
        let record = Record {
            block: self.number(block)?,
            block_hash: self.word(&block_hash)?,
            transaction: self.word(&tx_hash)?,
            log_index: self.number(log_index)?,
            event,
        };
        Ok(Kept { record, log })
    }

    fn check_digest(&self, number: i64, expected: &[u8], found: B256) -> Result<(), ArchiveError> {
        if expected == found.as_slice() {
            return Ok(());
        }
        Err(self.damaged(format!("the events up to block {number} are not those that were written")))
    }

    /// Forgets all blocks above `back_to`, if that is given, then appends a stretch; at once or not at all.
    pub(super) async fn append(
        &mut self,
        back_to: Option<Option<u64>>,
        links: &[Link],
        logs: &[Kept],
        keep_from: u64,
    ) -> Result<(), ArchiveError> {
        let failed = self.failed("write");
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await.map_err(&failed)?;
        if let Some(back_to) = back_to {
            let last = back_to.map_or(-1, whole);
            for forget in ["DELETE FROM log WHERE block > ?", "DELETE FROM header WHERE number > ?"] {
                sqlx::query(forget).bind(last).execute(&mut *transaction).await.map_err(&failed)?;
            }
        }
        let digest: Option<(Vec<u8>,)> =
            sqlx::query_as("SELECT digest FROM header ORDER BY number DESC LIMIT 1")
                .fetch_optional(&mut *transaction)
                .await
                .map_err(&failed)?;
        let mut digest =
            digest.map_or(B256::ZERO, |(bytes,)| B256::try_from(bytes.as_slice()).unwrap_or_default());
        let mut logs = logs.iter().peekable();
        for link in links {
            while let Some(kept) = logs.next_if(|kept| kept.record.block <= link.head.number) {
                digest = next_digest(digest, kept);
                let record = &kept.record;
                sqlx::query("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)")
                    .bind(whole(record.block))
                    .bind(whole(record.log_index))
                    .bind(record.block_hash.as_slice())
                    .bind(record.transaction.as_slice())
                    .bind(kept.log.address.as_slice())
                    .bind(kept.log.topics().concat())
                    .bind(kept.log.data.data.as_ref())
                    .execute(&mut *transaction)
                    .await
                    .map_err(&failed)?;
            }
            if link.head.number < keep_from {
                continue;
            }
            sqlx::query("INSERT INTO header VALUES (?, ?, ?, ?, ?)")
                .bind(whole(link.head.number))
                .bind(link.head.hash.as_slice())
                .bind(link.parent.as_slice())
                .bind(whole(link.head.timestamp))
                .bind(digest.as_slice())
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        sqlx::query("DELETE FROM header WHERE number < ?")
            .bind(whole(keep_from))
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        sqlx::query("DELETE FROM cursor").execute(&mut *transaction).await.map_err(&failed)?;
        if let Some(last) = links.last() {
            sqlx::query("INSERT INTO cursor VALUES (?, ?)")
                .bind(whole(last.head.number))
                .bind(last.head.hash.as_slice())
                .execute(&mut *transaction)
                .await
                .map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)
    }

    fn number(&self, value: i64) -> Result<u64, ArchiveError> {
        u64::try_from(value).map_err(|_| self.damaged(format!("{value} where no number is negative")))
    }

    fn word(&self, bytes: &[u8]) -> Result<B256, ArchiveError> {
        B256::try_from(bytes).map_err(|_| self.damaged(format!("{} bytes where 32 belong", bytes.len())))
    }
}

fn failed(path: &Path, action: &'static str, source: sqlx::Error) -> ArchiveError {
    let path = path.to_owned();
    match code(&source) {
        // A damaged file, or one of another kind.
        Some(11 | 26) => ArchiveError::Damaged { path, what: source.to_string() },
        _ => ArchiveError::Database { action, path, source },
    }
}

/// SQLite's primary result code.
fn code(error: &sqlx::Error) -> Option<u32> {
    let extended: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// SQLite has signed numbers alone. Readers refuse what does not fit; the rest of all numbers is small.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The digest of all events so far.
fn next_digest(before: B256, kept: &Kept) -> B256 {
    let record = &kept.record;
    let mut bytes = Vec::with_capacity(256 + kept.log.data.data.len());
    bytes.extend_from_slice(before.as_slice());
    bytes.extend_from_slice(&record.block.to_be_bytes());
    bytes.extend_from_slice(&record.log_index.to_be_bytes());
    bytes.extend_from_slice(record.block_hash.as_slice());
    bytes.extend_from_slice(record.transaction.as_slice());
    bytes.extend_from_slice(kept.log.address.as_slice());
    // The number of topics keeps them apart from the data.
    bytes.push(u8::try_from(kept.log.topics().len()).unwrap_or(u8::MAX));
    kept.log.topics().iter().for_each(|topic| bytes.extend_from_slice(topic.as_slice()));
    bytes.extend_from_slice(&kept.log.data.data);
    keccak256(bytes)
}
