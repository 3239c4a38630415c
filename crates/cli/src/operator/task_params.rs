//! The parameters of a task, as a file.

use std::path::{Path, PathBuf};

use aiarena_chain::bindings::Arena;
use aiarena_ml::Dataset;
use alloy::primitives::B256;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{amount, session::Token};
use crate::{
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
    #[serde(default)]
    loss_cap: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "rule")]
enum Ranking {
    StakeIntegral { phi: String },
    RankGeometric { q: String, alpha: String, cutoff: u16 },
}

/// Reads a task's parameters; amounts are in the token.
pub(super) fn read(path: &Path, token: &Token) -> Result<(TaskDescription, Arena::TaskParams)> {
    let file: File = read_toml(path)?;
    let folder = folder_of(path);
    let description: TaskDescription = read_json(&folder.join(&file.description))?;
    let params = build(&file, folder, &description, token).with_context(|| path.display().to_string())?;
    Ok((description, params))
}

/// Reads the description that a task's parameters name.
pub(super) fn description(path: &Path) -> Result<TaskDescription> {
    let file: File = read_toml(path)?;
    read_json(&folder_of(path).join(&file.description))
}

fn build(
    file: &File,
    folder: &Path,
    description: &TaskDescription,
    token: &Token,
) -> Result<Arena::TaskParams> {
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
    let loss_cap = file.loss_cap.as_deref().map(|cap| ratio("loss_cap", cap)).transpose()?;
    Ok(Arena::TaskParams {
        metadata: description.digest()?,
        evaluationRoot: root(&file.evaluation_data, folder)?,
        minNodeStake: tokens("min_node_stake", &file.min_node_stake)?.to(),
        minValidatorStake: tokens("min_validator_stake", &file.min_validator_stake)?.to(),
        redundancy: file.redundancy,
        freshData: file.fresh_data,
        rule,
        metric: u8::from(loss_cap.is_some()),
        maxSubmissions: file.max_submissions,
        rankCutoff: cutoff,
        epsilonWad: ratio("delegation_weight", &file.delegation_weight)?,
        gammaWad: ratio("equal_share", &file.equal_share)?,
        phiWad: phi,
        tolerance: tolerance.to(),
        epochs: file.epochs,
        qWad: q,
        alphaWad: alpha,
        lossCapWad: loss_cap.unwrap_or(0),
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
# "public" if anybody has them.
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
# For a metric where less is better: the loss that counts as the worst.
# loss_cap = "5"

# What a rank earns.
[ranking]
rule = "stake-integral"
phi = "0.2"
# rule = "rank-geometric"
# q = "0.9"
# alpha = "1"
# cutoff = 0
"#;
