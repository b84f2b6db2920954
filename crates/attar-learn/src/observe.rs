//! What is seen of a network while it trains: its stages, on a fixed probe batch.

use attar_attention::Choice;
use attar_doctor::{Stage, StageStatistics};
use attar_ops::{Activation, Float};
use burn::tensor::{DType, Tensor};

use crate::Error;
use crate::gradient::norm;
use crate::probe::ProbeBatch;
use crate::staged::{Pass, StageOutput, Staged};

/// Distance from a bound of the activation within which a unit is saturated, and the share of the batch for which it
/// must be (AWS Debugger's SaturatedActivation).
const NEAR_BOUND: f64 = 0.01;
const MOST: f64 = 0.95;

/// The statistics of a stage whose output is the row-major `[rows, units]`: a unit is a feature of a vector or a channel
/// of an image, a row a sample or one of its positions. Dead is a unit that is zero in every row; saturated one that is
/// within a hundredth of a bound of its activation in at least 95 % of the rows. The `gradient` is left out.
pub fn stage_statistics<T: Float>(name: &str, activation: Activation, values: &[T], units: usize) -> StageStatistics {
    let units = units.max(1);
    let rows = values.len() / units;
    let (mut sum, mut nonfinite) = (0.0, 0);
    let (mut dead, mut near) = (vec![true; units], vec![0_usize; units]);
    for row in values.chunks_exact(units) {
        for ((value, dead), near) in row.iter().zip(&mut dead).zip(&mut near) {
            let value = value.to_f64();
            sum += value;
            nonfinite += u64::from(!value.is_finite());
            *dead &= value == 0.0;
            *near += usize::from(value.abs() > 1.0 - NEAR_BOUND);
        }
    }
    let mean = sum / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value.to_f64() - mean).powi(2)).sum();
    let share = |count: usize| count as f64 / units as f64;
    let saturated = || near.iter().filter(|count| **count as f64 >= MOST * rows as f64).count();
    StageStatistics {
        name: name.to_owned(),
        mean,
        deviation: (squares / values.len() as f64).sqrt(),
        dead: Some(share(dead.iter().filter(|dead| **dead).count())),
        // The others have no bound, or one, zero, that the dead are at.
        saturated: (activation == Activation::Tanh).then(|| share(saturated())),
        nonfinite,
        gradient: None,
    }
}

/// The statistics of every stage of a pass, and the norms of the gradients of `loss`, a mean over samples, by the stages'
/// outputs: of a network in training form (`train()`), whose pass may be in either mode.
///
/// # Errors
/// That of `loss`.
pub fn observe<N: Staged>(
    network: &N,
    input: Tensor<3>,
    pass: Pass,
    loss: impl FnOnce(Tensor<3>) -> Result<Tensor<1>, Error>,
) -> Result<Vec<StageStatistics>, Error> {
    let mut pass = pass.watched();
    let outputs = network.stages(input, &mut pass);
    let mut statistics: Vec<StageStatistics> = outputs.iter().map(StageOutput::statistics).collect();
    let Some(last) = outputs.into_iter().last() else { return Ok(statistics) };
    let gradients = loss(last.values)?.backward();
    for (stage, leaf) in statistics.iter_mut().zip(pass.leaves.into_iter().flatten()) {
        stage.gradient = leaf.grad(&gradients).map(|gradient| norm(&gradient));
    }
    Ok(statistics)
}

/// The outputs of a pass over the batch in training mode.
pub(crate) fn stages<N: Staged>(network: &N, batch: &ProbeBatch) -> Vec<StageOutput> {
    network.valid().stages(batch.inputs.clone(), &mut Pass::training(batch.seed, 0, &batch.samples))
}

impl StageOutput {
    /// As [`stage_statistics`], over all samples and positions.
    pub fn statistics(&self) -> StageStatistics {
        let [_, _, channels] = self.values.dims();
        let data = self.values.clone().without_autodiff().into_data();
        match self.values.dtype() {
            DType::F32 => {
                stage_statistics(&self.name, self.activation, data.as_slice().unwrap_or(&[0.0_f32; 0]), channels)
            }
            _ => stage_statistics(&self.name, self.activation, &data.iter::<f64>().collect::<Vec<_>>(), channels),
        }
    }

    /// The stage as a record's header has it.
    pub fn stage(&self) -> Stage {
        let activation = match self.activation {
            Activation::Identity => "",
            Activation::Relu => "relu",
            Activation::Gelu => "gelu",
            Activation::Tanh => "tanh",
            Activation::Silu => "silu",
        };
        let form = self.form.as_ref().map(Choice::to_string);
        Stage { name: self.name.clone(), activation: activation.into(), form }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{Module, Param};
    use burn::tensor::{Device, TensorData};

    #[test]
    fn shares_are_counted_over_units() {
        // Two samples of two positions; unit 0 dead, unit 1 near a bound in all rows but one, unit 2 at the bounds.
        let values = [0.0, 0.999, -1.0, 0.0, -0.995, 0.995, 0.0, 0.2, -0.9999, 0.0, 0.999, 1.0];
        let found = stage_statistics("a", Activation::Tanh, &values, 3);
        assert_eq!((found.dead, found.saturated, found.nonfinite), (Some(1.0 / 3.0), Some(1.0 / 3.0), 0));
        let mean = values.iter().sum::<f64>() / 12.0;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 12.0 - mean * mean;
        assert!((found.mean - mean).abs() < 1e-15 && (found.deviation - variance.sqrt()).abs() < 1e-12);
        let found = stage_statistics("a", Activation::Relu, &[0.0_f32, f32::NAN, f32::INFINITY, 2.0], 2);
        assert_eq!((found.dead, found.saturated, found.nonfinite), (Some(0.0), None, 2));
    }

    /// y = w2 tanh(w1 x), elementwise.
    #[derive(Module, Debug)]
    struct Two {
        first: Param<Tensor<1>>,
        second: Param<Tensor<1>>,
    }

    impl Staged for Two {
        fn stages(&self, input: Tensor<3>, pass: &mut Pass) -> Vec<StageOutput> {
            let first = pass.stage("first", Activation::Tanh, (input * self.first.val().unsqueeze()).tanh());
            let second = first.values.clone() * self.second.val().unsqueeze();
            vec![first, pass.stage("second", Activation::Identity, second)]
        }
    }

    /// Against the derivatives by hand, in f64.
    #[test]
    fn gradients_by_outputs_are_those_of_the_loss() {
        let device = Device::flex().autodiff();
        let of =
            |values: [f64; 2]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [2]), (&device, DType::F64));
        let network = Two { first: Param::from_tensor(of([0.7, -1.3])), second: Param::from_tensor(of([2.0, 0.5])) };
        let inputs = [0.3, 0.8, -0.5, 1.1];
        let input = Tensor::from_data(TensorData::new(inputs.to_vec(), [2, 1, 2]), (&device, DType::F64));
        let found = observe(&network.train(), input, Pass::evaluation(&[0, 1]), |y| Ok(y.square().sum())).unwrap();
        let outputs: Vec<f64> =
            inputs.iter().zip([0.7, -1.3, 0.7, -1.3]).map(|(x, w): (&f64, f64)| (x * w).tanh()).collect();
        let last: Vec<f64> = outputs.iter().zip([2.0, 0.5, 2.0, 0.5]).map(|(h, w)| h * w).collect();
        let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let of_second = length(&mut last.iter().map(|y| 2.0 * y));
        let of_first = length(&mut last.iter().zip([2.0, 0.5, 2.0, 0.5]).map(|(y, w)| 2.0 * y * w));
        for (stage, want) in found.iter().zip([of_first, of_second]) {
            assert!((stage.gradient.unwrap() - want).abs() < 1e-12, "{stage:?}, not {want}");
        }
        assert!((found[1].mean - last.iter().sum::<f64>() / 4.0).abs() < 1e-12);
    }
}
