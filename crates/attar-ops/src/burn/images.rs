//! What convolutional networks are made of beside dense layers: convolutions, norms over many values at once, shortcuts.

mod graph;
mod host;
mod plain;
#[cfg(test)]
mod tests;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use self::host::{ImageOps, NormSettings};
use super::{on_host, optional};
use crate::{Activation, Convolution, Shortcut};

/// `activation(convolution + bias)` for input `[samples, height * width, inputs]`, weight
/// `[kernel * kernel * inputs, outputs]` (rows of a kernel, its columns, channels) and bias `[outputs]`: gives
/// `[samples, height * width of the output, outputs]`. As everywhere in networks, kernels are not turned around.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn conv2d(
    input: Tensor<3>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    shape: Convolution,
    activation: Activation,
) -> Tensor<3> {
    let [_, pixels, inputs] = input.dims();
    let [rows, outputs] = weight.dims();
    assert_eq!(pixels, shape.height * shape.width, "pixels of an image");
    assert_eq!(rows, shape.kernel * shape.kernel * inputs, "rows of the weight for {inputs} channels");
    if let Some(bias) = &bias {
        assert_eq!(bias.dims(), [outputs], "biases for {outputs} channels");
    }
    let fused = on_host(&input).is_some()
        && on_host(&input) == on_host(&weight)
        && bias.as_ref().is_none_or(|bias| on_host(bias) == on_host(&weight));
    if fused {
        let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
        Tensor::from_dispatch(Dispatch::conv2d_of_images(input, weight, optional(bias), shape, activation))
    } else {
        plain::conv2d(input, weight, bias, shape, activation)
    }
}

/// Means and variances of columns, which a batch norm subtracts and divides by.
#[derive(Clone, Debug)]
pub struct ColumnMoments {
    /// `[columns]`
    pub mean: Tensor<1>,
    /// `[columns]`, dividing by the number of values.
    pub variance: Tensor<1>,
}

/// Whether moments move with the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moving {
    /// They are the input's own: the gradient goes through them too.
    WithInput,
    /// They are constants.
    Not,
}

/// The moments over all axes but the last, for input `[.., columns]`; constants to autodiff.
pub fn column_moments<const D: usize>(input: &Tensor<D>) -> ColumnMoments {
    let shape = input.dims();
    let rows: usize = shape[..D - 1].iter().product();
    let input = input.clone().without_autodiff();
    if on_host(&input).is_none() {
        return plain::column_moments(input.reshape([rows, shape[D - 1]]));
    }
    let moments: Tensor<2> = Tensor::from_dispatch(Dispatch::column_moments(input.into_dispatch()));
    let [mean, variance] = [0, 1].map(|row| moments.clone().narrow(0, row, 1).squeeze_dim(0));
    ColumnMoments { mean, variance }
}

/// `activation(gamma (input - mean) / sqrt(variance + epsilon) + beta)` (Ioffe & Szegedy 2015, algorithm 1), for input
/// `[.., columns]`, gamma and beta `[columns]`. In training the moments are [`column_moments`] of the input, and
/// [`Moving::WithInput`].
///
/// # Panics
/// If the shapes do not fit each other.
pub fn batch_norm<const D: usize>(
    input: Tensor<D>,
    (moments, moving): (&ColumnMoments, Moving),
    [gamma, beta]: [Tensor<1>; 2],
    epsilon: f64,
    activation: Activation,
) -> Tensor<D> {
    let columns = gamma.dims();
    assert_eq!(input.dims().last(), columns.first(), "columns of the input for {columns:?} scales");
    assert_eq!([beta.dims(), moments.mean.dims(), moments.variance.dims()], [columns; 3], "shifts and moments");
    let others = [&gamma, &beta, &moments.mean, &moments.variance];
    if on_host(&input).is_none() || others.iter().any(|other| on_host(other) != on_host(&input)) {
        return plain::batch_norm(input, (moments, moving), [gamma, beta], epsilon, activation);
    }
    let ColumnMoments { mean, variance } = moments.clone();
    let moments: Tensor<2> = Tensor::stack(vec![mean.without_autodiff(), variance.without_autodiff()], 0);
    let (rectified, then) = rectifier(activation);
    let settings = NormSettings { moving, groups: 0, epsilon, rectified };
    let [input, moments] = [input.into_dispatch(), moments.into_dispatch()];
    let [gamma, beta] = [gamma, beta].map(Tensor::into_dispatch);
    super::activation(Tensor::from_dispatch(Dispatch::batch_norm(input, moments, gamma, beta, settings)), then)
}

/// `activation(gamma (input - mean) / sqrt(variance + epsilon) + beta)`, mean and variance over all positions and the
/// channels of a group of each sample (Wu & He 2018, eq. 7), for input `[samples, positions, channels]`, gamma and beta
/// `[channels]`.
///
/// # Panics
/// If the shapes do not fit each other, or the channels do not fall into so many groups.
pub fn group_norm(
    input: Tensor<3>,
    [gamma, beta]: [Tensor<1>; 2],
    groups: usize,
    epsilon: f64,
    activation: Activation,
) -> Tensor<3> {
    let [_, positions, channels] = input.dims();
    assert_eq!([gamma.dims(), beta.dims()], [[channels]; 2], "scales and shifts for {channels} channels");
    assert!(groups > 0 && channels.is_multiple_of(groups), "{channels} channels in {groups} groups");
    let others = [&gamma, &beta];
    let fused = on_host(&input).is_some() && others.iter().all(|other| on_host(other) == on_host(&input));
    if !fused || positions * channels == 0 {
        return plain::group_norm(input, [gamma, beta], groups, epsilon, activation);
    }
    let (rectified, then) = rectifier(activation);
    let settings = NormSettings { moving: Moving::WithInput, groups, epsilon, rectified };
    let [gamma, beta] = [gamma, beta].map(Tensor::into_dispatch);
    super::activation(Tensor::from_dispatch(Dispatch::group_norm(input.into_dispatch(), gamma, beta, settings)), then)
}

/// `activation(branch + shortcut of input)`, for a branch `[samples, pixels kept, outputs]` and an input
/// `[samples, height * width, inputs]` (He et al. 2015, section 3.3, option A).
///
/// # Panics
/// If the shapes do not fit each other.
pub fn residual_sum(branch: Tensor<3>, input: Tensor<3>, shape: Shortcut, activation: Activation) -> Tensor<3> {
    let [samples, pixels, outputs] = branch.dims();
    assert_eq!([pixels, outputs], [shape.pixels(), shape.outputs], "pixels and channels of the branch");
    assert_eq!(input.dims(), [samples, shape.height * shape.width, shape.inputs], "the input of a shortcut");
    if on_host(&input).is_none() || on_host(&branch) != on_host(&input) || input.dims().contains(&0) {
        return plain::residual_sum(branch, input, shape, activation);
    }
    let (rectified, then) = rectifier(activation);
    let [branch, input] = [branch, input].map(Tensor::into_dispatch);
    super::activation(Tensor::from_dispatch(Dispatch::residual_sum(branch, input, shape, rectified)), then)
}

/// Whether the operation rectifies, and what is left to be done after it.
fn rectifier(activation: Activation) -> (bool, Activation) {
    match activation {
        Activation::Relu => (true, Activation::Identity),
        other => (false, other),
    }
}
