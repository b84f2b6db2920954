//! The operations on tensors in the host's memory, over the functions on slices.

use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, backend_extension};

use super::values::{Host, changed, matrix, readable, row_major, slice, tensor, with_float};
use crate::network::Target;
use crate::{Activation, LayerNormGradient, Moments, Precision};

/// A tensor that may be absent.
#[derive(Debug, ExtensionType)]
pub(crate) enum Optional<B: Backend> {
    Some(FloatTensor<B>),
    None,
}

/// The operations of the parent module, on `f32` or `f64` and shapes that fit.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait HostOps: Backend {
    fn dense(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    fn activation(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;

    fn squared_error(
        output: FloatTensor<Self>,
        target: FloatTensor<Self>,
        #[extension_type] weight: Optional<Self>,
        scale: f64,
    ) -> FloatTensor<Self>;

    /// The labels are below the classes.
    fn cross_entropy(logits: FloatTensor<Self>, labels: Vec<u32>, scale: f64) -> FloatTensor<Self>;

    fn layer_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

impl HostOps for Flex {
    fn dense(input: FlexTensor, weight: FlexTensor, bias: Optional<Self>, activation: Activation) -> FlexTensor {
        dense(&input, &weight, bias.as_ref(), activation, Slopes::Forgotten).0
    }

    fn activation(input: FlexTensor, activation: Activation) -> FlexTensor {
        activate(input, None, activation, Slopes::Forgotten).0
    }

    fn squared_error(output: FlexTensor, target: FlexTensor, weight: Optional<Self>, scale: f64) -> FlexTensor {
        squared_error(output, &target, weight.as_ref(), scale).0
    }

    fn cross_entropy(logits: FlexTensor, labels: Vec<u32>, scale: f64) -> FlexTensor {
        cross_entropy(logits, &labels, scale).0
    }

    fn layer_norm(input: FlexTensor, gamma: FlexTensor, beta: FlexTensor, epsilon: f64) -> FlexTensor {
        layer_norm(&input, &gamma, &beta, epsilon).0
    }
}

impl Optional<Flex> {
    pub(super) fn as_ref(&self) -> Option<&FlexTensor> {
        match self {
            Self::Some(tensor) => Some(tensor),
            Self::None => None,
        }
    }
}

/// Whether an activation leaves what its slopes are known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slopes {
    Kept,
    Forgotten,
}

/// The output `[rows, outputs]`, and what [`through_activation`] needs.
pub(super) fn dense(
    input: &FlexTensor,
    weight: &FlexTensor,
    bias: Option<&FlexTensor>,
    activation: Activation,
    slopes: Slopes,
) -> (FlexTensor, Option<FlexTensor>) {
    activate(product(input, weight), bias, activation, slopes)
}

/// The activation of each value after the bias is added, and what [`through_activation`] needs.
pub(super) fn activate(
    values: FlexTensor,
    bias: Option<&FlexTensor>,
    activation: Activation,
    slopes: Slopes,
) -> (FlexTensor, Option<FlexTensor>) {
    let bias = bias.map(row_major);
    let keeps_slopes = slopes == Slopes::Kept && activation.keeps_slopes();
    let count = if keeps_slopes { values.layout().num_elements() } else { 0 };
    with_float!(values, T => {
        let mut slope_values: Vec<T> = vec![0.0; count];
        let apply = |values: &mut [T]| {
            activation.add_bias_and_apply(values, bias.as_ref().map(slice), &mut slope_values);
        };
        let (output, ()) = changed(values, apply);
        let kept = match (slopes, activation) {
            (Slopes::Forgotten, _) | (_, Activation::Identity) => None,
            _ if keeps_slopes => Some(tensor(slope_values, output.layout().shape().clone())),
            _ => Some(output.clone()),
        };
        (output, kept)
    })
}

/// The gradient before the activation from that after it, and from what the activation left.
pub(super) fn through_activation(
    gradient: FlexTensor,
    activation: Activation,
    kept: Option<&FlexTensor>,
) -> FlexTensor {
    let Some(kept) = kept else {
        return gradient;
    };
    with_float!(gradient, T => {
        let kept = slice::<T>(kept);
        changed(gradient, |gradient| activation.multiply_by_slope(gradient, kept, kept)).0
    })
}

/// `left right` of two matrices.
pub(super) fn product(left: &FlexTensor, right: &FlexTensor) -> FlexTensor {
    let (left, right) = (readable(left), readable(right));
    with_float!(left, T => {
        let (left, right) = (matrix::<T>(&left), matrix::<T>(&right));
        let mut out = vec![0.0; left.rows() * right.columns()];
        crate::product(Precision::Full, &mut out, left, right);
        tensor(out, [left.rows(), right.columns()])
    })
}

/// The sum of each column of a matrix.
pub(super) fn column_sums(values: &FlexTensor) -> FlexTensor {
    let columns = values.layout().shape()[1];
    let values = row_major(values);
    with_float!(values, T => {
        let mut sums = vec![0.0; columns];
        crate::column_sums(slice::<T>(&values), &mut sums);
        tensor(sums, [columns])
    })
}

/// The loss `[1]` and its gradient by the output.
pub(super) fn squared_error(
    output: FlexTensor,
    target: &FlexTensor,
    weight: Option<&FlexTensor>,
    scale: f64,
) -> (FlexTensor, FlexTensor) {
    let (target, weight) = (row_major(target), weight.map(row_major));
    with_float!(output, T => {
        let target = Target::<T> { values: slice(&target), weight: weight.as_ref().map(slice), scale };
        let (gradient, loss) = changed(output, |output| crate::squared_error(output, &target));
        (scalar::<T>(loss), gradient)
    })
}

/// The loss `[1]` and its gradient by the logits.
pub(super) fn cross_entropy(logits: FlexTensor, labels: &[u32], scale: f64) -> (FlexTensor, FlexTensor) {
    let classes = logits.layout().shape()[1];
    with_float!(logits, T => {
        let loss = |logits: &mut [T]| crate::cross_entropy(logits, classes, labels, scale);
        let (gradient, loss) = changed(logits, loss);
        // The labels were checked; a loss without them would be none.
        (scalar::<T>(loss.unwrap_or(f64::NAN)), gradient)
    })
}

fn scalar<T: Host>(value: f64) -> FlexTensor {
    tensor(vec![T::from_f64(value)], [1])
}

/// The values times that of the scalar `[1]`.
pub(super) fn scaled(values: FlexTensor, by: &FlexTensor) -> FlexTensor {
    with_float!(values, T => match slice::<T>(by) {
        [1.0] => values,
        by => {
            let by = by.iter().sum::<T>();
            changed(values, |values: &mut [T]| values.iter_mut().for_each(|value| *value *= by)).0
        }
    })
}

/// The normalised input, and the moments that [`layer_norm_backward`] needs.
pub(super) fn layer_norm(
    input: &FlexTensor,
    gamma: &FlexTensor,
    beta: &FlexTensor,
    epsilon: f64,
) -> (FlexTensor, Vec<Moments>) {
    let [values, gamma, beta] = [input, gamma, beta].map(row_major);
    with_float!(input, T => {
        let values = slice::<T>(&values);
        let mut out = vec![0.0; values.len()];
        let moments = crate::layer_norm(values, slice(&gamma), slice(&beta), epsilon, &mut out);
        (tensor(out, input.layout().shape().clone()), moments)
    })
}

/// The gradients by input, gamma and beta.
pub(super) fn layer_norm_backward(
    input: &FlexTensor,
    gamma: &FlexTensor,
    moments: &[Moments],
    of_output: &FlexTensor,
) -> [FlexTensor; 3] {
    let [values, scales, of_output] = [input, gamma, of_output].map(row_major);
    with_float!(input, T => {
        let gradient = crate::layer_norm_backward::<T>(slice(&values), slice(&scales), moments, slice(&of_output));
        let LayerNormGradient { input: of_input, gamma: of_gamma, beta: of_beta } = gradient;
        let columns = [of_gamma.len()];
        [tensor(of_input, input.layout().shape().clone()), tensor(of_gamma, columns), tensor(of_beta, columns)]
    })
}
