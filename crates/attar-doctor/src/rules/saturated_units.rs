//! Units that sit at a bound of their activation.

use super::Rule;
use super::share_of_units::most_of_a_stage;
use crate::{Finding, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "saturated-units",
    wrong: "most units of a stage lie at a bound of their activation for nearly every sample.",
    matters: "there the derivative is next to zero, so neither they nor what is before them learn.",
    quantity: "share of units within a hundredth of a bound for at least 95 % of the probe batch, at the last \
               measurement.",
    threshold: "half of a stage (AWS Debugger SaturatedActivation; TheDeepChecker).",
    remedy: "scale the weights down or the inputs to unit variance, normalise before the activation, or use an \
             activation without bounds.",
    explains: &["no-progress", "one-batch"],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    most_of_a_stage(
        &RULE,
        record,
        thresholds.saturated_share,
        |stage| stage.saturated,
        "lie at a bound for nearly the whole probe batch",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StageStatistics;
    use crate::rules::fixture::{healthy, with_stages};

    fn found(shares: [f64; 2]) -> Vec<Finding> {
        let stage = |(i, share): (usize, f64)| StageStatistics {
            name: ["a", "b"][i].into(),
            deviation: 1.0,
            saturated: Some(share),
            ..StageStatistics::default()
        };
        check(&with_stages(shares.into_iter().enumerate().map(stage).collect()), &Thresholds::default())
    }

    #[test]
    fn a_stage_that_is_mostly_saturated_is_named() {
        let finding = &found([0.1, 0.9])[0];
        assert_eq!((finding.value, finding.place.stage.as_deref(), finding.place.step), (0.9, Some("b"), Some(40)));
    }

    #[test]
    fn a_few_saturated_units_pass() {
        assert!(found([0.3, 0.45]).is_empty());
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
    }
}
