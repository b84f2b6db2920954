//! Gradients that shrink from stage to stage on their way to the input.

use super::Rule;
use super::gradient_slope::GradientSlope;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "vanishing-gradient",
    wrong: "the gradient shrinks by a factor from stage to stage on its way from the loss to the input.",
    matters: "the first stages learn that many times slower than the last; with plain descent hardly at all.",
    quantity: "the slope of ln |dL/dh| over the stages (without stages: of the matrices' gradients), by least \
               squares, the median over all measurements; not the size, which a small loss makes small everywhere.",
    threshold: "a factor of 1.5 a stage, well beyond the 1.211 of a sound batch-normed plain layer (Yang et al. \
                2019), and 1e3 over all stages (AutoTrainer, Zhang et al. 2021: first below 1e-3 of last).",
    remedy: "use ReLU with He initialisation, residual connections or normalisation in place of saturating stages.",
    explains: &["no-progress", "one-batch", "input-independence", "update-ratio"],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let Some(slope) = GradientSlope::of(record) else { return Vec::new() };
    let factor = slope.per_stage.exp();
    if factor <= thresholds.gradient_factor || slope.span() <= thresholds.vanishing_span {
        return Vec::new();
    }
    let message =
        format!("the gradient shrinks {factor:.2} times a stage, {:.1e} times over {}", slope.span(), slope.stages);
    let place = Place { stage: Some(slope.first), ..Place::default() };
    vec![RULE.finding(Gravity::Warning, factor, thresholds.gradient_factor, place, message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{stages_with_gradients, with_stages};

    fn found(stages: i32, factor: f64) -> Vec<Finding> {
        check(&with_stages(stages_with_gradients(stages, factor)), &Thresholds::default())
    }

    #[test]
    fn a_steep_fall_is_named() {
        let finding = &found(8, 4.0)[0];
        assert!((finding.value - 4.0).abs() < 1e-9);
        assert_eq!(finding.place.stage.as_deref(), Some("stage0"));
    }

    #[test]
    fn gentle_slopes_and_small_gradients_pass() {
        // 54 batch-normed plain layers, either way; a short steep net; gradients that are small everywhere.
        assert!(found(54, 1.211).is_empty() && found(54, 1.0 / 1.211).is_empty());
        assert!(found(4, 4.0).is_empty());
        let mut stages = stages_with_gradients(8, 1.1);
        stages.iter_mut().for_each(|stage| stage.gradient = stage.gradient.map(|norm| norm * 1e-12));
        assert!(check(&with_stages(stages), &Thresholds::default()).is_empty());
    }
}
