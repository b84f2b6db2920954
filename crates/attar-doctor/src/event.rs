//! The events of a run record, as the crate's README specifies them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::number;
use crate::observation::{Activations, Backward, Clip, Norms, Probe, Schedule, Stage, Tensor};

/// The version of the format that this crate writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// One line of the record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// What the run is; always the first event, and only there.
    Header(Box<Header>),
    /// One optimizer step.
    Step(Step),
    /// Metrics on one split.
    Evaluation(Evaluation),
    /// One epoch of training; a sweep's runs write these in place of steps.
    Epoch(Epoch),
    /// The gradient buffers were emptied.
    ZeroGrad(Position),
    /// One backward pass.
    Backward(Backward),
    /// The gradient was clipped, or would have been.
    Clip(Clip),
    /// The learning-rate schedule moved.
    Schedule(Schedule),
    /// Sizes of gradient, weight and update.
    Norms(Norms),
    /// The stages on a fixed probe batch.
    Activations(Activations),
    /// Numbers measured on purpose.
    Probe(Probe),
    /// How the run ended.
    Finish(Finish),
}

/// Everything about a run that is known before it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`] for a record written by this version.
    pub format: u32,
    /// What trains, with its version: `attar 0.1.0`.
    pub framework: String,
    /// When the run was started, RFC 3339; given by the caller, empty where not known.
    pub created: String,
    /// The seed from which all chance of the run is drawn.
    pub seed: u64,
    /// The optimizer and its settings, without the learning rate, which each step carries.
    pub optimizer: Choice,
    /// The learning-rate schedule and its settings.
    pub schedule: Choice,
    /// Samples per optimizer step (the effective batch).
    pub batch_size: u64,
    /// Micro-batches that the batch is processed in.
    pub accumulation: u64,
    /// The type the network computes in: `f32`, or `bf16` where the factors of its products are rounded to it.
    pub dtype: String,
    /// How many numbers are trained.
    pub parameters: u64,
    /// A checksum that names the training data.
    pub data_fingerprint: String,
    /// Classes of a classifier trained with cross-entropy in natural units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<u64>,
    /// Mean squared norm of the target, for a loss that is the squared error summed over a sample's features.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number::option")]
    pub target_norm: Option<f64>,
    /// What is trained, from the input to the output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tensors: Vec<Tensor>,
    /// The stages that the caller names, from the input to the output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Whether every `zero_grad`, `backward`, `clip` and `schedule` is recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub order: bool,
    /// What the user said of the run (`--note key=value`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
    /// What else the framework wants to keep; no reader depends on it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extras: BTreeMap<String, serde_json::Value>,
}

impl Default for Header {
    /// This version's format, the batch processed in one piece, `f32`; all else empty or zero.
    fn default() -> Self {
        Self {
            format: FORMAT,
            framework: String::new(),
            created: String::new(),
            seed: 0,
            optimizer: Choice::default(),
            schedule: Choice::default(),
            batch_size: 0,
            accumulation: 1,
            dtype: "f32".into(),
            parameters: 0,
            data_fingerprint: String::new(),
            classes: None,
            target_norm: None,
            tensors: Vec::new(),
            stages: Vec::new(),
            order: false,
            notes: BTreeMap::new(),
            extras: BTreeMap::new(),
        }
    }
}

/// Something chosen by name, with the numbers that settle it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// `adam`, `cosine`.
    pub name: String,
    /// Settings by name: `beta1` 0.9.
    #[serde(default, with = "number::map")]
    pub settings: BTreeMap<String, f64>,
}

impl Choice {
    /// A choice with its settings.
    pub fn new<'a>(name: &str, settings: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value));
        Self { name: name.to_owned(), settings: settings.collect() }
    }
}

/// One optimizer step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The epoch the step belongs to, counted from 1.
    pub epoch: u64,
    /// Optimizer steps since the run began, this one included.
    pub step: u64,
    /// The training loss that the step descended, before the step.
    #[serde(with = "number")]
    pub loss: f64,
    /// The learning rate of the step.
    #[serde(with = "number")]
    pub learning_rate: f64,
}

/// Metrics on one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Epochs finished; 0 for the evaluation before training.
    pub epoch: u64,
    /// Optimizer steps done.
    pub step: u64,
    /// `train`, `validation` or `test`.
    pub split: String,
    /// Values by name: `loss`, `accuracy`.
    #[serde(with = "number::map")]
    pub metrics: BTreeMap<String, f64>,
}

/// One epoch of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Epochs finished, this one included.
    pub epoch: u64,
    /// Optimizer steps done.
    pub step: u64,
    /// The training loss, averaged over the epoch's samples.
    #[serde(with = "number")]
    pub loss: f64,
    /// The learning rate of the epoch's last step.
    #[serde(with = "number")]
    pub learning_rate: f64,
}

/// How the run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// In one word.
    pub status: Status,
    /// In a sentence; empty where the status says all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// How a run ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It did all it was asked to.
    Completed,
    /// It was stopped from outside and can be resumed.
    Interrupted,
    /// It could not go on, as after a loss that is not finite.
    Failed,
}

/// A place in a run: epochs, then optimizer steps. Ordered in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    /// As the events count it.
    pub epoch: u64,
    /// As the events count it.
    pub step: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}, step {}", self.epoch, self.step)
    }
}
