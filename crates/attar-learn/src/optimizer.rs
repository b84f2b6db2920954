//! One optimizer step: gradients in, the module back with new parameters.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::config::Optimizer;

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

impl Optimizer {
    /// Updates every parameter that has a gradient.
    ///
    /// The module is taken by value: its parameters then have one owner and are updated in place.
    pub fn step<M: Module>(
        &self,
        state: &mut OptimizerState,
        learning_rate: f64,
        module: M,
        gradients: GradientsParams,
    ) -> M {
        state.steps += 1;
        let update = Update::new(self, learning_rate, state.steps);
        module.map(&mut Stepper { update, gradients, moments: &mut state.moments, parameter: 0 })
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
    parameter: usize,
}

impl ModuleMapper for Stepper<'_> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let index = self.parameter;
        self.parameter += 1;
        if self.moments.len() == index {
            let device = parameter.lazy_device().inner();
            self.moments.push(Moments::zero(self.update.rule, parameter.lazy_shape().num_elements(), &device));
        }
        let Some(gradient) = self.gradients.remove::<D>(parameter.id) else {
            return parameter;
        };
        let moments = &mut self.moments[index];
        parameter.map(|value| {
            let shape = value.shape();
            let value = value.inner().flatten(0, D - 1);
            let value = self.update.apply(value, gradient.flatten(0, D - 1), moments);
            Tensor::from_inner(value.reshape(shape)).require_grad()
        })
    }
}

impl Moments {
    fn zero(rule: Rule, parameters: usize, device: &Device) -> Self {
        let second = if rule == Rule::Sgd { 0 } else { parameters };
        Self { first: Tensor::zeros([parameters], device), second: Tensor::zeros([second], device) }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    Sgd,
    Adam,
}

/// The factors of one step, the same for every parameter.
#[derive(Clone, Copy)]
struct Update {
    rule: Rule,
    /// Multiplies the update.
    rate: f64,
    /// Momentum of gradient descent.
    momentum: f64,
    /// Added to the gradient, times the parameter.
    decay: f64,
    /// Taken from the parameter, times the parameter.
    shrinkage: f64,
    /// Multiplies the square root of the second moment.
    second_scale: f64,
}

impl Update {
    fn new(optimizer: &Optimizer, learning_rate: f64, step: usize) -> Self {
        let plain =
            Self { rule: Rule::Sgd, rate: learning_rate, momentum: 0.0, decay: 0.0, shrinkage: 0.0, second_scale: 1.0 };
        let step = step as f64;
        let adam = Self {
            rule: Rule::Adam,
            rate: learning_rate / (1.0 - BETA_1.powf(step)),
            second_scale: 1.0 / (1.0 - BETA_2.powf(step)).sqrt(),
            ..plain
        };
        match *optimizer {
            Optimizer::Sgd { momentum, weight_decay } => Self { momentum, decay: weight_decay, ..plain },
            Optimizer::Adam { weight_decay } => Self { decay: weight_decay, ..adam },
            Optimizer::AdamW { weight_decay } => Self { shrinkage: learning_rate * weight_decay, ..adam },
        }
    }

    fn apply(&self, parameter: Tensor<1>, gradient: Tensor<1>, moments: &mut Moments) -> Tensor<1> {
        let all_f32 = parameter.dtype() == DType::F32 && gradient.dtype() == DType::F32;
        if all_f32 && parameter.device() == Device::flex() {
            self.apply_in_place(parameter, gradient, moments)
        } else {
            self.apply_by_tensors(parameter, gradient, moments)
        }
    }

    /// The formulas as tensor operations, on any device.
    fn apply_by_tensors(&self, parameter: Tensor<1>, gradient: Tensor<1>, moments: &mut Moments) -> Tensor<1> {
        let gradient = gradient + parameter.clone().mul_scalar(self.decay);
        let parameter = parameter.mul_scalar(1.0 - self.shrinkage);
        match self.rule {
            Rule::Sgd => {
                moments.first = moments.first.clone().mul_scalar(self.momentum) + gradient;
                parameter - moments.first.clone().mul_scalar(self.rate)
            }
            Rule::Adam => {
                moments.first = moments.first.clone().mul_scalar(BETA_1) + gradient.clone().mul_scalar(1.0 - BETA_1);
                moments.second = moments.second.clone().mul_scalar(BETA_2) + gradient.square().mul_scalar(1.0 - BETA_2);
                let scale = moments.second.clone().sqrt().mul_scalar(self.second_scale).add_scalar(EPSILON);
                parameter - (moments.first.clone() / scale).mul_scalar(self.rate)
            }
        }
    }

    /// The same in one pass over the memory, where tensors live in the host's.
    fn apply_in_place(&self, parameter: Tensor<1>, gradient: Tensor<1>, moments: &mut Moments) -> Tensor<1> {
        let device = parameter.device();
        let mut parameter = parameter.into_data();
        let gradient = gradient.into_data();
        let mut first = take(&mut moments.first, &device);
        let mut second = take(&mut moments.second, &device);
        if let (Ok(parameter), Ok(gradient), Ok(first), Ok(second)) = (
            parameter.as_mut_slice::<f32>(),
            gradient.as_slice::<f32>(),
            first.as_mut_slice::<f32>(),
            second.as_mut_slice::<f32>(),
        ) {
            pulp::Arch::new().dispatch(|| self.apply_to_slices(parameter, gradient, first, second));
        }
        moments.first = Tensor::from_data(first, &device);
        moments.second = Tensor::from_data(second, &device);
        Tensor::from_data(parameter, &device)
    }

    #[inline(always)]
    fn apply_to_slices(&self, parameter: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let (rate, decay, keep) = (self.rate as f32, self.decay as f32, 1.0 - self.shrinkage as f32);
        let values = parameter.iter_mut().zip(gradient).zip(first);
        match self.rule {
            Rule::Sgd => {
                let momentum = self.momentum as f32;
                for ((parameter, gradient), first) in values {
                    *first = *first * momentum + (gradient + *parameter * decay);
                    *parameter = *parameter * keep - *first * rate;
                }
            }
            Rule::Adam => {
                let (beta_1, beta_2, epsilon) = (BETA_1 as f32, BETA_2 as f32, EPSILON as f32);
                let (new_1, new_2) = ((1.0 - BETA_1) as f32, (1.0 - BETA_2) as f32);
                let second_scale = self.second_scale as f32;
                for (((parameter, gradient), first), second) in values.zip(second) {
                    let gradient = gradient + *parameter * decay;
                    *first = *first * beta_1 + gradient * new_1;
                    *second = *second * beta_2 + gradient * gradient * new_2;
                    let scale = second.sqrt() * second_scale + epsilon;
                    *parameter = *parameter * keep - *first / scale * rate;
                }
            }
        }
    }
}

/// The values of a tensor that nothing else holds then, so that they move instead of being copied.
fn take(tensor: &mut Tensor<1>, device: &Device) -> TensorData {
    std::mem::replace(tensor, Tensor::empty([0], device)).into_data()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let rule = Update::new(&optimizer, 0.1, 1).rule;
            let (mut of_slices, mut of_tensors) = (Moments::zero(rule, 37, &device), Moments::zero(rule, 37, &device));
            let (mut slices, mut tensors) = (start(), start());
            for step in 1..=9 {
                let update = Update::new(&optimizer, 0.1, step);
                let gradient = || tensor((0..37).map(|i| (i as f32 * 1.3 + step as f32).cos()).collect());
                slices = update.apply_in_place(slices, gradient(), &mut of_slices);
                tensors = update.apply_by_tensors(tensors, gradient(), &mut of_tensors);
            }
            let difference: f32 = (slices - tensors).abs().max().into_scalar();
            assert!(difference < 1e-6, "{optimizer:?}: {difference}");
        }
    }
}
