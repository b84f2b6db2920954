//! Updates too large or too small for the weights they change.

use super::Rule;
use super::tensor_history::{History, first_step, histories};
use crate::statistics::{median, quantile};
use crate::{Finding, Gravity, Norms, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "update-ratio",
    wrong: "steps change a weight matrix by a large part of itself, or hardly at all in the whole run.",
    matters: "above, each step throws away what the ones before have found; below, the matrix stays where it was \
              initialised.",
    quantity: "|update| / |weight| of every matrix or kernel; over the run the median must not be above, and the 90th \
               percentile not below (a schedule may well end small, and begin so); and at any one step its median \
               over the matrices that do not begin at zero must not be above.",
    threshold: "1e-1 and 1e-4 (TheDeepChecker, Ben Braiek and Khomh 2022; sound nets lie about 1e-3); at one \
                step 1, where what the initialisation gave is lost (own: sound runs reach 0.7, those with a hundred \
                times their learning rate begin at 3).",
    remedy: "above: lower the learning rate by a factor of ten; below: raise it, for that matrix at least.",
    explains: &["no-progress"],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let histories = histories(record);
    let matrices: Vec<&History> = histories.iter().filter(|history| history.is_matrix() && history.moves()).collect();
    let (high, low) = (thresholds.update_ratio_high, thresholds.update_ratio_low);
    let too_large = measured(&matrices, 0.5).filter(|(ratio, _)| *ratio > high).max_by(|a, b| a.0.total_cmp(&b.0));
    let too_small = measured(&matrices, 0.9).filter(|(ratio, _)| *ratio < low).min_by(|a, b| a.0.total_cmp(&b.0));
    let found = [
        (too_large, high, "half of the steps change it by more"),
        (too_small, low, "nine steps of ten change it by less"),
    ];
    let found = found.into_iter().filter_map(|(worst, limit, words)| worst.map(|worst| (worst, limit, words)));
    let mut found: Vec<Finding> = found
        .map(|((ratio, name), limit, words)| {
            let message = format!("{name} is worst of {} matrices: {words} than {ratio:.1e} of itself", matrices.len());
            RULE.finding(Gravity::Warning, ratio, limit, Place::parameter(name, first_step(record)), message)
        })
        .collect();
    if found.iter().all(|finding| finding.value < low) {
        found.extend(replaced(record, &matrices, thresholds.update_ratio_once));
    }
    found
}

/// The step that changes most matrices by more than `limit` of themselves, if there is one.
fn replaced(record: &Record, matrices: &[&History], limit: f64) -> Option<Finding> {
    // What begins at zero is changed by all of itself at first.
    let begun: Vec<&&History> =
        matrices.iter().filter(|of| of.weights.first().is_some_and(|norm| *norm > 0.0)).collect();
    let at = |(i, norms): (usize, &Norms)| {
        let ratio = |of: &&&History| Some(of.updates.get(i)? / of.weights.get(i)?);
        Some((median(&begun.iter().filter_map(ratio).collect::<Vec<_>>())?, norms.step))
    };
    let steps = record.norms().enumerate().filter_map(at);
    let (ratio, step) = steps.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(ratio, _)| *ratio > limit)?;
    let message = format!("step {step} changes half of the matrices by more than {ratio:.1} times themselves");
    Some(RULE.finding(Gravity::Warning, ratio, limit, Place::step(step), message))
}

/// The ratio of update to weight below which the share `q` of the steps lies, and the name, of each matrix.
fn measured<'a>(matrices: &[&'a History<'a>], q: f64) -> impl Iterator<Item = (f64, &'a str)> {
    matrices.iter().filter_map(move |history| {
        let pairs = history.updates.iter().zip(&history.weights).filter(|(_, weight)| **weight > 0.0);
        let ratios: Vec<f64> = pairs.map(|(update, weight)| update / weight).collect();
        quantile(&ratios, q).map(|ratio| (ratio, history.tensor.name.as_str()))
    })
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
    fn one_step_that_replaces_the_matrices_is_named() {
        let step = |norms: &mut Norms, ratio: f64| {
            norms.update = norms.weight.iter().map(|w| w * if norms.step == 3 { ratio } else { 0.01 }).collect();
        };
        let finding = &check(&with_norms(|norms| step(norms, 2.5)), &Thresholds::default())[0];
        assert_eq!((finding.place.step, finding.place.parameter.as_deref()), (Some(3), None));
        assert!((finding.value - 2.5).abs() < 1e-12);
        assert!(check(&with_norms(|norms| step(norms, 0.7)), &Thresholds::default()).is_empty());
        // What begins at zero, as the last stages may.
        let from_zero = |norms: &mut Norms| {
            norms.weight = norms.update.iter().map(|update| update * (norms.step as f64 - 1.0).powi(2) / 2.0).collect();
        };
        assert!(check(&with_norms(from_zero), &Thresholds::default()).is_empty());
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
