//! What is recorded of a training, against what can be told from its weights.

use std::time::Duration;

use attar_doctor::{Event, Header, Position, Record, Status};

use super::training::{FEATURES, data, job, split, training};
use crate::config::{Activation, Decay, LossOn, Objective, Optimizer, Schedule, Training};
use crate::job::train;
use crate::model_file::{Array, arrays};
use crate::observer::{Call, Observer, StepReport};
use crate::optimizer::TensorNorms;
use crate::train::State;
use crate::{Cadence, Error, Recorder, RunFolder, evaluate};

/// Sizes as they are told, and the weights after every step.
#[derive(Default)]
struct Sizes {
    told: Vec<Vec<TensorNorms>>,
    weights: Vec<Vec<Array>>,
}

impl Observer for Sizes {
    fn call(&mut self, _: Position, call: Call) -> Result<(), Error> {
        if let Call::Norms(norms) = call {
            self.told.push(norms.to_vec());
        }
        Ok(())
    }
    fn measures(&self, _: usize) -> bool {
        true
    }
    fn step(&mut self, _: &StepReport, state: &State) -> Result<(), Error> {
        self.weights.push(arrays(&state.model));
        Ok(())
    }
}

fn norm(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn sizes_are_those_of_the_weights_between_steps() {
    let (data, split) = (data(45, FEATURES), split(45));
    let config = Training {
        optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
        schedule: Schedule { warmup_steps: 0, decay: Decay::Constant },
        ..training()
    };
    let job = job(&data, &split, &config);
    let mut sizes = Sizes { weights: vec![arrays(&job.start().model)], ..Sizes::default() };
    train(&job, job.start(), &mut sizes).unwrap();
    assert_eq!(sizes.told.len(), 12);
    for (told, weights) in sizes.told.iter().zip(sizes.weights.windows(2)) {
        for (told, (before, after)) in told.iter().zip(weights[0].iter().zip(&weights[1])) {
            let update = norm(before.values.iter().zip(&after.values).map(|(before, after)| after - before));
            assert!((told.weight - norm(before.values.iter().copied())).abs() < 1e-6, "{}: {told:?}", before.name);
            assert!((told.update - update).abs() < 1e-6, "{}: {told:?}, not {update}", before.name);
            // Plain descent moves by the learning rate times the gradient; rounding of the weights is all between.
            assert!((told.gradient.unwrap() * 0.01 - update).abs() < 1e-6, "{}: {told:?}", before.name);
        }
    }
}

/// The record of a training; the observer is given the run folder.
fn recorded(config: &Training) -> (Vec<Array>, Record) {
    let (data, split) = (data(45, FEATURES), split(45));
    let job = job(&data, &split, config);
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::create(&folder.path().join("run"), false).unwrap();
    let cadence = Cadence { interval: Duration::ZERO, epochs: config.epochs, steps_per_epoch: job.steps_per_epoch() };
    let state = job.start();
    let mut recorder = Recorder::begin(&run, Header::default(), &job, &state, cadence, Box::new(|_, _| ())).unwrap();
    let result = train(&job, state, &mut recorder);
    recorder.finish(Status::Completed, String::new()).unwrap();
    (result.map(|state| arrays(&state.model)).unwrap_or_default(), Record::read(run.record()).unwrap())
}

#[test]
fn recording_changes_no_bit_and_holds_the_calls_in_order() {
    let config = Training { accumulation: 3, ..training() };
    let (data, split) = (data(45, FEATURES), split(45));
    let job = job(&data, &split, &config);
    let (weights, record) = recorded(&config);
    assert_eq!(weights, arrays(&train(&job, job.start(), &mut ()).unwrap().model));
    let calls = record.events.iter().filter_map(|event| match event {
        Event::ZeroGrad(at) => Some((at.step, "zero_grad".to_owned())),
        Event::Backward(backward) => Some((backward.step, format!("{} {:?}", backward.samples, backward.buffer))),
        Event::Clip(clip) => Some((clip.step, "clip".to_owned())),
        Event::Step(step) => Some((step.step, "step".to_owned())),
        Event::Norms(norms) => Some((norms.step, "norms".to_owned())),
        Event::Schedule(schedule) => Some((schedule.step, "schedule".to_owned())),
        _ => None,
    });
    let calls: Vec<String> = calls.filter(|(step, _)| *step == 4).map(|(_, call)| call).collect();
    // The last batch of an epoch: 33 rows in batches of 10.
    assert_eq!(calls, ["zero_grad", "1 Some(0.0)", "1 None", "1 None", "clip", "step", "norms", "schedule"],);
}

#[test]
fn stages_are_the_layers_and_the_last_is_the_reconstruction() {
    let (data, split, config) = (data(45, FEATURES), split(45), training());
    let job = job(&data, &split, &config);
    let state = job.start();
    let stages = job.watch().batch.stages(&state.model, 0).unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["encoder.0", "encoder.2", "encoder.4", "decoder.0", "decoder.2"]);
    let tanh: Vec<bool> = stages.iter().map(|stage| stage.saturated.is_some()).collect();
    assert_eq!(tanh, [true, true, false, true, false]);
    let mut outputs = Vec::new();
    let mut error = 0.0;
    evaluate::reconstruct(&state.model, &data, &split.train, &job.device, |clean, output| {
        error += norm(clean.iter().zip(output).map(|(clean, output)| output - clean)).powi(2);
        outputs.extend_from_slice(output);
    });
    let mean = outputs.iter().map(|value| f64::from(*value)).sum::<f64>() / outputs.len() as f64;
    let last = stages.last().unwrap();
    assert!((last.mean - mean).abs() < 1e-6, "{last:?}, not {mean}");
    // The gradient of the mean squared error by the output is 2 (output - clean) / samples.
    assert!((last.gradient.unwrap() - 2.0 * error.sqrt() / 33.0).abs() < 1e-5, "{last:?}");
}

#[test]
fn the_target_norm_is_of_what_the_loss_counts() {
    let (data, split) = (data(45, FEATURES), split(45));
    let of = |objective| {
        let config = Training { objective, ..training() };
        job(&data, &split, &config).target_norm()
    };
    let mut rows = vec![0.0; 33 * FEATURES];
    data.read(&split.train, &mut rows);
    let whole = norm(rows.into_iter()).powi(2) / 33.0;
    assert!((of(Objective::Vanilla) - whole).abs() < 1e-5);
    let masked = |loss_on| of(Objective::Masked { probability: 0.3, loss_on });
    assert!(
        (masked(LossOn::Hidden) - 0.3 * whole).abs() < 1e-5 && (masked(LossOn::Visible) - 0.7 * whole).abs() < 1e-5
    );
}

#[test]
fn the_end_of_a_run_that_fails_is_recorded() {
    let mut config = Training {
        learning_rate: 1e30,
        optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
        schedule: Schedule { warmup_steps: 0, decay: Decay::Constant },
        clip_norm: None,
        ..training()
    };
    config.architecture.activation = Activation::Relu;
    let (_, record) = recorded(&config);
    let last = record.steps().last().unwrap();
    assert!(!last.loss.is_finite(), "{last:?}");
    assert!(
        record.activations().last().unwrap().stages.iter().any(|stage| stage.nonfinite > 0 || stage.mean.abs() > 1e9)
    );
}
