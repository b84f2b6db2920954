//! A schedule that moves with every micro-batch.

use super::Rule;
use crate::windows::{Call, ordered_windows};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "window-schedule",
    wrong: "the learning-rate schedule moves inside an accumulation window.",
    matters: "with k micro-batches it runs k times too fast: warm-up is too short and the rate has decayed long \
              before training ends.",
    quantity: "steps with a schedule call between two backward passes of theirs.",
    threshold: "0: schedules are counted in optimizer steps or epochs.",
    remedy: "move the schedule once, after the optimizer's step.",
    explains: &["update-ratio"],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let windows = ordered_windows(record);
    let is_schedule = |call: &Call| *call == Call::Schedule;
    let ill = windows.iter().filter(|window| window.inside(is_schedule));
    let steps: Vec<u64> = ill.map(|window| window.step).collect();
    let Some(&first) = steps.first() else { return Vec::new() };
    let message = format!("the schedule moves inside {} windows of {}", steps.len(), windows.len());
    vec![RULE.finding(Gravity::Fault, steps.len() as f64, 0.0, Place::step(first), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
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
        // Once before the step: early, but as often as it should.
        let record = loop_of(&["zero", "backward", "backward", "schedule", "step"], 2);
        assert!(check(&record, &Thresholds::default()).is_empty());
    }

    /// Passes that no step followed, and the schedule of the epoch: another rule's.
    #[test]
    fn moving_after_what_is_left_of_an_epoch_passes() {
        let mut record = loop_of(&["zero", "backward", "backward", "step"], 2);
        let end = record.events.iter().position(|event| matches!(event, Event::Epoch(_))).unwrap();
        let left = loop_of(&["backward", "backward", "schedule"], 2).events.into_iter().take(3);
        record.events.splice(end..end, left);
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
