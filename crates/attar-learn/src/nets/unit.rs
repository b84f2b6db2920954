//! A layer, its norm, its activation, and dropout.

use attar_ops::{Activation, Convolution};
use burn::module::Module;
use burn::tensor::Tensor;

use super::config::NetConfig;
use super::initial::Draw;
use super::layers::{Layer, gain};
use super::norm::Normalisation;
use super::walk::Walk;
use crate::Parameter;

/// A layer and what follows it: the stages are the layer, under the unit's name, and the norm.
#[derive(Module, Debug)]
pub(super) struct Unit {
    pub(super) layer: Layer,
    pub(super) norm: Option<Normalisation>,
    #[module(skip)]
    name: String,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    dropout: f64,
}

impl Unit {
    /// A dense layer of `[inputs, outputs]`.
    pub(super) fn dense(config: &NetConfig, name: String, widths: [usize; 2], draw: &mut Draw) -> Self {
        let norm = Normalisation::of_samples(config.norm, norm_name(&name), widths[1], draw);
        let layer = Layer::dense(widths, norm.is_none(), gain(config.activation), draw);
        Self { layer, norm, name, activation: config.activation, dropout: config.dropout }
    }

    /// A convolution 3 x 3 of `[inputs, outputs]` channels.
    pub(super) fn convolution(
        config: &NetConfig,
        name: String,
        shape: Convolution,
        channels: [usize; 2],
        draw: &mut Draw,
    ) -> Self {
        let norm = Normalisation::of_samples(config.norm, norm_name(&name), channels[1], draw);
        let layer = Layer::convolution(shape, channels, norm.is_none(), gain(config.activation), draw);
        Self { layer, norm, name, activation: config.activation, dropout: config.dropout }
    }

    /// Without what follows the norm, which comes after a sum.
    pub(super) fn before_sum(self) -> Self {
        Self { activation: Activation::Identity, dropout: 0.0, ..self }
    }

    pub(super) fn forward(&self, input: Tensor<3>, walk: &mut Walk) -> Tensor<3> {
        match &self.norm {
            None => {
                let values = walk.dropout(self.dropout, self.layer.forward(input, self.activation));
                walk.stage(&self.name, self.activation, values)
            }
            Some(norm) => {
                let values = self.layer.forward(input, Activation::Identity);
                let values = walk.stage(&self.name, Activation::Identity, values);
                let values = norm.forward(values, self.activation, walk);
                let values = walk.dropout(self.dropout, values);
                walk.stage(&norm.name, self.activation, values)
            }
        }
    }

    /// With weights larger by the factor.
    pub(super) fn scaled(mut self, factor: f64) -> Self {
        self.layer.weight = self.layer.weight.map(|weight| weight.mul_scalar(factor));
        self
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let of_norm = self.norm.iter().flat_map(Normalisation::parameters);
        self.layer.parameters(&self.name).into_iter().chain(of_norm).collect()
    }
}

fn norm_name(name: &str) -> String {
    format!("{name}.norm")
}
