//! Dense layers and layer normalisation: drawn, applied, and under PyTorch's names.

use attar_ops::Activation;
use attar_ops::burn::{dense, layer_norm};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use chacha20::ChaCha8Rng;
use rand::RngExt;

use super::Weights;
use crate::Error;

/// Layer normalisation over the last axis.
#[derive(Module, Debug)]
pub struct Norm {
    /// Multiplies the normalised values.
    pub gamma: Param<Tensor<1>>,
    /// Is added to them.
    pub beta: Param<Tensor<1>>,
}

impl Norm {
    pub(super) fn new(width: usize, device: &Device) -> Self {
        let [gamma, beta] = [Tensor::ones([width], device), Tensor::zeros([width], device)].map(Param::from_tensor);
        Self { gamma, beta }
    }

    pub(super) fn load(weights: &Weights, name: &str, width: usize, device: &Device) -> Result<Self, Error> {
        let part = |part| weights.tensor(&format!("{name}.{part}"), [width], device).map(Param::from_tensor);
        Ok(Self { gamma: part("weight")?, beta: part("bias")? })
    }

    pub(super) fn save(&self, weights: &mut Weights, name: &str) {
        weights.insert(format!("{name}.weight"), self.gamma.val());
        weights.insert(format!("{name}.bias"), self.beta.val());
    }

    pub(super) fn forward(&self, input: Tensor<3>, epsilon: f64) -> Tensor<3> {
        layer_norm(input, self.gamma.val(), self.beta.val(), epsilon)
    }
}

/// `activation(input weight + bias)`
pub(super) fn apply(layer: &Linear, input: Tensor<3>, activation: Activation) -> Tensor<3> {
    let [batch, length, _] = input.dims();
    if batch * length == 0 {
        // Burn takes a 0 in a shape for a length that stays as it is.
        let [_, outputs] = layer.weight.dims();
        return Tensor::zeros([batch, length, outputs], (&input.device(), input.dtype()));
    }
    dense(input, layer.weight.val(), layer.bias.as_ref().map(Param::val), activation)
}

/// A layer of a weight `[outputs, inputs]`, as PyTorch has it, and a bias.
pub(super) fn of_rows(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Linear {
    Linear { weight: Param::from_tensor(weight.transpose()), bias: bias.map(Param::from_tensor) }
}

/// A layer with a bias, both uniform in plus or minus `1 / sqrt(inputs)`, as PyTorch draws them.
pub(super) fn drawn(inputs: usize, outputs: usize, rng: &mut ChaCha8Rng, device: &Device) -> Linear {
    let bound = (inputs as f64).sqrt().recip();
    of_rows(uniform([outputs, inputs], bound, rng, device), Some(uniform([outputs], bound, rng, device)))
}

/// Uniform in plus or minus the bound.
pub(super) fn uniform<const D: usize>(
    shape: [usize; D],
    bound: f64,
    rng: &mut ChaCha8Rng,
    device: &Device,
) -> Tensor<D> {
    let bound = bound as f32;
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-bound..bound)).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(super) fn load(
    weights: &Weights,
    name: &str,
    [outputs, inputs]: [usize; 2],
    bias: bool,
    device: &Device,
) -> Result<Linear, Error> {
    let weight = weights.tensor(&format!("{name}.weight"), [outputs, inputs], device)?;
    let bias = bias.then(|| weights.tensor(&format!("{name}.bias"), [outputs], device)).transpose()?;
    Ok(of_rows(weight, bias))
}

pub(super) fn save(layer: &Linear, weights: &mut Weights, name: &str) {
    weights.insert(format!("{name}.weight"), layer.weight.val().transpose());
    if let Some(bias) = &layer.bias {
        weights.insert(format!("{name}.bias"), bias.val());
    }
}
