//! What determines a training, given the data: plain data, validated by [`Training::validate`].

pub use attar_ops::{Activation, Precision};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Everything that determines the weights of one training, given the prepared data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Training {
    /// Widths and activation of the network.
    pub architecture: Architecture,
    /// What the network learns to reconstruct, and from what.
    pub objective: Objective,
    /// How a gradient becomes an update.
    pub optimizer: Optimizer,
    /// Learning rate of the first full step; [`Schedule`] scales it.
    pub learning_rate: f64,
    /// How the learning rate changes over the steps.
    pub schedule: Schedule,
    /// Largest allowed Euclidean norm of the whole gradient; larger ones are scaled down to it.
    pub clip_norm: Option<f64>,
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples per optimizer step (the effective batch).
    pub batch_size: usize,
    /// Micro-batches that a batch is processed in. The gradients are the same up to rounding:
    /// micro-batch k of n_k samples weighs n_k / N.
    pub accumulation: usize,
    /// How the factors of the network's products are rounded while it trains; parameters, sums and everything else
    /// are `f32`.
    #[serde(default)]
    pub precision: Precision,
    /// Seed of every random choice in the training.
    pub seed: u64,
}

/// How the gradients of any network become updates, over all its steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent {
    /// How a gradient becomes an update.
    pub optimizer: Optimizer,
    /// Learning rate of the first full step; [`Schedule`] scales it.
    pub learning_rate: f64,
    /// How the learning rate changes over the steps.
    pub schedule: Schedule,
    /// Largest allowed Euclidean norm of the whole gradient; larger ones are scaled down to it.
    pub clip_norm: Option<f64>,
    /// Passes over the training rows.
    pub epochs: usize,
    /// Samples per optimizer step (the effective batch).
    pub batch_size: usize,
    /// Micro-batches that a batch is processed in.
    pub accumulation: usize,
    /// Seed of every random choice in the training.
    pub seed: u64,
}

/// Widths and activation of a symmetric multilayer autoencoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Architecture {
    /// Widths between the input and the code, e.g. `[256]`; empty for a linear autoencoder.
    pub hidden: Vec<usize>,
    /// Latent size: the width of the code.
    pub latent: usize,
    /// Widths between the code and the output; the mirror of `hidden` when absent.
    pub decoder_hidden: Option<Vec<usize>>,
    /// The function between layers; none stands after the code nor after the output.
    pub activation: Activation,
}

impl Architecture {
    /// Widths from the input to the code.
    pub fn encoder_widths(&self, features: usize) -> Vec<usize> {
        [&[features], self.hidden.as_slice(), &[self.latent]].concat()
    }

    /// How many weights the network has, biases left out.
    pub fn weights(&self, features: usize) -> usize {
        let count = |widths: Vec<usize>| widths.windows(2).map(|pair| pair[0] * pair[1]).sum::<usize>();
        count(self.encoder_widths(features)) + count(self.decoder_widths(features))
    }

    /// The smallest width between input and output.
    pub fn narrowest(&self) -> usize {
        let widths = self.hidden.iter().chain(self.decoder_hidden.iter().flatten());
        widths.copied().fold(self.latent, usize::min)
    }

    /// Widths from the code to the output.
    pub fn decoder_widths(&self, features: usize) -> Vec<usize> {
        let hidden = match &self.decoder_hidden {
            Some(hidden) => hidden.clone(),
            None => self.hidden.iter().rev().copied().collect(),
        };
        [&[self.latent], hidden.as_slice(), &[features]].concat()
    }
}

/// What the network reconstructs: always the clean input, from a corrupted one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind")]
pub enum Objective {
    /// The clean input from itself.
    Vanilla,
    /// The clean input from a noisy or distorted one (Vincent et al. 2010).
    Denoising(Noise),
    /// The clean input from one with features set to zero.
    Masked {
        /// Probability that a feature is zeroed.
        probability: f64,
        /// Which features the loss counts.
        loss_on: LossOn,
    },
}

impl Objective {
    /// The word for this objective in commands, records and figures.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Vanilla => "vanilla",
            Self::Denoising(_) => "denoising",
            Self::Masked { .. } => "masked",
        }
    }
}

/// Corruptions of a denoising autoencoder, applied in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Noise {
    /// Random affine distortion, for images.
    pub affine: Option<Affine>,
    /// Standard deviation of added Gaussian noise, in units of the prepared features.
    pub gaussian: f64,
    /// Probability that a feature becomes its smallest or largest value over the training split.
    pub salt_and_pepper: f64,
}

/// Ranges of a random affine distortion; each draw is uniform in plus or minus the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Affine {
    /// Shift in pixels, along each axis.
    pub shift: f64,
    /// Rotation in degrees.
    pub rotation: f64,
    /// Relative change of size: 0.1 draws factors in 0.9 ... 1.1.
    pub scale: f64,
    /// Shear: horizontal displacement per vertical pixel.
    pub shear: f64,
}

/// Features that a masked objective's loss counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossOn {
    /// Every feature: the course's choice.
    All,
    /// Only the features that the network was shown.
    Visible,
    /// Only the features that were zeroed.
    Hidden,
}

/// How a gradient becomes an update; the formulas and defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind")]
pub enum Optimizer {
    /// Stochastic gradient descent; the weight decay is added to the gradient.
    Sgd {
        /// Factor of the running sum of gradients; 0 keeps none.
        momentum: f64,
        /// L2 strength, added to the gradient.
        weight_decay: f64,
    },
    /// Kingma & Ba 2014, betas 0.9 and 0.999, epsilon 1e-8; the weight decay is added to the gradient.
    Adam {
        /// L2 strength, added to the gradient.
        weight_decay: f64,
    },
    /// Loshchilov & Hutter 2017: Adam with the weight decay apart from the gradient.
    AdamW {
        /// Shrinkage of the weights per step, times the learning rate.
        weight_decay: f64,
    },
}

/// How the learning rate changes over the steps of a training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Schedule {
    /// Steps over which the rate rises linearly to its full value.
    pub warmup_steps: usize,
    /// What follows the warm-up.
    pub decay: Decay,
}

/// What the learning rate does after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// It stays.
    Constant,
    /// It falls to zero as half a cosine (Loshchilov & Hutter 2016, eq. 5, one period).
    Cosine,
    /// A tenth from half of the steps on, a hundredth from three quarters on (He et al. 2015, section 4.2).
    Step,
}

impl Schedule {
    /// Learning rate of step `step` (from 0) out of `steps`, for the given full rate.
    pub fn rate(&self, full: f64, step: usize, steps: usize) -> f64 {
        if step < self.warmup_steps {
            return full * (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.decay {
            Decay::Constant => full,
            Decay::Step => match (2 * step >= steps, 4 * step >= 3 * steps) {
                (_, true) => full * 0.01,
                (true, _) => full * 0.1,
                _ => full,
            },
            Decay::Cosine => {
                let span = steps.saturating_sub(self.warmup_steps).max(1) as f64;
                let progress = (step - self.warmup_steps) as f64 / span;
                full * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
        }
    }
}

impl Descent {
    /// Refuses values that no training can have; the error names the key.
    pub fn validate(&self) -> Result<(), Error> {
        positive("batch-size", self.batch_size)?;
        positive("accumulation", self.accumulation)?;
        in_range("learning-rate", self.learning_rate, f64::MIN_POSITIVE, f64::MAX)?;
        if let Some(norm) = self.clip_norm {
            in_range("clip-norm", norm, f64::MIN_POSITIVE, f64::MAX)?;
        }
        self.optimizer.validate()
    }
}

impl Training {
    /// The part that is not the autoencoder's own.
    pub fn descent(&self) -> Descent {
        Descent {
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            clip_norm: self.clip_norm,
            epochs: self.epochs,
            batch_size: self.batch_size,
            accumulation: self.accumulation,
            seed: self.seed,
        }
    }

    /// Refuses values that no training can have; the error names the key.
    pub fn validate(&self) -> Result<(), Error> {
        let architecture = &self.architecture;
        let widths = architecture.hidden.iter().chain(architecture.decoder_hidden.iter().flatten());
        positive("latent", architecture.latent)?;
        for &width in widths {
            positive("hidden", width)?;
        }
        self.descent().validate()?;
        self.objective.validate()
    }
}

impl Optimizer {
    fn validate(&self) -> Result<(), Error> {
        let (momentum, weight_decay) = match *self {
            Self::Sgd { momentum, weight_decay } => (momentum, weight_decay),
            Self::Adam { weight_decay } | Self::AdamW { weight_decay } => (0.0, weight_decay),
        };
        in_range("momentum", momentum, 0.0, 1.0)?;
        in_range("weight-decay", weight_decay, 0.0, f64::MAX)
    }
}

impl Objective {
    fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Vanilla => Ok(()),
            Self::Masked { probability, .. } => in_range("mask-probability", *probability, 0.0, 1.0),
            Self::Denoising(noise) => {
                in_range("noise-std", noise.gaussian, 0.0, f64::MAX)?;
                in_range("salt-and-pepper", noise.salt_and_pepper, 0.0, 1.0)?;
                let affine = noise.affine.unwrap_or_default();
                in_range("shift", affine.shift, 0.0, f64::MAX)?;
                in_range("rotation", affine.rotation, 0.0, 180.0)?;
                in_range("scale", affine.scale, 0.0, 0.99)?;
                in_range("shear", affine.shear, 0.0, f64::MAX)
            }
        }
    }
}

fn positive(key: &'static str, value: usize) -> Result<(), Error> {
    if value == 0 {
        return Err(Error::Config { key, expected: "at least 1".into(), got: "0".into() });
    }
    Ok(())
}

fn in_range(key: &'static str, value: f64, low: f64, high: f64) -> Result<(), Error> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let expected = match (low, high) {
        (low, f64::MAX) if low > 0.0 => "a positive number".to_owned(),
        (_, f64::MAX) => "a number of at least 0".to_owned(),
        _ => format!("a number from {low} to {high}"),
    };
    Err(Error::Config { key, expected, got: value.to_string() })
}
