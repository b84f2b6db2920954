//! Normalisations: over the batch, or of each sample on its own.

use attar_ops::Activation;
use attar_ops::burn::{ColumnMoments, Moving, batch_norm, column_moments, group_norm, layer_norm};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::config::Norm;
use super::initial::Draw;
use super::walk::Walk;
use crate::Parameter;
use crate::staged::BatchStatistics;

/// Is added to variances, as in PyTorch.
const EPSILON: f64 = 1e-5;
/// The share of a batch in the running statistics, as in PyTorch.
const MOMENTUM: f64 = 0.1;

/// A norm with a scale and a shift for each channel.
#[derive(Module, Debug)]
pub(super) struct Normalisation {
    pub(super) gamma: Param<Tensor<1>>,
    pub(super) beta: Param<Tensor<1>>,
    /// Of a batch norm.
    pub(super) running: Option<Running>,
    #[module(skip)]
    pub(super) name: String,
    #[module(skip)]
    over: Over,
}

/// What a batch norm evaluates with: no parameters.
#[derive(Module, Debug)]
pub(super) struct Running {
    mean: Tensor<1>,
    variance: Tensor<1>,
}

/// Which values share mean and variance.
#[derive(Clone, Copy, Debug)]
enum Over {
    /// Those of a channel.
    Batch,
    /// Those of a sample in each of so many groups of channels.
    Sample { groups: usize },
    /// Those of a position in each of so many groups of channels.
    Position { groups: usize },
}

impl Normalisation {
    /// Over the positions of a sample too.
    pub(super) fn of_samples(norm: Norm, name: String, channels: usize, draw: &Draw) -> Option<Self> {
        Self::new(norm, name, channels, |groups| Over::Sample { groups }, draw)
    }

    /// Of each position on its own, but for batch norm.
    pub(super) fn of_positions(norm: Norm, name: String, channels: usize, draw: &Draw) -> Option<Self> {
        Self::new(norm, name, channels, |groups| Over::Position { groups }, draw)
    }

    fn new(norm: Norm, name: String, channels: usize, over: impl Fn(usize) -> Over, draw: &Draw) -> Option<Self> {
        let over = match norm {
            Norm::None => return None,
            Norm::Batch => Over::Batch,
            Norm::Layer => over(1),
            Norm::Group => over(groups(channels)),
        };
        let [zeros, ones] = [0.0, 1.0].map(|value| draw.constant(value, channels));
        let running = matches!(over, Over::Batch).then(|| Running { mean: zeros.clone(), variance: ones.clone() });
        Some(Self { gamma: Param::from_tensor(ones), beta: Param::from_tensor(zeros), running, name, over })
    }

    /// The activation of the normalised `[samples, positions, channels]`.
    pub(super) fn forward(&self, input: Tensor<3>, activation: Activation, walk: &mut Walk) -> Tensor<3> {
        let [samples, positions, channels] = input.dims();
        let parameters = [self.gamma.val(), self.beta.val()];
        match (self.over, &self.running) {
            (Over::Batch, Some(running)) if !walk.pass.training => {
                let Running { mean, variance } = running.clone();
                let moments = ColumnMoments { mean, variance };
                batch_norm(input, (&moments, Moving::Not), parameters, EPSILON, activation)
            }
            (Over::Batch, _) => {
                let moments = column_moments(&input);
                self.leave(&moments, samples * positions, walk);
                batch_norm(input, (&moments, Moving::WithInput), parameters, EPSILON, activation)
            }
            (Over::Sample { groups }, _) => group_norm(input, parameters, groups, EPSILON, activation),
            (Over::Position { groups: 1 }, _) => {
                let [gamma, beta] = parameters;
                attar_ops::burn::activation(layer_norm(input, gamma, beta, EPSILON), activation)
            }
            (Over::Position { groups }, _) => {
                let tokens = input.reshape([samples * positions, 1, channels]);
                group_norm(tokens, parameters, groups, EPSILON, activation).reshape([samples, positions, channels])
            }
        }
    }

    pub(super) fn parameters(&self) -> [Parameter; 2] {
        [("weight", &self.gamma), ("bias", &self.beta)].map(|(what, values)| Parameter::of(&self.name, what, values))
    }

    /// Leaves the statistics of `values` values per channel with the pass, or why there are none.
    fn leave(&self, moments: &ColumnMoments, values: usize, walk: &mut Walk) {
        if values < 2 {
            let name = &self.name;
            walk.fail(|| {
                format!("batch norm `{name}` needs more than one value per channel in training, got {values}")
            });
            return;
        }
        let unbiased = values as f64 / (values - 1) as f64;
        walk.pass.statistics.push(BatchStatistics {
            stage: self.name.clone(),
            mean: moments.mean.clone(),
            variance: moments.variance.clone().mul_scalar(unbiased),
        });
    }

    /// Moves the running statistics towards those of a batch that bear its name.
    pub(super) fn absorb(&mut self, statistics: &[BatchStatistics]) {
        let Some(running) = &mut self.running else { return };
        for seen in statistics.iter().filter(|seen| seen.stage == self.name) {
            running.mean = towards(&running.mean, &seen.mean);
            running.variance = towards(&running.variance, &seen.variance);
        }
    }

    /// The running statistics, if it has some.
    pub(super) fn statistics(&self) -> Option<BatchStatistics> {
        let Running { mean, variance } = self.running.clone()?;
        Some(BatchStatistics { stage: self.name.clone(), mean, variance })
    }

    /// Takes the running statistics that bear its name.
    pub(super) fn set(&mut self, statistics: &[BatchStatistics]) {
        let Some(running) = &mut self.running else { return };
        if let Some(seen) = statistics.iter().find(|seen| seen.stage == self.name) {
            *running = Running { mean: seen.mean.clone(), variance: seen.variance.clone() };
        }
    }
}

fn towards(running: &Tensor<1>, seen: &Tensor<1>) -> Tensor<1> {
    let [running, seen] = [running, seen].map(|tensor| tensor.clone().without_autodiff());
    running.mul_scalar(1.0 - MOMENTUM) + seen.mul_scalar(MOMENTUM)
}

fn groups(channels: usize) -> usize {
    let wanted = (channels / 16).max(2);
    if channels.is_multiple_of(wanted) { wanted } else { 1 }
}
