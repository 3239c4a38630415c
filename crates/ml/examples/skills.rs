//! Trains six nodes of different skill through three epochs and prints their accuracy, time and order.
//!
//! `cargo run --release -p aiarena-ml --example skills`; takes about a minute. A population for which the ranks follow the
//! skill on every slice needs steps of accuracy that are larger than the slice's chance: these have.

#![allow(clippy::print_stdout, reason = "an example talks to people")]

use std::{error::Error, time::Instant};

use aiarena_ml::{Architecture, Dataset, Model, TrainingConfig, eval_slice, evaluate, train};

const SEEDS: u8 = 4;
const SLICES: u32 = 50;
const SLICE_ROWS: u32 = 1_500;

/// Architecture, rows, passes in the first and in later epochs, batch and learning rate.
type Skill = (Architecture, usize, [usize; 3], usize, f64);

fn main() -> Result<(), Box<dyn Error>> {
    let skills: [Skill; 6] = [
        (Architecture::linear(), 60, [20, 5, 5], 16, 0.002),
        (Architecture::linear(), 300, [10, 2, 2], 32, 0.002),
        (Architecture::mlp(&[16])?, 1_500, [6, 1, 1], 32, 0.006),
        (Architecture::linear(), 8_000, [4, 1, 1], 32, 0.002),
        (Architecture::mlp(&[64])?, 8_000, [4, 1, 1], 32, 0.015),
        (Architecture::cnn([8, 16])?, 8_000, [5, 2, 2], 16, 0.01),
    ];
    let dataset = Dataset::embedded();
    let rows: Vec<u32> = (0..).take(dataset.evaluation.len()).collect();
    let mut wrong = 0;
    println!("| model | rows | passes | accuracy after each epoch | training, s | evaluation, images/s |");
    println!("|---|---|---|---|---|---|");
    for seed in 0..SEEDS {
        let mut epochs: Vec<Vec<Model>> = vec![Vec::new(); 3];
        for (number, (architecture, used, passes, batch, learning_rate)) in (0..).zip(&skills) {
            let mut model = Model::init(architecture.clone(), &key(seed, number, 0));
            let (mut seconds, mut accuracies) = (0.0, Vec::new());
            let mut speed = 0.0;
            for (epoch, passes) in (1..).zip(passes) {
                let config = TrainingConfig {
                    rows: *used,
                    passes: *passes,
                    batch: *batch,
                    learning_rate: *learning_rate,
                    momentum: 0.9,
                    seed: key(seed, number, epoch),
                };
                let start = Instant::now();
                model = train(model, &dataset.training, &config, |_| {})?;
                seconds += start.elapsed().as_secs_f64();
                let start = Instant::now();
                let found = evaluate(&model, &dataset.evaluation, &rows)?;
                speed = rows.len() as f64 / start.elapsed().as_secs_f64();
                accuracies.push(format!("{:.3}", found.accuracy()));
                epochs[usize::from(epoch) - 1].push(model.clone());
            }
            let passes = passes.map(|passes| passes.to_string()).join("+");
            let accuracies = accuracies.join(", ");
            println!("| {architecture} | {used} | {passes} | {accuracies} | {seconds:.2} | {speed:.0} |");
        }
        for (epoch, models) in (1..).zip(&epochs) {
            for draw in 0..SLICES {
                let slice = eval_slice(&key(seed, 255, epoch), draw, 4_000, SLICE_ROWS);
                let scores =
                    models.iter().map(|model| Ok(evaluate(model, &dataset.evaluation, &slice)?.score()));
                let scores = scores.collect::<Result<Vec<_>, aiarena_ml::Error>>()?;
                wrong += u32::from(!scores.is_sorted_by(|lower, higher| lower < higher));
            }
        }
    }
    let slices = u32::from(SEEDS) * 3 * SLICES;
    println!("\nOf {slices} slices of {SLICE_ROWS} rows, {wrong} gave another order.");
    Ok(())
}

fn key(seed: u8, number: u8, epoch: u8) -> [u8; 32] {
    let mut key = [0; 32];
    key[..3].copy_from_slice(&[seed, number, epoch]);
    key
}
