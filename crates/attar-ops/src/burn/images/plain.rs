//! What the operations stand for, in Burn's own.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Int, Tensor, module};

use super::super::plain::activation as activate;
use super::{ColumnMoments, Moving};
use crate::{Activation, Convolution, Shortcut};

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
    activate(output.reshape([samples, rows * columns, outputs]), activation)
}

pub(super) fn column_moments(rows: Tensor<2>) -> ColumnMoments {
    let (variance, mean) = (rows.clone().var_bias(0), rows.mean_dim(0));
    ColumnMoments { mean: mean.squeeze_dim(0), variance: variance.squeeze_dim(0) }
}

pub(super) fn batch_norm<const D: usize>(
    input: Tensor<D>,
    (moments, moving): (&ColumnMoments, Moving),
    [gamma, beta]: [Tensor<1>; 2],
    epsilon: f64,
    activation: Activation,
) -> Tensor<D> {
    let shape = input.dims();
    let rows: Tensor<2> = input.reshape([shape[..D - 1].iter().product(), shape[D - 1]]);
    let (mean, variance) = match moving {
        Moving::WithInput => {
            let mean = rows.clone().mean_dim(0);
            (mean.clone(), (rows.clone() - mean).square().mean_dim(0))
        }
        Moving::Not => (moments.mean.clone().unsqueeze(), moments.variance.clone().unsqueeze()),
    };
    let normalised = (rows - mean) / (variance + epsilon).sqrt();
    activate((normalised * gamma.unsqueeze() + beta.unsqueeze()).reshape(shape), activation)
}

pub(super) fn group_norm(
    input: Tensor<3>,
    [gamma, beta]: [Tensor<1>; 2],
    groups: usize,
    epsilon: f64,
    activation: Activation,
) -> Tensor<3> {
    let [samples, positions, channels] = input.dims();
    let of_group = channels / groups;
    let values = input.reshape([samples, positions, groups, of_group]).swap_dims(1, 2);
    let values: Tensor<3> = values.reshape([samples, groups, positions * of_group]);
    let centred = values.clone() - values.mean_dim(2);
    let normalised = centred.clone() / (centred.square().mean_dim(2) + epsilon).sqrt();
    let normalised = normalised.reshape([samples, groups, positions, of_group]).swap_dims(1, 2);
    activate(normalised.reshape([samples, positions, channels]) * gamma.unsqueeze() + beta.unsqueeze(), activation)
}

pub(super) fn residual_sum(branch: Tensor<3>, input: Tensor<3>, shape: Shortcut, activation: Activation) -> Tensor<3> {
    let Shortcut { height, width, stride, inputs, outputs } = shape;
    let device = input.device();
    let columns = |row: usize| (0..width).step_by(stride).map(move |column| (row * width + column) as i64);
    let pixels: Vec<i64> = (0..height).step_by(stride).flat_map(columns).collect();
    let kept = input.select(1, Tensor::<1, Int>::from_data(pixels.as_slice(), &device));
    let [samples, pixels, _] = kept.dims();
    let zeros = Tensor::zeros([samples, pixels, outputs - inputs], (&device, kept.dtype()));
    let shortcut = if inputs == outputs { kept } else { Tensor::cat(vec![kept, zeros], 2) };
    activate(branch + shortcut, activation)
}
