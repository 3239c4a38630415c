//! A creator's secret evaluation data, between the creation of its task and the end of it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use aiarena_chain::{deploy::Deployment, ledger::Task};
use aiarena_ml::{Dataset, Rows};
use aiarena_node::sealed::EvaluationTree;
use alloy::{
    primitives::{Address, B256},
    signers::local::PrivateKeySigner,
};
use anyhow::{Context, Result, ensure};

use crate::config::Config;

/// Largest file of rows that is read: as many rows as a data set may have.
const LARGEST_FILE: u64 = 100 << 20;

/// Keeps the rows of a task that is to be created, where only their owner reads them, under the root that goes on chain.
///
/// # Errors
/// If they cannot be written.
pub(super) fn keep(config: &Config, me: Address, root: B256, rows: &Rows) -> Result<PathBuf> {
    let path = path_of(config, me, root);
    let folder = crate::files::folder_of(&path);
    let writing = || format!("cannot write {}", path.display());
    fs::create_dir_all(folder).with_context(writing)?;
    // A temporary file is its owner's alone, and stays so under its new name.
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(writing)?;
    file.write_all(&rows.to_bytes()).and_then(|()| file.as_file().sync_all()).with_context(writing)?;
    file.persist(&path).with_context(writing)?;
    Ok(path)
}

/// The slices of a task that this key has created: made from the rows that were kept, or else from one of `folders`.
///
/// # Errors
/// If none of them has the root that is on chain.
pub(crate) fn find(
    config: &Config,
    deployment: &Deployment,
    signer: &PrivateKeySigner,
    task: &Task,
) -> Result<EvaluationTree> {
    let root = task.params.evaluation_root;
    let kept = path_of(config, signer.address(), root);
    let folders = config.seal.evaluation.iter().map(|folder| (folder.clone(), load(folder)));
    let places = kept.exists().then(|| (kept.clone(), read(&kept))).into_iter().chain(folders);
    let mut tried = Vec::new();
    for (place, rows) in places {
        let tree = rows.and_then(|rows| {
            let Deployment { chain_id, arena, .. } = *deployment;
            let tree = EvaluationTree::of_creator(signer, chain_id, arena, &rows, task.params.epochs)?;
            ensure!(tree.root() == root, "its root is {}", tree.root());
            Ok(tree)
        });
        match tree {
            Ok(tree) => return Ok(tree),
            Err(error) => tried.push(format!("{}: {error:#}", place.display())),
        }
    }
    let tried = if tried.is_empty() { String::new() } else { format!(" ({})", tried.join("; ")) };
    anyhow::bail!(
        "the evaluation data of task {}, whose root is {root}, are neither in {} nor in a folder that evaluation in [seal] of \
         the configuration names{tried}",
        task.number,
        kept.display()
    )
}

fn path_of(config: &Config, me: Address, root: B256) -> PathBuf {
    config.folder_of_key(me).join("evaluation").join(format!("{root}.rows"))
}

fn load(folder: &Path) -> Result<Rows> {
    Ok(Dataset::load_evaluation(folder)?)
}

fn read(path: &Path) -> Result<Rows> {
    let size = fs::metadata(path)?.len();
    ensure!(size <= LARGEST_FILE, "it is larger than {LARGEST_FILE} bytes");
    Ok(Rows::from_bytes(&fs::read(path)?)?)
}
