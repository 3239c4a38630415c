//! Makes `data/` from the original Fashion-MNIST: the first rows of each of its files.
//!
//! `cargo run --release -p aiarena-ml --example shrink -- ORIGINAL_FOLDER NEW_FOLDER`, where the original folder holds
//! the four files as published (Debian's package `dataset-fashion-mnist` puts them into
//! `/usr/share/datasets/fashion-mnist`). Prints the digest of the result.

#![allow(clippy::print_stdout, reason = "an example talks to people")]

use std::path::Path;

use aiarena_ml::Dataset;

const TRAINING_ROWS: usize = 8_000;
const EVALUATION_ROWS: usize = 4_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [original, new] = &arguments[..] else { return Err("two folders are needed".into()) };
    let original = Dataset::load(Path::new(original))?;
    let dataset = Dataset {
        training: original.training.first(TRAINING_ROWS),
        evaluation: original.evaluation.first(EVALUATION_ROWS),
    };
    dataset.save(Path::new(new))?;
    println!("{}", dataset.digest_hex());
    Ok(())
}
