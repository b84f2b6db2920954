//! The first number that is not finite.

use super::Rule;
use crate::{Event, Finding, Gravity, Norms, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "non-finite",
    wrong: "a loss, gradient or activation is NaN or infinite.",
    matters: "it spreads to all weights with the next step, and nothing after it means anything.",
    quantity: "the first such number in the order of events; of activations the stage nearest to the input, of \
               gradients the tensor nearest to the output, from which it spreads.",
    threshold: "0.",
    remedy: "look at that stage for a logarithm or root of zero, a division by zero or an overflow; lower the \
             learning rate or scale the loss less where it grew there.",
    explains: &[
        "divergence",
        "one-batch",
        "input-independence",
        "collapsed-codes",
        "train-eval-gap",
        "clipping",
        "no-progress",
    ],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let mut found = record.events.iter().enumerate().filter_map(|(i, event)| Some((i, find(record, event)?)));
    let Some((i, (place, message))) = found.next() else { return Vec::new() };
    // The loss of a step stands before its gradients, which say more.
    let same_step = |event: &&Event| matches!(event, Event::Norms(norms) if Some(norms.step) == place.step);
    let norms = record.events[i..].iter().take(3).find(same_step);
    let (place, message) = norms.and_then(|event| find(record, event)).unwrap_or((place, message));
    vec![RULE.finding(Gravity::Fault, 1.0, 0.0, place, message)]
}

fn find(record: &Record, event: &Event) -> Option<(Place, String)> {
    match event {
        Event::Step(step) if !step.loss.is_finite() => {
            Some((Place::step(step.step), format!("the loss is {} at step {}", step.loss, step.step)))
        }
        Event::Norms(norms) => gradient(record, norms),
        Event::Activations(activations) => {
            let ill = |stage: &&crate::StageStatistics| stage.nonfinite > 0 || !stage.deviation.is_finite();
            let stage = activations.stages.iter().find(ill)?;
            let message = format!("{} entries of the output of {} are not finite", stage.nonfinite, stage.name);
            Some((Place::stage(&stage.name, activations.step), message))
        }
        _ => None,
    }
}

fn gradient(record: &Record, norms: &Norms) -> Option<(Place, String)> {
    let ill = |i: &usize| {
        norms.gradient[*i].is_some_and(|norm| !norm.is_finite())
            || norms.nonfinite.get(*i).is_some_and(|count| *count > 0)
    };
    let last = (0..norms.gradient.len()).rev().find(ill)?;
    let all = (0..norms.gradient.len()).filter(ill).count();
    let name = record.header.tensors.get(last).map_or("", |tensor| tensor.name.as_str());
    let message = format!("the gradient of {name} is not finite, of {all} tensors in all");
    let stage = record.header.tensors.get(last).map(|tensor| tensor.stage.clone()).filter(|stage| !stage.is_empty());
    Some((Place { stage, ..Place::parameter(name, norms.step) }, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StageStatistics;
    use crate::rules::fixture::{healthy, set_losses, with_norms, with_stages};

    fn place(record: &Record) -> Place {
        check(record, &Thresholds::default())[0].place.clone()
    }

    #[test]
    fn the_first_place_is_named() {
        let mut record = with_norms(|norms| {
            if norms.step >= 7 {
                norms.gradient = vec![Some(f64::NAN), Some(f64::INFINITY), Some(1.0)];
            }
        });
        set_losses(&mut record, (1..=40).map(|step| if step < 7 { 1.0 } else { f64::NAN }));
        let found = place(&record);
        assert_eq!(
            (found.parameter.as_deref(), found.stage.as_deref(), found.step),
            (Some("a.bias"), Some("a"), Some(7))
        );
        let mut record = healthy();
        set_losses(&mut record, (1..=40).map(|step| if step < 9 { 1.0 } else { f64::INFINITY }));
        assert_eq!(place(&record), Place::step(9));
        let stage =
            |name: &str, nonfinite| StageStatistics { name: name.into(), nonfinite, ..StageStatistics::default() };
        assert_eq!(place(&with_stages(vec![stage("a", 0), stage("b", 3), stage("c", 8)])), Place::stage("b", 40));
    }

    #[test]
    fn finite_numbers_pass() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
    }
}
