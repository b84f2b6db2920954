//! Gradients that grow from stage to stage on their way to the input.

use super::Rule;
use super::gradient_slope::GradientSlope;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "exploding-gradient",
    wrong: "the gradient grows by a factor from stage to stage on its way from the loss to the input.",
    matters: "the rate that the last stages bear throws the first ones about, or overflows.",
    quantity: "as vanishing-gradient, with the other sign.",
    threshold: "a factor of 1.5 a stage (a sound batch-normed plain layer has 1.211, Yang et al. 2019) and 70 over \
                all stages (AutoTrainer, Zhang et al. 2021).",
    remedy: "use He or orthogonal initialisation, normalise the stages, clip the gradient.",
    explains: &[],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let Some(slope) = GradientSlope::of(record) else { return Vec::new() };
    let (factor, span) = ((-slope.per_stage).exp(), 1.0 / slope.span());
    if factor <= thresholds.gradient_factor || span <= thresholds.exploding_span {
        return Vec::new();
    }
    let message = format!("the gradient grows {factor:.2} times a stage, {span:.1e} times over {}", slope.stages);
    let place = Place { stage: Some(slope.first), ..Place::default() };
    vec![RULE.finding(Gravity::Warning, factor, thresholds.gradient_factor, place, message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{header, healthy, norms, stages_with_gradients, with_stages};
    use crate::{Event, Tensor};

    #[test]
    fn a_steep_growth_is_named() {
        let finding = &check(&with_stages(stages_with_gradients(6, 1.0 / 3.0)), &Thresholds::default())[0];
        assert!((finding.value - 3.0).abs() < 1e-9);
    }

    #[test]
    fn gentle_slopes_pass() {
        assert!(check(&with_stages(stages_with_gradients(54, 1.0 / 1.211)), &Thresholds::default()).is_empty());
        assert!(check(&with_stages(stages_with_gradients(4, 0.4)), &Thresholds::default()).is_empty());
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
    }

    #[test]
    fn without_stages_the_matrices_tell() {
        let matrix = |i: i32| Tensor { name: format!("w{i}"), shape: vec![8, 8], ..header().tensors[0].clone() };
        let mut record = Record { header: header(), events: (1..=4).map(|step| norms(1, step)).collect() };
        record.header.tensors = (0..5).map(matrix).collect();
        for event in &mut record.events {
            let Event::Norms(norms) = event else { continue };
            norms.gradient = (0..5).map(|i| Some(5.0_f64.powi(-i))).collect();
        }
        let finding = &check(&record, &Thresholds::default())[0];
        assert!((finding.value - 5.0).abs() < 1e-9);
        assert_eq!(finding.place.stage.as_deref(), Some("w0"));
    }
}
