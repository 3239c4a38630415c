//! A creator's secret evaluation data, between the creation of its task and the end of it.
//!
//! A file holds what is needed to make a task's slices again: the secret from which their salts follow, 32 bytes, then the
//! rows. So whoever sends the slices needs no key, and may run where there is none that can spend anything.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use aiarena_chain::ledger::{Ledger, Task};
use aiarena_ml::{Dataset, Rows};
use aiarena_node::sealed::EvaluationTree;
use alloy::primitives::{Address, B256, Keccak256};
use anyhow::{Context, Result, ensure};

use crate::config::Config;

/// Largest file of rows that is read: as many rows as a data set may have.
const LARGEST_FILE: u64 = 100 << 20;

/// Rows, and the secret from which the salts of their slices follow.
pub(crate) struct Kept {
    pub(crate) secret: B256,
    pub(crate) rows: Rows,
}

impl Kept {
    /// The slices of a task.
    ///
    /// # Errors
    /// If they are not those whose root is on chain.
    pub(crate) fn tree(&self, task: &Task) -> Result<EvaluationTree> {
        let tree = EvaluationTree::of_rows(&self.rows, task.params.epochs, self.secret)?;
        ensure!(tree.root() == task.params.evaluation_root, "its root is {}", tree.root());
        Ok(tree)
    }

    /// Keeps them where only their owner reads them, under the root that is, or will be, on chain.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn write(&self, config: &Config, me: Address, root: B256) -> Result<PathBuf> {
        let path = path_of(config, me, root);
        let folder = crate::files::folder_of(&path);
        let writing = || format!("cannot write {}", path.display());
        fs::create_dir_all(folder).with_context(writing)?;
        // A temporary file is its owner's alone, and stays so under its new name.
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(writing)?;
        let bytes = [self.secret.as_slice(), &self.rows.to_bytes()].concat();
        file.write_all(&bytes).and_then(|()| file.as_file().sync_all()).with_context(writing)?;
        file.persist(&path).with_context(writing)?;
        Ok(path)
    }

    /// Reads what was kept for a root; `None` if nothing was.
    ///
    /// # Errors
    /// If it cannot be read, or is something else.
    pub(crate) fn read(config: &Config, me: Address, root: B256) -> Result<Option<Self>> {
        let path = path_of(config, me, root);
        if !path.exists() {
            return Ok(None);
        }
        let read = || -> Result<Self> {
            let size = fs::metadata(&path)?.len();
            ensure!(size <= LARGEST_FILE, "it is larger than {LARGEST_FILE} bytes");
            let bytes = fs::read(&path)?;
            let (secret, rows) = bytes.split_first_chunk::<32>().context("it is cut short")?;
            Ok(Self { secret: B256::from(*secret), rows: Rows::from_bytes(rows)? })
        };
        read().map(Some).with_context(|| format!("cannot read the evaluation data in {}", path.display()))
    }
}

/// The evaluation rows in a folder.
pub(crate) fn load(folder: &Path) -> Result<Rows> {
    Ok(Dataset::load_evaluation(folder)?)
}

/// Refuses rows that another task of the key has, or had: its slices are published when it is over, and then nothing of the
/// other's is secret.
///
/// # Errors
/// If there is one, or it cannot be told.
pub(super) fn check_unused(config: &Config, me: Address, rows: &Rows, ledger: &Ledger) -> Result<()> {
    let own = digests(rows);
    for task in ledger.tasks.values().filter(|task| task.creator == me) {
        let Some(kept) = Kept::read(config, me, task.params.evaluation_root)? else { continue };
        let shared = digests(&kept.rows).intersection(&own).count();
        ensure!(
            shared == 0,
            "{shared} of the evaluation rows are rows of task {} too, and are published when that is over: name others",
            task.number
        );
    }
    Ok(())
}

fn digests(rows: &Rows) -> BTreeSet<B256> {
    let digest = |row| {
        let mut hasher = Keccak256::new();
        hasher.update(rows.image(row));
        hasher.update([rows.label(row)]);
        hasher.finalize()
    };
    (0..rows.len()).map(digest).collect()
}

/// Where the rows are that make the slices of a root.
pub(crate) fn path_of(config: &Config, me: Address, root: B256) -> PathBuf {
    config.folder_of_key(me).join("evaluation").join(format!("{root}.rows"))
}
