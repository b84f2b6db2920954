//! Steps before a window is full.

use super::Rule;
use crate::windows::ordered_windows;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "window-step",
    wrong: "the optimizer steps before all micro-batches of its window are in the gradient.",
    matters: "the effective batch is smaller than the run says, so are the steps, and there are more of them.",
    quantity: "steps after fewer backward passes than the header's accumulation, but for the last of an epoch.",
    threshold: "0.",
    remedy: "step after every k-th backward pass only.",
    explains: &["accumulation", "stale-gradient"],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let windows = ordered_windows(record);
    let wanted = record.header.accumulation as usize;
    // A window that only the end of an epoch cuts short is legal, and the end of a record may be one.
    let early = windows.windows(2).filter(|pair| pair[0].epoch == pair[1].epoch).map(|pair| &pair[0]);
    let early: Vec<_> = early.filter(|window| window.closed && (1..wanted).contains(&window.passes())).collect();
    let Some(first) = early.first() else { return Vec::new() };
    let message =
        format!("{} steps of {} after {} backward passes, not {wanted}", early.len(), windows.len(), first.passes());
    vec![RULE.finding(Gravity::Fault, early.len() as f64, 0.0, Place::step(first.step), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{epoch_end, loop_of};
    use crate::{Backward, Event, Step};

    #[test]
    fn stepping_at_every_micro_batch_is_named() {
        let record = loop_of(&["zero", "backward", "step"], 4);
        let finding = &check(&record, &Thresholds::default())[0];
        assert_eq!((finding.value, finding.place.step), (38.0, Some(1)));
    }

    #[test]
    fn a_short_last_window_passes() {
        let mut record = loop_of(&["zero", "backward", "backward", "step"], 2);
        let end = record.events.iter().position(|event| matches!(event, Event::Epoch(_))).unwrap();
        let backward = Backward { epoch: 1, step: 21, samples: 32, ..Backward::default() };
        let step = Step { epoch: 1, step: 21, loss: 1.0, learning_rate: 0.1 };
        record.events.splice(end..=end, [Event::Backward(backward), Event::Step(step), epoch_end(1, 21)]);
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
