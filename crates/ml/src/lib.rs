//! Data sets, models, training, evaluation and artifact parsing. Knows no wallet, task or chain.
//!
//! A node trains a [`Model`] on the training rows of a [`Dataset`] and submits it as an artifact, a file. A validator
//! reads the file, which anybody may have written, asks whether it is a copy ([`is_near_copy`]), draws the epoch's rows
//! ([`eval_slice`]) and scores it ([`evaluate`]):
//!
//! ```
//! use aiarena_ml::{Architecture, Dataset, Model, TrainingConfig, eval_slice, evaluate, is_near_copy, train};
//!
//! let dataset = Dataset::embedded();
//! let config =
//!     TrainingConfig { rows: 500, passes: 2, batch: 32, learning_rate: 0.01, momentum: 0.9, seed: [1; 32] };
//! let model = train(Model::init(Architecture::mlp(&[32])?, &[1; 32]), &dataset.training, &config, |_| {})?;
//! let artifact = model.to_bytes();
//!
//! let submitted = Model::from_bytes(&artifact)?;
//! assert!(is_near_copy(&submitted.perturbed(0.01, &[2; 32]), &submitted));
//! let slice = eval_slice(&[7; 32], 1, 4_000, 1_000);
//! let score = evaluate(&submitted, &dataset.evaluation, &slice)?.score();
//! assert!(score.get() > 600_000_000 && score.get() % 1_000_000 == 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The same bits everywhere
//!
//! Training and evaluation give the same bits on every run, number of threads and machine, whether or not it has AVX2 or
//! FMA: every sum has a fixed order, products are rounded before they are summed, nothing is spread over threads, and
//! exponentials are computed by a library in Rust, not by the system's. All that is asked of the machine is IEEE 754
//! arithmetic with subnormal numbers. So honest validators agree to the last unit, and a task needs no tolerance for
//! them.
//!
//! This is why the kernels are our own. General libraries choose the order of a sum by the size of the processor's caches
//! and by how many rows are multiplied at once, so a score could depend on both.

mod artifact;
mod dataset;
mod error;
mod evaluate;
mod kernels;
mod model;
mod network;
mod random;
mod rows;
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
