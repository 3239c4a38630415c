//! Scoring a model on rows.

use aiarena_mechanism::Score;

use crate::{
    dataset::{CLASSES, PIXELS, Rows},
    error::Error,
    model::Model,
    network::logits,
};

/// Rows that are worked on at once. It bounds the memory and does not change a bit of the result.
const BATCH: usize = 32;

/// The loss of one row counts at most this much, in nats: it keeps the sum within bounds.
const LARGEST_LOSS: f64 = 100.0;

/// What a model achieved on a slice of rows: integers alone, the same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluation {
    /// Rows whose label was the model's answer.
    pub correct: u32,
    /// Rows in all.
    pub total: u32,
    /// Sum over the rows of the cross-entropy, each rounded to the nearest of 10⁻⁹ nats and at most 100 nats.
    pub loss_nanonats: u64,
}

impl Evaluation {
    /// The score by accuracy: 1 to 1 000 000 000, or invalid if nothing was evaluated.
    ///
    /// *Source*: `docs/mechanism.md` M-16.
    pub fn score(self) -> Score {
        Score::from_ratio(self.correct.into(), self.total.into()).unwrap_or(Score::INVALID)
    }

    /// The share of rows answered rightly, for people to read.
    pub fn accuracy(self) -> f64 {
        f64::from(self.correct) / f64::from(self.total.max(1))
    }

    /// The mean cross-entropy in nats, for people to read.
    pub fn mean_loss(self) -> f64 {
        self.loss_nanonats as f64 * 1e-9 / f64::from(self.total.max(1))
    }
}

/// Evaluates the model on the given rows, on the calling thread alone.
///
/// The answer for a row is the class with the largest number, the lowest of equals. The result depends neither on the
/// order of `slice` nor on anything about the machine, as long as its `f32` is IEEE 754's: every sum has a fixed order,
/// and exponentials come from a library in Rust, not from the system's. So honest validators agree to the last unit.
///
/// - `slice`: see [`crate::eval_slice`]. A row given twice counts twice.
///
/// # Errors
/// [`Error::NoSuchRow`]; [`Error::NotFinite`] if an answer is infinite or no number, which makes the model invalid
/// (score 0).
pub fn evaluate(model: &Model, rows: &Rows, slice: &[u32]) -> Result<Evaluation, Error> {
    if let Some(row) = slice.iter().find(|row| **row as usize >= rows.len()) {
        return Err(Error::NoSuchRow { row: *row, rows: rows.len() });
    }
    let mut evaluation = Evaluation { correct: 0, total: 0, loss_nanonats: 0 };
    for batch in slice.chunks(BATCH) {
        let inputs = batch.iter().flat_map(|row| input(rows.image(*row as usize))).collect();
        for (row, logits) in batch.iter().zip(logits(model, inputs).chunks_exact(CLASSES)) {
            if !logits.iter().all(|value| value.is_finite()) {
                return Err(Error::NotFinite { row: *row });
            }
            let label = usize::from(rows.label(*row as usize));
            evaluation.total += 1;
            evaluation.correct += u32::from(answer(logits) == label);
            evaluation.loss_nanonats += loss_nanonats(logits, label);
        }
    }
    Ok(evaluation)
}

/// An image as the models take it: centred and scaled, see [`crate::Architecture`].
pub(crate) fn input(image: &[u8]) -> [f32; PIXELS] {
    let mut input = [0.0; PIXELS];
    for (value, pixel) in input.iter_mut().zip(image) {
        *value = (f32::from(*pixel) / 255.0 - 0.286) / 0.353;
    }
    input
}

fn answer(logits: &[f32]) -> usize {
    (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 1e11 by the clamp")]
fn loss_nanonats(logits: &[f32], label: usize) -> u64 {
    let largest = f64::from(logits[answer(logits)]);
    let sum: f64 = logits.iter().map(|value| libm::exp(f64::from(*value) - largest)).sum();
    let loss = libm::log(sum) + largest - f64::from(logits[label]);
    (loss.clamp(0.0, LARGEST_LOSS) * 1e9).round() as u64
}
