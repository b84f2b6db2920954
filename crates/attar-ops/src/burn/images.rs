//! What convolutional networks are made of beside dense layers: convolutions, and norms over many values at once.

use burn::tensor::Tensor;

use super::plain;
use crate::{Activation, Convolution};

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
    plain::conv2d(input, weight, bias, shape, activation)
}

/// Means and variances of columns, which a batch norm subtracts and divides by.
#[derive(Clone, Debug)]
pub struct ColumnMoments {
    /// `[columns]`
    pub mean: Tensor<1>,
    /// `[columns]`, dividing by the number of values.
    pub variance: Tensor<1>,
}

/// Whether the moments move with the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moving {
    /// They are the input's own: the gradient goes through them too.
    WithInput,
    /// They are constants.
    Not,
}

/// The moments over all axes but the last, for input `[.., columns]`; constants to autodiff.
pub fn column_moments<const D: usize>(input: &Tensor<D>) -> ColumnMoments {
    plain::column_moments(input.clone())
}

/// `gamma (input - mean) / sqrt(variance + epsilon) + beta` (Ioffe & Szegedy 2015, algorithm 1), for input
/// `[.., columns]`, gamma and beta `[columns]`. In training the moments are [`column_moments`] of the input, and
/// [`Moving::WithInput`].
///
/// # Panics
/// If the shapes do not fit each other.
pub fn batch_norm<const D: usize>(
    input: Tensor<D>,
    moments: &ColumnMoments,
    moving: Moving,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let columns = gamma.dims();
    assert_eq!(input.dims().last(), columns.first(), "columns of the input for {columns:?} scales");
    assert_eq!([beta.dims(), moments.mean.dims(), moments.variance.dims()], [columns; 3], "shifts and moments");
    plain::batch_norm(input, moments, moving, gamma, beta, epsilon)
}

/// `gamma (input - mean) / sqrt(variance + epsilon) + beta`, mean and variance over all positions and the channels of a
/// group of each sample (Wu & He 2018, eq. 7), for input `[samples, positions, channels]`, gamma and beta `[channels]`.
///
/// # Panics
/// If the shapes do not fit each other, or the channels do not fall into so many groups.
pub fn group_norm(input: Tensor<3>, gamma: Tensor<1>, beta: Tensor<1>, groups: usize, epsilon: f64) -> Tensor<3> {
    let [_, _, channels] = input.dims();
    assert_eq!([gamma.dims(), beta.dims()], [[channels]; 2], "scales and shifts for {channels} channels");
    assert!(groups > 0 && channels.is_multiple_of(groups), "{channels} channels in {groups} groups");
    plain::group_norm(input, gamma, beta, groups, epsilon)
}
