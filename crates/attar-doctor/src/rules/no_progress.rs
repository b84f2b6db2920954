//! A loss that does not fall.

use super::Rule;
use crate::finding::shown;
use crate::statistics::{blocks, median};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "no-progress",
    wrong: "the training loss ends where it began, or where a network is that knows nothing.",
    matters: "nothing is learnt.",
    quantity: "1 - last / before: the median loss over the last tenth of the run, and the smaller of the loss before \
               training and that of a network that knows nothing, where the record tells it.",
    threshold: "0.05, over 20 steps or more (TheDeepChecker, Ben Braiek and Khomh 2022, asks for 5 % a period).",
    remedy: "look at the other findings first; then see whether one batch can be learnt by heart, whether labels \
             belong to inputs, and try learning rates ten times larger and smaller.",
    explains: &[],
    check,
};

const FEWEST_STEPS: usize = 20;

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let losses = record.losses();
    let before = [record.initial_loss(), record.ignorant_loss()].into_iter().flatten().reduce(f64::min);
    let last = blocks(&losses, 10).pop().and_then(median);
    let (Some(before), Some(last), true) = (before, last, losses.len() >= FEWEST_STEPS) else { return Vec::new() };
    let progress = 1.0 - last / before;
    // Of a loss that is not above zero a share says nothing.
    if progress >= thresholds.progress || progress.is_nan() || before <= 0.0 {
        return Vec::new();
    }
    let message = format!("the loss is {} before training and {} at its end", shown(before), shown(last));
    let place = Place::step(record.steps().last().map_or(0, |step| step.step));
    vec![RULE.finding(Gravity::Warning, progress, thresholds.progress, place, message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, set_losses};

    fn found(losses: impl Iterator<Item = f64>) -> Vec<Finding> {
        let mut record = healthy();
        set_losses(&mut record, losses);
        check(&record, &Thresholds::default())
    }

    #[test]
    fn a_loss_that_stands_still_is_named() {
        assert_eq!(found((0..40).map(|i| 2.3 + 0.1 * f64::from(i % 3))).len(), 1);
        // A bad initialisation overcome, and nothing learnt.
        assert_eq!(found((0..40).map(|i| if i < 3 { 9.0 } else { 2.3 })).len(), 1);
    }

    #[test]
    fn a_loss_that_falls_passes() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
        assert!(found((0..40).map(|i| 2.3 - 0.01 * f64::from(i))).is_empty());
        assert!(found((0..40).map(|i| -0.1 - 0.02 * f64::from(i))).is_empty());
    }
}
