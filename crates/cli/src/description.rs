//! What a task's creator says of it, and what of that is on chain.

use aiarena_mechanism::evaluation::{MerkleTree, slice_leaf};
use aiarena_ml::{COPY_THRESHOLD_PPM, Dataset, MAX_ARTIFACT_BYTES};
use aiarena_node::sealed::EvaluationKind;
use aiarena_store::ContentHash;
use alloy::primitives::B256;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// Rows that the demo's task draws for the evaluation of an epoch.
pub const DEMO_SLICE: u32 = 1_500;

/// The metric that is scored (M-16).
const METRIC: &str = "accuracy";

fn largest_of_all() -> u64 {
    MAX_ARTIFACT_BYTES as u64
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_largest_of_all(bytes: &u64) -> bool {
    *bytes == largest_of_all()
}

/// What the task's creator describes; its SHA-256 is on chain.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct TaskDescription {
    /// For people.
    pub title: String,
    /// SHA-256 over the data set's files; if the evaluation data are sealed, over those of the training rows alone.
    pub data: String,
    /// How the metric becomes a score (M-16).
    pub metric: String,
    /// Rows of the evaluation set that the seed of an epoch draws; of no meaning if the data are sealed: all of a slice count.
    pub slice: u32,
    /// Licence of the data.
    pub licence: String,
    /// How near copies are found (M-11), in millionths of similarity.
    pub copy_threshold_ppm: i32,
    /// Largest model, in bytes of its artifact: a larger one is scored 0. Left out if it is as large as any may be.
    #[serde(default = "largest_of_all", skip_serializing_if = "is_largest_of_all")]
    pub largest_model: u64,
    /// What an epoch is evaluated on. Left out if public, so that descriptions keep their hash.
    #[serde(default, skip_serializing_if = "EvaluationKind::is_public")]
    pub evaluation: EvaluationKind,
}

impl TaskDescription {
    /// The demo's task.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            title: "Fashion-MNIST: which of ten kinds of clothing does the picture show?".to_owned(),
            data: aiarena_ml::EMBEDDED_DIGEST.to_owned(),
            metric: METRIC.to_owned(),
            slice: DEMO_SLICE,
            licence: "MIT".to_owned(),
            copy_threshold_ppm: COPY_THRESHOLD_PPM,
            largest_model: largest_of_all(),
            evaluation: EvaluationKind::PublicRows,
        }
    }

    /// Reads the description of a task as it was found in a store.
    ///
    /// # Errors
    /// If it is none, or this release does not score as it says: nobody can take part in the task with it.
    pub fn read(bytes: &[u8], task: u64) -> Result<Self> {
        let description: Self = serde_json::from_slice(bytes).with_context(|| {
            format!("the description of task {task} is not one that this version understands")
        })?;
        description.check().with_context(|| {
            format!("nobody can take part in task {task} with this version; name the others as `tasks` in [operator]")
        })?;
        Ok(description)
    }

    /// Whether this release scores as the description says.
    ///
    /// # Errors
    /// What of it this release does in another way: whoever took part would be scored by other rules than were promised.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.metric == METRIC,
            "the description's metric is {:?}, and this release scores {METRIC:?} alone",
            self.metric
        );
        ensure!(
            self.copy_threshold_ppm == COPY_THRESHOLD_PPM,
            "the description's copy_threshold_ppm is {}, and this release finds copies from {COPY_THRESHOLD_PPM} on",
            self.copy_threshold_ppm
        );
        ensure!(
            (1..=largest_of_all()).contains(&self.largest_model),
            "the description's largest_model is {} bytes, and models have 1 to {}",
            self.largest_model,
            largest_of_all()
        );
        ensure!(
            !self.evaluation.is_public() || self.slice > 0,
            "the description's slice is 0: no row would be drawn to evaluate on"
        );
        Ok(())
    }

    /// SHA-256 of its JSON.
    ///
    /// # Errors
    /// None in practice: it is made of texts and numbers.
    pub fn digest(&self) -> Result<B256> {
        Ok(B256::from(ContentHash::of(&serde_json::to_vec(self)?).0))
    }
}

/// Root of the tree over the evaluation rows, each as its pixels and its label: nobody can exchange a row later.
///
/// # Errors
/// If there is no row.
pub fn evaluation_root(data: &Dataset) -> Result<B256> {
    let rows = &data.evaluation;
    let leaf = |row: usize| slice_leaf(&[rows.image(row), &[rows.label(row)]].concat());
    let tree = MerkleTree::new((0..rows.len()).map(leaf).collect()).context("no evaluation data")?;
    Ok(tree.root())
}
