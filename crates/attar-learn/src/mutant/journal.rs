//! The record of the loop.

use std::collections::BTreeSet;

use attar_doctor::{
    Activations, Backward, Choice, Clip, Epoch, Evaluation, Event, Finish, Header, Norms, Position, Probe, Record,
    Schedule, StageStatistics, Status, Step, Tensor,
};
use burn::tensor::DType;

use super::Plan;
use crate::config::{Decay, Optimizer};
use crate::gradient::Gradient;
use crate::optimizer::TensorNorms;
use crate::{Parameter, Pass, Problem, StageOutput, Staged};

/// Samples that the stages are named by.
const PROBE_SAMPLES: u64 = 2;

#[derive(Debug, Default)]
pub(super) struct Journal {
    record: Record,
    /// Under way, from 1.
    pub(super) epoch: usize,
    /// Optimizer steps done.
    pub(super) steps: usize,
    /// Backward passes that wait for a step.
    pub(super) pending: usize,
    losses: Vec<f64>,
    drawn: usize,
    distinct: BTreeSet<(usize, u64)>,
}

impl Journal {
    pub(super) fn begin<N: Staged>(
        &mut self,
        network: &N,
        problem: &impl Problem,
        plan: &Plan,
        held: impl Fn(usize) -> bool,
    ) {
        let samples: Vec<u64> = (0..PROBE_SAMPLES.min(problem.samples() as u64)).collect();
        let stages = network.stages(problem.input(&samples), &mut Pass::evaluation(&samples));
        let dtype = stages.first().map_or(DType::F32, |stage| stage.values.dtype());
        let mut tensors: Vec<Tensor> = network.parameters().iter().map(Parameter::tensor).collect();
        tensors.iter_mut().enumerate().for_each(|(place, tensor)| tensor.optimised = held(place));
        self.record.header = Header {
            framework: concat!("attar ", env!("CARGO_PKG_VERSION")).into(),
            seed: plan.descent.seed,
            optimizer: optimizer(&plan.descent.optimizer),
            schedule: schedule(plan),
            batch_size: plan.descent.batch_size as u64,
            accumulation: plan.descent.accumulation as u64,
            dtype: if dtype == DType::F64 { "f64" } else { "f32" }.into(),
            parameters: tensors.iter().map(|tensor| tensor.shape.iter().product::<u64>()).sum(),
            classes: problem.classes().map(|classes| classes as u64),
            tensors,
            stages: stages.iter().map(StageOutput::stage).collect(),
            order: true,
            ..Header::default()
        };
    }

    fn write(&mut self, event: Event) {
        self.record.events.push(event);
    }

    /// What is under way: the epoch, and the step that is being prepared.
    fn coming(&self) -> (u64, u64) {
        (self.epoch as u64, self.steps as u64 + 1)
    }

    /// What is done: epochs, the one under way included, and steps.
    pub(super) fn done(&self) -> (u64, u64) {
        (self.epoch as u64, self.steps as u64)
    }

    pub(super) fn zero_grad(&mut self) {
        let (epoch, step) = self.coming();
        self.write(Event::ZeroGrad(Position { epoch, step }));
    }

    pub(super) fn backward(&mut self, samples: usize, buffer: Option<f64>, training: bool) {
        let (epoch, step) = self.coming();
        let training = Some(training);
        self.pending += 1;
        self.write(Event::Backward(Backward { epoch, step, samples: samples as u64, buffer, training }));
    }

    pub(super) fn clip(&mut self, norm: f64, limit: f64) {
        let (epoch, step) = self.coming();
        self.write(Event::Clip(Clip { epoch, step, norm, limit }));
    }

    pub(super) fn schedule(&mut self, learning_rate: f64) {
        let (epoch, coming) = self.coming();
        let step = if self.pending > 0 { coming } else { coming - 1 };
        self.write(Event::Schedule(Schedule { epoch, step, learning_rate }));
    }

    pub(super) fn step(&mut self, loss: f64, learning_rate: f64) {
        self.steps += 1;
        self.pending = 0;
        self.losses.push(loss);
        let (epoch, step) = (self.epoch as u64, self.steps as u64);
        self.write(Event::Step(Step { epoch, step, loss, learning_rate }));
    }

    pub(super) fn measures_sizes(&self, plan: &Plan) -> bool {
        self.steps.is_multiple_of(plan.norms_every.max(1))
    }

    /// `gradient` are the buffers as the step got them, `sizes` what the step made of the parameters.
    pub(super) fn sizes(&mut self, gradient: &Gradient, sizes: &[TensorNorms]) {
        let nonfinite = gradient.nonfinite();
        let mut gradient = gradient.norms();
        gradient.resize(sizes.len(), None);
        self.write(Event::Norms(Norms {
            epoch: self.epoch as u64,
            step: self.steps as u64,
            gradient,
            weight: sizes.iter().map(|of| of.weight).collect(),
            update: sizes.iter().map(|of| of.update).collect(),
            nonfinite: if nonfinite.iter().any(|count| *count > 0) { nonfinite } else { Vec::new() },
        }));
    }

    pub(super) fn activations(&mut self, stages: Vec<StageStatistics>) {
        let (epoch, step) = self.done();
        self.write(Event::Activations(Activations { epoch, step, stages }));
    }

    pub(super) fn probes(&mut self, probes: impl IntoIterator<Item = Probe>) {
        probes.into_iter().for_each(|probe| self.write(Event::Probe(probe)));
    }

    pub(super) fn stale(&mut self, buffer: f64, fresh: f64, r: f64, q: f64) {
        let (epoch, step) = self.coming();
        let values = [("buffer", buffer), ("fresh", fresh), ("r", r), ("q", q)];
        self.probes([probe("stale", (epoch, step), values)]);
    }

    /// Notes the seeds that masks are drawn by.
    pub(super) fn drawn(&mut self, step: usize, keys: &[u64]) {
        self.drawn += keys.len();
        self.distinct.extend(keys.iter().map(|key| (step, *key)));
    }

    pub(super) fn augmentation(&mut self) {
        let values = [("seeds", self.drawn as f64), ("distinct", self.distinct.len() as f64)];
        let probe = probe("augmentation", self.done(), values);
        self.probes([probe]);
    }

    pub(super) fn end_epoch(&mut self, learning_rate: f64) {
        let loss = self.losses.iter().sum::<f64>() / self.losses.len().max(1) as f64;
        self.losses.clear();
        self.pending = 0;
        let (epoch, step) = (self.epoch as u64, self.steps as u64);
        self.write(Event::Epoch(Epoch { epoch, step, loss, learning_rate }));
    }

    /// The loss on held-out samples.
    pub(super) fn evaluation(&mut self, loss: f64) {
        let (epoch, step) = self.done();
        let metrics = [("loss".to_owned(), loss)].into();
        self.write(Event::Evaluation(Evaluation { epoch, step, split: "validation".into(), metrics }));
    }

    pub(super) fn finish(mut self, status: Status, loss: f64) -> Record {
        let reason = if status == Status::Failed { format!("the loss became {loss}") } else { String::new() };
        self.write(Event::Finish(Finish { status, reason }));
        self.record
    }
}

/// A probe of these values, after so many epochs and steps.
pub(super) fn probe<const V: usize>(kind: &str, (epoch, step): (u64, u64), values: [(&str, f64); V]) -> Probe {
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Probe { epoch, step, kind: kind.into(), stage: String::new(), values }
}

fn optimizer(optimizer: &Optimizer) -> Choice {
    match *optimizer {
        Optimizer::Sgd { momentum, weight_decay } => {
            Choice::new("sgd", [("momentum", momentum), ("weight_decay", weight_decay)])
        }
        Optimizer::Adam { weight_decay } => Choice::new("adam", [("weight_decay", weight_decay)]),
        Optimizer::AdamW { weight_decay } => Choice::new("adamw", [("weight_decay", weight_decay)]),
    }
}

fn schedule(plan: &Plan) -> Choice {
    let name = match plan.descent.schedule.decay {
        Decay::Constant => "constant",
        Decay::Cosine => "cosine",
        Decay::Step => "step",
    };
    Choice::new(name, [("warmup_steps", plan.descent.schedule.warmup_steps as f64)])
}
