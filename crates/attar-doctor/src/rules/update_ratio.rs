//! Updates too large or too small for the weights they change.

use super::Rule;
use super::tensor_history::{History, first_step, histories};
use crate::statistics::{median, quantile};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "update-ratio",
    wrong: "a step changes a weight matrix by a large part of itself, or hardly at all in the whole run.",
    matters: "above, each step throws away what the ones before have found; below, the matrix stays where it was \
              initialised.",
    quantity: "|update| / |weight| of every matrix or kernel; over the run the median must not be above, and the 90th \
               percentile not below (a schedule may well end small, and begin so).",
    threshold: "1e-1 and 1e-4 (TheDeepChecker, Ben Braiek and Khomh 2022; sound nets lie about 1e-3).",
    remedy: "above: lower the learning rate by a factor of ten; below: raise it, for that matrix at least.",
    explains: &["no-progress"],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let histories = histories(record);
    let matrices: Vec<&History> = histories.iter().filter(|h| h.is_matrix() && h.moves()).collect();
    let ratios = |history: &History| -> Vec<f64> {
        let pairs = history.updates.iter().zip(&history.weights).filter(|(_, weight)| **weight > 0.0);
        pairs.map(|(update, weight)| update / weight).collect()
    };
    let (high, low) = (thresholds.update_ratio_high, thresholds.update_ratio_low);
    let of = |measure: fn(&[f64]) -> Option<f64>| {
        matrices
            .iter()
            .filter_map(move |history| measure(&ratios(history)).map(|ratio| (ratio, history.tensor.name.as_str())))
    };
    let largest: Vec<(f64, &str)> = of(median).filter(|(ratio, _)| *ratio > high).collect();
    let smallest: Vec<(f64, &str)> = of(|ratios| quantile(ratios, 0.9)).filter(|(ratio, _)| *ratio < low).collect();
    let worst = |found: &[(f64, &str)], threshold: f64, words: &str| {
        let farther = |(a, _): &&(f64, &str), (b, _): &&(f64, &str)| {
            (a / threshold).ln().abs().total_cmp(&(b / threshold).ln().abs())
        };
        found.iter().max_by(farther).map(|(ratio, name)| {
            let message = format!(
                "a step changes {} of {} matrices {words}; {name} by {ratio:.1e} of itself",
                found.len(),
                matrices.len()
            );
            RULE.finding(Gravity::Warning, *ratio, threshold, Place::parameter(name, first_step(record)), message)
        })
    };
    worst(&largest, high, "too much").into_iter().chain(worst(&smallest, low, "hardly at all")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, with_norms};

    #[test]
    fn large_and_small_updates_are_named() {
        let record = with_norms(|norms| norms.update = vec![1.2, 0.1, 1e-5]);
        let findings = check(&record, &Thresholds::default());
        let found: Vec<_> = findings.iter().map(|f| (f.value, f.place.parameter.as_deref())).collect();
        assert_eq!(found, [(1.2 / 4.0, Some("a.weight")), (1e-5 / 3.0, Some("b.weight"))]);
    }

    #[test]
    fn sound_updates_and_a_schedule_to_zero_pass() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
        let record = with_norms(|norms| {
            let rate = 0.01 * (1.0 - norms.step as f64 / 40.0).powi(2);
            norms.update = norms.weight.iter().map(|weight| rate * weight).collect();
        });
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
