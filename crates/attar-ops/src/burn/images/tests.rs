//! Fused against plain Burn operations through Burn's autodiff, on inputs however they lie in memory.

use burn::tensor::{DType, Device, Tensor};

use super::super::tests::{ALL, check, row};
use super::{Moving, batch_norm, column_moments, conv2d, group_norm, plain, residual_sum};
use crate::{Activation, Convolution, Shortcut};

const EPSILON: f64 = 1e-3;

/// `[samples, pixels, channels]` of a leaf, which may lie the other way round.
fn images(leaf: &Tensor<2>, [samples, pixels, channels]: [usize; 3], turned: bool) -> Tensor<3> {
    if turned {
        leaf.clone().reshape([channels, pixels, samples]).swap_dims(0, 2)
    } else {
        leaf.clone().reshape([samples, pixels, channels])
    }
}

#[test]
fn convolutions_are_burns_with_every_activation() {
    let shape = Convolution { height: 5, width: 4, kernel: 3, stride: 2, padding: 1 };
    for (index, activation) in ALL.into_iter().enumerate() {
        for bias in [false, true] {
            let leaves = [[3, 5 * 4 * 2], [9 * 2, 5], [1, 5]];
            let run = |conv2d: fn(Tensor<3>, Tensor<2>, Option<Tensor<1>>, Convolution, Activation) -> Tensor<3>| {
                move |leaves: &[Tensor<2>]| {
                    let input = images(&leaves[0], [3, 20, 2], index % 2 == 1);
                    conv2d(input, leaves[1].clone(), leaves.get(2).map(row), shape, activation)
                }
            };
            let leaves = &leaves[..if bias { 3 } else { 2 }];
            check(leaves, (activation, bias), 2.0, run(conv2d), run(plain::conv2d));
        }
    }
}

#[test]
fn batch_norms_are_burns_with_every_activation() {
    for (index, activation) in ALL.into_iter().enumerate() {
        for moving in [Moving::WithInput, Moving::Not] {
            let leaves = [[7, 6 * 3], [1, 3], [1, 3], [1, 3]];
            let run = |fused: bool| {
                move |leaves: &[Tensor<2>]| {
                    let input = images(&leaves[0], [7, 6, 3], index % 2 == 1);
                    let parameters = [row(&leaves[1]), row(&leaves[2])];
                    // Of another input, if they do not move; the leaf gets no gradient either way.
                    let of = if moving == Moving::Not { input.clone().mul_scalar(0.5) } else { input.clone() };
                    let norm = if fused { batch_norm } else { plain::batch_norm };
                    let output = norm(input, (&column_moments(&of), moving), parameters, EPSILON, activation);
                    output + leaves[3].clone().unsqueeze()
                }
            };
            check(&leaves, (activation, moving), 4.0, run(true), run(false));
        }
    }
}

#[test]
fn group_norms_are_burns_with_every_activation() {
    for (index, activation) in ALL.into_iter().enumerate() {
        for groups in [1, 2, 3] {
            let leaves = [[4, 5 * 6], [1, 6], [1, 6]];
            let run = |norm: fn(Tensor<3>, [Tensor<1>; 2], usize, f64, Activation) -> Tensor<3>| {
                move |leaves: &[Tensor<2>]| {
                    let input = images(&leaves[0], [4, 5, 6], index % 2 == 1);
                    norm(input, [row(&leaves[1]), row(&leaves[2])], groups, EPSILON, activation)
                }
            };
            check(&leaves, (activation, groups), 4.0, run(group_norm), run(plain::group_norm));
        }
    }
}

#[test]
fn residual_sums_are_burns_with_every_activation() {
    let shapes = [
        Shortcut { height: 4, width: 5, stride: 2, inputs: 2, outputs: 4 },
        Shortcut { height: 3, width: 2, stride: 1, inputs: 3, outputs: 3 },
    ];
    for (index, activation) in ALL.into_iter().enumerate() {
        for shape in shapes {
            let [branch, input] = [[3, shape.pixels(), shape.outputs], [3, shape.height * shape.width, shape.inputs]];
            let leaves = [branch, input].map(|[samples, pixels, channels]| [samples, pixels * channels]);
            let run = |sum: fn(Tensor<3>, Tensor<3>, Shortcut, Activation) -> Tensor<3>| {
                move |leaves: &[Tensor<2>]| {
                    let turned = index % 2 == 1;
                    sum(images(&leaves[0], branch, turned), images(&leaves[1], input, turned), shape, activation)
                }
            };
            check(&leaves, (activation, shape), 1.0, run(residual_sum), run(plain::residual_sum));
        }
    }
}

#[test]
fn moments_are_burns() {
    let device = Device::flex();
    let values: Vec<f64> = (0..60).map(|at| (f64::from(at) * 0.7).sin()).collect();
    let input = Tensor::<1>::from_data(values.as_slice(), (&device, DType::F64)).reshape([4, 5, 3]);
    let (got, want) = (column_moments(&input), plain::column_moments(input.reshape([20, 3])));
    for (got, want) in [(got.mean, want.mean), (got.variance, want.variance)] {
        let difference: f64 = (got - want).abs().max().into_scalar();
        assert!(difference < 1e-15, "{difference}");
    }
}

/// Empty batches pass through.
#[test]
fn nothing_becomes_nothing() {
    let device = Device::flex().autodiff();
    let shape = Convolution { height: 4, width: 4, kernel: 3, stride: 2, padding: 1 };
    let (input, weight) = (Tensor::zeros([0, 16, 2], &device), Tensor::zeros([18, 3], &device));
    let output = conv2d(input.clone(), weight, None, shape, Activation::Relu);
    assert_eq!(output.dims(), [0, 4, 3]);
    let ones = || [Tensor::ones([2], &device), Tensor::ones([2], &device)];
    let moments = column_moments(&input);
    assert!(moments.mean.clone().into_data().iter::<f32>().all(f32::is_nan));
    let normalised = batch_norm(input.clone(), (&moments, Moving::WithInput), ones(), EPSILON, Activation::Relu);
    assert_eq!(normalised.dims(), [0, 16, 2]);
    assert_eq!(group_norm(input, ones(), 1, EPSILON, Activation::Relu).dims(), [0, 16, 2]);
}
