//! Attention and a feed-forward network, as encoders stack them.

use attar_ops::Activation;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Bool, Device, Tensor};
use chacha20::ChaCha8Rng;
use rand::rand_core::SeedableRng;

use super::layers::{self, Norm, apply};
use super::{MultiHeadAttention, MultiHeadConfig, Weights};
use crate::Error;
use crate::error::same;

/// How attention A, the network f and the normalisations N and M follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrangement {
    /// `y + f(M(y))` with `y = x + A(N(x))` (Xiong et al. 2020, table 1).
    PreNorm,
    /// `M(y + f(y))` with `y = N(x + A(x))` (Vaswani et al. 2017, section 3.1).
    PostNorm,
    /// `f(A(x) + x)`, without normalisation.
    Plain,
}

/// What a [`TransformerBlock`] is to be. Its weights are those of PyTorch's `nn.TransformerEncoderLayer`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockConfig {
    /// Of one width.
    pub attention: MultiHeadConfig,
    /// What follows what.
    pub arrangement: Arrangement,
    /// Width of the network's hidden layer.
    pub hidden: usize,
    /// After the hidden layer.
    pub activation: Activation,
    /// Is added to the variance that normalisations divide by.
    pub epsilon: f64,
}

/// Attention of a sequence to itself, and a network of two layers `f(x) = activation(x W1 + b1) W2 + b2`.
#[derive(Module, Debug)]
pub struct TransformerBlock {
    /// A
    pub attention: MultiHeadAttention,
    /// `[width, hidden]`
    pub linear1: Linear,
    /// `[hidden, width]`
    pub linear2: Linear,
    /// N, unless the block is plain.
    pub norm1: Option<Norm>,
    /// M, unless the block is plain.
    pub norm2: Option<Norm>,
    #[module(skip)]
    config: BlockConfig,
}

impl BlockConfig {
    /// With ReLU, and as PyTorch's defaults, but for the widths.
    pub fn new(attention: MultiHeadConfig, arrangement: Arrangement, hidden: usize) -> Self {
        Self { attention, arrangement, hidden, activation: Activation::Relu, epsilon: 1e-5 }
    }

    /// Weights drawn as PyTorch draws them, a pure function of the seed: see [`MultiHeadConfig::init`]; those of the
    /// network, and its biases, uniform in plus or minus `1 / sqrt(inputs)`.
    ///
    /// # Errors
    /// Those of [`MultiHeadConfig::init`]; several widths, or no hidden layer.
    pub fn init(&self, seed: u64, device: &Device) -> Result<TransformerBlock, Error> {
        self.check()?;
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let width = self.attention.width;
        let norm = || self.has_norms().then(|| Norm::new(width, device));
        Ok(TransformerBlock {
            attention: self.attention.draw(rng, device)?,
            linear1: layers::drawn(width, self.hidden, rng, device),
            linear2: layers::drawn(self.hidden, width, rng, device),
            norm1: norm(),
            norm2: norm(),
            config: *self,
        })
    }

    /// The weights whose names begin with `prefix` (`layers.0.`, or nothing): `self_attn.` and the names of
    /// [`MultiHeadConfig::load`]; weight and bias of `linear1`, `linear2` and, unless the block is plain, `norm1` and
    /// `norm2`.
    ///
    /// # Errors
    /// Those of [`Self::init`]; a weight that is missing or has another shape.
    pub fn load(&self, weights: &Weights, prefix: &str, device: &Device) -> Result<TransformerBlock, Error> {
        self.check()?;
        let name = |name: &str| format!("{prefix}{name}");
        let (width, hidden) = (self.attention.width, self.hidden);
        let norm = |part: &str| self.has_norms().then(|| Norm::load(weights, &name(part), width, device)).transpose();
        Ok(TransformerBlock {
            attention: self.attention.load(weights, &name("self_attn."), device)?,
            linear1: layers::load(weights, &name("linear1"), [hidden, width], true, device)?,
            linear2: layers::load(weights, &name("linear2"), [width, hidden], true, device)?,
            norm1: norm("norm1")?,
            norm2: norm("norm2")?,
            config: *self,
        })
    }

    fn has_norms(&self) -> bool {
        self.arrangement != Arrangement::Plain
    }

    fn check(&self) -> Result<(), Error> {
        let MultiHeadConfig { width, key_width, value_width, .. } = self.attention;
        same("keys and values of widths", [width; 2], [key_width, value_width])?;
        match self.hidden {
            0 => Err(Error::None("feature of the hidden layer")),
            _ if self.epsilon >= 0.0 && self.epsilon.is_finite() => self.attention.check(),
            _ => Err(Error::Parameter { what: "a finite epsilon from 0", value: self.epsilon }),
        }
    }
}

impl TransformerBlock {
    /// The output `[batch, length, width]` for the input x, `[batch, length, width]`; places marked in `hidden`,
    /// `[batch, length]`, are attended to by none.
    ///
    /// # Errors
    /// Inputs that do not fit.
    pub fn forward(&self, x: Tensor<3>, hidden: Option<Tensor<2, Bool>>) -> Result<Tensor<3>, Error> {
        self.forward_with(x, |x| self.attention.forward(x.clone(), x.clone(), x, hidden))
    }

    /// The block around what `attend` makes of its input.
    pub(super) fn forward_with(
        &self,
        x: Tensor<3>,
        attend: impl FnOnce(Tensor<3>) -> Result<Tensor<3>, Error>,
    ) -> Result<Tensor<3>, Error> {
        let network = |x| apply(&self.linear2, apply(&self.linear1, x, self.config.activation), Activation::Identity);
        let norm = |norm: &Option<Norm>, x| match norm {
            Some(norm) => norm.forward(x, self.config.epsilon),
            None => x,
        };
        same("an input of width", self.config.attention.width, x.dims()[2])?;
        Ok(match self.config.arrangement {
            Arrangement::PreNorm => {
                let y = x.clone() + attend(norm(&self.norm1, x))?;
                y.clone() + network(norm(&self.norm2, y))
            }
            Arrangement::PostNorm => {
                let y = norm(&self.norm1, x.clone() + attend(x)?);
                norm(&self.norm2, y.clone() + network(y))
            }
            Arrangement::Plain => network(attend(x.clone())? + x),
        })
    }

    /// What it was made as.
    pub fn config(&self) -> &BlockConfig {
        &self.config
    }

    /// Adds the weights under the names that [`BlockConfig::load`] takes.
    pub fn save(&self, weights: &mut Weights, prefix: &str) {
        let name = |name: &str| format!("{prefix}{name}");
        self.attention.save(weights, &name("self_attn."));
        layers::save(&self.linear1, weights, &name("linear1"));
        layers::save(&self.linear2, weights, &name("linear2"));
        for (part, norm) in [("norm1", &self.norm1), ("norm2", &self.norm2)] {
            if let Some(norm) = norm {
                norm.save(weights, &name(part));
            }
        }
    }
}
