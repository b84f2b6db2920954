//! The classifier: blocks one after the other, and a head.

use attar_ops::Activation;
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor};

use super::build;
use super::config::{Kind, NetConfig};
use super::initial::Draw;
use super::layers::Layer;
use super::norm::Normalisation;
use super::residual::ResidualBlock;
use super::transformer::{Embedding, TransformerBlock, normalise};
use super::unit::Unit;
use super::walk::Walk;
use crate::Error;
use crate::Parameter;
use crate::staged::{BatchStatistics, Pass, StageOutput, Staged};

/// A classifier of images or tables. The last stage, `head`, has the logits `[samples, 1, classes]`.
#[derive(Module, Debug)]
pub struct Net {
    pub(super) blocks: Vec<Block>,
    pub(super) head: Layer,
    #[module(skip)]
    pub(super) config: NetConfig,
}

/// What stands between input and head.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a net has few blocks, and most are of one kind")]
pub(super) enum Block {
    Unit(Unit),
    Residual(ResidualBlock),
    Embedding(Embedding),
    Transformer(TransformerBlock),
    Norm(Normalisation),
}

impl Net {
    /// A network with weights that are a function of the seed: drawn in `f64` and rounded to `dtype`.
    ///
    /// Normal, of a variance that keeps the size of signals through the layers (He et al. 2015, "Delving deep into
    /// rectifiers", eq. 10, by the inputs of a unit); biases and shifts 0, scales 1.
    ///
    /// # Errors
    /// [`Error::Config`]: a configuration that no network can have.
    pub fn new(config: &NetConfig, seed: u64, dtype: DType, device: &Device) -> Result<Self, Error> {
        config.validate()?;
        let mut draw = Draw::new(seed, dtype, device);
        let (blocks, features) = build::blocks(config, &mut draw);
        let head = Layer::dense([features, config.classes], true, build::HEAD_GAIN, &mut draw);
        Ok(Self { blocks, head, config: config.clone() })
    }

    /// What it was made as.
    pub fn config(&self) -> &NetConfig {
        &self.config
    }

    /// The logits `[samples, classes]` for the input `[samples, pixels, channels]`.
    pub fn logits(&self, input: Tensor<3>, pass: &mut Pass) -> Tensor<2> {
        let mut walk = Walk::new(pass);
        self.walk(input, &mut walk).squeeze_dim(1)
    }

    /// The network with these running statistics, from [`Staged::statistics`], each where its stage's name says.
    #[must_use]
    pub fn with_running_statistics(mut self, statistics: &[BatchStatistics]) -> Self {
        self.norms().for_each(|norm| norm.set(statistics));
        self
    }

    fn norms(&mut self) -> impl Iterator<Item = &mut Normalisation> {
        self.blocks.iter_mut().flat_map(Block::norms)
    }

    fn walk(&self, input: Tensor<3>, walk: &mut Walk) -> Tensor<3> {
        let input = self.arranged(input);
        let values = self.blocks.iter().fold(input, |values, block| block.forward(values, walk));
        let logits = self.head.forward(self.gathered(values), Activation::Identity);
        walk.stage("head", Activation::Identity, logits)
    }

    /// The input as the first block takes it: as it is, or one position, or tokens.
    fn arranged(&self, input: Tensor<3>) -> Tensor<3> {
        let [samples, _, _] = input.dims();
        let [height, width, channels] = self.config.input;
        match self.config.kind {
            Kind::Mlp { .. } => input.reshape([samples, 1, self.config.features()]),
            Kind::ConvNet { .. } | Kind::Plain { .. } | Kind::Residual { .. } => input,
            Kind::Attention { patch: [rows, columns], .. } => {
                let [down, across] = [height / rows, width / columns];
                let patches: Tensor<6> = input.reshape([samples, down, rows, across, columns, channels]);
                patches.swap_dims(2, 3).reshape([samples, down * across, rows * columns * channels])
            }
        }
    }

    /// All positions in one, side by side or as their mean.
    fn gathered(&self, values: Tensor<3>) -> Tensor<3> {
        let [samples, positions, channels] = values.dims();
        match self.config.kind {
            Kind::Mlp { .. } => values,
            Kind::ConvNet { .. } => values.reshape([samples, 1, positions * channels]),
            Kind::Plain { .. } | Kind::Residual { .. } | Kind::Attention { .. } => values.mean_dim(1),
        }
    }
}

impl Staged for Net {
    fn stages(&self, input: Tensor<3>, pass: &mut Pass) -> Vec<StageOutput> {
        let mut walk = Walk::new(pass);
        self.walk(input, &mut walk);
        walk.into_outputs()
    }

    fn parameters(&self) -> Vec<Parameter> {
        let of_blocks = self.blocks.iter().flat_map(Block::parameters);
        of_blocks.chain(self.head.parameters("head")).collect()
    }

    fn absorb(mut self, statistics: &[BatchStatistics]) -> Self {
        self.norms().for_each(|norm| norm.absorb(statistics));
        self
    }

    fn statistics(&self) -> Vec<BatchStatistics> {
        // A clone shares its tensors.
        self.clone().norms().filter_map(|norm| norm.statistics()).collect()
    }
}

impl Block {
    fn forward(&self, values: Tensor<3>, walk: &mut Walk) -> Tensor<3> {
        match self {
            Self::Unit(unit) => unit.forward(values, walk),
            Self::Residual(block) => block.forward(values, walk),
            Self::Embedding(embedding) => embedding.forward(values, walk),
            Self::Transformer(block) => block.forward(values, walk),
            Self::Norm(norm) => normalise(Some(norm), values, walk),
        }
    }

    fn norms(&mut self) -> Vec<&mut Normalisation> {
        match self {
            Self::Unit(unit) => unit.norm.iter_mut().collect(),
            Self::Residual(block) => block.first.norm.iter_mut().chain(&mut block.second.norm).collect(),
            Self::Embedding(_) => Vec::new(),
            Self::Transformer(block) => block.norms().collect(),
            Self::Norm(norm) => vec![norm],
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        match self {
            Self::Unit(unit) => unit.parameters(),
            Self::Residual(block) => [block.first.parameters(), block.second.parameters()].concat(),
            Self::Embedding(embedding) => embedding.parameters(),
            Self::Transformer(block) => block.parameters(),
            Self::Norm(norm) => norm.parameters().to_vec(),
        }
    }
}
