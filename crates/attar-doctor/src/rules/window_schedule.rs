//! A schedule that moves with every micro-batch.

use super::Rule;
use crate::windows::{Call, ordered_windows};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "window-schedule",
    wrong: "the learning-rate schedule moves inside an accumulation window.",
    matters: "with k micro-batches it runs k times too fast: warm-up is too short and the rate has decayed long \
              before training ends.",
    quantity: "steps whose window of several backward passes has a schedule call after its first.",
    threshold: "0: schedules are counted in optimizer steps or epochs.",
    remedy: "move the schedule once, after the optimizer's step.",
    explains: &["update-ratio"],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let windows = ordered_windows(record);
    let is_schedule = |call: &Call| *call == Call::Schedule;
    let ill = windows.iter().filter(|w| w.passes() > 1 && (w.inside(is_schedule) || w.after_last(is_schedule)));
    let steps: Vec<u64> = ill.map(|window| window.step).collect();
    let Some(&first) = steps.first() else { return Vec::new() };
    let message = format!("the schedule moves inside {} windows of {}", steps.len(), windows.len());
    vec![RULE.finding(Gravity::Fault, steps.len() as f64, 0.0, Place::step(first), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::loop_of;

    #[test]
    fn moving_with_every_micro_batch_is_named() {
        let record = loop_of(&["zero", "backward", "schedule", "backward", "step", "schedule"], 2);
        assert_eq!(check(&record, &Thresholds::default())[0].value, 40.0);
    }

    #[test]
    fn moving_with_the_step_passes() {
        let record = loop_of(&["zero", "backward", "backward", "step", "schedule"], 2);
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
