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

#[cfg(test)]
mod tests {
    use burn::tensor::DType;

    use super::*;
    use crate::Classified;
    use crate::tests::staged_net::{FEATURES, Kind, Small, points};

    const SAMPLES: usize = 5;

    /// The first sample's output at `stage`, along the same direction.
    fn along(network: &Small, problem: &Classified, stage: usize) -> f64 {
        let samples: Vec<u64> = (0..SAMPLES as u64).collect();
        let stages = network.stages(problem.input.clone(), &mut Pass::training(3, 0, &samples));
        let first = stages[stage].values.clone().narrow(0, 0, 1);
        (first.clone() * direction(&first, stage)).sum().into_scalar::<f64>()
    }

    /// The ratio by central differences.
    fn by_differences(network: &Small, problem: &Classified, stage: usize) -> f64 {
        let slope = |place: usize| {
            let moved = |by: f64| {
                let mut values = vec![0.0; SAMPLES * FEATURES];
                values[place] = by;
                let change = Tensor::from_data(
                    TensorData::new(values, [SAMPLES, 1, FEATURES]),
                    (&problem.input.device(), DType::F64),
                );
                along(network, &Classified { input: problem.input.clone() + change, ..problem.clone() }, stage)
            };
            (moved(1e-5) - moved(-1e-5)) / 2e-5
        };
        let length = |sample: usize| (0..FEATURES).map(|f| slope(sample * FEATURES + f).powi(2)).sum::<f64>().sqrt();
        (1..SAMPLES).map(length).fold(0.0, f64::max) / length(0)
    }

    #[test]
    fn slopes_are_those_of_central_differences() {
        let problem = points(SAMPLES, DType::F64);
        let samples: Vec<u64> = (0..SAMPLES as u64).collect();
        for (norm, coupled) in [(Kind::Batch, [false, true, true, true]), (Kind::Layer, [false; 4])] {
            let network = Small::new(norm, 0.3, DType::F64);
            let subject = Subject { network: &network, problem: &problem, samples: &samples, seed: 3, clip: None };
            for (stage, coupled) in coupled.into_iter().enumerate() {
                let (found, expected) = (slopes(&subject, stage), by_differences(&network, &problem, stage));
                assert_eq!(found > 0.0, coupled, "{norm:?} {stage}");
                assert!((found - expected).abs() < 1e-7, "{norm:?} {stage}: {found} and {expected}");
            }
        }
    }
}
