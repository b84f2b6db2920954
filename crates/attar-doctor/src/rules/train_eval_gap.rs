//! The same batch, another loss in evaluation mode.

use super::Rule;
use crate::finding::shown;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "train-eval-gap",
    wrong: "on one and the same batch the loss in evaluation mode is far above that in training mode.",
    matters: "what is evaluated is not what was trained: running statistics of batch norm that lag, were taken from \
              other data or never used.",
    quantity: "(eval - train) / max(train, a tenth of the loss that a network has that knows nothing) of the last \
               probe `train_eval`.",
    threshold: "0.5 (TheDeepChecker: losses 50 % apart). A lower loss in evaluation mode is what dropout does and \
                passes.",
    remedy: "let the running statistics see more batches (more momentum, larger batches), or use layer or group norm.",
    explains: &[],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let Some(probe) = record.probes("train_eval").last() else { return Vec::new() };
    let (Some(train), Some(eval)) = (probe.value("train"), probe.value("eval")) else { return Vec::new() };
    // A ratio of two losses near zero says nothing.
    let floor = record.ignorant_loss().or(record.initial_loss()).unwrap_or(0.0) / 10.0;
    let size = train.max(floor);
    let gap = (eval - train) / size;
    // Nor does one of losses that are not above zero.
    if gap <= thresholds.train_eval_gap || size <= 0.0 {
        return Vec::new();
    }
    let message =
        format!("the same batch has loss {} in training mode and {} in evaluation mode", shown(train), shown(eval));
    vec![RULE.finding(Gravity::Warning, gap, thresholds.train_eval_gap, Place::step(probe.step), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{set_losses, with_probe};

    fn found(values: &[(&str, f64)]) -> Vec<Finding> {
        check(&with_probe("train_eval", values), &Thresholds::default())
    }

    #[test]
    fn a_worse_loss_in_evaluation_mode_is_named() {
        assert_eq!(found(&[("train", 1.0), ("eval", 3.0)])[0].value, 2.0);
        assert_eq!(found(&[("train", 1.0), ("eval", f64::NAN)]).len(), 1);
    }

    #[test]
    fn dropout_and_losses_near_zero_pass() {
        assert!(found(&[("train", 1.0), ("eval", 0.6)]).is_empty());
        assert!(found(&[("train", 0.001), ("eval", 0.02)]).is_empty());
        let mut record = with_probe("train_eval", &[("train", -0.9), ("eval", -0.8)]);
        (record.header.classes, record.header.target_norm) = (None, None);
        set_losses(&mut record, (0..40).map(|i| -0.1 - 0.02 * f64::from(i)));
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
