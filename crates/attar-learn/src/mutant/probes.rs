//! What is asked on purpose of the network that a loop trains, with the loop's own loss.

use attar_doctor::Probe;
use attar_ops::Buffers;
use burn::tensor::Tensor;

use super::journal::probe;
use crate::config::Optimizer;
use crate::gradient::{Gradient, entries};
use crate::optimizer::OptimizerState;
use crate::{Pass, Problem, Staged};

/// The rate of Adam on the copy that is trained on one batch.
const RATE: f64 = 1e-2;

/// A network on some samples, in the run's seed, after so many epochs and steps.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a, N, P> {
    pub(super) network: &'a N,
    pub(super) problem: &'a P,
    pub(super) samples: Vec<u64>,
    pub(super) seed: u64,
    pub(super) at: (u64, u64),
}

impl<N: Staged, P: Problem> Asked<'_, N, P> {
    fn probe<const V: usize>(&self, kind: &str, values: [(&str, f64); V]) -> Probe {
        probe(kind, self.at, values)
    }

    fn output(&self, input: Tensor<3>, samples: &[u64], training: bool) -> Tensor<3> {
        let mut pass = Pass { training, ..Pass::training(self.seed, 0, samples) };
        self.network.stages(input.clone(), &mut pass).pop().map_or(input, |stage| stage.values)
    }

    fn loss(&self, samples: &[u64], training: bool) -> f64 {
        let output = self.output(self.problem.input(samples), samples, training);
        self.problem.loss(output, samples).into_scalar::<f64>()
    }

    /// The loss as it is evaluated.
    pub(super) fn held_out(&self) -> f64 {
        self.loss(&self.samples, false)
    }

    /// A copy is trained on these samples alone.
    pub(super) fn one_batch(&self, steps: usize) -> Probe {
        let (mut network, mut state) = (self.network.clone(), OptimizerState::default());
        let optimizer = Optimizer::Adam { weight_decay: 0.0 };
        let mut losses = Vec::new();
        for _ in 0..steps {
            let trained = network.clone().train();
            let mut pass = Pass { training: true, ..Pass::evaluation(&self.samples) };
            let Some(last) = trained.stages(self.problem.input(&self.samples), &mut pass).pop() else { break };
            let loss = self.problem.loss(last.values, &self.samples);
            losses.push(loss.clone().into_scalar::<f64>());
            let gradients = Gradient::of(&trained, loss).for_optimizer(&network);
            network = optimizer.step(&mut state, RATE, network, gradients, &mut Buffers::default());
        }
        let of = |loss: Option<&f64>| loss.copied().unwrap_or(f64::NAN);
        let values = [("first", of(losses.first())), ("last", of(losses.last())), ("steps", losses.len() as f64)];
        self.probe("one_batch", values)
    }

    /// The same weights on both halves of the samples, the mean of their losses, and on all.
    pub(super) fn reduction(&self) -> Probe {
        let half = self.samples.len() / 2;
        let (first, second) = self.samples[..2 * half].split_at(half);
        let small = (self.loss(first, true) + self.loss(second, true)) / 2.0;
        let large = self.loss(&self.samples[..2 * half], true);
        let [half, all] = [half, 2 * half].map(|count| count as f64);
        let values = [("small", small), ("large", large), ("small_samples", half), ("large_samples", all)];
        self.probe("reduction", values)
    }

    pub(super) fn train_eval(&self) -> Probe {
        self.probe("train_eval", [("train", self.loss(&self.samples, true)), ("eval", self.loss(&self.samples, false))])
    }

    /// Whether the outputs follow the inputs.
    pub(super) fn input(&self) -> Probe {
        let input = self.problem.input(&self.samples);
        let output = self.output(input.clone(), &self.samples, false);
        let loss = |output| self.problem.loss(output, &self.samples).into_scalar::<f64>();
        let zeroed = loss(self.output(input.zeros_like(), &self.samples, false));
        let variation = variation(&entries(&output), self.samples.len());
        self.probe("input", [("variation", variation), ("loss", loss(output)), ("loss_zeroed", zeroed)])
    }
}

/// Deviation over samples, over the root mean square.
fn variation(outputs: &[f64], samples: usize) -> f64 {
    let width = outputs.len() / samples.max(1);
    let mean = |place| outputs.iter().skip(place).step_by(width.max(1)).sum::<f64>() / samples as f64;
    let means: Vec<f64> = (0..width).map(mean).collect();
    let spread: f64 = outputs.iter().zip(means.iter().cycle()).map(|(value, mean)| (value - mean).powi(2)).sum();
    (spread / outputs.iter().map(|value| value * value).sum::<f64>()).sqrt()
}
