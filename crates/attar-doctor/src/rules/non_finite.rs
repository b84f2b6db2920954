//! The first number that is not finite.

use super::Rule;
use crate::{Evaluation, Event, Finding, Gravity, Norms, Place, Record, StageStatistics, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "non-finite",
    wrong: "a loss, gradient, weight or activation is NaN or infinite.",
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
        "failed-run",
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
    let loss = |whose: &str, loss: f64, step| {
        (!loss.is_finite()).then(|| (Place::step(step), format!("the loss{whose} is {loss} at step {step}")))
    };
    match event {
        Event::Step(step) => loss("", step.loss, step.step),
        Event::Epoch(epoch) => loss(" of the epoch", epoch.loss, epoch.step),
        Event::Evaluation(Evaluation { split, metrics, step, .. }) => {
            metrics.get("loss").and_then(|value| loss(&format!(" on {split}"), *value, *step))
        }
        Event::Clip(clip) if !clip.norm.is_finite() => {
            Some((Place::step(clip.step), format!("the norm to be clipped is {} at step {}", clip.norm, clip.step)))
        }
        Event::Norms(norms) => gradient(record, norms).or_else(|| weights(record, norms)),
        Event::Activations(activations) => {
            let stage = activations.stages.iter().find_map(|stage| Some((stage, of_stage(stage)?)));
            stage.map(|(stage, message)| (Place::stage(&stage.name, activations.step), message))
        }
        Event::Probe(probe) if MODES.contains(&probe.kind.as_str()) => {
            let ill = LOSSES.iter().find_map(|name| probe.value(name).filter(|value| !value.is_finite()));
            ill.and_then(|value| loss(&format!(" of the probe {}", probe.kind), value, probe.step))
        }
        _ => None,
    }
}

/// Probes of the network as it was, and those of their values that are losses. What one batch alone made of it, and
/// splits that cannot be computed, are other rules'.
const MODES: [&str; 3] = ["input", "reduction", "train_eval"];
const LOSSES: [&str; 5] = ["loss", "train", "eval", "small", "large"];

fn of_stage(stage: &StageStatistics) -> Option<String> {
    let StageStatistics { name, nonfinite, deviation, gradient, .. } = stage;
    if *nonfinite > 0 || !deviation.is_finite() {
        return Some(format!("{nonfinite} entries of the output of {name} are not finite"));
    }
    gradient.filter(|norm| !norm.is_finite()).map(|norm| format!("the gradient by the output of {name} is {norm}"))
}

fn gradient(record: &Record, norms: &Norms) -> Option<(Place, String)> {
    let ill = |i: &usize| {
        norms.gradient[*i].is_some_and(|norm| !norm.is_finite())
            || norms.nonfinite.get(*i).is_some_and(|count| *count > 0)
    };
    last_tensor(record, norms, ill, "the gradient")
}

fn weights(record: &Record, norms: &Norms) -> Option<(Place, String)> {
    let ill = |of: &[f64], i: usize| of.get(i).is_some_and(|norm| !norm.is_finite());
    last_tensor(record, norms, |i| ill(&norms.update, *i), "the update")
        .or_else(|| last_tensor(record, norms, |i| ill(&norms.weight, *i), "the weight"))
}

/// The tensor nearest to the output for which `ill` holds.
fn last_tensor(record: &Record, norms: &Norms, ill: impl Fn(&usize) -> bool, what: &str) -> Option<(Place, String)> {
    let last = (0..norms.gradient.len()).rev().find(&ill)?;
    let all = (0..norms.gradient.len()).filter(ill).count();
    let name = record.header.tensors.get(last).map_or("", |tensor| tensor.name.as_str());
    let message = format!("{what} of {name} is not finite, of {all} tensors in all");
    let stage = record.header.tensors.get(last).map(|tensor| tensor.stage.clone()).filter(|stage| !stage.is_empty());
    Some((Place { stage, ..Place::parameter(name, norms.step) }, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{epoch_end, healthy, probe, set_losses, with_norms, with_stages};

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

    /// Whatever else a record holds of the network as it was.
    #[test]
    fn every_kind_of_number_is_looked_at() {
        let ends_with = |event: Event| {
            let mut record = healthy();
            record.events.push(event);
            check(&record, &Thresholds::default()).pop().map(|finding| finding.message)
        };
        let Event::Epoch(mut epoch) = epoch_end(2, 40) else { unreachable!() };
        epoch.loss = f64::NAN;
        let metrics = [("loss".to_owned(), f64::INFINITY)].into();
        let evaluation = Evaluation { epoch: 2, step: 40, split: "validation".into(), metrics };
        let clip = crate::Clip { epoch: 2, step: 40, norm: f64::NAN, limit: 1.0 };
        let of_probe = |name, value| {
            Event::Probe(match probe("reduction", &[(name, value)]) {
                Event::Probe(probe) => probe,
                _ => unreachable!(),
            })
        };
        for (event, message) in [
            (Event::Epoch(epoch), "the loss of the epoch is NaN at step 40"),
            (Event::Evaluation(evaluation), "the loss on validation is inf at step 40"),
            (Event::Clip(clip), "the norm to be clipped is NaN at step 40"),
            (of_probe("large", f64::INFINITY), "the loss of the probe reduction is inf at step 40"),
        ] {
            assert_eq!(ends_with(event).as_deref(), Some(message));
        }
        assert_eq!(ends_with(of_probe("angle", f64::NAN)), None);
        let stage = StageStatistics { name: "a".into(), gradient: Some(f64::NAN), ..StageStatistics::default() };
        assert_eq!(place(&with_stages(vec![stage])), Place::stage("a", 40));
        let record = with_norms(|norms| norms.weight[1] = f64::INFINITY);
        assert_eq!(place(&record).parameter.as_deref(), Some("a.bias"));
        let record = with_norms(|norms| norms.update[2] = f64::NAN);
        assert_eq!(place(&record).parameter.as_deref(), Some("b.weight"));
    }

    #[test]
    fn finite_numbers_pass() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
    }
}
