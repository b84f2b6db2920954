//! The multilayer autoencoder: an encoder to the code and a decoder back.

use attar_data::random::{Purpose, stream};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, activation};
use rand::RngExt;

use crate::Parameter;
use crate::config::{Activation, Architecture};
use crate::staged::{Pass, StageOutput, Staged};

/// An encoder `[samples, features] -> [samples, latent]` and a decoder back.
#[derive(Module, Debug)]
pub struct Autoencoder {
    /// From the features to the code.
    pub encoder: Layers,
    /// From the code to the features.
    pub decoder: Layers,
}

/// Dense layers with the activation between them, none after the last.
#[derive(Module, Debug)]
pub struct Layers {
    /// The layers, first to last.
    pub linear: Vec<Linear>,
    #[module(skip)]
    activation: Activation,
}

impl Autoencoder {
    /// A network for `features` inputs, initialised as PyTorch's `nn.Linear`: weights and biases
    /// uniform in plus or minus `1 / sqrt(inputs of the layer)`, a pure function of the seed.
    pub fn new(architecture: &Architecture, features: usize, seed: u64, device: &Device) -> Self {
        let encoder = Layers::new(&architecture.encoder_widths(features), architecture.activation, 0, seed, device);
        let after = encoder.linear.len();
        let decoder = Layers::new(&architecture.decoder_widths(features), architecture.activation, after, seed, device);
        Self { encoder, decoder }
    }

    /// The reconstruction `[samples, features]` of the input `[samples, features]`.
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        self.decoder.forward(self.encoder.forward(input))
    }

    /// The width of the code.
    pub fn latent(&self) -> usize {
        self.decoder.linear.first().map_or(0, |layer| layer.weight.lazy_shape().dims::<2>()[0])
    }

    /// The layers with their PyTorch names, `encoder.0`, `encoder.2`, ..., `decoder.0`, ...: an
    /// activation takes the odd places, as in `nn.Sequential`.
    pub fn named_layers(&self) -> Vec<(String, &Linear)> {
        let name = |part: &str, layer: usize| format!("{part}.{}", 2 * layer);
        let encoder = self.encoder.linear.iter().enumerate().map(|(layer, linear)| (name("encoder", layer), linear));
        let decoder = self.decoder.linear.iter().enumerate().map(|(layer, linear)| (name("decoder", layer), linear));
        encoder.chain(decoder).collect()
    }
}

/// Each layer is a stage, under its name in [`Autoencoder::named_layers`], with the activation that follows it.
impl Staged for Autoencoder {
    fn stages(&self, input: Tensor<3>, pass: &mut Pass) -> Vec<StageOutput> {
        let (code, output) = (self.encoder.linear.len(), self.encoder.linear.len() + self.decoder.linear.len());
        let mut outputs: Vec<StageOutput> = Vec::new();
        for (index, (name, layer)) in self.named_layers().into_iter().enumerate() {
            let last = [code, output].contains(&(index + 1));
            let activation = if last { Activation::Identity } else { self.encoder.activation };
            let input = outputs.last().map_or(&input, |before| &before.values).clone();
            let bias = layer.bias.as_ref().map(|bias| bias.val());
            outputs.push(pass.stage(
                name,
                activation,
                attar_ops::burn::dense(input, layer.weight.val(), bias, activation),
            ));
        }
        outputs
    }

    /// As the saved model has them, which keeps weights `[outputs, inputs]`.
    fn parameters(&self) -> Vec<Parameter> {
        let of_layer = |(stage, layer): (String, &Linear)| {
            let weight = Parameter::of(&stage, "weight", &layer.weight);
            let weight = Parameter { shape: weight.shape.iter().rev().copied().collect(), ..weight };
            let bias = layer.bias.as_ref().map(|bias| Parameter::of(&stage, "bias", bias));
            [Some(weight), bias].into_iter().flatten().collect::<Vec<_>>()
        };
        self.named_layers().into_iter().flat_map(of_layer).collect()
    }
}

impl Layers {
    fn new(widths: &[usize], activation: Activation, first: usize, seed: u64, device: &Device) -> Self {
        let layers = widths.windows(2).enumerate();
        let linear = layers.map(|(layer, width)| dense(width[0], width[1], first + layer, seed, device)).collect();
        Self::of(linear, activation)
    }

    /// The function between the layers.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    pub(crate) fn of(linear: Vec<Linear>, activation: Activation) -> Self {
        Self { linear, activation }
    }

    /// The output `[samples, last width]` for the input `[samples, first width]`.
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let mut value = input;
        for (layer, linear) in self.linear.iter().enumerate() {
            if layer > 0 {
                value = activate(self.activation, value);
            }
            value = linear.forward(value);
        }
        value
    }
}

fn activate(function: Activation, input: Tensor<2>) -> Tensor<2> {
    match function {
        Activation::Identity => input,
        Activation::Relu => activation::relu(input),
        Activation::Gelu => activation::gelu(input),
        Activation::Tanh => activation::tanh(input),
        Activation::Silu => activation::silu(input),
    }
}

fn dense(inputs: usize, outputs: usize, layer: usize, seed: u64, device: &Device) -> Linear {
    let mut rng = stream(seed, Purpose::Initialise, 0, 0, layer as u64);
    let bound = 1.0 / (inputs as f32).sqrt();
    let mut uniform = |n: usize| (0..n).map(|_| rng.random_range(-bound..bound)).collect::<Vec<f32>>();
    linear(uniform(inputs * outputs), uniform(outputs), inputs, device)
}

/// A layer from its weight, row-major `[inputs, outputs]`, and bias `[outputs]`.
pub(crate) fn linear(weight: Vec<f32>, bias: Vec<f32>, inputs: usize, device: &Device) -> Linear {
    let outputs = bias.len();
    Linear {
        weight: Param::from_tensor(Tensor::from_data(TensorData::new(weight, [inputs, outputs]), device)),
        bias: Some(Param::from_tensor(Tensor::from_data(TensorData::new(bias, [outputs]), device))),
    }
}
