//! One optimizer step: gradients in, the module back with new parameters.

use attar_ops::{Averages, Buffers, Parameter, SquaredNorms, Update};
use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor};

use crate::config::Optimizer;
use crate::gradient::norm;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// What an optimizer keeps between steps: one entry per parameter, in the order in which the
/// module is visited.
#[derive(Clone, Debug, Default)]
pub struct OptimizerState {
    /// Steps done.
    pub steps: usize,
    /// Running averages of each parameter.
    pub moments: Vec<Moments>,
}

/// Running averages of one parameter, flat, on its device.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Of the gradient: Adam's first moment, or the momentum of gradient descent.
    pub first: Tensor<1>,
    /// Of the squared gradient: Adam's second moment; empty for gradient descent.
    pub second: Tensor<1>,
}

/// Sizes of one parameter in one step: Euclidean norms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TensorNorms {
    /// Of the gradient; `None` where there is none.
    pub gradient: Option<f64>,
    /// Of the weights before the step.
    pub weight: f64,
    /// Of what the step changed.
    pub update: f64,
    /// Entries of the gradient that are not finite.
    pub nonfinite: u64,
}

impl Optimizer {
    /// Updates every parameter that has a gradient.
    ///
    /// The module is taken by value: its parameters then have one owner and are updated in place. The gradients'
    /// memory goes to `buffers`, for the next step's.
    pub fn step<M: Module>(
        &self,
        state: &mut OptimizerState,
        learning_rate: f64,
        module: M,
        gradients: GradientsParams,
        buffers: &mut Buffers<f32>,
    ) -> M {
        self.step_measured(state, learning_rate, module, gradients, buffers, None)
    }

    /// The same; with `norms`, these become the sizes of every parameter, in the order in which the module is visited,
    /// taken in the pass that does the step.
    pub fn step_measured<M: Module>(
        &self,
        state: &mut OptimizerState,
        learning_rate: f64,
        module: M,
        gradients: GradientsParams,
        buffers: &mut Buffers<f32>,
        mut norms: Option<&mut Vec<TensorNorms>>,
    ) -> M {
        state.steps += 1;
        if let Some(norms) = &mut norms {
            norms.clear();
        }
        let update = update(self, learning_rate, state.steps);
        let moments = &mut state.moments;
        module.map(&mut Stepper { update, gradients, moments, buffers, norms, parameter: 0, hole: None })
    }
}

/// The Euclidean norm of all gradients of the module's parameters together.
pub(crate) fn gradient_norm<M: Module>(module: &M, gradients: &GradientsParams) -> f64 {
    struct Squares<'a>(&'a GradientsParams, f64);
    impl burn::module::ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(parameter.id) {
                let values = gradient.into_data();
                self.1 += values.iter::<f64>().map(|g| g * g).sum::<f64>();
            }
        }
    }
    let mut squares = Squares(gradients, 0.0);
    module.visit(&mut squares);
    squares.1.sqrt()
}

/// Multiplies every gradient of the module's parameters by `factor`.
pub(crate) fn scale_gradients<M: Module>(module: &M, gradients: &mut GradientsParams, factor: f64) {
    struct Scale<'a>(&'a mut GradientsParams, f64);
    impl burn::module::ModuleVisitor for Scale<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(parameter.id) {
                self.0.register(parameter.id, gradient.mul_scalar(self.1));
            }
        }
    }
    module.visit(&mut Scale(gradients, factor));
}

struct Stepper<'a> {
    update: Update,
    gradients: GradientsParams,
    moments: &'a mut Vec<Moments>,
    buffers: &'a mut Buffers<f32>,
    norms: Option<&'a mut Vec<TensorNorms>>,
    parameter: usize,
    /// Stands for a tensor while its memory is written.
    hole: Option<Tensor<1>>,
}

impl ModuleMapper for Stepper<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let index = self.parameter;
        self.parameter += 1;
        if self.moments.len() == index {
            let device = parameter.lazy_device().inner();
            self.moments.push(Moments::zero(self.update.averages, parameter.lazy_shape().num_elements(), &device));
        }
        let Some(gradient) = self.gradients.remove::<D>(parameter.id) else {
            if let Some(norms) = &mut self.norms {
                norms.push(TensorNorms { weight: norm(&parameter.val()), ..TensorNorms::default() });
            }
            return parameter;
        };
        parameter.map(|value| self.apply(index, value.without_autodiff(), gradient))
    }
}

impl Stepper<'_> {
    /// The step in one pass over the memory where the tensors live in the host's, by tensor operations elsewhere.
    fn apply<const D: usize>(&mut self, index: usize, parameter: Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
        let all_f32 = parameter.dtype() == DType::F32 && gradient.dtype() == DType::F32;
        if all_f32 && parameter.device() == Device::flex() {
            self.apply_in_place(index, parameter, gradient)
        } else {
            let shape = parameter.shape();
            let (before, gradient) = (parameter.flatten(0, D - 1), gradient.flatten(0, D - 1));
            let after = apply_by_tensors(&self.update, before.clone(), gradient.clone(), &mut self.moments[index]);
            if let Some(norms) = &mut self.norms {
                norms.push(TensorNorms::by_tensors(gradient, before, after.clone()));
            }
            after.reshape(shape)
        }
    }

    fn apply_in_place<const D: usize>(&mut self, index: usize, parameter: Tensor<D>, gradient: Tensor<D>) -> Tensor<D> {
        let device = parameter.device();
        let hole = self.hole.get_or_insert_with(|| Tensor::empty([0], &device));
        let moments = &mut self.moments[index];
        // Tensors that nothing else holds then: their values move instead of being copied.
        let mut first = std::mem::replace(&mut moments.first, hole.clone()).into_data();
        let mut second = std::mem::replace(&mut moments.second, hole.clone()).into_data();
        let (mut parameter, gradient) = (parameter.into_data(), gradient.into_data());
        if let (Ok(values), Ok(gradient), Ok(first), Ok(second)) = (
            parameter.as_mut_slice::<f32>(),
            gradient.as_slice::<f32>(),
            first.as_mut_slice::<f32>(),
            second.as_mut_slice::<f32>(),
        ) {
            let parameter = Parameter { values, gradient, first, second };
            match &mut self.norms {
                Some(norms) => norms.push(TensorNorms::of(self.update.apply_with_norms(parameter), gradient)),
                None => self.update.apply(parameter),
            }
        }
        moments.first = Tensor::from_data(first, &device);
        moments.second = Tensor::from_data(second, &device);
        if let Ok(gradient) = gradient.try_into_vec() {
            self.buffers.give(gradient);
        }
        Tensor::from_data(parameter, &device)
    }
}

impl TensorNorms {
    fn of(squares: SquaredNorms, gradient: &[f32]) -> Self {
        Self {
            gradient: Some(squares.gradient.sqrt()),
            weight: squares.weight.sqrt(),
            update: squares.update.sqrt(),
            // A sum of squares is finite only if all are.
            nonfinite: if squares.gradient.is_finite() {
                0
            } else {
                nonfinite(gradient.iter().copied().map(f64::from))
            },
        }
    }

    fn by_tensors(gradient: Tensor<1>, before: Tensor<1>, after: Tensor<1>) -> Self {
        Self {
            gradient: Some(norm(&gradient)),
            weight: norm(&before),
            update: norm(&(after - before)),
            nonfinite: nonfinite(gradient.into_data().iter::<f64>()),
        }
    }
}

fn nonfinite(values: impl Iterator<Item = f64>) -> u64 {
    values.filter(|value| !value.is_finite()).count() as u64
}

impl Moments {
    fn zero(averages: Averages, parameters: usize, device: &Device) -> Self {
        let second = if matches!(averages, Averages::Momentum(_)) { 0 } else { parameters };
        Self { first: Tensor::zeros([parameters], device), second: Tensor::zeros([second], device) }
    }
}

/// The factors of the `step`th step, from 1.
fn update(optimizer: &Optimizer, learning_rate: f64, step: usize) -> Update {
    let plain = Update {
        averages: Averages::Momentum(0.0),
        rate: learning_rate,
        decay: 0.0,
        shrinkage: 0.0,
        second_scale: 1.0,
    };
    let step = step as f64;
    let adam = Update {
        averages: Averages::Adam { beta_1: BETA_1, beta_2: BETA_2, epsilon: EPSILON },
        rate: learning_rate / (1.0 - BETA_1.powf(step)),
        second_scale: 1.0 / (1.0 - BETA_2.powf(step)).sqrt(),
        ..plain
    };
    match *optimizer {
        Optimizer::Sgd { momentum, weight_decay } => {
            Update { averages: Averages::Momentum(momentum), decay: weight_decay, ..plain }
        }
        Optimizer::Adam { weight_decay } => Update { decay: weight_decay, ..adam },
        Optimizer::AdamW { weight_decay } => Update { shrinkage: learning_rate * weight_decay, ..adam },
    }
}

/// The formulas as tensor operations, on any device.
fn apply_by_tensors(update: &Update, parameter: Tensor<1>, gradient: Tensor<1>, moments: &mut Moments) -> Tensor<1> {
    let gradient = gradient + parameter.clone().mul_scalar(update.decay);
    let parameter = parameter.mul_scalar(1.0 - update.shrinkage);
    // They begin as zeros of the default type.
    moments.first = moments.first.clone().cast(parameter.dtype());
    moments.second = moments.second.clone().cast(parameter.dtype());
    match update.averages {
        Averages::Momentum(momentum) => {
            moments.first = moments.first.clone().mul_scalar(momentum) + gradient;
            parameter - moments.first.clone().mul_scalar(update.rate)
        }
        Averages::Adam { beta_1, beta_2, epsilon } => {
            moments.first = moments.first.clone().mul_scalar(beta_1) + gradient.clone().mul_scalar(1.0 - beta_1);
            moments.second = moments.second.clone().mul_scalar(beta_2) + gradient.square().mul_scalar(1.0 - beta_2);
            let scale = moments.second.clone().sqrt().mul_scalar(update.second_scale).add_scalar(epsilon);
            parameter - (moments.first.clone() / scale).mul_scalar(update.rate)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::TensorData;

    #[test]
    fn entries_that_are_not_finite_are_counted() {
        let gradient = [1.0, f32::NAN, f32::INFINITY, 2.0, 1e30];
        let of = |gradient: &[f32]| {
            let squares = gradient.iter().map(|&g| f64::from(g).powi(2)).sum();
            TensorNorms::of(SquaredNorms { gradient: squares, ..SquaredNorms::default() }, gradient).nonfinite
        };
        assert_eq!((of(&gradient), of(&gradient[3..])), (2, 0));
    }

    /// The pass over slices against the tensor operations, over steps that change the averages.
    #[test]
    fn in_place_and_by_tensors_agree() {
        let optimizers = [
            Optimizer::Sgd { momentum: 0.9, weight_decay: 0.02 },
            Optimizer::Adam { weight_decay: 0.02 },
            Optimizer::AdamW { weight_decay: 0.3 },
        ];
        for optimizer in optimizers {
            let device = Device::flex();
            let tensor = |values: Vec<f32>| Tensor::<1>::from_data(TensorData::new(values, [37]), &device);
            let start = || tensor((0..37).map(|i| (i as f32 * 0.7).sin()).collect());
            let averages = update(&optimizer, 0.1, 1).averages;
            let mut of_slices = vec![Moments::zero(averages, 37, &device)];
            let mut norms = Vec::new();
            let mut of_tensors = Moments::zero(averages, 37, &device);
            let (mut slices, mut tensors) = (start(), start());
            for step in 1..=9 {
                let update = update(&optimizer, 0.1, step);
                let gradient = || tensor((0..37).map(|i| (i as f32 * 1.3 + step as f32).cos()).collect());
                let mut stepper = Stepper {
                    update,
                    gradients: GradientsParams::new(),
                    moments: &mut of_slices,
                    buffers: &mut Buffers::default(),
                    norms: (step % 2 == 0).then_some(&mut norms),
                    parameter: 0,
                    hole: None,
                };
                slices = stepper.apply_in_place(0, slices, gradient());
                let before = tensors.clone();
                tensors = apply_by_tensors(&update, tensors, gradient(), &mut of_tensors);
                if step % 2 == 0 {
                    let of_tensors = TensorNorms::by_tensors(gradient(), before, tensors.clone());
                    let found = norms.pop().unwrap();
                    assert!((found.gradient.unwrap() - of_tensors.gradient.unwrap()).abs() < 1e-5, "{found:?}");
                    assert!((found.weight - of_tensors.weight).abs() < 1e-5, "{found:?}, not {of_tensors:?}");
                    assert!((found.update - of_tensors.update).abs() < 1e-5, "{found:?}, not {of_tensors:?}");
                }
            }
            let difference: f32 = (slices - tensors).abs().max().into_scalar();
            assert!(difference < 1e-6, "{optimizer:?}: {difference}");
        }
    }
}
