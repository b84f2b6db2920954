//! What determines a run: one flat table, the same in flags, in files and in the run folder.

mod complete;
mod layers;
mod list;
mod meaning;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use attar_data::{Budget, Categorical, Impute, Scaling};
use attar_learn::config::{Activation, Decay, LossOn, Precision};
use clap::Args;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

pub(crate) use list::List;
pub(crate) use words::words;

/// Every choice that determines a run. What is absent is filled in by a recipe, then by the defaults.
///
/// Each flag of `train` has its key of the same name in a configuration file.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// What to learn from: digits, mnist, synthetic, or a path
    ///
    /// A path may be a CSV file, Parquet, NPY, NPZ, IDX, or a folder of PNG or JPEG images; the content tells which.
    pub(crate) source: Option<String>,
    /// Column with the labels, which only judging sees [for NPY: a second file]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub(crate) label_column: Option<String>,
    /// Column that names each row; carried along, never a feature
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub(crate) id_column: Option<String>,
    /// Whether the first line of a CSV file holds names [default: found out]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Data")]
    pub(crate) header: Option<bool>,
    /// What to do with missing values [default: refuse them]
    #[arg(long, value_parser = words::<Impute>(), help_heading = "Data")]
    pub(crate) impute: Option<Impute>,
    /// What to do with columns of text [default: refuse them]
    #[arg(long, value_parser = words::<Categorical>(), help_heading = "Data")]
    pub(crate) categorical: Option<Categorical>,
    /// What is done to each feature [default: standardise, for tables and vectors]
    #[arg(long, value_parser = words::<Scaling>(), help_heading = "Data")]
    pub(crate) scaling: Option<Scaling>,
    /// Share of the rows to train on
    #[arg(long, value_name = "SHARE", help_heading = "Data")]
    pub(crate) train_fraction: Option<f64>,
    /// Share of the rows to validate on
    #[arg(long, value_name = "SHARE", help_heading = "Data")]
    pub(crate) validation_fraction: Option<f64>,
    /// Share of the rows that only the final figures see
    #[arg(long, value_name = "SHARE", help_heading = "Data")]
    pub(crate) test_fraction: Option<f64>,

    /// Widths between the input and the code, such as 512,256, or none
    #[arg(long, value_name = "WIDTHS", help_heading = "Network")]
    pub(crate) hidden: Option<List<usize>>,
    /// Widths between the code and the output [default: the mirror of --hidden]
    #[arg(long, value_name = "WIDTHS", help_heading = "Network")]
    pub(crate) decoder_hidden: Option<List<usize>>,
    /// Latent sizes, one or several: numbers per code [default: 64 for images, else a quarter of the features]
    #[arg(long, value_name = "SIZES", help_heading = "Network")]
    pub(crate) latent: Option<List<usize>>,
    /// Function between two layers; none stands after the code nor after the output
    #[arg(long, value_parser = words::<Activation>(), help_heading = "Network")]
    pub(crate) activation: Option<Activation>,

    /// What to reconstruct from, one or several: vanilla, denoising, masked
    ///
    /// The target is always the clean input: from itself (vanilla), from a noisy or distorted one (denoising), or from
    /// one with features set to zero (masked).
    #[arg(long, value_name = "OBJECTIVES", help_heading = "Objective")]
    pub(crate) objective: Option<List<ObjectiveName>>,
    /// Denoising: standard deviation of added Gaussian noise
    #[arg(long, value_name = "STD", help_heading = "Objective")]
    pub(crate) noise_std: Option<f64>,
    /// Denoising: probability that a feature becomes its smallest or largest value
    #[arg(long, value_name = "P", help_heading = "Objective")]
    pub(crate) salt_and_pepper: Option<f64>,
    /// Denoising of images: largest shift, in pixels
    #[arg(long, value_name = "PIXELS", help_heading = "Objective")]
    pub(crate) shift: Option<f64>,
    /// Denoising of images: largest rotation, in degrees
    #[arg(long, value_name = "DEGREES", help_heading = "Objective")]
    pub(crate) rotation: Option<f64>,
    /// Denoising of images: largest relative change of size
    #[arg(long, value_name = "SHARE", help_heading = "Objective")]
    pub(crate) scale: Option<f64>,
    /// Denoising of images: largest shear
    #[arg(long, value_name = "SLOPE", help_heading = "Objective")]
    pub(crate) shear: Option<f64>,
    /// Masked: probability that a feature is set to zero
    #[arg(long, value_name = "P", help_heading = "Objective")]
    pub(crate) mask_probability: Option<f64>,
    /// Masked: the features that the loss counts
    #[arg(long, value_parser = words::<LossOn>(), help_heading = "Objective")]
    pub(crate) loss_on: Option<LossOn>,

    /// How a gradient becomes an update
    #[arg(long, value_parser = words::<OptimizerName>(), help_heading = "Training")]
    pub(crate) optimizer: Option<OptimizerName>,
    /// SGD: factor of the running sum of gradients
    #[arg(long, value_name = "FACTOR", help_heading = "Training")]
    pub(crate) momentum: Option<f64>,
    /// L2 strength on the weights
    #[arg(long, value_name = "STRENGTH", help_heading = "Training")]
    pub(crate) weight_decay: Option<f64>,
    /// Full learning rate
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    pub(crate) learning_rate: Option<f64>,
    /// Epochs over which the learning rate rises; may be a fraction
    #[arg(long, value_name = "EPOCHS", help_heading = "Training")]
    pub(crate) warmup_epochs: Option<f64>,
    /// What the learning rate does after that
    #[arg(long, value_parser = words::<Decay>(), help_heading = "Training")]
    pub(crate) schedule: Option<Decay>,
    /// Largest norm of a gradient; larger ones are scaled down to it [default: no limit]
    #[arg(long, value_name = "NORM", help_heading = "Training")]
    pub(crate) clip_norm: Option<f64>,
    /// Passes over the training rows
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub(crate) epochs: Option<usize>,
    /// Samples per step
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub(crate) batch_size: Option<usize>,
    /// Micro-batches per step, for less memory at the same gradients
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub(crate) accumulation: Option<usize>,
    /// Rounding of what is multiplied while training: bf16 is faster on processors that have it, and coarser
    #[arg(long, value_parser = words::<Precision>(), help_heading = "Training")]
    pub(crate) precision: Option<Precision>,
    /// Trainings of each kind, with the seeds that follow --seed
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub(crate) repeats: Option<usize>,
    /// Number of the first repeat: repeat r trains with the seed that is r after --seed, on the same data [default: 0]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub(crate) first_repeat: Option<usize>,
    /// A shipped set of choices that the other flags refine
    #[arg(long, value_parser = words::<Recipe>(), help_heading = "Training")]
    pub(crate) recipe: Option<Recipe>,

    /// How many labels the probes may see: numbers and all
    #[arg(long, value_name = "BUDGETS", help_heading = "Judging")]
    pub(crate) label_budget: Option<List<Budget>>,
    /// Draws of each label budget
    #[arg(long, value_name = "N", help_heading = "Judging")]
    pub(crate) draws: Option<usize>,
    /// Neighbours of the k-nearest-neighbours probe
    #[arg(long, value_name = "N", help_heading = "Judging")]
    pub(crate) neighbours: Option<usize>,
    /// Epochs of the linear probe
    #[arg(long, value_name = "N", help_heading = "Judging")]
    pub(crate) probe_epochs: Option<usize>,

    /// Seconds between checkpoints [default: 5]; they change no bit of the result
    #[arg(long, value_name = "SECONDS", help_heading = "Run")]
    pub(crate) checkpoint_seconds: Option<f64>,
    /// Name of the run, and of its folder under runs/ [default: the source's]
    #[arg(long, help_heading = "Run")]
    pub(crate) name: Option<String>,
    /// The flags that every command has.
    #[arg(skip)]
    pub(crate) seed: Option<u64>,
    #[arg(skip)]
    pub(crate) out: Option<PathBuf>,
    #[arg(skip)]
    pub(crate) data_dir: Option<PathBuf>,
    #[arg(skip)]
    pub(crate) note: Option<BTreeMap<String, String>>,
    /// Read from files; not part of what determines a run, so [`Settings::to_toml`] leaves it out.
    #[arg(skip)]
    pub(crate) threads: Option<usize>,
    /// As `threads`.
    #[arg(skip)]
    pub(crate) json: Option<bool>,
}

/// An objective, without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ObjectiveName {
    Vanilla,
    Denoising,
    Masked,
}

impl fmt::Display for ObjectiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl FromStr for ObjectiveName {
    type Err = serde::de::value::Error;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::deserialize(word.into_deserializer())
    }
}

/// An optimizer, without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OptimizerName {
    Sgd,
    Adam,
    AdamW,
}

/// A shipped set of choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Recipe {
    FewLabels,
    Reconstruction,
}

impl Recipe {
    fn text(self) -> &'static str {
        match self {
            Self::FewLabels => include_str!("../recipes/few-labels.toml"),
            Self::Reconstruction => include_str!("../recipes/reconstruction.toml"),
        }
    }
}
