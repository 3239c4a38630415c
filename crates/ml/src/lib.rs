//! Data sets, models, training, evaluation and artifact parsing. Knows no wallet, task or chain.

mod artifact;
mod dataset;
mod error;
mod evaluate;
mod kernels;
mod model;
mod network;
mod random;
mod similarity;
mod split;
mod train;

pub use artifact::MAX_ARTIFACT_BYTES;
pub use dataset::{CLASSES, Dataset, EMBEDDED_DIGEST, FILE_NAMES, PIXELS, Rows, SIDE};
pub use error::{ArtifactError, DatasetError, Error};
pub use evaluate::{Evaluation, evaluate};
pub use model::{Architecture, MAX_CHANNELS, MAX_HIDDEN, Model, TensorSpec};
pub use similarity::{COPY_THRESHOLD_PPM, Similarity, is_near_copy, similarity};
pub use split::eval_slice;
pub use train::{Progress, TrainingConfig, train};
