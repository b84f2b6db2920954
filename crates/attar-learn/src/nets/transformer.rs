//! Attention over tokens: embedding, and blocks that normalise first.

use attar_attention::burn::attention;
use attar_attention::{Attention, Choice, Form, Shape, Similarity};
use attar_ops::Activation;
use attar_ops::burn::on_host;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::config::NetConfig;
use super::initial::Draw;
use super::layers::{Layer, gain};
use super::norm::Normalisation;
use super::walk::Walk;
use crate::Parameter;

/// Of learned positions, as ViT draws them (Dosovitskiy et al. 2020).
const POSITION_VARIANCE: f64 = 0.02 * 0.02;
/// The hidden layer over the width (Vaswani et al. 2017, section 3.3).
const EXPANSION: usize = 4;

/// A dense layer on each token, and a vector for each place: the stage `embed`.
#[derive(Module, Debug)]
pub(super) struct Embedding {
    layer: Layer,
    /// `[tokens, width]`
    positions: Param<Tensor<2>>,
}

impl Embedding {
    /// For tokens of `inputs` values each.
    pub(super) fn new([tokens, inputs]: [usize; 2], width: usize, draw: &mut Draw) -> Self {
        let layer = Layer::dense([inputs, width], true, gain(Activation::Identity), draw);
        Self { layer, positions: draw.normal([tokens, width], POSITION_VARIANCE) }
    }

    pub(super) fn forward(&self, tokens: Tensor<3>, walk: &mut Walk) -> Tensor<3> {
        let values = self.layer.forward(tokens, Activation::Identity) + self.positions.val().unsqueeze();
        walk.stage("embed", Activation::Identity, values)
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let mut all = self.layer.parameters("embed");
        all.push(Parameter::of("embed", "positions", &self.positions));
        all
    }
}

/// `y + f(M(y))` with `y = x + A(N(x))` for attention A, dense layers f and norms N and M (Xiong et al. 2020, table 1).
#[derive(Module, Debug)]
pub(super) struct TransformerBlock {
    norm1: Option<Normalisation>,
    /// To queries, keys and values side by side: `[width, 3 width]`.
    projection: Layer,
    output: Layer,
    norm2: Option<Normalisation>,
    hidden: Layer,
    contraction: Layer,
    #[module(skip)]
    names: Names,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    dropout: f64,
}

/// Of the stages.
#[derive(Clone, Debug)]
struct Names {
    projection: String,
    attention: String,
    hidden: String,
    block: String,
}

impl TransformerBlock {
    pub(super) fn new(config: &NetConfig, name: &str, width: usize, heads: usize, draw: &mut Draw) -> Self {
        let part = |part: &str| format!("{name}.{part}");
        let norm = |which, draw: &Draw| Normalisation::of_positions(config.norm, part(which), width, draw);
        let linear = gain(Activation::Identity);
        Self {
            norm1: norm("norm1", draw),
            projection: Layer::dense([width, 3 * width], true, linear, draw),
            output: Layer::dense([width, width], true, linear, draw),
            norm2: norm("norm2", draw),
            hidden: Layer::dense([width, EXPANSION * width], true, gain(config.activation), draw),
            contraction: Layer::dense([EXPANSION * width, width], true, linear, draw),
            names: Names {
                projection: part("projection"),
                attention: part("attention"),
                hidden: part("hidden"),
                block: name.into(),
            },
            heads,
            activation: config.activation,
            dropout: config.dropout,
        }
    }

    pub(super) fn forward(&self, x: Tensor<3>, walk: &mut Walk) -> Tensor<3> {
        let normalised = normalise(self.norm1.as_ref(), x.clone(), walk);
        let projected = self.projection.forward(normalised, Activation::Identity);
        let projected = walk.stage(&self.names.projection, Activation::Identity, projected);
        let (attended, choice) = self.attend(projected, walk);
        let branch = self.output.forward(attended, Activation::Identity);
        let y = x + walk.dropout(self.dropout, branch);
        let y = walk.stage(&self.names.attention, Activation::Identity, y);
        walk.in_form(choice);
        let normalised = normalise(self.norm2.as_ref(), y.clone(), walk);
        let hidden = self.hidden.forward(normalised, self.activation);
        let hidden = walk.stage(&self.names.hidden, self.activation, hidden);
        let branch = self.contraction.forward(hidden, Activation::Identity);
        let z = y + walk.dropout(self.dropout, branch);
        walk.stage(&self.names.block, Activation::Identity, z)
    }

    /// Softmax attention in heads, for queries, keys and values side by side; and the form that it takes.
    fn attend(&self, projected: Tensor<3>, walk: &mut Walk) -> (Tensor<3>, Option<Choice>) {
        let [samples, tokens, of_all] = projected.dims();
        let width = of_all / 3;
        let heads = |part: usize| {
            let part = projected.clone().narrow(2, part * width, width);
            part.reshape([samples, tokens, self.heads, width / self.heads]).swap_dims(1, 2)
        };
        let softmax = Attention::new(Similarity::Softmax { scale: None });
        let dim = width / self.heads;
        let shape = Shape {
            batch: samples,
            heads: self.heads,
            key_heads: self.heads,
            queries: tokens,
            keys: tokens,
            dim,
            value_dim: dim,
        };
        let output = attention(&softmax, Form::Auto, heads(0), heads(1), heads(2), None);
        // Elsewhere attention is composed of Burn's operations, whatever the form.
        let choice = on_host(&projected).map(|_| softmax.choose(&shape)).transpose();
        match output.and_then(|output| Ok((output, choice?))) {
            Ok((output, choice)) => (output.swap_dims(1, 2).reshape([samples, tokens, width]), choice),
            Err(error) => {
                walk.fail(|| format!("attention `{}`: {error}", self.names.attention));
                (projected.narrow(2, 0, width), None)
            }
        }
    }

    /// The norms, in the order of the stages.
    pub(super) fn norms(&mut self) -> impl Iterator<Item = &mut Normalisation> {
        self.norm1.iter_mut().chain(&mut self.norm2)
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let Names { projection, attention, hidden, block } = &self.names;
        let mut all: Vec<Parameter> = self.norm1.iter().flat_map(Normalisation::parameters).collect();
        all.extend(self.projection.parameters(projection));
        all.extend(self.output.parameters(attention));
        all.extend(self.norm2.iter().flat_map(Normalisation::parameters));
        all.extend(self.hidden.parameters(hidden));
        all.extend(self.contraction.parameters(block));
        all
    }
}

/// The norm as a stage, if there is one.
pub(super) fn normalise(norm: Option<&Normalisation>, values: Tensor<3>, walk: &mut Walk) -> Tensor<3> {
    match norm {
        None => values,
        Some(norm) => {
            let values = norm.forward(values, Activation::Identity, walk);
            walk.stage(&norm.name, Activation::Identity, values)
        }
    }
}
