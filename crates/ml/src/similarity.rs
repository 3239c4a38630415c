//! Whether a model was made from another one.
//!
//! Two trainings that begin at different random weights end at weights that have nothing to do with each other, although
//! the models answer alike: hidden units learn different things, in another order. So the weights of an MLP or of a CNN
//! tell a copy, also one with noise added, with rescaled units or trained further, from an independent model.
//!
//! The test compares the direction of each unit's incoming weights with that of the same unit of the other model, in a
//! form of both in which positive rescaling of units (which changes no answer) has no effect and which leaves out the
//! direction that all units of a layer share. A layer's similarity is the mean cosine over its units; the models' is that
//! of their most similar layer.
//!
//! Limits: a copy whose hidden units were permuted, or whose widths were changed, is not found. Training of the linear
//! family converges to the same weights from everywhere, so of linear models only equal ones are copies. Two nodes that
//! begin at the same weights ([`Model::init`] with one seed, or one earlier model) count as copies of each other.
//! How often the test errs was measured: see `CALIBRATION.md` of this crate.

use crate::model::Model;

/// Similarity from which the later model is a copy, in millionths.
pub const COPY_THRESHOLD_PPM: i32 = 500_000;

/// Layers with fewer inputs per unit are left out: in few dimensions independent directions are alike by chance.
const FEWEST_INPUTS: usize = 32;

/// How alike two models are, from -1 000 000 to 1 000 000 millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Similarity {
    /// The mean cosine of the most similar layer, in millionths; 0 if the models cannot be compared.
    pub ppm: i32,
}

impl Similarity {
    /// True if the later of the two models counts as a copy.
    pub fn is_copy(self) -> bool {
        self.ppm >= COPY_THRESHOLD_PPM
    }
}

/// True if `candidate` counts as a copy of `earlier`: the declared test of rule M-11.
///
/// It is symmetric; which of the two came first is for the caller to know, and models of one node are not to be compared.
pub fn is_near_copy(candidate: &Model, earlier: &Model) -> bool {
    similarity(candidate, earlier).is_copy()
}

/// How alike two models are, the same on every machine.
///
/// Models of different families or widths have similarity 0, equal ones 1 000 000.
pub fn similarity(candidate: &Model, earlier: &Model) -> Similarity {
    if candidate.architecture() != earlier.architecture() {
        return Similarity { ppm: 0 };
    }
    if candidate.tensors() == earlier.tensors() {
        return Similarity { ppm: 1_000_000 };
    }
    if candidate.architecture().widths().is_empty() {
        return Similarity { ppm: 0 };
    }
    let layers = normal_form(candidate).into_iter().zip(normal_form(earlier));
    let cosines = layers.filter(|(layer, _)| layer.inputs >= FEWEST_INPUTS).map(|(a, b)| mean_cosine(&a, &b));
    Similarity { ppm: millionths(cosines.fold(-1.0, f64::max)) }
}

/// The directions of the incoming weights of a layer's units: vectors of length 1, without what all units share.
struct Directions {
    inputs: usize,
    values: Vec<f64>,
}

/// The layers' weights when the length of each hidden unit's incoming weights is moved to its outgoing ones.
fn normal_form(model: &Model) -> Vec<Directions> {
    let specs = model.architecture().tensors();
    let mut lengths: Vec<f64> = vec![1.0];
    let mut layers = Vec::new();
    // Each weight is followed by its bias, which has no direction.
    for (spec, weights) in specs.iter().zip(model.tensors()).step_by(2) {
        let inputs = spec.len() / spec.shape[0];
        // The inputs are grouped by the unit they come from: one each, or one for every position of a channel.
        let group = inputs / lengths.len();
        let scales = lengths.iter().flat_map(|length| std::iter::repeat_n(*length, group)).cycle();
        let mut values: Vec<f64> =
            weights.iter().zip(scales).map(|(value, scale)| f64::from(*value) * scale).collect();
        lengths = values.chunks_exact_mut(inputs).map(normalise).collect();
        centre(&mut values, inputs);
        layers.push(Directions { inputs, values });
    }
    layers
}

/// Takes from each unit the mean of all, and makes the rest a direction again.
///
/// Inputs that are never negative pull all units of a layer the same way, in every training. That part would make
/// independent models alike.
fn centre(values: &mut [f64], inputs: usize) {
    let units = (values.len() / inputs) as f64;
    let mut mean = vec![0.0; inputs];
    for unit in values.chunks_exact(inputs) {
        for (sum, value) in mean.iter_mut().zip(unit) {
            *sum += *value / units;
        }
    }
    for unit in values.chunks_exact_mut(inputs) {
        for (value, mean) in unit.iter_mut().zip(&mean) {
            *value -= *mean;
        }
        normalise(unit);
    }
}

/// Scales a vector to length 1 and returns the length it had; zeros have no direction and stay.
fn normalise(vector: &mut [f64]) -> f64 {
    let length = vector.iter().map(|value| *value * *value).sum::<f64>().sqrt();
    if length > 0.0 {
        for value in vector {
            *value /= length;
        }
    }
    length
}

fn mean_cosine(a: &Directions, b: &Directions) -> f64 {
    let units = (a.values.len() / a.inputs) as f64;
    a.values.iter().zip(&b.values).map(|(a, b)| a * b).sum::<f64>() / units
}

#[expect(clippy::cast_possible_truncation, reason = "within -1e6 and 1e6 by the clamp")]
fn millionths(cosine: f64) -> i32 {
    (cosine.clamp(-1.0, 1.0) * 1e6).round() as i32
}
