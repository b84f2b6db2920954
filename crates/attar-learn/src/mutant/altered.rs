//! Mistakes outside the loop: in the data, the loss, the settings, the initial weights.

use attar_data::random::{Purpose, permutation, stream};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;

use super::{Plan, Planted};
use crate::gradient::changed;
use crate::{Problem, Staged};

/// A problem with a mistake in it, if the mistake is one of data or loss.
#[derive(Debug)]
pub(super) struct Altered<'a, P> {
    problem: &'a P,
    planted: Option<Planted>,
    seed: u64,
}

impl<'a, P: Problem> Altered<'a, P> {
    pub(super) fn new(problem: &'a P, planted: Option<Planted>, seed: u64) -> Self {
        Self { problem, planted, seed }
    }

    /// The problem without the mistake.
    pub(super) fn sound(&self) -> &'a P {
        self.problem
    }

    fn permuted(&self, samples: &[u64]) -> Vec<u64> {
        let order = permutation(self.samples(), &mut stream(self.seed, Purpose::Laboratory, 0, 0, 0));
        samples.iter().map(|sample| order[*sample as usize] as u64).collect()
    }
}

impl<P: Problem> Problem for Altered<'_, P> {
    fn samples(&self) -> usize {
        self.problem.samples()
    }

    fn classes(&self) -> Option<usize> {
        self.problem.classes()
    }

    fn input(&self, samples: &[u64]) -> Tensor<3> {
        let input = self.problem.input(samples);
        match self.planted {
            Some(Planted::ZeroedInput) => input.zeros_like(),
            Some(Planted::NonFiniteRow) => {
                let factors = samples.iter().map(|sample| if *sample == 0 { f64::NAN } else { 1.0 }).collect();
                let factors = like(factors, [samples.len(), 1, 1], &input);
                input * factors
            }
            _ => input,
        }
    }

    fn losses(&self, output: Tensor<3>, samples: &[u64]) -> Tensor<1> {
        match self.planted {
            Some(Planted::PermutedTargets) => self.problem.losses(output, &self.permuted(samples)),
            Some(Planted::Contrastive) => contrastive(output, samples),
            _ => self.problem.losses(output, samples),
        }
    }

    fn loss(&self, output: Tensor<3>, samples: &[u64]) -> Tensor<1> {
        match self.planted {
            Some(Planted::SummedLoss | Planted::SummedThenDivided) => self.losses(output, samples).sum(),
            Some(Planted::PermutedTargets | Planted::Contrastive) => self.losses(output, samples).mean(),
            _ => self.problem.loss(output, samples),
        }
    }
}

/// `-ln softmax(u_i . t_j / 0.2)[j = i]` over the samples j of the batch (van den Oord et al. 2018, eq. 4): u the
/// directions of the outputs, t random points that belong to the samples.
fn contrastive(output: Tensor<3>, samples: &[u64]) -> Tensor<1> {
    let output: Tensor<2> = output.mean_dim(1).squeeze_dim(1);
    let [count, channels] = output.dims();
    let point = |sample: &u64| {
        let mut rng = stream(0, Purpose::Laboratory, 1, 0, *sample);
        (0..channels).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>()
    };
    let points = like(samples.iter().flat_map(point).collect(), [count, channels], &output);
    let lengths = output.clone().square().sum_dim(1).add_scalar(1e-12).sqrt();
    let likeness = (output / lengths).matmul(points.transpose()).mul_scalar(5.0);
    let same = (0..count * count).map(|place| f64::from(u8::from(place / count == place % count))).collect();
    let same = like(same, [count, count], &likeness);
    (log_softmax(likeness, 1) * same).sum_dim(1).squeeze_dim::<1>(1).neg()
}

fn like<const D: usize>(values: Vec<f64>, shape: [usize; D], of: &Tensor<D>) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&of.device(), of.dtype()))
}

/// The plan with a mistake in it, if the mistake is one of the settings.
pub(super) fn altered_plan(plan: &Plan, planted: Option<Planted>) -> Plan {
    let mut plan = plan.clone();
    match planted {
        Some(Planted::LargeRate) => plan.descent.learning_rate *= 100.0,
        Some(Planted::SmallRate) => plan.descent.learning_rate /= 1000.0,
        Some(Planted::TinyClip) => plan.descent.clip_norm = Some(plan.descent.clip_norm.unwrap_or(1.0) / 1000.0),
        _ => {}
    }
    plan
}

/// The network with a mistake in it, if the mistake is one of the initial weights.
pub(super) fn altered_network<N: Staged>(network: N, planted: Option<Planted>) -> N {
    let factor = match planted {
        Some(Planted::ZeroInitial) => 0.0,
        Some(Planted::LargeInitial) => 30.0,
        _ => return network,
    };
    // Weights have several axes; biases and the scales of norms have one.
    changed(network, |shape, entries| if shape.len() > 1 { entries.mul_scalar(factor) } else { entries })
}
