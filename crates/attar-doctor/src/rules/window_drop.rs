//! Micro-batches left over when an epoch ends.

use super::Rule;
use crate::windows::{Call, Window, ordered_windows};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "window-drop",
    wrong: "the last micro-batches of an epoch do not fill a window, and no step follows them.",
    matters: "their gradient is thrown away, or waits in the buffers and joins the next epoch's first window, where \
              it belongs to older weights and weighs too much; with a fixed order some samples are never learnt.",
    quantity: "backward passes before the end of an epoch that no step follows.",
    threshold: "0: dropping whole micro-batches on purpose is done before their backward pass.",
    remedy: "step at the last micro-batch of an epoch too, weighing by the samples that are there.",
    explains: &["accumulation"],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let windows = ordered_windows(record);
    let left: Vec<usize> = (0..windows.len()).filter(|i| !windows[*i].closed).collect();
    let Some(&first) = left.first() else { return Vec::new() };
    let passes: usize = left.iter().map(|i| windows[*i].passes()).sum();
    let carried =
        windows.get(first + 1).is_some_and(|next: &Window| !next.before_first(|call| *call == Call::ZeroGrad));
    let fate = if carried { "their gradient joins the next epoch's first step" } else { "their gradient is lost" };
    let message = format!("{passes} backward passes at the ends of {} epochs have no step: {fate}", left.len());
    vec![RULE.finding(Gravity::Fault, passes as f64, 0.0, Place::step(windows[first].step), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::loop_of;
    use crate::{Backward, Event};

    /// Two windows' worth of passes at the end of each epoch, with or without a step.
    fn record(zero: bool) -> Record {
        let calls: &[&str] =
            if zero { &["zero", "backward", "backward", "step"] } else { &["backward", "backward", "step"] };
        let mut record = loop_of(calls, 2);
        let end = record.events.iter().position(|event| matches!(event, Event::Epoch(_))).unwrap();
        record.events.insert(end, Event::Backward(Backward { epoch: 1, step: 21, samples: 32, ..Backward::default() }));
        record
    }

    #[test]
    fn passes_without_a_step_are_named() {
        let finding = &check(&record(true), &Thresholds::default())[0];
        assert_eq!((finding.value, finding.place.step), (1.0, Some(21)));
        assert!(finding.message.ends_with("is lost"), "{}", finding.message);
        assert!(check(&record(false), &Thresholds::default())[0].message.ends_with("first step"));
    }

    #[test]
    fn whole_windows_and_a_run_that_was_killed_pass() {
        assert!(check(&loop_of(&["zero", "backward", "backward", "step"], 2), &Thresholds::default()).is_empty());
        let mut record = loop_of(&["zero", "backward", "backward", "step"], 2);
        record.events.push(Event::Backward(Backward { epoch: 2, step: 41, samples: 32, ..Backward::default() }));
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
