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
    /// From the first stage that has a gradient to the last one, both counted.
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
        let slopes = record
            .activations()
            .filter_map(|activations| trend(&logarithms(activations.stages.iter().map(|stage| stage.gradient))));
        let per_stage = median(&slopes.collect::<Vec<_>>())?;
        let (first, end) = extent(&logarithms(last.stages.iter().map(|stage| stage.gradient)))?;
        Some(Self { per_stage, stages: end - first, first: last.stages[first].name.clone() })
    }

    fn of_matrices(record: &Record) -> Option<Self> {
        let histories = histories(record);
        let matrices: Vec<_> = histories.iter().filter(|history| history.is_matrix()).collect();
        let typical = matrices.iter().map(|matrix| {
            let norms: Vec<f64> = matrix.gradients.iter().flatten().copied().collect();
            median(&norms)
        });
        let points = logarithms(typical);
        let (first, end) = extent(&points)?;
        Some(Self { per_stage: trend(&points)?, stages: end - first, first: matrices[first].tensor.name.clone() })
    }
}

/// The places that have a norm, with its logarithm. Norms of exactly zero are of what is cut off, not of what vanishes.
fn logarithms(norms: impl Iterator<Item = Option<f64>>) -> Vec<(f64, f64)> {
    let norms = norms.enumerate().filter_map(|(place, norm)| Some((place as f64, norm?)));
    norms.filter(|(_, norm)| *norm > 0.0 && norm.is_finite()).map(|(place, norm)| (place, norm.ln())).collect()
}

fn trend(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < FEWEST_STAGES { None } else { slope(points) }
}

/// The first place, and one past the last.
fn extent(points: &[(f64, f64)]) -> Option<(usize, usize)> {
    Some((points.first()?.0 as usize, points.last()?.0 as usize + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{stages_with_gradients, with_stages};

    /// Twelve stages of which four have a gradient: the factor of each stage is that of its place.
    #[test]
    fn stages_without_a_gradient_keep_their_places() {
        let mut stages = stages_with_gradients(12, 2.0);
        for (place, stage) in stages.iter_mut().enumerate() {
            stage.gradient = stage.gradient.filter(|_| place % 3 == 1);
        }
        let found = GradientSlope::of(&with_stages(stages)).unwrap();
        assert!((found.per_stage - 2.0_f64.ln()).abs() < 1e-12);
        assert_eq!((found.stages, found.first.as_str()), (10, "stage1"));
        assert!((found.span() - 512.0).abs() < 1e-9);
    }
}
