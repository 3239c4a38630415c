//! Evaluation data that only validators see, and only when they need them.
//!
//! A creator cuts its evaluation data into slices, one for each epoch of the task, and publishes the root of the tree over
//! them when it creates the task. Slice *i* is what the task's epoch *first + i* is evaluated on: the tree fixes place and
//! number of its leaves, so whoever saw the submissions can no longer choose the slice, only withhold it. Once the seed
//! of an epoch is drawn, the creator seals its slice to the keys that the eligible validators registered on chain, and
//! puts it where all can fetch it; when the task is over it publishes all slices, and anyone can evaluate again.
//!
//! What that does and does not hold is in `docs/sealed-data.md`.
//!
//! - [`EvaluationKey`]: an operator's key, derived from its signing key.
//! - [`Slice`], [`split_into_slices`], [`EvaluationTree`]: the creator's data.
//! - [`Place`], [`seal`], [`open`], [`open_published`]: one slice on its way, and what it is checked against.
//! - [`next_sealing`], [`who_gets`], [`is_due`], [`is_published`]: when to send what to whom; [`crate::daemon::Courier`] does it.
//! - [`await_slice`]: from stores that nobody has to trust.

mod duty;
mod exchange;
mod key;
mod opening;
mod slice;

use serde::{Deserialize, Serialize};

pub(crate) use self::exchange::for_slices;
pub use self::{
    duty::{Sealing, is_due, is_published, next_sealing, who_gets, who_misses},
    exchange::{Missing, await_slice},
    key::{EvaluationKey, is_usable},
    opening::{
        MAX_RECIPIENTS, MAX_SEALED_BYTES, Place, open, open_published, published_name, seal, sealed_name,
    },
    slice::{EvaluationTree, Slice, slice_secret, split_into_slices},
};

/// What an epoch of a task is evaluated on, as its creator describes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationKind {
    /// Public rows, drawn by the seed.
    #[default]
    PublicRows,
    /// All rows of the epoch's sealed slice.
    SealedSlices,
}

impl EvaluationKind {
    /// Whether anybody has the data from the beginning.
    #[must_use]
    pub fn is_public(&self) -> bool {
        *self == Self::PublicRows
    }
}

/// Why a slice cannot be made, sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealedError {
    /// Every epoch needs a row.
    #[error("{rows} rows do not make {epochs} slices")]
    TooFewRows {
        /// Rows given.
        rows: usize,
        /// Slices wanted.
        epochs: u32,
    },
    /// There is no slice at this place.
    #[error(transparent)]
    Tree(#[from] aiarena_mechanism::Error),
    /// Nobody could open it.
    #[error("nobody to seal to")]
    NoRecipient,
    /// More than one file is sealed to.
    #[error("{got} keys to seal to, at most {limit} are possible")]
    TooManyRecipients {
        /// The limit.
        limit: usize,
        /// Keys given.
        got: usize,
    },
    /// A registered key is no key: what is sealed to it could be opened by anybody.
    #[error("the key {0} is none")]
    UnusableKey(alloy::primitives::B256),
    /// Larger than any slice, or with more recipients than any task.
    #[error("{what} of {got} bytes, at most {limit} are read")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
        /// Its size in bytes, or the limit if it was not read to its end.
        got: usize,
    },
    /// It was not sealed to this key.
    #[error("it was not sealed to this key")]
    OtherRecipients,
    /// It is no sealed file, or was damaged on its way.
    #[error("it does not open: {0}")]
    Broken(String),
    /// What was sealed is no slice with its proof.
    #[error("it holds no slice: {0}")]
    Malformed(String),
    /// It says itself that it belongs elsewhere.
    #[error("it is slice {got_index} of epoch {got_epoch}, not slice {index} of epoch {epoch}")]
    OtherPlace {
        /// The epoch expected.
        epoch: u32,
        /// The place expected.
        index: u32,
        /// The epoch that it names.
        got_epoch: u32,
        /// The place that it names.
        got_index: u32,
    },
    /// The task's tree does not have it at this place.
    #[error("it is not what the task's creator promised for slice {index}")]
    NotInTree {
        /// The place.
        index: u32,
    },
}
