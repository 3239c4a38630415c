//! What a task's creator says of it, and what of that is on chain.

use aiarena_mechanism::evaluation::{MerkleTree, slice_leaf};
use aiarena_ml::Dataset;
use aiarena_node::sealed::EvaluationKind;
use aiarena_store::ContentHash;
use alloy::primitives::B256;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Rows that the demo's task draws for the evaluation of an epoch.
pub const DEMO_SLICE: u32 = 1_500;

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
            metric: "accuracy".to_owned(),
            slice: DEMO_SLICE,
            licence: "MIT".to_owned(),
            copy_threshold_ppm: aiarena_ml::COPY_THRESHOLD_PPM,
            evaluation: EvaluationKind::PublicRows,
        }
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
