//! What is trained, and how.

use attar_ops::Activation;
use serde::{Deserialize, Serialize};

use super::Images;
use crate::config::{Decay, Descent, Optimizer, Schedule};
use crate::nets::{Kind, NetConfig, Norm};
use crate::{Augmentation, Classification, Error};

/// Layers from which on a net needs a slow start: He et al. give 110 layers a tenth of the rate at first.
const VERY_DEEP: usize = 100;

/// Of which kind a net is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// One layer after the other.
    Plain,
    /// With a shortcut without parameters around every two (option A).
    Residual,
}

/// Which net.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetSpec {
    /// Of which kind.
    pub family: Family,
    /// Layers with weights: 6n + 2.
    pub depth: usize,
}

/// How every net is built and trained: He et al. 2015, section 4.2, but for the sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Channels of the first group of layers: 16 in the paper.
    pub width: usize,
    /// After each layer: batch norm in the paper.
    pub norm: Norm,
    /// Passes over the images, at the first length: about 160 in the paper.
    pub epochs: usize,
    /// Images of a step: 128 in the paper.
    pub batch_size: usize,
    /// Divided by ten after half of the steps, and again after three quarters: 0.1 in the paper.
    pub learning_rate: f64,
    /// Steps over which the rate rises, at the first length.
    pub warmup_steps: usize,
    /// What is done to each image before it is shown.
    pub augmentation: Option<Augmentation>,
}

impl Family {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Residual => "residual",
        }
    }
}

impl NetSpec {
    /// `plain-20`.
    pub fn name(self) -> String {
        format!("{}-{}", self.family.name(), self.depth)
    }

    /// What it is made as.
    ///
    /// # Errors
    /// [`Error::Config`] for a depth that is not 6n + 2.
    pub fn config(self, images: &Images, recipe: &Recipe) -> Result<NetConfig, Error> {
        let Self { family, depth } = self;
        if depth < 8 || !(depth - 2).is_multiple_of(6) {
            let expected = "6n + 2 layers: 8, 14, 20 and so on".into();
            return Err(Error::Config { key: "depths", expected, got: depth.to_string() });
        }
        let (n, width) = ((depth - 2) / 6, recipe.width);
        let kind = match family {
            Family::Plain => Kind::Plain { n, width },
            Family::Residual => Kind::Residual { n, width },
        };
        let (norm, activation) = (recipe.norm, Activation::Relu);
        Ok(NetConfig { kind, norm, activation, dropout: 0.0, input: images.shape, classes: images.classes })
    }
}

impl Recipe {
    /// How a net of this depth is trained for `longer` times the steps of the first length.
    pub(super) fn classification(&self, depth: usize, longer: usize, seed: u64, samples: usize) -> Classification {
        let epochs = longer * self.epochs;
        let tenth = if depth > VERY_DEEP { epochs * samples.div_ceil(self.batch_size.max(1)) / 10 } else { 0 };
        let warmup_steps = (longer * self.warmup_steps).max(tenth);
        let descent = Descent {
            optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 1e-4 },
            learning_rate: self.learning_rate,
            schedule: Schedule { warmup_steps, decay: Decay::Step },
            clip_norm: None,
            epochs,
            batch_size: self.batch_size,
            accumulation: 1,
            seed,
        };
        Classification { descent, augmentation: self.augmentation }
    }
}
