//! Which stage lets the samples of a batch see each other.

use attar_data::random::{Purpose, stream};
use attar_doctor::accumulation::Coupling;
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;

use super::{Subject, largest_difference};
use crate::gradient::entries;
use crate::{Pass, Problem, Staged};

/// Each stage's largest `|d out_i / d x_j|`, i != j, over the largest with i = j, in training mode, and the difference
/// of its outputs between `whole` and `cut`.
pub(super) fn couplings<N: Staged, P: Problem>(
    subject: &Subject<'_, N, P>,
    whole: &[(String, Vec<f64>)],
    cut: &[(String, Vec<f64>)],
) -> Vec<Coupling> {
    let stage = |(place, (name, values)): (usize, &(String, Vec<f64>))| Coupling {
        stage: name.clone(),
        outputs: cut.get(place).map_or(0.0, |(_, found)| largest_difference(found, values)),
        coupling: slopes(subject, place),
    };
    whole.iter().enumerate().map(stage).collect()
}

/// Along one random direction of the first sample's output: the largest slope with respect to another sample's input
/// over that with respect to its own.
fn slopes<N: Staged, P: Problem>(subject: &Subject<'_, N, P>, stage: usize) -> f64 {
    let network = subject.network.clone().train();
    let input = subject.problem.input(subject.samples).autodiff().require_grad();
    let mut pass = Pass::training(subject.seed, 0, subject.samples);
    let stages = network.stages(input.clone(), &mut pass);
    let Some(output) = stages.get(stage).map(|stage| stage.values.clone()) else { return 0.0 };
    let [_, positions, channels] = output.dims();
    let first = output.slice([0..1, 0..positions, 0..channels]);
    let along = first.clone() * direction(&first, stage);
    let Some(slopes) = input.grad(&along.sum().backward()) else { return 0.0 };
    let rows = slopes.square().sum_dims(&[1, 2]);
    let lengths: Vec<f64> = entries(&rows).iter().map(|square| square.sqrt()).collect();
    let Some((own, others)) = lengths.split_first() else { return 0.0 };
    others.iter().copied().fold(0.0, f64::max) / own.max(f64::MIN_POSITIVE)
}

fn direction(like: &Tensor<3>, stage: usize) -> Tensor<3> {
    let mut rng = stream(0, Purpose::Probe, 0, 0, stage as u64);
    let shape = like.dims();
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), (&like.device(), like.dtype()))
}
