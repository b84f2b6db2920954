//! Layers with weights: dense and convolutional.

use attar_ops::burn::{conv2d, dense};
use attar_ops::{Activation, Convolution};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::initial::Draw;
use crate::Parameter;

/// A layer, of each position on its own or of neighbouring ones.
#[derive(Module, Debug)]
pub(super) struct Layer {
    /// `[inputs, outputs]`, or as [`conv2d`] takes it.
    pub(super) weight: Param<Tensor<2>>,
    pub(super) bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    convolution: Option<Convolution>,
}

impl Layer {
    /// A dense layer with a bias, if there shall be one; `gain` over the inputs is the variance of the weights.
    pub(super) fn dense([inputs, outputs]: [usize; 2], bias: bool, gain: f64, draw: &mut Draw) -> Self {
        let weight = draw.normal([inputs, outputs], gain / inputs as f64);
        Self { weight, bias: zeros(bias, outputs, draw), convolution: None }
    }

    /// The same as a convolution.
    pub(super) fn convolution(
        shape: Convolution,
        [inputs, outputs]: [usize; 2],
        bias: bool,
        gain: f64,
        draw: &mut Draw,
    ) -> Self {
        let rows = shape.kernel * shape.kernel * inputs;
        let weight = draw.normal([rows, outputs], gain / rows as f64);
        Self { weight, bias: zeros(bias, outputs, draw), convolution: Some(shape) }
    }

    pub(super) fn forward(&self, input: Tensor<3>, activation: Activation) -> Tensor<3> {
        let (weight, bias) = (self.weight.val(), self.bias.as_ref().map(Param::val));
        match self.convolution {
            None => dense(input, weight, bias, activation),
            Some(shape) => conv2d(input, weight, bias, shape, activation),
        }
    }

    pub(super) fn parameters(&self, stage: &str) -> Vec<Parameter> {
        let bias = self.bias.iter().map(|bias| Parameter::of(stage, "bias", bias));
        [Parameter::of(stage, "weight", &self.weight)].into_iter().chain(bias).collect()
    }
}

fn zeros(wanted: bool, length: usize, draw: &Draw) -> Option<Param<Tensor<1>>> {
    wanted.then(|| Param::from_tensor(draw.constant(0.0, length)))
}

/// The variance of weights times the inputs of a unit at which an activation keeps the size of signals: 2 where it
/// stops half of them (He et al. 2015, "Delving deep into rectifiers", eq. 10).
pub(super) fn gain(activation: Activation) -> f64 {
    match activation {
        Activation::Identity | Activation::Tanh => 1.0,
        Activation::Relu | Activation::Gelu | Activation::Silu => 2.0,
    }
}
