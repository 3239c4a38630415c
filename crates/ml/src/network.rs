//! The layers of a model, forwards and backwards.

use crate::{
    dataset::{CLASSES, PIXELS, SIDE},
    kernels::{
        Matrix, Planes, add_neighbourhoods, add_product, max_pool, max_pool_gradient, neighbourhoods,
        swap_inner,
    },
    model::{Architecture, Family, Model},
};

/// One step from the image to the answer. Activations are `(batch, features)`; those of images `(batch, side, side,
/// channels)`.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Dense {
        inputs: usize,
        outputs: usize,
    },
    /// 3 × 3 with a border of zeros.
    Convolution {
        from: Planes,
        outputs: usize,
    },
    Relu,
    /// 2 × 2.
    MaxPool(Planes),
    /// From the kernels' order of an image to the one in which its weights are stored: channels first.
    ChannelsFirst(Planes),
}

fn layers(architecture: &Architecture) -> Vec<Layer> {
    match architecture.kind() {
        Family::Linear => vec![Layer::Dense { inputs: PIXELS, outputs: CLASSES }],
        Family::Mlp(hidden) => {
            let sizes = [&[PIXELS], &hidden[..], &[CLASSES]].concat();
            let step = |pair: &[usize]| [Layer::Dense { inputs: pair[0], outputs: pair[1] }, Layer::Relu];
            let mut layers: Vec<Layer> = sizes.windows(2).flat_map(step).collect();
            layers.pop();
            layers
        }
        Family::Cnn([first, second]) => {
            let at = |side, channels| Planes { side, channels };
            let inputs = at(SIDE / 4, *second).len();
            vec![
                Layer::Convolution { from: at(SIDE, 1), outputs: *first },
                Layer::Relu,
                Layer::MaxPool(at(SIDE, *first)),
                Layer::Convolution { from: at(SIDE / 2, *first), outputs: *second },
                Layer::Relu,
                Layer::MaxPool(at(SIDE / 2, *second)),
                Layer::ChannelsFirst(at(SIDE / 4, *second)),
                Layer::Dense { inputs, outputs: CLASSES },
            ]
        }
    }
}

/// The answers of the model: one number per class.
///
/// - *Shape*: `inputs`: `(batch, 784)`, see [`crate::input`]; result: `(batch, 10)`.
pub(crate) fn logits(model: &Model, inputs: Vec<f32>) -> Vec<f32> {
    let mut parameters = model.tensors().chunks_exact(2);
    layers(model.architecture()).into_iter().fold(inputs, |x, layer| {
        let parameters = if layer.has_parameters() { parameters.next() } else { None };
        layer.forward(parameters.unwrap_or_default(), &x)
    })
}

/// The answers and, for a loss whose gradient with respect to them is given by `loss_gradient`, the gradient with
/// respect to each tensor of the model.
pub(crate) fn gradients(
    model: &Model,
    inputs: Vec<f32>,
    loss_gradient: impl FnOnce(&[f32]) -> Vec<f32>,
) -> Vec<Vec<f32>> {
    let layers = layers(model.architecture());
    let mut parameters = model.tensors().chunks_exact(2);
    let mut steps = Vec::new();
    let mut x = inputs;
    for layer in layers {
        let own = if layer.has_parameters() { parameters.next() } else { None }.unwrap_or_default();
        let y = layer.forward(own, &x);
        steps.push((layer, own, std::mem::replace(&mut x, y)));
    }
    let mut gradient = loss_gradient(&x);
    let mut collected = Vec::new();
    for (i, (layer, own, x)) in steps.iter().enumerate().rev() {
        if layer.has_parameters() {
            let (weight, bias) = layer.parameter_gradients(x, &gradient);
            collected.extend([bias, weight]);
        }
        // The image itself is not learned.
        if i > 0 {
            gradient = layer.input_gradient(own, x, gradient);
        }
    }
    collected.reverse();
    collected
}

impl Layer {
    fn has_parameters(self) -> bool {
        matches!(self, Self::Dense { .. } | Self::Convolution { .. })
    }

    /// `parameters`: the weight and the bias, or nothing.
    fn forward(self, parameters: &[Vec<f32>], x: &[f32]) -> Vec<f32> {
        match (self, parameters) {
            (Self::Dense { inputs, outputs }, [weight, bias]) => {
                affine(x, Matrix::new(weight, outputs, inputs).transposed(), bias, inputs)
            }
            (Self::Convolution { from, outputs }, [weight, bias]) => {
                let width = 9 * from.channels;
                let kernel = kernel_from_weight(weight, outputs, from.channels);
                affine(
                    &neighbourhoods(x, from),
                    Matrix::new(&kernel, outputs, width).transposed(),
                    bias,
                    width,
                )
            }
            // Written so that what is no number becomes 0.
            (Self::Relu, _) => x.iter().map(|value| if *value > 0.0 { *value } else { 0.0 }).collect(),
            (Self::MaxPool(planes), _) => max_pool(x, planes),
            (Self::ChannelsFirst(planes), _) => swap_inner(x, planes.side * planes.side, planes.channels),
            _ => unreachable!("dense layers and convolutions have two tensors"),
        }
    }

    /// The gradients of the weight and of the bias, for the layer's input and the gradient of its output.
    fn parameter_gradients(self, x: &[f32], gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
        match self {
            Self::Dense { inputs, outputs } => affine_gradients(x, gradient, inputs, outputs),
            Self::Convolution { from, outputs } => {
                let rows = neighbourhoods(x, from);
                let (kernel, bias) = affine_gradients(&rows, gradient, 9 * from.channels, outputs);
                (weight_from_kernel(&kernel, from.channels), bias)
            }
            _ => unreachable!("only dense layers and convolutions have parameters"),
        }
    }

    /// The gradient of the layer's input, for its input and the gradient of its output.
    fn input_gradient(self, parameters: &[Vec<f32>], x: &[f32], gradient: Vec<f32>) -> Vec<f32> {
        match (self, parameters) {
            (Self::Dense { inputs, outputs }, [weight, _]) => {
                product(&gradient, Matrix::new(weight, outputs, inputs), outputs)
            }
            (Self::Convolution { from, outputs }, [weight, _]) => {
                let kernel = kernel_from_weight(weight, outputs, from.channels);
                let kernel = Matrix::new(&kernel, outputs, 9 * from.channels);
                add_neighbourhoods(&product(&gradient, kernel, outputs), from)
            }
            (Self::Relu, _) => {
                x.iter().zip(gradient).map(|(x, gradient)| if *x > 0.0 { gradient } else { 0.0 }).collect()
            }
            (Self::MaxPool(planes), _) => max_pool_gradient(x, &gradient, planes),
            (Self::ChannelsFirst(planes), _) => {
                swap_inner(&gradient, planes.channels, planes.side * planes.side)
            }
            _ => unreachable!("dense layers and convolutions have two tensors"),
        }
    }
}

/// `x · weight + bias`, where the bias comes first in each sum.
fn affine(x: &[f32], weight: Matrix<'_>, bias: &[f32], inputs: usize) -> Vec<f32> {
    let rows = x.len() / inputs;
    let mut out = bias.repeat(rows);
    add_product(&mut out, Matrix::new(x, rows, inputs), weight);
    out
}

/// `x · matrix`, for rows of `width`.
fn product(x: &[f32], matrix: Matrix<'_>, width: usize) -> Vec<f32> {
    let rows = x.len() / width;
    let mut out = vec![0.0; rows * matrix.columns()];
    add_product(&mut out, Matrix::new(x, rows, width), matrix);
    out
}

/// The gradients of `affine` with respect to the weight, as `(outputs, inputs)`, and to the bias.
fn affine_gradients(x: &[f32], gradient: &[f32], inputs: usize, outputs: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = x.len() / inputs;
    let mut weight = vec![0.0; outputs * inputs];
    add_product(&mut weight, Matrix::new(gradient, rows, outputs).transposed(), Matrix::new(x, rows, inputs));
    let mut bias = vec![0.0; outputs];
    for row in gradient.chunks_exact(outputs) {
        for (sum, value) in bias.iter_mut().zip(row) {
            *sum += *value;
        }
    }
    (weight, bias)
}

/// From `(outputs, channels, 3, 3)`, as stored, to `(outputs, 3, 3, channels)`, as the neighbourhoods are ordered.
fn kernel_from_weight(weight: &[f32], outputs: usize, channels: usize) -> Vec<f32> {
    debug_assert_eq!(weight.len(), outputs * channels * 9);
    swap_inner(weight, channels, 9)
}

fn weight_from_kernel(kernel: &[f32], channels: usize) -> Vec<f32> {
    swap_inner(kernel, 9, channels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradients against differences of the loss, for every family.
    #[test]
    fn gradients_are_differences() {
        let rows = [
            Architecture::linear(),
            Architecture::mlp(&[6]).unwrap(),
            Architecture::mlp(&[5, 4]).unwrap(),
            Architecture::cnn([3, 2]).unwrap(),
        ];
        for architecture in rows {
            check(Model::init(architecture, &[3; 32]));
        }
    }

    /// A loss whose curvature is 0, so that a difference is exact but for rounding and for the bends of the layers.
    fn loss(model: &Model, inputs: &[f32]) -> f64 {
        let weighted = |(i, value): (usize, &f32)| f64::from(*value) * (i as f64 * 0.7).sin();
        logits(model, inputs.to_vec()).iter().enumerate().map(weighted).sum()
    }

    fn check(model: Model) {
        let inputs: Vec<f32> = (0..2 * PIXELS).map(|i| ((i * i % 97) as f32 / 48.0) - 1.0).collect();
        let loss_gradient = |logits: &[f32]| (0..logits.len()).map(|i| (i as f32 * 0.7).sin()).collect();
        let gradients = gradients(&model, inputs.clone(), loss_gradient);
        assert!(gradients.iter().map(Vec::len).eq(model.tensors().iter().map(Vec::len)));
        for (tensor, gradient) in gradients.iter().enumerate() {
            let size = gradient.iter().fold(0.0_f32, |size, value| size.max(value.abs()));
            assert!(size > 0.0, "{} tensor {tensor}", model.architecture());
            for index in (0..gradient.len()).step_by(1 + gradient.len() / 40) {
                let at = |step: f32| {
                    let mut moved = model.clone();
                    moved.tensors_mut()[tensor][index] += step;
                    loss(&moved, &inputs)
                };
                let step = 1e-3;
                let difference = (at(step) - at(-step)) / (2.0 * f64::from(step));
                let error = (difference - f64::from(gradient[index])).abs();
                assert!(
                    error < 2e-3 * f64::from(size) + 2e-3,
                    "{} tensor {tensor} at {index}: {difference} against {}",
                    model.architecture(),
                    gradient[index]
                );
            }
        }
    }
}
