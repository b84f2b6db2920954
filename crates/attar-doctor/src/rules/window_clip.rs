//! Clipping before accumulation ends.

use super::Rule;
use crate::windows::{Call, ordered_windows};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "window-clip",
    wrong: "the gradient is clipped before all micro-batches are in it.",
    matters: "a micro-batch's gradient is noisier and longer than the batch's, so more is cut away, and the mean of \
              clipped gradients points elsewhere than the clipped mean.",
    quantity: "steps with a call to clip between two backward passes.",
    threshold: "0.",
    remedy: "clip once, between the last backward pass and the step.",
    explains: &["clipping", "accumulation"],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let windows = ordered_windows(record);
    let ill = windows.iter().filter(|window| window.inside(|call| matches!(call, Call::Clip(_))));
    let steps: Vec<u64> = ill.map(|window| window.step).collect();
    let Some(&first) = steps.first() else { return Vec::new() };
    let message = format!("clipped between backward passes in {} windows of {}", steps.len(), windows.len());
    vec![RULE.finding(Gravity::Fault, steps.len() as f64, 0.0, Place::step(first), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::loop_of;

    #[test]
    fn clipping_every_micro_batch_is_named() {
        let record = loop_of(&["zero", "backward", "clip", "backward", "clip", "step"], 2);
        assert_eq!(check(&record, &Thresholds::default())[0].value, 40.0);
    }

    #[test]
    fn clipping_the_whole_passes() {
        let record = loop_of(&["zero", "backward", "backward", "clip", "step"], 2);
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
