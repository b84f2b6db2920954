//! Small records for the rules' tests.

use crate::{
    Activations, Backward, Clip, Event, Header, Norms, Position, Probe, Record, Schedule, Stage, StageStatistics, Step,
    Tensor,
};

pub(super) const STEPS: u64 = 40;

pub(super) fn header() -> Header {
    let tensor = |name: &str, stage: &str, shape: &[u64]| Tensor {
        name: name.into(),
        stage: stage.into(),
        shape: shape.into(),
        optimised: true,
    };
    Header {
        batch_size: 32,
        classes: Some(10),
        order: true,
        tensors: vec![
            tensor("a.weight", "a", &[16, 64]),
            tensor("a.bias", "a", &[16]),
            tensor("b.weight", "b", &[10, 16]),
        ],
        stages: ["a", "b"].map(|name| Stage { name: name.into(), activation: "relu".into(), form: None }).into(),
        ..Header::default()
    }
}

/// Two epochs of twenty steps whose loss falls, with nothing wrong.
pub(super) fn healthy() -> Record {
    loop_of(&["zero", "backward", "step", "schedule"], 1)
}

/// The same without `zero_grad`.
pub(super) fn stale() -> Record {
    let mut record = loop_of(&["backward", "step"], 1);
    for event in &mut record.events {
        if let Event::Backward(backward) = event
            && backward.step > 1
        {
            backward.buffer = Some(0.1 * backward.step as f64);
        }
    }
    record
}

/// A record whose every step makes these `calls`; gradients are accumulated over `accumulation` passes.
pub(super) fn loop_of(calls: &[&str], accumulation: u64) -> Record {
    let mut events = Vec::new();
    for step in 1..=STEPS {
        let epoch = 1 + (step - 1) / 20;
        let mut done = step - 1;
        for call in calls {
            let (event, closes) = event(call, epoch, step, done);
            done += u64::from(closes);
            events.push(event);
        }
        events.push(norms(epoch, step));
        if step % 20 == 0 {
            events.push(epoch_end(epoch, step));
        }
    }
    Record { header: Header { accumulation, ..header() }, events }
}

fn event(call: &str, epoch: u64, step: u64, done: u64) -> (Event, bool) {
    let event = match call {
        "zero" => Event::ZeroGrad(Position { epoch, step }),
        "backward" => Event::Backward(Backward { epoch, step, samples: 32, buffer: Some(0.0), training: Some(true) }),
        "clip" => Event::Clip(Clip { epoch, step, norm: 0.5, limit: 1.0 }),
        "schedule" => Event::Schedule(Schedule { epoch, step: done.max(1), learning_rate: 0.1 }),
        _ => Event::Step(Step { epoch, step, loss: 2.3 * 0.95_f64.powi(step as i32 - 1), learning_rate: 0.1 }),
    };
    let closes = matches!(event, Event::Step(_));
    (event, closes)
}

pub(super) fn norms(epoch: u64, step: u64) -> Event {
    let gradient = vec![Some(0.3), Some(0.1), Some(0.5)];
    let (weight, update) = (vec![4.0, 0.0, 3.0], vec![0.03, 0.01, 0.05]);
    Event::Norms(Norms { epoch, step, gradient, weight, update, nonfinite: Vec::new() })
}

pub(super) fn epoch_end(epoch: u64, step: u64) -> Event {
    Event::Epoch(crate::Epoch { epoch, step, loss: 1.0, learning_rate: 0.1 })
}

pub(super) fn set_losses(record: &mut Record, losses: impl Iterator<Item = f64>) {
    let steps = record.events.iter_mut().filter_map(|event| match event {
        Event::Step(step) => Some(step),
        _ => None,
    });
    steps.zip(losses).for_each(|(step, loss)| step.loss = loss);
}

/// The healthy record with every `norms` event changed.
pub(super) fn with_norms(change: impl Fn(&mut Norms)) -> Record {
    let mut record = healthy();
    for event in &mut record.events {
        if let Event::Norms(norms) = event {
            change(norms);
        }
    }
    record
}

/// The healthy record with a probe at its end.
pub(super) fn with_probe(kind: &str, values: &[(&str, f64)]) -> Record {
    let mut record = healthy();
    record.events.push(probe(kind, values));
    record
}

pub(super) fn probe(kind: &str, values: &[(&str, f64)]) -> Event {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Event::Probe(Probe { epoch: 2, step: STEPS, kind: kind.into(), stage: String::new(), values })
}

/// The healthy record with the activations of its end: one stage for each of `stages`.
pub(super) fn with_stages(stages: Vec<StageStatistics>) -> Record {
    let mut record = healthy();
    record.events.push(Event::Activations(Activations { epoch: 2, step: STEPS, stages }));
    record
}

/// Stages whose gradients grow by `factor` from each to the next.
pub(super) fn stages_with_gradients(count: i32, factor: f64) -> Vec<StageStatistics> {
    let stage = |i| StageStatistics {
        name: format!("stage{i}"),
        deviation: 1.0,
        gradient: Some(factor.powi(i)),
        ..StageStatistics::default()
    };
    (0..count).map(stage).collect()
}
