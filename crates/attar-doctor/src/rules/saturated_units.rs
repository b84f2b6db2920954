//! Units that sit at a bound of their activation.

use super::Rule;
use crate::{Finding, Gravity, Place, Record, Thresholds};

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
    let limit = thresholds.saturated_share;
    let Some(last) = record.activations().last() else { return Vec::new() };
    let shares = last.stages.iter().filter_map(|stage| stage.saturated.map(|share| (share, stage.name.as_str())));
    let ill: Vec<(f64, &str)> = shares.filter(|(share, _)| *share > limit).collect();
    let Some((share, stage)) = ill.iter().max_by(|a, b| a.0.total_cmp(&b.0)) else { return Vec::new() };
    let message = format!(
        "{:.0} % of the units of {stage} lie at a bound for nearly the whole probe batch; {} of {} stages are so",
        share * 100.0,
        ill.len(),
        last.stages.len()
    );
    vec![RULE.finding(Gravity::Warning, *share, limit, Place::stage(stage, since(record, stage, limit)), message)]
}

/// The first measurement from which on it has been so.
fn since(record: &Record, stage: &str, limit: f64) -> u64 {
    let mut since = None;
    for activations in record.activations() {
        let share = activations.stages.iter().find(|found| found.name == stage).and_then(|found| found.saturated);
        since = if share.is_some_and(|share| share > limit) { since.or(Some(activations.step)) } else { None };
    }
    since.unwrap_or_default()
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
