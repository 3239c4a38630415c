//! The parameters of a task, as a file.

use std::path::{Path, PathBuf};

use aiarena_chain::bindings::Arena;
use aiarena_ml::{Dataset, Rows};
use aiarena_node::sealed::EvaluationKind;
use alloy::primitives::B256;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::session::Token;
use crate::{
    amount,
    description::{TaskDescription, evaluation_root},
    files::{folder_of, read_json, read_toml},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    description: PathBuf,
    evaluation_data: String,
    epochs: u32,
    min_node_stake: String,
    min_validator_stake: String,
    max_submissions: u16,
    redundancy: u8,
    fresh_data: bool,
    tolerance: String,
    delegation_weight: String,
    equal_share: String,
    ranking: Ranking,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "rule")]
enum Ranking {
    StakeIntegral { phi: String },
    RankGeometric { q: String, alpha: String, cutoff: u16 },
}

/// A task that is to be created.
pub(super) struct NewTask {
    pub(super) description: TaskDescription,
    pub(super) params: Arena::TaskParams,
    /// The evaluation rows, if nobody else may see them yet; then the root is still to be set, for it needs the key.
    pub(super) sealed: Option<Rows>,
}

/// Reads a task's parameters; amounts are in the token.
pub(super) fn read(path: &Path, token: &Token) -> Result<NewTask> {
    let file: File = read_toml(path)?;
    let folder = folder_of(path);
    let description: TaskDescription = read_json(&folder.join(&file.description))?;
    let of_file = || path.display().to_string();
    description.check().with_context(|| file.description.display().to_string())?;
    let sealed = match description.evaluation {
        EvaluationKind::PublicRows => None,
        EvaluationKind::SealedSlices => Some(sealed_rows(&file, folder, &description).with_context(of_file)?),
    };
    let root = match &sealed {
        None => root(&file.evaluation_data, folder).with_context(of_file)?,
        Some(_) => B256::ZERO,
    };
    let params = build(&file, root, &description, token).with_context(of_file)?;
    Ok(NewTask { description, params, sealed })
}

/// Reads the description that a task's parameters name.
pub(super) fn description(path: &Path) -> Result<TaskDescription> {
    let file: File = read_toml(path)?;
    read_json(&folder_of(path).join(&file.description))
}

/// The evaluation rows of a sealed task, which must be the creator's own.
fn sealed_rows(file: &File, folder: &Path, description: &TaskDescription) -> Result<Rows> {
    let secret = !matches!(file.evaluation_data.as_str(), "public" | "embedded");
    ensure!(
        secret,
        "evaluation_data: everybody has the {} data, and the description says that they are sealed: name a folder of your own",
        file.evaluation_data
    );
    let path = folder.join(&file.evaluation_data);
    let rows = Dataset::load_evaluation(&path)
        .with_context(|| format!("cannot load the evaluation data from {}", path.display()))?;
    ensure!(
        rows.len() >= file.epochs as usize,
        "{} evaluation rows are too few for {} epochs: each epoch needs at least one of its own, and should have some hundred",
        rows.len(),
        file.epochs
    );
    // If it covered the evaluation rows, whoever suspects them could check, and nobody else could check the training rows.
    if let Ok(all) = Dataset::load(&path) {
        ensure!(
            description.data != all.digest_hex(),
            "the description's data is the digest over all files, of which nodes of a sealed task have only those of the \
             training rows: it should be {}",
            all.training.digest_hex()
        );
    }
    ensure!(
        description.data != aiarena_ml::EMBEDDED_DIGEST,
        "the description's data is the digest over all embedded data; that of their training rows alone is {}",
        Dataset::embedded().training.digest_hex()
    );
    Ok(rows)
}

fn build(file: &File, root: B256, description: &TaskDescription, token: &Token) -> Result<Arena::TaskParams> {
    let ratio = |name: &'static str, text: &str| amount::parse_wad(text).context(name);
    let tokens = |name: &'static str, text: &str| amount::parse_u96(text, token.decimals).context(name);
    let (rule, phi, q, alpha, cutoff) = match &file.ranking {
        Ranking::StakeIntegral { phi } => (0, ratio("phi", phi)?, 0, 0, 0),
        Ranking::RankGeometric { q, alpha, cutoff } => {
            (1, 0, ratio("q", q)?, ratio("alpha", alpha)?, *cutoff)
        }
    };
    let tolerance = amount::parse(&file.tolerance, 9).context("tolerance")?;
    ensure!(tolerance <= alloy::primitives::U256::from(1_000_000_000), "tolerance is more than 1");
    Ok(Arena::TaskParams {
        metadata: description.digest()?,
        evaluationRoot: root,
        minNodeStake: tokens("min_node_stake", &file.min_node_stake)?.to(),
        minValidatorStake: tokens("min_validator_stake", &file.min_validator_stake)?.to(),
        redundancy: file.redundancy,
        freshData: file.fresh_data,
        rule,
        metric: 0,
        maxSubmissions: file.max_submissions,
        rankCutoff: cutoff,
        epsilonWad: ratio("delegation_weight", &file.delegation_weight)?,
        gammaWad: ratio("equal_share", &file.equal_share)?,
        phiWad: phi,
        tolerance: tolerance.to(),
        epochs: file.epochs,
        qWad: q,
        alphaWad: alpha,
        lossCapWad: 0,
    })
}

/// The root over the evaluation rows of a folder, of the embedded data, or zero if the data are public.
fn root(data: &str, folder: &Path) -> Result<B256> {
    match data {
        "public" => Ok(B256::ZERO),
        "embedded" => evaluation_root(&Dataset::embedded()),
        path => {
            let path = folder.join(path);
            let data = Dataset::load(&path)
                .with_context(|| format!("cannot load the evaluation data from {}", path.display()))?;
            evaluation_root(&data)
        }
    }
}

/// A task with its defaults; `DESCRIPTION` stands for the file of its description.
pub(super) const TEMPLATE: &str = r#"# What `aiarena task create` fixes for this task. Amounts are in tokens; amounts and ratios are decimal texts.

# The file that describes the task: its SHA-256 goes on the chain. Publish it.
description = "DESCRIPTION"
# Folder of the evaluation data, whose Merkle root goes on the chain; "embedded" for the data of this program,
# "public" if anybody has them. If the description says that the evaluation is "sealed_slices", a folder that only you have:
# it is cut into one slice per epoch, and `aiarena node seal` sends each to the validators alone.
evaluation_data = "embedded"
# How many epochs it runs, from the next one on.
epochs = 365
# Least stakes of your own with which one takes part.
min_node_stake = "100"
min_validator_stake = "500"
# Most standing submissions, 1 to 2048.
max_submissions = 64
# Scores wanted per submission, 1 to 255.
redundancy = 15
# Whether evaluation rows are drawn anew in each epoch.
fresh_data = true
# Difference that two honest validators may have, as a part of the best score.
tolerance = "0.001"
# Weight of delegated stake, 0 to 1.
delegation_weight = "1"
# Share that nodes and validators each get whatever their stake, 0 to 0.5.
equal_share = "0.25"

# What a rank earns.
[ranking]
rule = "stake-integral"
phi = "0.2"
# rule = "rank-geometric"
# q = "0.9"
# alpha = "1"
# cutoff = 0
"#;
