//! The sizes of one tensor over the run, for the rules that ask how it fared.

use std::collections::BTreeMap;

use crate::{Record, Tensor};

/// Fewer recorded steps say nothing: branches that begin at zero have no gradient at the first.
pub(super) const FEWEST: usize = 3;

pub(super) struct History<'a> {
    pub(super) tensor: &'a Tensor,
    pub(super) gradients: Vec<Option<f64>>,
    pub(super) weights: Vec<f64>,
    pub(super) updates: Vec<f64>,
}

impl History<'_> {
    pub(super) fn has_gradient(&self) -> bool {
        self.gradients.iter().flatten().any(|norm| *norm != 0.0)
    }

    pub(super) fn moves(&self) -> bool {
        self.updates.iter().any(|norm| *norm != 0.0)
    }

    /// Whether a plain step of some recorded gradient is more than rounding hides; `rates` from [`rates`].
    pub(super) fn should_move(&self, rates: &[f64]) -> bool {
        let steps = self.gradients.iter().zip(&self.weights).zip(rates);
        steps.into_iter().any(|((gradient, weight), rate)| rate * gradient.unwrap_or(0.0) > 1e-6 * weight)
    }

    /// A matrix or kernel; the ratios of biases and gains, which may begin at zero, say little.
    pub(super) fn is_matrix(&self) -> bool {
        self.tensor.shape.len() >= 2
    }
}

/// One for each of the header's tensors; none when fewer than [`FEWEST`] steps have norms.
pub(super) fn histories(record: &Record) -> Vec<History<'_>> {
    if record.norms().count() < FEWEST {
        return Vec::new();
    }
    let history = |(i, tensor)| History {
        tensor,
        gradients: record.norms().map(|norms| norms.gradient.get(i).copied().flatten()).collect(),
        weights: record.norms().filter_map(|norms| norms.weight.get(i).copied()).collect(),
        updates: record.norms().filter_map(|norms| norms.update.get(i).copied()).collect(),
    };
    record.header.tensors.iter().enumerate().map(history).collect()
}

/// The learning rate of each step that has norms.
pub(super) fn rates(record: &Record) -> Vec<f64> {
    let mut rates = BTreeMap::new();
    rates.extend(record.steps().map(|step| (step.step, step.learning_rate)));
    record.norms().map(|norms| rates.get(&norms.step).copied().unwrap_or(0.0)).collect()
}

/// The step of the first `norms`.
pub(super) fn first_step(record: &Record) -> u64 {
    record.norms().next().map_or(0, |norms| norms.step)
}
