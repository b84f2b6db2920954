//! The operations for Burn's tensors, forward and backward.
//!
//! Where all tensors are in the host's memory (Burn's Flex backend, with or without autodiff), and all `f32` or all
//! `f64`, these run as one operation each, on the tensors' own memory, with gradients written by hand. Everywhere else
//! they are the plain Burn operations that they stand for, and as differentiable.
//!
//! As with Burn's own operations, shapes that do not fit are a panic, and so are tensors on different devices.

mod graph;
mod host;
mod images;
mod plain;
#[cfg(test)]
mod tests;
pub mod values;

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Int, Tensor};

pub use self::images::{ColumnMoments, Moving, batch_norm, column_moments, conv2d, group_norm, residual_sum};

use self::host::{HostOps, Optional};
use crate::{Activation, LabelOutOfRange};

/// `activation(input weight + bias)` for input `[.., inputs]`, weight `[inputs, outputs]` and bias `[outputs]`: gives
/// `[.., outputs]`.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn dense<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<D> {
    let [inputs, outputs] = weight.dims();
    let mut shape = input.dims();
    assert_eq!(shape.last(), Some(&inputs), "columns of the input for a weight of {inputs} rows");
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "biases for a weight of {outputs} columns");
    }
    let rows = shape[..D - 1].iter().product();
    let input = shaped(input, [rows, inputs]);
    let fused = on_host(&input).is_some()
        && on_host(&input) == on_host(&weight)
        && bias.as_ref().is_none_or(|bias| on_host(bias) == on_host(&weight));
    let output = if fused {
        let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
        Tensor::from_dispatch(Dispatch::dense(input, weight, optional(bias), activation))
    } else {
        plain::dense(input, weight, bias, activation)
    };
    shape[D - 1] = outputs;
    shaped(output, shape)
}

/// The activation of each value.
pub fn activation<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    if on_host(&input).is_some() {
        Tensor::from_dispatch(Dispatch::activation(input.into_dispatch(), activation))
    } else {
        plain::activation(input, activation)
    }
}

/// `x Phi(x)` of each value, with the error function (Hendrycks & Gimpel 2016, eq. 1).
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activation(input, Activation::Gelu)
}

/// `scale * sum of weight * (output - target)^2`, `[1]`; every weight is 1 where there are none.
///
/// # Panics
/// If the shapes are not the same.
pub fn squared_error<const D: usize>(
    output: Tensor<D>,
    target: Tensor<D>,
    weight: Option<Tensor<D>>,
    scale: f64,
) -> Tensor<1> {
    assert_eq!(target.dims(), output.dims(), "a target shaped as the output");
    if let Some(weight) = &weight {
        assert_eq!(weight.dims(), output.dims(), "weights shaped as the output");
    }
    let fused = on_host(&output).is_some()
        && on_host(&output) == on_host(&target)
        && weight.as_ref().is_none_or(|weight| on_host(weight) == on_host(&output));
    if fused {
        let (output, target) = (output.into_dispatch(), target.into_dispatch());
        Tensor::from_dispatch(Dispatch::squared_error(output, target, optional(weight), scale))
    } else {
        plain::squared_error(output, target, weight, scale)
    }
}

/// `scale * sum over samples of -ln softmax(logits)[label]`, `[1]`, for logits `[samples, classes]` and labels
/// `[samples]`. A `scale` of one over the samples makes it the mean.
///
/// The labels are read on the host, to be checked: on another device that waits for what computes them.
///
/// # Errors
/// A label that is negative or not below the classes.
///
/// # Panics
/// If there is not one label for each sample.
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, scale: f64) -> Result<Tensor<1>, LabelOutOfRange> {
    let [samples, classes] = logits.dims();
    assert_eq!(labels.dims(), [samples], "labels for {samples} samples");
    let checked = checked_labels(&labels, classes)?;
    Ok(if on_host(&logits).is_some() {
        Tensor::from_dispatch(Dispatch::cross_entropy(logits.into_dispatch(), checked, scale))
    } else {
        plain::cross_entropy(logits, labels, scale)
    })
}

/// `gamma (input - mean) / sqrt(variance + epsilon) + beta`, mean and variance over the last axis (Ba et al. 2016,
/// eq. 4), for input `[.., columns]`, gamma and beta `[columns]`.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn layer_norm<const D: usize>(input: Tensor<D>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let shape = input.dims();
    let [columns] = gamma.dims();
    assert_eq!(shape.last(), Some(&columns), "columns of the input for {columns} scales");
    assert_eq!(beta.dims(), [columns], "shifts for {columns} scales");
    let fused = on_host(&input).is_some() && [on_host(&gamma), on_host(&beta)] == [on_host(&input); 2];
    if fused {
        let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
        Tensor::from_dispatch(Dispatch::layer_norm(input.into_dispatch(), gamma, beta, epsilon))
    } else {
        plain::layer_norm(input, gamma, beta, epsilon)
    }
}

/// The tensor's kind of number, where it is one that the operations here take, in the host's memory: `f32` or `f64`.
pub fn on_host<const D: usize>(tensor: &Tensor<D>) -> Option<DType> {
    let dtype = tensor.dtype();
    // Burn's devices are equal whether autodiff follows them or not.
    (tensor.device() == Device::flex() && matches!(dtype, DType::F32 | DType::F64)).then_some(dtype)
}

/// The tensor in another shape. Burn's own reshape copies what has strides, even for the shape that it has.
fn shaped<const D: usize, const E: usize>(tensor: Tensor<D>, shape: [usize; E]) -> Tensor<E> {
    if tensor.dims()[..] == shape[..] { Tensor::from_dispatch(tensor.into_dispatch()) } else { tensor.reshape(shape) }
}

fn optional<const D: usize>(tensor: Option<Tensor<D>>) -> Optional<Dispatch> {
    tensor.map_or(Optional::None, |tensor| Optional::Some(tensor.into_dispatch()))
}

fn checked_labels(labels: &Tensor<1, Int>, classes: usize) -> Result<Vec<u32>, LabelOutOfRange> {
    let labels = labels.to_data();
    let check = |(sample, label): (usize, i64)| match u32::try_from(label) {
        Ok(checked) if (checked as usize) < classes => Ok(checked),
        _ => Err(LabelOutOfRange { sample, label, classes }),
    };
    labels.iter::<i64>().enumerate().map(check).collect()
}
