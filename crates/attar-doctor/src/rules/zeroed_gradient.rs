//! Buffers emptied before the step could use them.

use super::Rule;
use crate::windows::{Call, Window, ordered_windows};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "zeroed-gradient",
    wrong: "zero_grad runs between a backward pass and the step that should use its gradient.",
    matters: "the step sees no gradient, or inside an accumulation window that of the last micro-batch alone; the \
              loss then stands still, or falls as if the batch were a fraction of what it is.",
    quantity: "steps whose window has a zero_grad after a backward pass.",
    threshold: "0: no order of calls in which it is meant is known.",
    remedy: "call zero_grad once a window: after the step, or before the window's first backward pass.",
    explains: &[
        "frozen-parameter",
        "unused-parameter",
        "update-ratio",
        "accumulation",
        "one-batch",
        "divergence",
        "no-progress",
        "input-independence",
    ],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let is_zero = |call: &Call| *call == Call::ZeroGrad;
    let all = ordered_windows(record);
    let steps = |is: &dyn Fn(&Window) -> bool| -> Vec<u64> {
        all.iter().filter(|window| window.closed && is(window)).map(|window| window.step).collect()
    };
    let places = [
        ("between two backward passes", steps(&|window| window.inside(is_zero))),
        ("between the last backward pass and the step", steps(&|window| window.after_last(is_zero))),
    ];
    let ill = places.iter().filter(|(_, steps)| !steps.is_empty());
    ill.map(|(place, steps)| {
        let message = format!("zero_grad runs {place} in {} windows of {}", steps.len(), all.len());
        RULE.finding(Gravity::Fault, steps.len() as f64, 0.0, Place::step(steps[0]), message)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::loop_of;

    fn found(calls: &[&str]) -> Vec<Finding> {
        check(&loop_of(calls, 2), &Thresholds::default())
    }

    #[test]
    fn emptying_too_early_is_named() {
        assert!(found(&["backward", "zero", "backward", "step"])[0].message.contains("two backward passes"));
        assert!(found(&["backward", "backward", "zero", "step"])[0].message.contains("and the step in 40"));
    }

    #[test]
    fn emptying_once_a_window_passes() {
        assert!(found(&["zero", "backward", "backward", "step"]).is_empty());
        assert!(found(&["backward", "backward", "step", "zero"]).is_empty());
    }
}
