//! Training by stochastic gradient descent.

use crate::{
    dataset::{CLASSES, Rows},
    error::Error,
    evaluate::input,
    model::{Model, narrow},
    network::gradients,
    random::Random,
};

/// How a model is trained. The same configuration, rows and beginning give the same model, bit for bit, on every
/// machine.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingConfig {
    /// How many of the training rows are used: a choice of them by `seed`. Less data, less skill.
    pub rows: usize,
    /// How often each of these rows is seen.
    pub passes: usize,
    /// Rows for each step.
    pub batch: usize,
    /// Size of the first step; it falls linearly to 0 at the end.
    pub learning_rate: f64,
    /// What is kept of the last step, in [0, 1).
    pub momentum: f64,
    /// Decides which rows are used, and their order.
    pub seed: [u8; 32],
}

/// Told after each pass over the training rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Passes done.
    pub pass: usize,
    /// Passes in all.
    pub passes: usize,
    /// Mean cross-entropy over the pass, in nats, as measured on the way.
    pub loss: f64,
}

/// Trains `model` further and returns the result.
///
/// Start from [`Model::init`], or from an own earlier model to improve it. It runs on the calling thread alone.
///
/// # Errors
/// [`Error::OutOfBounds`] or [`Error::NotAllowed`] for a configuration that makes no sense, [`Error::Diverged`].
pub fn train(
    mut model: Model,
    rows: &Rows,
    config: &TrainingConfig,
    mut progress: impl FnMut(Progress),
) -> Result<Model, Error> {
    config.check(rows)?;
    let mut random = Random::new("training", &config.seed);
    let count = u32::try_from(config.rows).expect("checked against the rows, which are few");
    let total = u32::try_from(rows.len()).expect("a data set has few rows");
    let chosen = random.choose(total, count);
    let mut velocity: Vec<Vec<f32>> = model.tensors().iter().map(|tensor| vec![0.0; tensor.len()]).collect();
    let steps = config.passes * config.rows.div_ceil(config.batch);
    let mut step = 0;
    for pass in 0..config.passes {
        let mut loss = 0.0;
        let order = random.choose(count, count);
        for batch in order.chunks(config.batch) {
            let batch: Vec<usize> = batch.iter().map(|i| chosen[*i as usize] as usize).collect();
            let inputs = batch.iter().flat_map(|row| input(rows.image(*row))).collect();
            let gradients = gradients(&model, inputs, |logits| {
                let (batch_loss, gradient) = cross_entropy(logits, batch.iter().map(|row| rows.label(*row)));
                loss += batch_loss;
                gradient
            });
            let rate = narrow(config.learning_rate * (steps - step) as f64 / steps as f64);
            descend(&mut model, &mut velocity, &gradients, rate, narrow(config.momentum));
            step += 1;
        }
        if !loss.is_finite() || !model.is_finite() {
            return Err(Error::Diverged { pass });
        }
        progress(Progress { pass: pass + 1, passes: config.passes, loss: loss / config.rows as f64 });
    }
    Ok(model)
}

impl TrainingConfig {
    fn check(&self, rows: &Rows) -> Result<(), Error> {
        let bounds = [
            ("the number of training rows", rows.len(), self.rows),
            ("the number of passes", 10_000, self.passes),
            ("the batch", 4_096, self.batch),
        ];
        for (what, max, got) in bounds {
            if !(1..=max).contains(&got) {
                return Err(Error::OutOfBounds { what, min: 1, max, got });
            }
        }
        for (what, below, got) in
            [("the learning rate", 100.0, self.learning_rate), ("the momentum", 1.0, self.momentum)]
        {
            if !(0.0..below).contains(&got) {
                return Err(Error::NotAllowed { what, below: below.to_string(), got: got.to_string() });
            }
        }
        Ok(())
    }
}

/// The sum of the cross-entropies in nats, and the gradient of their mean with respect to the answers.
fn cross_entropy(logits: &[f32], labels: impl Iterator<Item = u8>) -> (f64, Vec<f32>) {
    let batch = (logits.len() / CLASSES) as f64;
    let mut loss = 0.0;
    let mut gradient = Vec::with_capacity(logits.len());
    for (logits, label) in logits.chunks_exact(CLASSES).zip(labels) {
        let largest = logits.iter().fold(f32::NEG_INFINITY, |largest, value| largest.max(*value));
        let powers: Vec<f64> = logits.iter().map(|value| libm::exp(f64::from(value - largest))).collect();
        let sum: f64 = powers.iter().sum();
        let label = usize::from(label);
        loss += libm::log(sum) - f64::from(logits[label] - largest);
        for (class, power) in powers.iter().enumerate() {
            let hit = if class == label { 1.0 } else { 0.0 };
            gradient.push(narrow((power / sum - hit) / batch));
        }
    }
    (loss, gradient)
}

/// One step: `v ← momentum · v + g`, then `w ← w − rate · v`.
fn descend(model: &mut Model, velocity: &mut [Vec<f32>], gradients: &[Vec<f32>], rate: f32, momentum: f32) {
    for ((values, velocity), gradient) in model.tensors_mut().iter_mut().zip(velocity).zip(gradients) {
        for ((value, velocity), gradient) in values.iter_mut().zip(velocity).zip(gradient) {
            *velocity = momentum * *velocity + *gradient;
            *value -= rate * *velocity;
        }
    }
}
