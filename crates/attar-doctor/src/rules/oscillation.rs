//! A loss that goes up and down beyond its noise.

use super::Rule;
use crate::statistics::{blocks, mean, standard_error};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "oscillation",
    wrong: "the training loss rises again and again by more than the noise of its batches.",
    matters: "the steps overshoot: much of the time goes into undoing what the last ones did.",
    quantity: "over twentieths of the run, the sum of the rises of the mean loss beyond three standard errors, over \
               the whole progress (from the largest mean to the smallest).",
    threshold: "0.5 (own; AutoTrainer counts swings of the accuracy by 0.03, which noise reaches too).",
    remedy: "lower the learning rate, or the momentum; if stale-gradient was found too, mend that first.",
    explains: &[],
    check,
};

const BLOCKS: usize = 20;

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let losses = record.losses();
    if losses.len() < 2 * BLOCKS || losses.iter().any(|loss| !loss.is_finite()) {
        return Vec::new();
    }
    let levels: Vec<(f64, f64)> = blocks(&losses, BLOCKS).into_iter().map(|b| (mean(b), standard_error(b))).collect();
    let rise = |pair: &[(f64, f64)]| (pair[1].0 - pair[0].0 - 3.0 * pair[0].1.hypot(pair[1].1)).max(0.0);
    let rises: Vec<f64> = levels.windows(2).map(rise).collect();
    let means = || levels.iter().map(|(mean, _)| *mean);
    let progress = means().fold(f64::NEG_INFINITY, f64::max) - means().fold(f64::INFINITY, f64::min);
    let value = rises.iter().sum::<f64>() / progress;
    // NaN, where nothing moves, is no oscillation.
    if value.is_nan() || value <= thresholds.oscillation {
        return Vec::new();
    }
    let first = rises.iter().position(|rise| *rise > 0.0).unwrap_or_default();
    let message = format!(
        "the loss rises {} times beyond noise, {value:.2} of its progress in all",
        rises.iter().filter(|r| **r > 0.0).count()
    );
    let place = Place::step(((first + 1) * losses.len() / BLOCKS) as u64 + 1);
    vec![RULE.finding(Gravity::Warning, value, thresholds.oscillation, place, message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, set_losses};

    fn found(loss: impl Fn(f64) -> f64) -> Vec<Finding> {
        let mut record = healthy();
        record.events = (0..4).flat_map(|_| record.events.clone()).collect();
        set_losses(&mut record, (0..160).map(|i| loss(f64::from(i))));
        check(&record, &Thresholds::default())
    }

    #[test]
    fn a_swinging_loss_is_named() {
        let finding = &found(|i| 1.0 + (i / 7.0).sin())[0];
        assert!(finding.value > 1.0, "{}", finding.value);
    }

    #[test]
    fn noise_and_descent_pass() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
        // A hash of the step as noise, as large as the loss itself.
        let noise = |i: f64| (i * 12.9898).sin() * 43758.5453 % 1.0;
        assert!(found(|i| (2.0 * (-i / 50.0).exp() + 0.3) * (1.0 + noise(i))).is_empty());
        assert!(found(|_| 1.0).is_empty());
    }
}
