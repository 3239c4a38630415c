//! Where an audit takes its material from: a folder that the demo kept, or an endpoint.

use std::path::{Path, PathBuf};

use aiarena_chain::{deploy::Deployment, embedded::EmbeddedChain};
use aiarena_ml::{Dataset, MAX_ARTIFACT_BYTES};
use aiarena_store::FolderStore;
use alloy::{
    primitives::Address,
    providers::{DynProvider, Provider, ProviderBuilder},
};
use anyhow::{Context, Result, bail, ensure};

use super::rescore::Rescore;
use crate::{
    args::AuditArgs,
    demo::stage::{ARTIFACTS_FOLDER, CHAIN_FILE, DEPLOYMENT_FILE, EVAL_DATA_FOLDER, TASK_FILE, rpc_client},
    description::TaskDescription,
    files::read_json,
};

/// What the command line named, opened.
pub(super) struct Source {
    /// The chain.
    pub(super) provider: DynProvider,
    /// The arena.
    pub(super) arena: Address,
    /// Where its history begins.
    pub(super) from_block: u64,
    /// The contracts as the folder names them.
    pub(super) named: Option<Deployment>,
    /// What is needed to evaluate again, if that was asked for.
    pub(super) rescore: Option<Rescore>,
}

impl Source {
    /// Opens what the arguments name.
    ///
    /// # Errors
    /// If something is missing, with what to do about it.
    pub(super) fn open(args: &AuditArgs) -> Result<Self> {
        let rescore = args.rescore.then(|| material(args)).transpose()?;
        if let Some(folder) = &args.dir {
            ensure!(
                folder.is_dir(),
                "{} is no folder: give one that `aiarena demo --keep` wrote",
                folder.display()
            );
            let deployment: Deployment = read_json(&folder.join(DEPLOYMENT_FILE))?;
            let file = folder.join(CHAIN_FILE);
            ensure!(
                file.exists(),
                "{} holds no {CHAIN_FILE}: its demo ran on another chain, which --rpc-url and --arena {} can name",
                folder.display(),
                deployment.arena
            );
            let chain =
                EmbeddedChain::load(&file).with_context(|| format!("cannot load {}", file.display()))?;
            let (provider, Deployment { arena, from_block, .. }) = (chain.provider(), deployment);
            return Ok(Self { provider, arena, from_block, named: Some(deployment), rescore });
        }
        let (Some(url), Some(arena)) = (&args.rpc_url, args.arena) else {
            bail!("name what to audit: --dir DIR, or --rpc-url URL --arena ADDRESS");
        };
        let client = rpc_client(url)?;
        let provider = ProviderBuilder::new().disable_recommended_fillers().connect_client(client).erased();
        Ok(Self { provider, arena, from_block: args.from_block, named: None, rescore })
    }
}

/// Evaluation data, artifacts and the tasks' descriptions.
fn material(args: &AuditArgs) -> Result<Rescore> {
    let kept = |name: &str| args.dir.as_ref().map(|folder| folder.join(name));
    let folder = |given: &Option<PathBuf>, name: &str, flag: &str| {
        let folder = given.clone().or_else(|| kept(name));
        let Some(folder) = folder else {
            bail!("--rescore needs {flag} DIR, or --dir with what the demo kept")
        };
        ensure!(folder.is_dir(), "{} is no folder: {flag} names one", folder.display());
        Ok(folder)
    };
    let artifacts = folder(&args.artifacts, ARTIFACTS_FOLDER, "--artifacts")?;
    let data_folder = match (&args.eval_data, &args.dir) {
        // Sealed data are published among the artifacts, and many public tasks use the rows of this program.
        (None, None) => None,
        _ => Some(folder(&args.eval_data, EVAL_DATA_FOLDER, "--eval-data")?),
    };
    let data = match &data_folder {
        None => Dataset::embedded(),
        Some(folder) => Dataset::load(folder)
            .with_context(|| format!("cannot load the evaluation data from {}", folder.display()))?,
    };
    let store =
        FolderStore::open(artifacts, MAX_ARTIFACT_BYTES as u64).context("cannot open the artifacts")?;
    let mut descriptions = Vec::new();
    let above = data_folder.as_deref().and_then(Path::parent).map(Path::to_owned);
    let beside = [args.dir.clone(), data_folder, above];
    for file in beside.into_iter().flatten().map(|folder| folder.join(TASK_FILE)) {
        if file.exists() {
            descriptions.push(read_json(&file)?);
        }
    }
    // The demo's task is known, whatever lies beside the data.
    descriptions.push(TaskDescription::demo());
    Ok(Rescore { data, store, descriptions })
}
