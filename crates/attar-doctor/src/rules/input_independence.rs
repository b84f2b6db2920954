//! Outputs that do not depend on the inputs.

use super::Rule;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "input-independence",
    wrong: "after training, the outputs are the same for different inputs, or the loss is the same with all inputs at \
            zero.",
    matters: "the network gives the labels' frequencies and has learnt nothing of the inputs: they do not arrive, or \
              do not belong to the labels.",
    quantity: "of the last probe `input` after a step: deviation of the outputs over their root mean square; and \
               |loss_zeroed - loss| / loss_zeroed.",
    threshold: "1e-3 and 0.05 (own; the input-independent baseline is from Karpathy 2019).",
    remedy: "look at what the network is given just before its first stage, whether labels and inputs are in the same \
             order, and for dead units.",
    explains: &["no-progress"],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let Some(probe) = record.probes("input").last() else { return Vec::new() };
    if probe.step == 0 {
        return Vec::new();
    }
    let gain =
        probe.value("loss_zeroed").zip(probe.value("loss")).map(|(zeroed, loss)| ((zeroed - loss) / zeroed).abs());
    let judged = [
        (probe.value("variation"), thresholds.output_variation, "the outputs vary by no more over a batch"),
        (gain, thresholds.input_gain, "the inputs change the loss by no more"),
    ];
    let ill = judged.into_iter().filter_map(|(value, limit, words)| value.map(|value| (value, limit, words)));
    let ill = ill.filter(|(value, limit, _)| value.is_nan() || value < limit);
    ill.map(|(value, limit, words)| {
        let message = format!("{words} than {value:.1e} of themselves");
        RULE.finding(Gravity::Warning, value, limit, Place::step(probe.step), message)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::with_probe;

    fn found(values: &[(&str, f64)]) -> Vec<Finding> {
        check(&with_probe("input", values), &Thresholds::default())
    }

    #[test]
    fn outputs_that_ignore_the_input_are_named() {
        assert_eq!(found(&[("variation", 1e-6)]).len(), 1);
        assert_eq!(found(&[("variation", 0.2), ("loss", 2.30), ("loss_zeroed", 2.31)]).len(), 1);
    }

    #[test]
    fn outputs_that_follow_it_pass() {
        assert!(found(&[("variation", 0.3), ("loss", 0.4), ("loss_zeroed", 2.6)]).is_empty());
    }
}
