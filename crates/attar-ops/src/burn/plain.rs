//! What the operations stand for, in Burn's own: for every device and kind of number, and the reference in tests.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Int, Tensor, activation as burn_activation, module};

use super::{ColumnMoments, Moving};
use crate::{Activation, Convolution};

pub(super) fn dense(input: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, activation: Activation) -> Tensor<2> {
    let output = input.matmul(weight);
    let output = match bias {
        Some(bias) => output + bias.unsqueeze(),
        None => output,
    };
    self::activation(output, activation)
}

pub(super) fn activation<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Identity => input,
        Activation::Relu => burn_activation::relu(input),
        Activation::Gelu => burn_activation::gelu(input),
        Activation::Tanh => burn_activation::tanh(input),
        Activation::Silu => burn_activation::silu(input),
    }
}

pub(super) fn squared_error<const D: usize>(
    output: Tensor<D>,
    target: Tensor<D>,
    weight: Option<Tensor<D>>,
    scale: f64,
) -> Tensor<1> {
    let errors = (output - target).square();
    let errors = match weight {
        Some(weight) => errors * weight,
        None => errors,
    };
    errors.sum() * scale
}

pub(super) fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, scale: f64) -> Tensor<1> {
    burn_activation::log_softmax(logits, 1).gather(1, labels.unsqueeze_dim(1)).sum() * -scale
}

pub(super) fn layer_norm<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let centred = input.clone() - input.mean_dim(D - 1);
    let variance = centred.clone().square().mean_dim(D - 1);
    centred / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

pub(super) fn conv2d(
    input: Tensor<3>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    shape: Convolution,
    activation: Activation,
) -> Tensor<3> {
    let Convolution { height, width, kernel, stride, padding } = shape;
    let ([samples, _, inputs], [_, outputs]) = (input.dims(), weight.dims());
    let images = input.reshape([samples, height, width, inputs]).permute([0, 3, 1, 2]);
    let kernels = weight.reshape([kernel, kernel, inputs, outputs]).permute([3, 2, 0, 1]);
    let options = ConvOptions::new([stride; 2], [padding; 2], [1; 2], 1);
    let output = module::conv2d(images, kernels, bias, options).permute([0, 2, 3, 1]);
    let [rows, columns] = shape.output();
    self::activation(output.reshape([samples, rows * columns, outputs]), activation)
}

pub(super) fn column_moments<const D: usize>(input: Tensor<D>) -> ColumnMoments {
    let shape = input.dims();
    let rows = shape[..D - 1].iter().product();
    let rows: Tensor<2> = input.detach().reshape([rows, shape[D - 1]]);
    let (variance, mean) = (rows.clone().var_bias(0), rows.mean_dim(0));
    ColumnMoments { mean: mean.flatten(0, 1), variance: variance.flatten(0, 1) }
}

pub(super) fn batch_norm<const D: usize>(
    input: Tensor<D>,
    moments: &ColumnMoments,
    moving: Moving,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let shape = input.dims();
    let rows: Tensor<2> = input.reshape([shape[..D - 1].iter().product(), shape[D - 1]]);
    let (mean, variance) = match moving {
        Moving::WithInput => (rows.clone().mean_dim(0), rows.clone().var_bias(0)),
        Moving::Not => (moments.mean.clone().unsqueeze(), moments.variance.clone().unsqueeze()),
    };
    let normalised = (rows - mean) / (variance + epsilon).sqrt();
    (normalised * gamma.unsqueeze() + beta.unsqueeze()).reshape(shape)
}

pub(super) fn group_norm(
    input: Tensor<3>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    epsilon: f64,
) -> Tensor<3> {
    let [samples, positions, channels] = input.dims();
    let of_group = channels / groups;
    let values = input.reshape([samples, positions, groups, of_group]).swap_dims(1, 2);
    let values: Tensor<3> = values.reshape([samples, groups, positions * of_group]);
    let centred = values.clone() - values.mean_dim(2);
    let normalised = centred.clone() / (centred.square().mean_dim(2) + epsilon).sqrt();
    let normalised = normalised.reshape([samples, groups, positions, of_group]).swap_dims(1, 2);
    normalised.reshape([samples, positions, channels]) * gamma.unsqueeze() + beta.unsqueeze()
}
