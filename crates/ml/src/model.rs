//! Models: a family, its dimensions, and the weights.

use std::fmt;

use crate::{
    dataset::{CLASSES, PIXELS, SIDE},
    error::{ArtifactError, Error},
    random::Random,
};

/// Most units of a hidden layer of an MLP.
pub const MAX_HIDDEN: usize = 1024;
/// Most channels of a convolution.
pub const MAX_CHANNELS: usize = 64;

/// The family of a model and its dimensions, within bounds.
///
/// Every family reads an image of 28 × 28 pixels and answers with one number per class, the largest of which is its
/// answer. Pixels enter as `(value / 255 − 0.286) / 0.353`, the mean and the deviation of the training rows.
///
/// In PyTorch's words, with weights of the same names and shapes:
/// - *linear*: `Linear(784, 10)`.
/// - *mlp*: `Linear`, `ReLU`, once or twice, then `Linear`.
/// - *cnn*: `Conv2d(1, a, 3, padding=1)`, `ReLU`, `MaxPool2d(2)`, `Conv2d(a, b, 3, padding=1)`, `ReLU`,
///   `MaxPool2d(2)`, `Flatten`, `Linear(49 b, 10)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architecture(Family);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Family {
    Linear,
    Mlp(Vec<usize>),
    Cnn([usize; 2]),
}

impl Architecture {
    /// Softmax regression: no hidden layer.
    pub fn linear() -> Self {
        Self(Family::Linear)
    }

    /// A multi-layer perceptron.
    ///
    /// - `hidden`: the units of each hidden layer; one or two layers of 1 to [`MAX_HIDDEN`] units.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`].
    pub fn mlp(hidden: &[usize]) -> Result<Self, Error> {
        bounded("the number of hidden layers", 1, 2, hidden.len())?;
        for units in hidden {
            bounded("a hidden layer's width", 1, MAX_HIDDEN, *units)?;
        }
        Ok(Self(Family::Mlp(hidden.to_vec())))
    }

    /// A small convolutional network.
    ///
    /// - `channels`: the channels of the two convolutions, 1 to [`MAX_CHANNELS`] each.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`].
    pub fn cnn(channels: [usize; 2]) -> Result<Self, Error> {
        for count in channels {
            bounded("the number of channels", 1, MAX_CHANNELS, count)?;
        }
        Ok(Self(Family::Cnn(channels)))
    }

    /// `linear`, `mlp` or `cnn`.
    pub fn family(&self) -> &'static str {
        match self.0 {
            Family::Linear => "linear",
            Family::Mlp(_) => "mlp",
            Family::Cnn(_) => "cnn",
        }
    }

    /// The hidden layers' units, or the convolutions' channels.
    pub fn widths(&self) -> &[usize] {
        match &self.0 {
            Family::Linear => &[],
            Family::Mlp(hidden) => hidden,
            Family::Cnn(channels) => channels,
        }
    }

    pub(crate) fn kind(&self) -> &Family {
        &self.0
    }

    /// The tensors of such a model: a weight and a bias for each layer, in the order of the layers.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let dense = |inputs: usize, outputs: usize| vec![outputs, inputs];
        let weights = match &self.0 {
            Family::Linear => vec![dense(PIXELS, CLASSES)],
            Family::Mlp(hidden) => {
                let sizes = [&[PIXELS], &hidden[..], &[CLASSES]].concat();
                sizes.windows(2).map(|pair| dense(pair[0], pair[1])).collect()
            }
            Family::Cnn([first, second]) => {
                let side = SIDE / 4;
                vec![vec![*first, 1, 3, 3], vec![*second, *first, 3, 3], dense(side * side * second, CLASSES)]
            }
        };
        let pair = |(layer, shape): (usize, Vec<usize>)| {
            let bias = TensorSpec { name: format!("layer{}.bias", layer + 1), shape: vec![shape[0]] };
            [TensorSpec { name: format!("layer{}.weight", layer + 1), shape }, bias]
        };
        weights.into_iter().enumerate().flat_map(pair).collect()
    }
}

/// For example `mlp 128` or `cnn 8-16`.
impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family())?;
        for (i, width) in self.widths().iter().enumerate() {
            write!(f, "{}{width}", if i == 0 { ' ' } else { '-' })?;
        }
        Ok(())
    }
}

fn bounded(what: &'static str, min: usize, max: usize, got: usize) -> Result<(), Error> {
    if (min..=max).contains(&got) { Ok(()) } else { Err(Error::OutOfBounds { what, min, max, got }) }
}

/// The name and the shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// For example `layer1.weight`.
    pub name: String,
    /// Weights: `(outputs, inputs)` or `(outputs, inputs, 3, 3)`; biases: `(outputs)`.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// How many values the tensor has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Never true: no tensor of a model is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A model: all weights are there, of the right shape, and finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    architecture: Architecture,
    tensors: Vec<Vec<f32>>,
}

impl Model {
    /// A model to start training from: He's normal initialisation of the weights, biases 0.
    ///
    /// Nodes must take different seeds: two models trained from one beginning stay close, and the later of them counts
    /// as a copy ([`crate::is_near_copy`]).
    pub fn init(architecture: Architecture, seed: &[u8; 32]) -> Self {
        let mut random = Random::new("initialisation", seed);
        let init = |spec: &TensorSpec| -> Vec<f32> {
            let inputs: usize = spec.shape[1..].iter().product();
            let scale = (2.0 / inputs as f64).sqrt();
            let value = |_| if spec.shape.len() == 1 { 0.0 } else { narrow(scale * random.normal()) };
            (0..spec.len()).map(value).collect()
        };
        let tensors = architecture.tensors().iter().map(init).collect();
        Self { architecture, tensors }
    }

    /// A model of these weights, in the order and of the shapes of [`Architecture::tensors`].
    ///
    /// # Errors
    /// [`ArtifactError::MissingTensor`], [`ArtifactError::UnexpectedTensor`], [`ArtifactError::WrongShape`],
    /// [`ArtifactError::NotFinite`].
    pub fn new(architecture: Architecture, tensors: Vec<Vec<f32>>) -> Result<Self, ArtifactError> {
        let specs = architecture.tensors();
        if tensors.len() > specs.len() {
            return Err(ArtifactError::UnexpectedTensor { name: format!("number {}", specs.len() + 1) });
        }
        for (i, spec) in specs.into_iter().enumerate() {
            let name = spec.name.clone();
            let Some(values) = tensors.get(i) else { return Err(ArtifactError::MissingTensor { name }) };
            if values.len() != spec.len() {
                return Err(ArtifactError::WrongShape {
                    name,
                    expected: spec.shape,
                    got: vec![values.len() as u64],
                });
            }
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(ArtifactError::NotFinite { name, index });
            }
        }
        Ok(Self { architecture, tensors })
    }

    /// The family and its dimensions.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The weights, in the order and of the shapes of [`Architecture::tensors`].
    pub fn tensors(&self) -> &[Vec<f32>] {
        &self.tensors
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.tensors.iter().flatten().all(|value| value.is_finite())
    }

    pub(crate) fn tensors_mut(&mut self) -> &mut [Vec<f32>] {
        &mut self.tensors
    }

    /// A copy of the model with normal noise of `sigma` times each tensor's root mean square added to its values.
    ///
    /// This is what a node does that hopes to pass another's model off as its own; the demo has one.
    /// The noise is limited so that no weight becomes infinite.
    pub fn perturbed(&self, sigma: f64, seed: &[u8; 32]) -> Self {
        let mut random = Random::new("perturbation", seed);
        let perturb = |values: &Vec<f32>| -> Vec<f32> {
            let squares: f64 = values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
            let scale = sigma * (squares / values.len() as f64).sqrt();
            values.iter().map(|value| narrow(f64::from(*value) + scale * random.normal())).collect()
        };
        let tensors = self.tensors.iter().map(perturb).collect();
        Self { architecture: self.architecture.clone(), tensors }
    }
}

/// Rounds to the nearest finite `f32`; what is no number becomes 0.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
pub(crate) fn narrow(value: f64) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32 }
}
