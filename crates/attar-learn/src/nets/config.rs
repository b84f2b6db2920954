//! What a classifier is to be.

use attar_ops::Activation;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Everything that determines a classifier, but for its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NetConfig {
    /// How it is built.
    pub kind: Kind,
    /// What follows each layer but the last.
    pub norm: Norm,
    /// What follows each norm.
    pub activation: Activation,
    /// Probability that a unit is dropped out in training; 0 for none.
    #[serde(default)]
    pub dropout: f64,
    /// Height, width and channels of an image; a table of features is `[1, 1, features]`.
    pub input: [usize; 3],
    /// How many classes are told apart.
    pub classes: usize,
}

/// The ways to build a classifier; each ends with a dense layer `head`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "name")]
pub enum Kind {
    /// Dense layers on all pixels.
    Mlp {
        /// Widths between input and head.
        hidden: Vec<usize>,
    },
    /// Convolutions 3 x 3, of stride 2 from the second on; the head reads all pixels of the last.
    ConvNet {
        /// Channels of each convolution.
        widths: Vec<usize>,
    },
    /// `6n + 2` layers without shortcuts (He et al. 2015, section 4.2): a convolution 3 x 3, three groups of `2n`, of
    /// `width`, `2 width` and `4 width` channels, the second and third beginning with stride 2; the mean over the pixels.
    Plain {
        /// Half the convolutions of a group.
        n: usize,
        /// Channels of the first group: 16 in the paper.
        width: usize,
    },
    /// The same layers, with a shortcut around every two of a group: the identity, or where it changes shape every other
    /// pixel and zeros for the channels that are new (option A), so that the parameters are those of the plain net.
    Residual {
        /// As in [`Kind::Plain`].
        n: usize,
        /// As in [`Kind::Plain`].
        width: usize,
    },
    /// Patches of the image as tokens, embedded with learned positions; transformer blocks that normalise first (Xiong
    /// et al. 2020), with a hidden layer of four times the width; the mean over the tokens.
    Attention {
        /// Height and width of a patch, which divide those of the image: `[1, width]` for rows.
        patch: [usize; 2],
        /// Features of a token.
        width: usize,
        /// Heads of attention, which divide the width.
        heads: usize,
        /// How many blocks.
        blocks: usize,
    },
}

/// The normalisation of a classifier, with a scale and a shift for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Each channel over all samples and positions (Ioffe & Szegedy 2015).
    Batch,
    /// Each sample over its channels and positions, or each token over its channels (Ba et al. 2016).
    Layer,
    /// As [`Norm::Layer`], but each group of channels on its own (Wu & He 2018): groups of 16, or two where there are
    /// fewer than 32 channels, or one where they do not divide.
    Group,
    /// None; layers have biases instead.
    None,
}

impl NetConfig {
    /// Values of one sample.
    pub fn features(&self) -> usize {
        self.input.iter().product()
    }

    /// # Errors
    /// [`Error::Config`] for the first value that no network can have.
    pub fn validate(&self) -> Result<(), Error> {
        require("input", self.features() > 0, "three positive lengths", || format!("{:?}", self.input))?;
        require("classes", self.classes > 0, "positive", || self.classes.to_string())?;
        let is_rate = (0.0..1.0).contains(&self.dropout);
        require("dropout", is_rate, "at least 0 and below 1", || self.dropout.to_string())?;
        self.kind.validate(self.input)
    }
}

impl Kind {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mlp { .. } => "mlp",
            Self::ConvNet { .. } => "conv-net",
            Self::Plain { .. } => "plain",
            Self::Residual { .. } => "residual",
            Self::Attention { .. } => "attention",
        }
    }

    fn validate(&self, [height, width, _]: [usize; 3]) -> Result<(), Error> {
        let positive = |key, widths: &[usize]| require(key, !widths.contains(&0), "positive", || format!("{widths:?}"));
        match self {
            Self::Mlp { hidden } => positive("hidden", hidden),
            Self::ConvNet { widths } => positive("widths", widths),
            Self::Plain { n, width } | Self::Residual { n, width } => {
                positive("n", &[*n])?;
                positive("width", &[*width])
            }
            Self::Attention { patch, width: features, heads, blocks: _ } => {
                positive("width", &[*features])?;
                positive("heads", &[*heads])?;
                let divide = features.is_multiple_of(*heads);
                require("heads", divide, "a divisor of the width", || format!("{heads} for {features}"))?;
                positive("patch", patch)?;
                let divide = height.is_multiple_of(patch[0]) && width.is_multiple_of(patch[1]);
                let found = || format!("{patch:?} for {height} x {width}");
                require("patch", divide, "divisors of the image's height and width", found)
            }
        }
    }
}

fn require(key: &'static str, holds: bool, expected: &str, got: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Config { key, expected: expected.into(), got: got() }) }
}
