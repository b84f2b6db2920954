//! Training with the network in evaluation mode.

use super::Rule;
use crate::{Event, Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "evaluation-mode",
    wrong: "backward passes are made with the network in evaluation mode, as when training goes on after an \
            evaluation that did not switch back.",
    matters: "dropout is off and batch norm uses running statistics that no longer follow the network.",
    quantity: "share of backward passes whose `training` is false.",
    threshold: "0; normalisation frozen on purpose leaves the network as a whole in training mode.",
    remedy: "switch to training mode at the start of every epoch.",
    explains: &["train-eval-gap"],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let modes = record.events.iter().filter_map(|event| match event {
        Event::Backward(backward) => backward.training.map(|training| (training, backward.step)),
        _ => None,
    });
    let modes: Vec<(bool, u64)> = modes.collect();
    let ill: Vec<u64> = modes.iter().filter(|(training, _)| !training).map(|(_, step)| *step).collect();
    let Some(&first) = ill.first() else { return Vec::new() };
    let message = format!("{} of {} backward passes are made in evaluation mode", ill.len(), modes.len());
    vec![RULE.finding(Gravity::Fault, ill.len() as f64 / modes.len() as f64, 0.0, Place::step(first), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::healthy;

    #[test]
    fn training_after_an_evaluation_is_named() {
        let mut record = healthy();
        for event in &mut record.events {
            if let Event::Backward(backward) = event {
                backward.training = Some(backward.epoch == 1);
            }
        }
        let finding = &check(&record, &Thresholds::default())[0];
        assert_eq!((finding.value, finding.place.step), (0.5, Some(21)));
    }

    #[test]
    fn training_mode_passes() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
    }
}
