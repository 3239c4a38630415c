//! What an account has promised to send, on disk before it is sent.
//!
//! A transaction is written down as intended, then as signed with its bytes, then as mined with its receipt, then as final;
//! each step is durable before the next one is taken. So a process that is killed anywhere finds, when it starts again, either
//! nothing to repeat or the very bytes to send again, and the chain takes those bytes once.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy::primitives::{Address, B256, Bytes};
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

/// The layout of the file. Raised with every change of it.
const VERSION: i64 = 1;

/// Why a journal could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process holds it.
    #[error("{} is in use: another process works with this key; stop it first", path.display())]
    InUse {
        /// The lock.
        path: PathBuf,
    },
    /// It belongs to another account or chain, or to another version of this program.
    #[error("{} is the journal of {found}, expected {expected}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it should be.
        expected: String,
        /// Whose it is.
        found: String,
    },
    /// The file or its folder cannot be read or written.
    #[error("journal {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        r#source: std::io::Error,
    },
    /// The database failed; with a full disk, this is what is seen.
    #[error("journal {}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// The database's reason.
        r#source: sqlx::Error,
    },
}

/// Steps of a transaction, in their order. A journal's watcher is told each of them once it is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// It is known what to send.
    Intended,
    /// Its bytes are on disk, at first or with a higher fee. They may be sent from now on.
    Signed,
    /// An endpoint has them.
    Sent,
    /// They are in a block.
    Mined,
    /// That block is deep enough to stay.
    Final,
}

/// What a transaction is at the moment, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not signed yet.
    Intended,
    /// Signed, perhaps sent, not known to be mined.
    Signed,
    /// In a block, with success or without.
    Mined,
    /// In a block that stays.
    Final,
    /// Given up before it had an effect.
    Dropped,
}

impl State {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Intended, "intended"),
        (Self::Signed, "signed"),
        (Self::Mined, "mined"),
        (Self::Final, "final"),
        (Self::Dropped, "dropped"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == text).map(|(state, _)| state)
    }
}

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Intent {
    /// What it is for. Of each name at most one transaction has an effect; without one nothing is claimed.
    pub(super) name: Option<String>,
    /// The function that is called.
    pub(super) action: String,
    /// The contract; `None` creates one.
    pub(super) to: Option<Address>,
    /// Call data, or the new contract's code.
    pub(super) input: Bytes,
    /// The chain's time from which it is of no use, in seconds since 1970.
    pub(super) deadline: Option<u64>,
}

/// Signed bytes of a transaction. There is one attempt more after each raise of the fee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) hash: B256,
    pub(super) raw: Bytes,
    pub(super) max_fee: u128,
    pub(super) priority_fee: u128,
    /// Whether it takes the transaction's place without doing what it would.
    pub(super) cancels: bool,
}

/// Where an attempt was mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mined {
    pub(super) hash: B256,
    pub(super) block: u64,
    pub(super) block_hash: B256,
    pub(super) gas: u64,
    pub(super) success: bool,
    pub(super) created: Option<Address>,
}

/// A transaction with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) intent: Intent,
    pub(super) state: State,
    pub(super) nonce: Option<u64>,
    pub(super) gas_limit: u64,
    pub(super) attempts: Vec<Attempt>,
    pub(super) mined: Option<Mined>,
}

impl Entry {
    /// The attempt that was mined.
    pub(super) fn mined_attempt(&self) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| self.mined.is_some_and(|mined| mined.hash == attempt.hash))
    }
}

/// Told each step once it is on disk.
pub type Watcher = Arc<dyn Fn(Step) + Send + Sync>;

/// The transactions of one account on one chain.
pub struct Journal {
    pool: SqlitePool,
    path: PathBuf,
    watcher: Option<Watcher>,
    /// Held as long as the journal is open; the system releases it when the process ends, however it ends.
    _lock: File,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal of an account in `folder`, or begins one. Only one process at a time can.
    ///
    /// # Errors
    /// [`JournalError`].
    pub async fn open(folder: &Path, chain_id: u64, account: Address) -> Result<Self, JournalError> {
        let path = folder.join("journal.db");
        let io = |source| JournalError::Io { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let lock_path = folder.join("journal.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(JournalError::InUse { path: lock_path }),
            Err(std::fs::TryLockError::Error(source)) => return Err(io(source)),
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A step is only done once it survives a power failure.
            .synchronous(SqliteSynchronous::Full);
        let database = |source| JournalError::Database { path: path.clone(), source };
        let pool =
            SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(database)?;
        let journal = Self { pool, path: path.clone(), watcher: None, _lock: lock };
        journal.prepare(&format!("account {account} on chain {chain_id}, version {VERSION}")).await?;
        Ok(journal)
    }

    /// Sets who is told each step.
    #[must_use]
    pub fn watched(mut self, watcher: Watcher) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// Keeps `value` under `key` for the next process; on disk when this returns.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub async fn remember(&self, key: &str, value: &[u8]) -> Result<(), JournalError> {
        let query = sqlx::query(
            "INSERT INTO memories VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        );
        self.execute(query.bind(key).bind(value)).await
    }

    /// What was kept under `key`.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let query = sqlx::query("SELECT value FROM memories WHERE key = ?").bind(key);
        let row = query.fetch_optional(&self.pool).await.map_err(|source| self.failed(source))?;
        row.map(|row| row.try_get(0)).transpose().map_err(|source| self.failed(source))
    }

    /// Transactions that were signed and are not known to be mined.
    ///
    /// # Errors
    /// [`JournalError::Database`].
    pub async fn unresolved(&self) -> Result<u64, JournalError> {
        Ok(self.entries(State::Signed).await?.len() as u64)
    }

    async fn prepare(&self, owner: &str) -> Result<(), JournalError> {
        sqlx::raw_sql(TABLES).execute(&self.pool).await.map_err(|source| self.failed(source))?;
        match self.recall(OWNER).await? {
            None => self.remember(OWNER, owner.as_bytes()).await,
            Some(found) if found == owner.as_bytes() => Ok(()),
            Some(found) => Err(JournalError::Foreign {
                path: self.path.clone(),
                expected: owner.to_owned(),
                found: String::from_utf8_lossy(&found).into_owned(),
            }),
        }
    }

    fn failed(&self, source: sqlx::Error) -> JournalError {
        JournalError::Database { path: self.path.clone(), source }
    }

    fn tell(&self, step: Step) {
        if let Some(watcher) = &self.watcher {
            watcher(step);
        }
    }

    async fn execute(
        &self,
        query: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<(), JournalError> {
        query.execute(&self.pool).await.map(|_| ()).map_err(|source| self.failed(source))
    }

    /// Writes down what is to be sent; an earlier one of the same name, which had no effect, makes way.
    pub(super) async fn intend(&self, intent: Intent) -> Result<Entry, JournalError> {
        let query = sqlx::query(
            "INSERT INTO transactions (name, action, recipient, input, deadline, state) VALUES (?, ?, ?, ?, ?, 'intended')
             RETURNING id",
        );
        let query = query
            .bind(intent.name.clone())
            .bind(intent.action.clone())
            .bind(intent.to.map(|to| to.to_vec()))
            .bind(intent.input.to_vec())
            .bind(intent.deadline.map(u64::cast_signed));
        let mut writing = self.pool.begin().await.map_err(|source| self.failed(source))?;
        if let Some(name) = &intent.name {
            let forget = sqlx::query("UPDATE transactions SET name = NULL WHERE name = ?").bind(name.clone());
            forget.execute(&mut *writing).await.map_err(|source| self.failed(source))?;
        }
        let row = query.fetch_one(&mut *writing).await.map_err(|source| self.failed(source))?;
        writing.commit().await.map_err(|source| self.failed(source))?;
        let id = row.try_get(0).map_err(|source| self.failed(source))?;
        self.tell(Step::Intended);
        let (attempts, state) = (Vec::new(), State::Intended);
        Ok(Entry { id, intent, state, nonce: None, gas_limit: 0, attempts, mined: None })
    }

    /// Writes down signed bytes, before anybody gets them.
    pub(super) async fn sign(&self, entry: &Entry, attempt: &Attempt) -> Result<(), JournalError> {
        let failed = |source| self.failed(source);
        let mut writing = self.pool.begin().await.map_err(failed)?;
        sqlx::query("UPDATE transactions SET state = 'signed', nonce = ?, gas_limit = ? WHERE id = ?")
            .bind(entry.nonce.map(u64::cast_signed))
            .bind(entry.gas_limit.cast_signed())
            .bind(entry.id)
            .execute(&mut *writing)
            .await
            .map_err(failed)?;
        sqlx::query("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?)")
            .bind(entry.id)
            .bind(attempt.hash.to_vec())
            .bind(attempt.raw.to_vec())
            .bind(attempt.max_fee.to_string())
            .bind(attempt.priority_fee.to_string())
            .bind(attempt.cancels)
            .execute(&mut *writing)
            .await
            .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        self.tell(Step::Signed);
        Ok(())
    }

    /// Nothing is written: whether the bytes were sent is not known before they are mined, and sending them again is
    /// harmless.
    pub(super) fn sent(&self) {
        self.tell(Step::Sent);
    }

    /// Writes down where it was mined.
    pub(super) async fn mined(&self, id: i64, mined: &Mined) -> Result<(), JournalError> {
        let query = sqlx::query(
            "UPDATE transactions SET state = 'mined', hash = ?, block = ?, block_hash = ?, gas = ?, success = ?, created = ?
             WHERE id = ?",
        );
        let query = query
            .bind(mined.hash.to_vec())
            .bind(mined.block.cast_signed())
            .bind(mined.block_hash.to_vec())
            .bind(mined.gas.cast_signed())
            .bind(mined.success)
            .bind(mined.created.map(|created| created.to_vec()))
            .bind(id);
        self.execute(query).await?;
        self.tell(Step::Mined);
        Ok(())
    }

    /// Writes down another state. In all but the last there is no receipt, or none that counts any more.
    pub(super) async fn set_state(&self, id: i64, state: State) -> Result<(), JournalError> {
        let query = sqlx::query(
            "UPDATE transactions SET state = ?1, hash = CASE ?1 WHEN 'final' THEN hash END WHERE id = ?2",
        );
        let query = query.bind(state.name()).bind(id);
        self.execute(query).await?;
        if state == State::Final {
            self.tell(Step::Final);
        }
        Ok(())
    }

    /// The transaction of a name.
    pub(super) async fn named(&self, name: &str) -> Result<Option<Entry>, JournalError> {
        let query = sqlx::query("SELECT * FROM transactions WHERE name = ?").bind(name);
        let row = query.fetch_optional(&self.pool).await.map_err(|source| self.failed(source))?;
        match row {
            Some(row) => self.entry(&row).await.map(Some),
            None => Ok(None),
        }
    }

    /// All transactions in a state, in the order of their nonces.
    pub(super) async fn entries(&self, state: State) -> Result<Vec<Entry>, JournalError> {
        let query =
            sqlx::query("SELECT * FROM transactions WHERE state = ? ORDER BY nonce, id").bind(state.name());
        let rows = query.fetch_all(&self.pool).await.map_err(|source| self.failed(source))?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            entries.push(self.entry(row).await?);
        }
        Ok(entries)
    }

    /// The nonce after all that were mined.
    pub(super) async fn next_nonce(&self) -> Result<u64, JournalError> {
        let query = sqlx::query(
            "SELECT COALESCE(MAX(nonce) + 1, 0) FROM transactions WHERE state IN ('mined', 'final')",
        );
        let row = query.fetch_one(&self.pool).await.map_err(|source| self.failed(source))?;
        row.try_get::<i64, _>(0).map(i64::cast_unsigned).map_err(|source| self.failed(source))
    }

    async fn entry(&self, row: &SqliteRow) -> Result<Entry, JournalError> {
        let mut entry = read_entry(row).map_err(|source| self.failed(source))?;
        let query = sqlx::query("SELECT * FROM attempts WHERE id = ? ORDER BY rowid").bind(entry.id);
        let rows = query.fetch_all(&self.pool).await.map_err(|source| self.failed(source))?;
        let attempts = rows.iter().map(read_attempt).collect::<Result<_, _>>();
        entry.attempts = attempts.map_err(|source| self.failed(source))?;
        Ok(entry)
    }
}

/// The memory that says whose journal it is.
const OWNER: &str = "owner";

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS memories (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS transactions (
        id INTEGER PRIMARY KEY, name TEXT UNIQUE, action TEXT NOT NULL, recipient BLOB, input BLOB NOT NULL,
        deadline INTEGER, state TEXT NOT NULL, nonce INTEGER, gas_limit INTEGER,
        hash BLOB, block INTEGER, block_hash BLOB, gas INTEGER, success INTEGER, created BLOB
    ) STRICT;
    CREATE INDEX IF NOT EXISTS by_state ON transactions (state, nonce);
    CREATE TABLE IF NOT EXISTS attempts (
        id INTEGER NOT NULL REFERENCES transactions, hash BLOB NOT NULL, raw BLOB NOT NULL,
        max_fee TEXT NOT NULL, priority_fee TEXT NOT NULL, cancels INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS by_transaction ON attempts (id);
";

fn read_entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let state: String = row.try_get("state")?;
    let state = State::parse(&state).ok_or_else(|| malformed("state"))?;
    let intent = Intent {
        name: row.try_get("name")?,
        action: row.try_get("action")?,
        to: row.try_get::<Option<Vec<u8>>, _>("recipient")?.map(|to| address(&to)).transpose()?,
        input: row.try_get::<Vec<u8>, _>("input")?.into(),
        deadline: row.try_get::<Option<i64>, _>("deadline")?.map(i64::cast_unsigned),
    };
    let unsigned = |column: &str| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let mined = match row.try_get::<Option<Vec<u8>>, _>("hash")? {
        None => None,
        Some(hash) => Some(Mined {
            hash: word(&hash)?,
            block: unsigned("block")?,
            block_hash: word(&row.try_get::<Vec<u8>, _>("block_hash")?)?,
            gas: unsigned("gas")?,
            success: row.try_get("success")?,
            created: row
                .try_get::<Option<Vec<u8>>, _>("created")?
                .map(|created| address(&created))
                .transpose()?,
        }),
    };
    Ok(Entry {
        id: row.try_get("id")?,
        intent,
        state,
        nonce: row.try_get::<Option<i64>, _>("nonce")?.map(i64::cast_unsigned),
        gas_limit: row.try_get::<Option<i64>, _>("gas_limit")?.unwrap_or_default().cast_unsigned(),
        attempts: Vec::new(),
        mined,
    })
}

fn read_attempt(row: &SqliteRow) -> Result<Attempt, sqlx::Error> {
    let fee = |column: &'static str| row.try_get::<String, _>(column)?.parse().map_err(|_| malformed(column));
    Ok(Attempt {
        hash: word(&row.try_get::<Vec<u8>, _>("hash")?)?,
        raw: row.try_get::<Vec<u8>, _>("raw")?.into(),
        max_fee: fee("max_fee")?,
        priority_fee: fee("priority_fee")?,
        cancels: row.try_get("cancels")?,
    })
}

fn word(bytes: &[u8]) -> Result<B256, sqlx::Error> {
    B256::try_from(bytes).map_err(|_| malformed("a hash"))
}

fn address(bytes: &[u8]) -> Result<Address, sqlx::Error> {
    Address::try_from(bytes).map_err(|_| malformed("an address"))
}

fn malformed(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what} is malformed").into())
}
