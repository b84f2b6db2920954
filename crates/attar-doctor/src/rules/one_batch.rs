//! A network that cannot learn one batch by heart.

use super::Rule;
use crate::finding::shown;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "one-batch",
    wrong: "trained on one batch alone, the network does not bring its loss near zero.",
    matters: "what cannot learn 32 samples will not learn the rest: labels that do not belong to the inputs, a cut \
              gradient, a last stage that cannot give the answer.",
    quantity: "last loss over first of the probe `one_batch`, a copy trained on one batch (several hundred steps, no \
               augmentation, dropout or decay).",
    threshold: "0.1 (own; TheDeepChecker and Karpathy's recipe ask for zero, which a bottleneck cannot give).",
    remedy: "look at what the network is given and asked: inputs, labels, last activation and loss; then at the path \
             of the gradient.",
    explains: &["no-progress"],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let Some(probe) = record.probes("one_batch").last() else { return Vec::new() };
    let (Some(first), Some(last)) = (probe.value("first"), probe.value("last")) else { return Vec::new() };
    let share = last / first;
    // Of a loss that is not above zero a share says nothing.
    if share <= thresholds.one_batch || first <= 0.0 {
        return Vec::new();
    }
    let steps = probe.value("steps").unwrap_or(f64::NAN);
    let message = format!("on one batch the loss goes from {} to {} in {steps} steps", shown(first), shown(last));
    vec![RULE.finding(Gravity::Warning, share, thresholds.one_batch, Place::step(probe.step), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::with_probe;

    fn found(values: &[(&str, f64)]) -> Vec<Finding> {
        check(&with_probe("one_batch", values), &Thresholds::default())
    }

    #[test]
    fn what_does_not_learn_one_batch_is_named() {
        assert_eq!(found(&[("first", 2.0), ("last", 1.0), ("steps", 300.0)])[0].value, 0.5);
        assert_eq!(found(&[("first", 2.0), ("last", f64::NAN)]).len(), 1);
    }

    #[test]
    fn what_learns_it_passes() {
        assert!(found(&[("first", 2.0), ("last", 0.01), ("steps", 300.0)]).is_empty());
        assert!(found(&[("first", -0.1), ("last", -0.9), ("steps", 300.0)]).is_empty());
    }
}
