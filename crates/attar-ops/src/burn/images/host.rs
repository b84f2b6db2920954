//! The operations on tensors in the host's memory, over the functions on slices.

use burn::backend::flex::{Flex, FlexTensor};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

use super::super::host::{Optional, Slopes, activate};
use super::super::values::{Host, row_major, slice, tensor, with_float};
use super::Moving;
use crate::{Activation, BatchNorm, Convolution, GroupNorm, Moments, NormGradient, Shortcut};

/// What a normalisation is, beside its tensors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormSettings {
    pub(super) moving: Moving,
    /// Of a group norm.
    pub(super) groups: usize,
    pub(super) epsilon: f64,
    pub(super) rectified: bool,
}

/// The operations of the parent module, on `f32` or `f64` and shapes that fit.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait ImageOps: Backend {
    fn conv2d_of_images(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        #[extension_type] bias: Optional<Self>,
        shape: Convolution,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// `[2, columns]`: means and variances.
    fn column_moments(input: FloatTensor<Self>) -> FloatTensor<Self>;

    fn batch_norm(
        input: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: NormSettings,
    ) -> FloatTensor<Self>;

    fn group_norm(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        settings: NormSettings,
    ) -> FloatTensor<Self>;

    fn residual_sum(
        branch: FloatTensor<Self>,
        input: FloatTensor<Self>,
        shape: Shortcut,
        rectified: bool,
    ) -> FloatTensor<Self>;
}

impl ImageOps for Flex {
    fn conv2d_of_images(
        input: FlexTensor,
        weight: FlexTensor,
        bias: Optional<Self>,
        shape: Convolution,
        activation: Activation,
    ) -> FlexTensor {
        conv2d(&input, &weight, bias.as_ref(), (shape, activation), Slopes::Forgotten).0
    }

    fn column_moments(input: FlexTensor) -> FlexTensor {
        let columns = last(&input);
        let values = row_major(&input);
        with_float!(values, T => {
            let [mean, variance] = crate::column_moments::<T>(slice(&values), columns);
            tensor([mean, variance].concat(), [2, columns])
        })
    }

    fn batch_norm(
        input: FlexTensor,
        moments: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        settings: NormSettings,
    ) -> FlexTensor {
        batch_norm(&input, [&moments, &gamma, &beta], settings)
    }

    fn group_norm(input: FlexTensor, gamma: FlexTensor, beta: FlexTensor, settings: NormSettings) -> FlexTensor {
        group_norm(&input, [&gamma, &beta], settings).0
    }

    fn residual_sum(branch: FlexTensor, input: FlexTensor, shape: Shortcut, rectified: bool) -> FlexTensor {
        let [values, input] = [&branch, &input].map(row_major);
        with_float!(values, T => {
            let sum = shape.sum::<T>(slice(&values), slice(&input), rectified);
            tensor(sum, branch.layout().shape().clone())
        })
    }
}

fn last(tensor: &FlexTensor) -> usize {
    tensor.layout().shape().last().copied().unwrap_or(0)
}

/// Channels that come in and go out.
fn channels(input: &FlexTensor, weight: &FlexTensor) -> [usize; 2] {
    [input, weight].map(last)
}

/// The output, and what the activation's gradient needs.
pub(super) fn conv2d(
    input: &FlexTensor,
    weight: &FlexTensor,
    bias: Option<&FlexTensor>,
    (shape, activation): (Convolution, Activation),
    slopes: Slopes,
) -> (FlexTensor, Option<FlexTensor>) {
    let channels @ [_, outputs] = channels(input, weight);
    let samples = input.layout().shape()[0];
    let [input, weight] = [input, weight].map(row_major);
    let [rows, columns] = shape.output();
    let output = with_float!(input, T => {
        let output = crate::conv2d::<T>(slice(&input), slice(&weight), shape, channels);
        tensor(output, [samples, rows * columns, outputs])
    });
    activate(output, bias, activation, slopes)
}

/// The gradients of input, if it is wanted, and weight.
pub(super) fn conv2d_backward(
    input: &FlexTensor,
    weight: &FlexTensor,
    shape: Convolution,
    of_output: &FlexTensor,
    wanted: bool,
) -> (Option<FlexTensor>, FlexTensor) {
    let channels = channels(input, weight);
    let shapes = [input, weight].map(|tensor| tensor.layout().shape().clone());
    let [input, weight, of_output] = [input, weight, of_output].map(row_major);
    with_float!(input, T => {
        let (values, factors, of_output) = (slice::<T>(&input), slice(&weight), slice(&of_output));
        let gradient = crate::conv2d_backward(values, factors, shape, channels, of_output, wanted);
        let [of_input, of_weight] = shapes;
        (gradient.input.map(|values| tensor(values, of_input)), tensor(gradient.weight, of_weight))
    })
}

/// The normalised input, by moments, gamma and beta.
pub(super) fn batch_norm(input: &FlexTensor, parameters: [&FlexTensor; 3], settings: NormSettings) -> FlexTensor {
    let (values, parameters) = (row_major(input), parameters.map(row_major));
    with_float!(values, T => {
        let output = of_batch::<T>(&parameters, settings).forward(slice(&values));
        tensor(output, input.layout().shape().clone())
    })
}

/// The gradients of input, gamma and beta.
pub(super) fn batch_norm_backward(
    input: &FlexTensor,
    parameters: [&FlexTensor; 3],
    settings: NormSettings,
    of_output: &FlexTensor,
) -> [FlexTensor; 3] {
    let ([values, of_output], parameters) = ([input, of_output].map(row_major), parameters.map(row_major));
    with_float!(values, T => {
        let moving = settings.moving == Moving::WithInput;
        let norm = of_batch::<T>(&parameters, settings);
        gradients(norm.backward(slice(&values), slice(&of_output), moving), input)
    })
}

fn of_batch<T: Host>([moments, gamma, beta]: &[FlexTensor; 3], settings: NormSettings) -> BatchNorm<'_, T> {
    let (mean, variance) = slice(moments).split_at(last(gamma));
    let NormSettings { epsilon, rectified, .. } = settings;
    BatchNorm { mean, variance, gamma: slice(gamma), beta: slice(beta), epsilon, rectified }
}

/// The normalised input, by gamma and beta; and the moments that the gradients need.
pub(super) fn group_norm(
    input: &FlexTensor,
    parameters: [&FlexTensor; 2],
    settings: NormSettings,
) -> (FlexTensor, Vec<Moments>) {
    let (values, parameters) = (row_major(input), parameters.map(row_major));
    with_float!(values, T => {
        let (output, moments) = of_groups::<T>(input, &parameters, settings).forward(slice(&values));
        (tensor(output, input.layout().shape().clone()), moments)
    })
}

/// The gradients of input, gamma and beta.
pub(super) fn group_norm_backward(
    input: &FlexTensor,
    parameters: [&FlexTensor; 2],
    settings: NormSettings,
    moments: &[Moments],
    of_output: &FlexTensor,
) -> [FlexTensor; 3] {
    let ([values, of_output], parameters) = ([input, of_output].map(row_major), parameters.map(row_major));
    with_float!(values, T => {
        let norm = of_groups::<T>(input, &parameters, settings);
        gradients(norm.backward(slice(&values), moments, slice(&of_output)), input)
    })
}

fn of_groups<'a, T: Host>(
    input: &FlexTensor,
    [gamma, beta]: &'a [FlexTensor; 2],
    settings: NormSettings,
) -> GroupNorm<'a, T> {
    let NormSettings { groups, epsilon, rectified, .. } = settings;
    let positions = input.layout().shape()[1];
    GroupNorm { positions, groups, gamma: slice(gamma), beta: slice(beta), epsilon, rectified }
}

fn gradients<T: Host>(gradient: NormGradient<T>, input: &FlexTensor) -> [FlexTensor; 3] {
    let NormGradient { input: of_input, gamma, beta } = gradient;
    let columns = [gamma.len()];
    [tensor(of_input, input.layout().shape().clone()), tensor(gamma, columns), tensor(beta, columns)]
}

/// The gradients of branch and input; `output` only where there is a rectifier.
pub(super) fn residual_sum_backward(
    shape: Shortcut,
    output: Option<&FlexTensor>,
    of_output: &FlexTensor,
) -> [FlexTensor; 2] {
    let samples = of_output.layout().shape()[0];
    let (output, of_output) = (output.map(row_major), row_major(of_output));
    with_float!(of_output, T => {
        let [branch, input] = shape.backward::<T>(output.as_ref().map(slice), slice(&of_output));
        let pixels = shape.height * shape.width;
        [tensor(branch, [samples, shape.pixels(), shape.outputs]), tensor(input, [samples, pixels, shape.inputs])]
    })
}
