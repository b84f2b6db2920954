//! A run that does not come out the same again.

use super::Rule;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "not-reproducible",
    wrong: "two runs with the same seed give different losses.",
    matters: "no change can be told from chance, and no fault can be looked for twice.",
    quantity: "largest relative difference of the losses of two runs of the same seed (last probe `reproduction`).",
    threshold: "0: the same additions in the same order give the same bits. Raise it where a device is known to add \
                in any order.",
    remedy: "seed every generator, fix the order of samples and workers, ask the framework for its deterministic \
             algorithms.",
    explains: &[],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let Some(probe) = record.probes("reproduction").last() else { return Vec::new() };
    let Some(difference) =
        probe.value("difference").filter(|difference| *difference > thresholds.reproduction || difference.is_nan())
    else {
        return Vec::new();
    };
    let step = probe.value("first").map_or(probe.step, |first| first as u64);
    let message = format!("two runs of the same seed differ by {difference:.1e} from step {step} on");
    vec![RULE.finding(Gravity::Warning, difference, thresholds.reproduction, Place::step(step), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::with_probe;

    fn found(values: &[(&str, f64)]) -> Vec<Finding> {
        check(&with_probe("reproduction", values), &Thresholds::default())
    }

    #[test]
    fn runs_that_differ_are_named() {
        let finding = &found(&[("steps", 40.0), ("difference", 1e-6), ("first", 3.0)])[0];
        assert_eq!((finding.value, finding.place.step), (1e-6, Some(3)));
    }

    #[test]
    fn equal_runs_pass() {
        assert!(found(&[("steps", 40.0), ("difference", 0.0)]).is_empty());
    }
}
