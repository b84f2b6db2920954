//! A run that could not go on.

use super::Rule;
use crate::{Event, Finding, Gravity, Place, Record, Status, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "failed-run",
    wrong: "the run ended because it could not go on.",
    matters: "what it left is not what it was asked for.",
    quantity: "the status that the record ends with.",
    threshold: "`failed`; a run that was interrupted can be resumed.",
    remedy: "mend what the reason names, and what else was found.",
    explains: &[],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let Some(Event::Finish(finish)) = record.events.iter().rev().find(|event| matches!(event, Event::Finish(_))) else {
        return Vec::new();
    };
    if finish.status != Status::Failed {
        return Vec::new();
    }
    let place = Place::step(record.steps().last().map_or(0, |step| step.step));
    let reason = if finish.reason.is_empty() { "no reason is recorded" } else { &finish.reason };
    vec![RULE.finding(Gravity::Fault, 1.0, 0.0, place, format!("the run failed: {reason}"))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Finish;
    use crate::rules::fixture::healthy;

    fn found(status: Status) -> Vec<Finding> {
        let mut record = healthy();
        record.events.push(Event::Finish(Finish { status, reason: "loss is not finite at step 41".into() }));
        check(&record, &Thresholds::default())
    }

    #[test]
    fn a_failure_is_named_with_its_reason() {
        let finding = &found(Status::Failed)[0];
        assert_eq!(finding.message, "the run failed: loss is not finite at step 41");
        assert_eq!(finding.place, Place::step(40));
    }

    #[test]
    fn other_ends_pass() {
        assert!(found(Status::Completed).is_empty() && found(Status::Interrupted).is_empty());
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
    }
}
