//! The loop: its calls, in the order in which a user makes them.

use attar_doctor::{Record, Status};
use attar_ops::Buffers;

use super::altered::Altered;
use super::journal::Journal;
use super::probes::Asked;
use super::{Plan, Planted, measure};
use crate::certificate::{Window, splits, without_autodiff};
use crate::config::Descent;
use crate::gradient::Gradient;
use crate::observe::observe;
use crate::optimizer::OptimizerState;
use crate::parameter::trained;
use crate::{Pass, Problem, StageOutput, Staged};

/// Samples that are probed, and steps on them alone.
const PROBE_SAMPLES: usize = 32;
const PROBE_STEPS: usize = 100;

pub(super) struct Loop<'a, N, P> {
    network: N,
    problem: Altered<'a, P>,
    plan: &'a Plan,
    planted: Option<Planted>,
    buffers: Gradient,
    optimizer: OptimizerState,
    /// How often the schedule has moved.
    moved: usize,
    total_steps: usize,
    /// Of the window under way: backward passes, and the loss as it is reported.
    passes: usize,
    loss: f64,
    failure: Option<String>,
    stages: Option<Vec<Vec<StageOutput>>>,
    journal: Journal,
}

/// What a micro-batch weighs in a window.
struct Weights {
    /// Its loss in the sum that is descended.
    descended: f64,
    /// Its loss in the sum that is reported.
    reported: f64,
}

impl<'a, N: Staged, P: Problem> Loop<'a, N, P> {
    pub(super) fn new(network: N, problem: &'a P, plan: &'a Plan, planted: Option<Planted>) -> Self {
        let total_steps = plan.descent.epochs * plan.trained(problem).div_ceil(plan.descent.batch_size.max(1));
        Self {
            network,
            problem: Altered::new(problem, planted, plan.descent.seed),
            plan,
            planted,
            buffers: Gradient::default(),
            optimizer: OptimizerState::default(),
            moved: 0,
            total_steps,
            passes: 0,
            loss: 0.0,
            failure: None,
            stages: None,
            journal: Journal::default(),
        }
    }

    fn has(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    pub(super) fn keep_stages(&mut self) {
        self.stages = Some(Vec::new());
    }

    pub(super) fn into_window(self) -> Window<N> {
        let Self { network, buffers, loss, failure, stages, .. } = self;
        Window { stages: stages.unwrap_or_default(), loss, gradient: buffers, network, failure }
    }

    /// The run's first words.
    pub(super) fn begin(&mut self) {
        let without_first = self.has(Planted::WithoutParameter);
        let held = |place: usize| place > 0 || !without_first;
        self.journal.begin(&self.network, &self.problem, self.plan, held);
        self.observe();
        if self.plan.probes {
            let asked = self.asked(PROBE_SAMPLES);
            let probes = [asked.one_batch(PROBE_STEPS), asked.reduction()];
            self.journal.probes(probes);
            self.certify();
        }
    }

    pub(super) fn begin_epoch(&mut self, epoch: usize) {
        self.journal.epoch = epoch;
        if self.has(Planted::ZeroGradOnceAnEpoch) {
            self.zero_grad();
        }
    }

    /// All that one batch is for: a window, and the step that closes it.
    pub(super) fn batch(&mut self, samples: &[u64]) {
        let Descent { batch_size, accumulation, .. } = self.plan.descent;
        let parts: Vec<&[u64]> = samples.chunks(batch_size.div_ceil(accumulation.max(1)).max(1)).collect();
        self.window(&parts);
        if self.has(Planted::DroppedWindow) && parts.len() < accumulation {
            return;
        }
        if self.has(Planted::ZeroGradBeforeStep) {
            self.zero_grad();
        }
        self.clip();
        self.step();
        if !self.has(Planted::ScheduleInside) {
            self.schedule();
        }
    }

    /// From emptying the buffers to the last backward pass.
    pub(super) fn window(&mut self, parts: &[&[u64]]) {
        (self.passes, self.loss) = (0, 0.0);
        let emptied_elsewhere = [Planted::NoZeroGrad, Planted::ZeroGradOnceAnEpoch].map(|planted| self.has(planted));
        if !emptied_elsewhere.contains(&true) {
            self.zero_grad();
        }
        let samples = parts.iter().map(|part| part.len()).sum();
        for (place, part) in parts.iter().enumerate() {
            if place > 0 && self.has(Planted::ZeroGradInside) {
                self.zero_grad();
            }
            let weights = self.weights(part.len(), samples, parts.len());
            self.backward(part, &weights);
            let is_last = place + 1 == parts.len();
            if !is_last && self.has(Planted::ClipInside) {
                self.clip();
            }
            if self.has(Planted::ScheduleInside) {
                self.schedule();
            }
            if !is_last && self.has(Planted::StepInside) {
                self.step();
            }
        }
    }

    fn weights(&self, part: usize, samples: usize, parts: usize) -> Weights {
        let (share, parts) = (part as f64 / samples as f64, parts as f64);
        let same = |weight| Weights { descended: weight, reported: weight };
        match self.planted {
            Some(Planted::NoDivision) => Weights { descended: share * parts, reported: share },
            Some(Planted::SummedLoss) => same(1.0),
            Some(Planted::SummedThenDivided | Planted::MeanOfMeans) => same(1.0 / parts),
            _ => same(share),
        }
    }

    fn zero_grad(&mut self) {
        self.buffers = Gradient::default();
        self.journal.zero_grad();
    }

    fn backward(&mut self, samples: &[u64], weights: &Weights) {
        let is_first = self.journal.pending == 0;
        let buffer = is_first.then(|| self.held(&self.buffers).norm());
        self.journal.backward(samples.len(), buffer, !self.has(Planted::EvaluationMode));
        self.journal.drawn(self.mask_step(), &self.keys(samples));
        let steps = self.journal.steps;
        let confirms = is_first && steps > 0 && self.plan.has_fresh_pass(steps);
        let before = confirms.then(|| (self.buffers.clone(), self.network.clone()));
        let gradient = self.gradient(samples, weights);
        self.buffers.add(&gradient);
        if let Some((before, network)) = before {
            let after = std::mem::replace(&mut self.network, network);
            self.confirm(&before, samples, weights);
            self.network = after;
        }
        self.passes += 1;
    }

    /// The gradient of these samples' loss; their stages, loss and statistics are taken up.
    fn gradient(&mut self, samples: &[u64], weights: &Weights) -> Gradient {
        let network = self.network.clone().train();
        let keys = self.keys(samples);
        let training = !self.has(Planted::EvaluationMode);
        let mut pass = Pass { training, ..Pass::training(self.plan.descent.seed, self.mask_step(), &keys) };
        let stages = network.stages(self.problem.input(samples), &mut pass);
        let Some(last) = stages.last() else { return Gradient::default() };
        let loss = self.problem.loss(last.values.clone(), samples);
        self.loss += weights.reported * loss.clone().into_scalar::<f64>();
        let mut gradient = Gradient::of(&network, loss.mul_scalar(weights.descended));
        if self.has(Planted::DetachedBranch) {
            let half = gradient.0.len() / 2;
            gradient.0[..half].fill(None);
        }
        self.network = self.network.clone().absorb(&pass.statistics);
        self.failure = self.failure.take().or(pass.failure);
        if let Some(kept) = &mut self.stages {
            kept.push(without_autodiff(stages));
        }
        gradient
    }

    /// A backward pass of the same samples, with the same masks, into buffers of its own.
    fn confirm(&mut self, before: &Gradient, samples: &[u64], weights: &Weights) {
        let (loss, after) = (self.loss, self.buffers.clone());
        let fresh = self.gradient(samples, weights);
        self.loss = loss;
        let [before, fresh, after] = [before, &fresh, &after].map(|gradient| self.held(gradient));
        let (r, q) = (after.rest(&[&fresh], &fresh), after.rest(&[&before, &fresh], &fresh));
        self.journal.stale(before.norm(), fresh.norm(), r, q);
    }

    /// Whose masks are drawn.
    fn keys(&self, samples: &[u64]) -> Vec<u64> {
        match self.planted {
            Some(Planted::DropoutByBatch) => {
                (0..samples.len() as u64).map(|i| (self.passes as u64) << 32 | i).collect()
            }
            Some(Planted::RepeatedSeed) => vec![0; samples.len()],
            _ => samples.to_vec(),
        }
    }

    fn mask_step(&self) -> usize {
        if self.has(Planted::RepeatedSeed) { 0 } else { self.journal.steps }
    }

    /// What the optimizer holds of a gradient.
    fn held(&self, gradient: &Gradient) -> Gradient {
        let mut held = gradient.clone();
        if let (true, Some(first)) = (self.has(Planted::WithoutParameter), held.0.first_mut()) {
            *first = None;
        }
        held
    }

    fn clip(&mut self) {
        let Some(limit) = self.plan.descent.clip_norm else { return };
        self.journal.clip(self.buffers.norm(), limit);
        self.buffers = self.buffers.clipped(limit);
    }

    fn step(&mut self) {
        let rate = self.rate();
        let mut sizes = self.journal.measures_sizes(self.plan).then(Vec::new);
        let gradients = self.held(&self.buffers).for_optimizer(&self.network);
        let network = self.network.clone();
        let (optimizer, state) = (&self.plan.descent.optimizer, &mut self.optimizer);
        self.network =
            optimizer.step_measured(state, rate, network, gradients, &mut Buffers::default(), sizes.as_mut());
        self.journal.step(self.loss, rate);
        if let Some(sizes) = sizes {
            let trained = sizes.into_iter().zip(trained(&self.network)).filter(|(_, trained)| *trained);
            self.journal.sizes(&self.buffers, &trained.map(|(sizes, _)| sizes).collect::<Vec<_>>());
        }
    }

    fn rate(&self) -> f64 {
        let Descent { schedule, learning_rate, .. } = &self.plan.descent;
        schedule.rate(*learning_rate, self.moved.min(self.total_steps), self.total_steps)
    }

    fn schedule(&mut self) {
        self.moved += 1;
        self.journal.schedule(self.rate());
    }

    pub(super) fn end_epoch(&mut self) {
        self.journal.end_epoch(self.rate());
        self.evaluate();
        self.observe();
    }

    /// The loss on the samples that no step is taken on.
    fn evaluate(&mut self) {
        if self.plan.held_out > 0 {
            let trained = self.plan.trained(&self.problem) as u64;
            let asked = Asked { samples: (trained..self.problem.samples() as u64).collect(), ..self.asked(0) };
            let loss = asked.held_out();
            self.journal.evaluation(loss);
        }
    }

    /// The network on the first samples.
    fn asked(&self, count: usize) -> Asked<'_, N, Altered<'a, P>> {
        let (network, problem, seed, at) = (&self.network, &self.problem, self.plan.descent.seed, self.journal.done());
        let samples = (0..count.min(self.plan.trained(problem)) as u64).collect();
        Asked { network, problem, samples, seed, at }
    }

    /// The stages on the first samples, as the loop runs the network.
    fn observe(&mut self) {
        if !self.plan.probes {
            return;
        }
        let (samples, problem) = (self.asked(PROBE_SAMPLES).samples, &self.problem);
        let training = !self.has(Planted::EvaluationMode);
        let pass = Pass { training, ..Pass::training(self.plan.descent.seed, self.journal.steps, &samples) };
        let loss = |output| Ok(problem.loss(output, &samples));
        if let Ok(stages) = observe(&self.network.clone().train(), problem.input(&samples).autodiff(), pass, loss) {
            self.journal.activations(stages);
        }
    }

    /// The accumulation probes, where there is accumulation: the whole batch, cut as the loop does, and unevenly.
    fn certify(&mut self) {
        let Descent { batch_size, accumulation, .. } = self.plan.descent;
        if accumulation < 2 {
            return;
        }
        let samples = self.asked(batch_size).samples;
        let cut = |sizes: &Vec<usize>| [1, 3, accumulation].contains(&sizes.len());
        let splits: Vec<Vec<usize>> = splits(samples.len()).into_iter().filter(cut).collect();
        let (network, problem) = (&self.network, self.problem.sound());
        let measured = measure(network, problem, self.plan, self.planted, &samples, &splits);
        self.journal.probes(measured.probes(0, 0));
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.loss.is_finite()
    }

    pub(super) fn finish(mut self) -> (N, Record) {
        let status = if self.has_failed() { Status::Failed } else { Status::Completed };
        if self.plan.probes {
            let asked = self.asked(PROBE_SAMPLES);
            let probes = [asked.input(), asked.train_eval()];
            self.journal.probes(probes);
            if self.has_failed() {
                self.observe();
            }
        }
        self.journal.augmentation();
        (self.network, self.journal.finish(status, self.loss))
    }
}
