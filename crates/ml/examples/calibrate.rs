//! Measures how often the test for copies errs, and prints the tables of `CALIBRATION.md`.
//!
//! `cargo run --release -p aiarena-ml --example calibrate`; takes some ten minutes.

#![allow(clippy::print_stdout, reason = "an example talks to people")]

use std::error::Error;

use aiarena_ml::{
    Architecture, COPY_THRESHOLD_PPM, Dataset, Model, TrainingConfig, evaluate, similarity, train,
};

/// Independent trainings of each architecture: 15 give 105 pairs.
const MODELS: u8 = 15;
/// Copies that need training are made of this many models, the others of all.
const TUNED: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let dataset = Dataset::embedded();
    let architectures = [
        Architecture::mlp(&[16])?,
        Architecture::mlp(&[64])?,
        Architecture::mlp(&[128])?,
        Architecture::mlp(&[64, 32])?,
        Architecture::cnn([4, 8])?,
        Architecture::cnn([8, 16])?,
    ];
    let mut originals = Vec::new();
    println!("Threshold {}.\n", decimal(COPY_THRESHOLD_PPM));
    println!("| model | pairs | accuracy | mean | largest | false alarms |\n|---|---|---|---|---|---|");
    for architecture in architectures {
        let models = (0..MODELS).map(|seed| independent(&architecture, seed, &dataset));
        let models = models.collect::<Result<Vec<_>, _>>()?;
        print_pairs(&architecture, &models, &dataset)?;
        originals.push((architecture, models));
    }
    println!("\n| copy | model | accuracy lost | smallest | missed |\n|---|---|---|---|---|");
    for (name, count, copy) in copiers() {
        for (architecture, models) in &originals {
            print_copies(&name, architecture, &models[..count.min(models.len())], &copy, &dataset)?;
        }
    }
    Ok(())
}

fn print_pairs(
    architecture: &Architecture,
    models: &[Model],
    dataset: &Dataset,
) -> Result<(), aiarena_ml::Error> {
    let accuracies = models.iter().map(|model| accuracy(model, dataset)).collect::<Result<Vec<_>, _>>()?;
    let pairs =
        models.iter().enumerate().flat_map(|(i, a)| models[..i].iter().map(move |b| similarity(a, b)));
    let pairs: Vec<_> = pairs.collect();
    println!(
        "| {architecture} | {} | {:.3} to {:.3} | {:.3} | {} | {} |",
        pairs.len(),
        accuracies.iter().copied().fold(1.0, f64::min),
        accuracies.iter().copied().fold(0.0, f64::max),
        pairs.iter().map(|pair| f64::from(pair.ppm)).sum::<f64>() / pairs.len() as f64 / 1e6,
        decimal(pairs.iter().map(|pair| pair.ppm).max().unwrap_or_default()),
        pairs.iter().filter(|pair| pair.is_copy()).count(),
    );
    Ok(())
}

fn print_copies(
    name: &str,
    architecture: &Architecture,
    models: &[Model],
    copier: &Copier,
    dataset: &Dataset,
) -> Result<(), aiarena_ml::Error> {
    let mut similarities = Vec::new();
    let mut lost = 0.0;
    for (original, seed) in models.iter().zip(100..) {
        let copy = copier(original, seed, dataset)?;
        similarities.push(similarity(&copy, original));
        lost += (accuracy(original, dataset)? - accuracy(&copy, dataset)?) / models.len() as f64;
    }
    println!(
        "| {name} | {architecture} | {lost:.3} | {} | {} of {} |",
        decimal(similarities.iter().map(|similarity| similarity.ppm).min().unwrap_or_default()),
        similarities.iter().filter(|similarity| !similarity.is_copy()).count(),
        models.len(),
    );
    Ok(())
}

fn decimal(ppm: i32) -> String {
    format!("{:.3}", f64::from(ppm) / 1e6)
}

/// Models as different nodes would train them: own seed, own rows, and settings that vary.
fn independent(architecture: &Architecture, seed: u8, dataset: &Dataset) -> Result<Model, aiarena_ml::Error> {
    let setting = usize::from(seed);
    let config = TrainingConfig {
        rows: [8_000, 4_000, 1_500][setting % 3],
        passes: 2 + setting % 4,
        batch: [16, 32][setting % 2],
        learning_rate: [0.01, 0.02, 0.05][setting / 3 % 3],
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

/// The ways to make a copy, and of how many models.
fn copiers() -> Vec<(String, usize, Copier)> {
    let mut copiers: Vec<(String, usize, Copier)> = Vec::new();
    for sigma in [0.001, 0.01, 0.1, 0.2, 0.5, 1.0, 2.0] {
        let copier = move |model: &Model, seed, _: &Dataset| Ok(model.perturbed(sigma, &[seed; 32]));
        copiers.push((format!("noise of {sigma}"), usize::from(MODELS), Box::new(copier)));
    }
    for (passes, learning_rate) in [(1, 0.005), (1, 0.02), (5, 0.02), (10, 0.05)] {
        let copier = move |model: &Model, seed, dataset: &Dataset| {
            tuned(model.clone(), passes, learning_rate, seed, dataset)
        };
        copiers.push((format!("{passes} more passes at {learning_rate}"), TUNED, Box::new(copier)));
    }
    let copier = |model: &Model, seed, dataset: &Dataset| {
        tuned(with_new_last_layer(model, seed), 2, 0.01, seed, dataset)
    };
    copiers.push(("last layer new, 2 passes at 0.01".into(), TUNED, Box::new(copier)));
    let copier = |model: &Model, _, _: &Dataset| Ok(with_units_moved(model));
    copiers.push(("hidden units in another order".into(), usize::from(MODELS), Box::new(copier)));
    copiers
}

fn tuned(
    model: Model,
    passes: usize,
    learning_rate: f64,
    seed: u8,
    dataset: &Dataset,
) -> Result<Model, aiarena_ml::Error> {
    let config =
        TrainingConfig { rows: 8_000, passes, batch: 32, learning_rate, momentum: 0.9, seed: [seed; 32] };
    train(model, &dataset.training, &config, |_| {})
}

fn rebuilt(model: &Model, tensors: Vec<Vec<f32>>) -> Model {
    Model::new(model.architecture().clone(), tensors).expect("tensors of the same shapes and values")
}

fn with_new_last_layer(model: &Model, seed: u8) -> Model {
    let new = Model::init(model.architecture().clone(), &[seed; 32]);
    let hidden = model.tensors().len() - 2;
    rebuilt(model, [&model.tensors()[..hidden], &new.tensors()[hidden..]].concat())
}

/// Every hidden unit takes the place of the next one of its layer. The model answers as before.
fn with_units_moved(model: &Model) -> Model {
    let specs = model.architecture().tensors();
    let mut tensors = model.tensors().to_vec();
    for layer in (0..specs.len() - 2).step_by(2) {
        let units = specs[layer].shape[0];
        let incoming = specs[layer].len() / units;
        tensors[layer].rotate_right(incoming);
        tensors[layer + 1].rotate_right(1);
        let inputs = specs[layer + 2].len() / specs[layer + 2].shape[0];
        for unit in tensors[layer + 2].chunks_exact_mut(inputs) {
            unit.rotate_right(inputs / units);
        }
    }
    rebuilt(model, tensors)
}
