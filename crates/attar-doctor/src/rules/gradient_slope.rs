//! How the gradient changes from stage to stage: what vanishing and exploding share.

use super::tensor_history::histories;
use crate::Record;
use crate::statistics::{median, slope};

/// Two stages have a slope too, but no trend.
const FEWEST_STAGES: usize = 3;

/// The slope of the logarithm of the gradient's norm over depth, the median over all measurements.
pub(super) struct GradientSlope {
    /// From a stage to the next one, towards the output: above 0 the gradient shrinks on its way to the input.
    pub(super) per_stage: f64,
    pub(super) stages: usize,
    /// The name of the stage nearest to the input.
    pub(super) first: String,
}

impl GradientSlope {
    /// Of the stages' outputs where these were recorded, else of the matrices.
    pub(super) fn of(record: &Record) -> Option<Self> {
        Self::of_outputs(record).or_else(|| Self::of_matrices(record))
    }

    /// The factor from the first stage to the last, as the slope gives it.
    pub(super) fn span(&self) -> f64 {
        (self.per_stage * (self.stages - 1) as f64).exp()
    }

    fn of_outputs(record: &Record) -> Option<Self> {
        let last = record.activations().last()?;
        let slopes = record.activations().filter_map(|activations| {
            let norms = activations.stages.iter().filter_map(|stage| stage.gradient);
            log_slope(norms)
        });
        let per_stage = median(&slopes.collect::<Vec<_>>())?;
        Some(Self { per_stage, stages: last.stages.len(), first: last.stages.first()?.name.clone() })
    }

    fn of_matrices(record: &Record) -> Option<Self> {
        let histories = histories(record);
        let matrices: Vec<_> = histories.iter().filter(|history| history.is_matrix()).collect();
        let typical = matrices.iter().filter_map(|matrix| {
            let norms: Vec<f64> = matrix.gradients.iter().flatten().copied().collect();
            median(&norms)
        });
        let per_stage = log_slope(typical)?;
        Some(Self { per_stage, stages: matrices.len(), first: matrices.first()?.tensor.name.clone() })
    }
}

/// Norms of exactly zero are of what is cut off, not of what vanishes.
fn log_slope(norms: impl Iterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = norms.filter(|norm| *norm > 0.0 && norm.is_finite()).map(f64::ln).collect();
    if logarithms.len() < FEWEST_STAGES { None } else { slope(&logarithms) }
}
