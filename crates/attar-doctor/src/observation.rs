//! What is observed of a training loop beside its losses: the order of its calls, sizes, activations, probes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::number;

/// Something that is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// `encoder.weight`.
    pub name: String,
    /// The stage it belongs to; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// Its dimensions.
    pub shape: Vec<u64>,
    /// Whether the optimizer was given it.
    #[serde(default = "yes")]
    pub optimised: bool,
}

fn yes() -> bool {
    true
}

/// A stage that the caller names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// `encoder.1`.
    pub name: String,
    /// `relu`, `tanh`, `sigmoid`, or another name, which no rule knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub activation: String,
    /// Of a stage that can be computed in several ways: which is taken, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
}

/// One backward pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Backward {
    /// The epoch it belongs to.
    pub epoch: u64,
    /// The step that it leads up to.
    pub step: u64,
    /// Whose losses it descends.
    pub samples: u64,
    /// Norm of the gradient buffers just before, over the tensors that the optimizer holds.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number::option")]
    pub buffer: Option<f64>,
    /// Whether the network was in training mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<bool>,
}

/// The gradient was clipped, or was found to be small enough.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clip {
    /// The epoch it belongs to.
    pub epoch: u64,
    /// The step that it leads up to.
    pub step: u64,
    /// Of the gradient before.
    #[serde(with = "number")]
    pub norm: f64,
    /// Above which it is scaled down.
    #[serde(with = "number")]
    pub limit: f64,
}

/// The learning-rate schedule moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The epoch it belongs to.
    pub epoch: u64,
    /// The step just done; the one being prepared where backward passes wait for it.
    pub step: u64,
    /// From now on.
    #[serde(with = "number")]
    pub learning_rate: f64,
}

/// Sizes of gradient, weight and update, in the order of the header's tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Norms {
    /// The epoch it belongs to.
    pub epoch: u64,
    /// The step just done.
    pub step: u64,
    /// Of the gradient as the step gets it; `None` where there is none.
    #[serde(with = "number::sparse_list")]
    pub gradient: Vec<Option<f64>>,
    /// Of the weights before the step.
    #[serde(with = "number::list")]
    pub weight: Vec<f64>,
    /// Of what the step changed.
    #[serde(with = "number::list")]
    pub update: Vec<f64>,
    /// Entries of the gradient that are not finite; empty where all are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nonfinite: Vec<u64>,
}

/// The stages on a fixed probe batch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Activations {
    /// Epochs finished or under way.
    pub epoch: u64,
    /// Optimizer steps done.
    pub step: u64,
    /// From the input to the output.
    pub stages: Vec<StageStatistics>,
}

/// The output of one stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageStatistics {
    /// The header's.
    pub name: String,
    /// Over all entries.
    #[serde(with = "number")]
    pub mean: f64,
    /// Standard deviation over all entries.
    #[serde(with = "number")]
    pub deviation: f64,
    /// Share of units that are zero for the whole batch.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number::option")]
    pub dead: Option<f64>,
    /// Share of units within a hundredth of a bound of their activation for at least 95 % of the batch.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number::option")]
    pub saturated: Option<f64>,
    /// Entries that are not finite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub nonfinite: u64,
    /// Norm of the loss's gradient with respect to the output.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number::option")]
    pub gradient: Option<f64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Plain numbers measured on purpose; the README lists the kinds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Epochs finished or under way.
    pub epoch: u64,
    /// Optimizer steps done.
    pub step: u64,
    /// `one_batch`, `accumulation`.
    pub kind: String,
    /// Where it was measured; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stage: String,
    /// By name.
    #[serde(with = "number::map")]
    pub values: BTreeMap<String, f64>,
}

impl Probe {
    /// A value by its name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }
}
