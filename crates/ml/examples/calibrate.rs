//! Measures how often the test for copies errs, and prints the tables of `CALIBRATION.md`.
//!
//! `cargo run --release -p aiarena-ml --example calibrate`; takes a few minutes.

#![allow(clippy::print_stdout, reason = "an example talks to people")]

use std::error::Error;

use aiarena_ml::{
    Architecture, COPY_THRESHOLD_PPM, Dataset, Model, Similarity, TrainingConfig, evaluate, similarity, train,
};

/// Independent trainings of each architecture: 15 give 105 pairs.
const MODELS: u8 = 15;
/// Copies of each kind are made of this many models.
const COPIED: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let dataset = Dataset::embedded();
    let architectures = [
        Architecture::mlp(&[24])?,
        Architecture::mlp(&[128])?,
        Architecture::mlp(&[64, 32])?,
        Architecture::cnn([4, 8])?,
        Architecture::cnn([8, 16])?,
    ];
    let mut originals = Vec::new();
    println!("| model | pairs | accuracy | mean | largest | false alarms |\n|---|---|---|---|---|---|");
    for architecture in architectures {
        let models = (0..MODELS)
            .map(|seed| independent(&architecture, seed, &dataset))
            .collect::<Result<Vec<_>, _>>()?;
        let accuracies =
            models.iter().map(|model| accuracy(model, &dataset)).collect::<Result<Vec<_>, _>>()?;
        let pairs =
            models.iter().enumerate().flat_map(|(i, a)| models[..i].iter().map(move |b| similarity(a, b)));
        let pairs: Vec<Similarity> = pairs.collect();
        println!(
            "| {architecture} | {} | {:.3} to {:.3} | {:.3} | {:.3} | {} |",
            pairs.len(),
            accuracies.iter().copied().fold(1.0, f64::min),
            accuracies.iter().copied().fold(0.0, f64::max),
            pairs.iter().map(|pair| f64::from(pair.ppm)).sum::<f64>() / pairs.len() as f64 / 1e6,
            f64::from(pairs.iter().map(|pair| pair.ppm).max().unwrap_or_default()) / 1e6,
            pairs.iter().filter(|pair| pair.is_copy()).count(),
        );
        originals.push((architecture, models));
    }
    println!("\nThreshold {:.2}.\n", f64::from(COPY_THRESHOLD_PPM) / 1e6);
    println!("| copy | model | accuracy lost | smallest | missed |\n|---|---|---|---|---|");
    for (name, copy) in copies() {
        for (architecture, models) in &originals {
            let mut similarities = Vec::new();
            let mut lost = 0.0;
            for (original, seed) in models[..COPIED].iter().zip(100..) {
                let copy = copy(original, seed, &dataset)?;
                similarities.push(similarity(&copy, original));
                lost += (accuracy(original, &dataset)? - accuracy(&copy, &dataset)?) / COPIED as f64;
            }
            println!(
                "| {name} | {architecture} | {lost:.3} | {:.3} | {} of {COPIED} |",
                f64::from(similarities.iter().map(|similarity| similarity.ppm).min().unwrap_or_default())
                    / 1e6,
                similarities.iter().filter(|similarity| !similarity.is_copy()).count(),
            );
        }
    }
    Ok(())
}

/// Models as different nodes would train them: own seed, own rows, and settings that vary.
fn independent(architecture: &Architecture, seed: u8, dataset: &Dataset) -> Result<Model, aiarena_ml::Error> {
    let config = TrainingConfig {
        rows: [8_000, 6_000, 4_000][usize::from(seed) % 3],
        passes: 2 + usize::from(seed) % 4,
        batch: 32,
        learning_rate: [0.01, 0.02, 0.03][usize::from(seed / 3) % 3],
        momentum: 0.9,
        seed: [seed; 32],
    };
    train(Model::init(architecture.clone(), &[seed; 32]), &dataset.training, &config, |_| {})
}

fn accuracy(model: &Model, dataset: &Dataset) -> Result<f64, aiarena_ml::Error> {
    let rows: Vec<u32> = (0..).take(dataset.evaluation.len()).collect();
    Ok(evaluate(model, &dataset.evaluation, &rows)?.accuracy())
}

type Copier = Box<dyn Fn(&Model, u8, &Dataset) -> Result<Model, aiarena_ml::Error>>;

/// The ways to make a copy.
fn copies() -> Vec<(String, Copier)> {
    let mut copies: Vec<(String, Copier)> = Vec::new();
    for sigma in [0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0] {
        let copier = move |model: &Model, seed, _: &Dataset| Ok(model.perturbed(sigma, &[seed; 32]));
        copies.push((format!("noise of {sigma}"), Box::new(copier)));
    }
    for (passes, learning_rate) in [(1, 0.005), (1, 0.02), (5, 0.02), (10, 0.05)] {
        let copier = move |model: &Model, seed, dataset: &Dataset| {
            let config = TrainingConfig {
                rows: 8_000,
                passes,
                batch: 32,
                learning_rate,
                momentum: 0.9,
                seed: [seed; 32],
            };
            train(model.clone(), &dataset.training, &config, |_| {})
        };
        copies.push((format!("{passes} more passes at {learning_rate}"), Box::new(copier)));
    }
    copies
}
