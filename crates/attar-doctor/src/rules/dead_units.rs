//! Units that answer nothing to every input.

use super::Rule;
use super::share_of_units::most_of_a_stage;
use crate::{Finding, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "dead-units",
    wrong: "most units of a stage are zero for every sample of the probe batch.",
    matters: "a dead ReLU has no gradient and does not come back: the stage is narrower than it was built.",
    quantity: "share of units (features, channels) that are zero for the whole probe batch, at the last measurement.",
    threshold: "0.7 of a stage (AutoTrainer and DeepDiagnosis; at the half of AWS Debugger sound stages were accused).",
    remedy: "lower the learning rate, normalise before the activation, use He initialisation or a leaky activation.",
    explains: &["unused-parameter", "input-independence", "no-progress", "one-batch"],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    most_of_a_stage(&RULE, record, thresholds.dead_share, |stage| stage.dead, "are zero for the whole probe batch")
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
            dead: Some(share),
            ..StageStatistics::default()
        };
        check(&with_stages(shares.into_iter().enumerate().map(stage).collect()), &Thresholds::default())
    }

    #[test]
    fn a_stage_that_is_mostly_dead_is_named() {
        let finding = &found([0.1, 0.9])[0];
        assert_eq!((finding.value, finding.place.stage.as_deref(), finding.place.step), (0.9, Some("b"), Some(40)));
    }

    #[test]
    fn a_few_dead_units_pass() {
        assert!(found([0.3, 0.45]).is_empty());
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
    }
}
