//! Fused against plain Burn operations through Burn's autodiff, and against the definitions in `f64`.

use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use proptest::prelude::*;

use burn::backend::flex::Flex;

use super::{activation, cross_entropy, dense, gelu, layer_norm, on_host, plain, shaped, squared_error};
use crate::{Activation, LabelOutOfRange, Matrix, naive};

pub(super) const ALL: [Activation; 5] =
    [Activation::Identity, Activation::Relu, Activation::Gelu, Activation::Tanh, Activation::Silu];
/// With the largest difference that is let pass, relative to the largest value.
const KINDS: [(DType, f64); 2] = [(DType::F32, 1e-6), (DType::F64, 1e-12)];

/// How a tensor lies in the memory of the leaf that it is taken from.
#[derive(Clone, Copy, Debug)]
enum View {
    Whole,
    Transposed,
    Sliced,
    Flipped,
    Repeated,
}

const VIEWS: [View; 5] = [View::Whole, View::Transposed, View::Sliced, View::Flipped, View::Repeated];

impl View {
    /// The shape of the leaf for a view `[rows, columns]`.
    fn leaf(self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        match self {
            Self::Whole | Self::Flipped => [rows, columns],
            Self::Transposed => [columns, rows],
            Self::Sliced => [rows + 2, columns + 3],
            Self::Repeated => [1, columns],
        }
    }

    fn of(self, leaf: &Tensor<2>, [rows, columns]: [usize; 2]) -> Tensor<2> {
        let leaf = leaf.clone();
        match self {
            Self::Whole => leaf,
            Self::Flipped => leaf.flip([0, 1]),
            Self::Transposed => leaf.transpose(),
            Self::Sliced => leaf.slice([1..rows + 1, 2..columns + 2]),
            Self::Repeated => leaf.expand([rows, columns]),
        }
    }
}

/// Numbers that `f32` holds, so that the same ones come in whatever the kind.
fn wave(count: usize, seed: f64) -> Vec<f64> {
    (0..count).map(|at| f64::from((1.7 * (at as f64 * 0.731 + seed).sin() + 0.1) as f32)).collect()
}

fn tensor(shape: [usize; 2], seed: f64, device: &Device, dtype: DType) -> Tensor<2> {
    Tensor::from_data(TensorData::new(wave(shape[0] * shape[1], seed), shape), (device, dtype))
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter().collect()
}

/// The output of `f` and its leaves' gradients, along a direction.
pub(super) fn evaluate<const D: usize>(
    shapes: &[[usize; 2]],
    dtype: DType,
    f: impl Fn(&[Tensor<2>]) -> Tensor<D>,
) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let leaf = |(index, &shape)| tensor(shape, index as f64, &device, dtype).require_grad();
    let leaves: Vec<_> = shapes.iter().enumerate().map(leaf).collect();
    let output = f(&leaves);
    let [rows, columns] = [output.dims()[..D - 1].iter().product(), output.dims()[D - 1]];
    let direction = tensor([rows, columns], 0.4, &device, dtype).reshape(output.dims());
    let gradients = (output.clone() * direction).sum().backward();
    let gradients = leaves.iter().map(|leaf| leaf.grad(&gradients).map(numbers).unwrap_or_default());
    std::iter::once(numbers(output)).chain(gradients.collect::<Vec<_>>()).collect()
}

/// The largest difference, relative to the largest value wanted.
fn error(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    assert!(largest > 0.0, "nothing to compare with");
    got.iter().zip(want).map(|(got, want)| (got - want).abs()).fold(0.0, f64::max) / largest
}

#[track_caller]
fn assert_close(got: &[Vec<f64>], want: &[Vec<f64>], tolerance: f64, case: impl std::fmt::Debug) {
    assert_eq!(got.len(), want.len());
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        let error = error(got, want);
        assert!(error <= tolerance, "{case:?}, value or gradient {index}: {error:e}");
    }
}

/// The fused operation in both kinds of numbers against the plain one in `f64`, within `slack` times the tolerance.
#[track_caller]
pub(super) fn check<const D: usize>(
    shapes: &[[usize; 2]],
    case: impl std::fmt::Debug,
    slack: f64,
    fused: impl Fn(&[Tensor<2>]) -> Tensor<D>,
    plain: impl Fn(&[Tensor<2>]) -> Tensor<D>,
) {
    let want = evaluate(shapes, DType::F64, &plain);
    for (dtype, tolerance) in KINDS {
        assert_close(&evaluate(shapes, dtype, &fused), &want, slack * tolerance, (&case, dtype));
    }
}

pub(super) fn row(tensor: &Tensor<2>) -> Tensor<1> {
    tensor.clone().reshape([-1])
}

/// Dense layers, fused and plain, on leaves that `views` are taken of.
fn check_dense([rows, inputs, outputs]: [usize; 3], views: [View; 2], kind: Activation, with_bias: bool, slack: f64) {
    let [input, weight] = [[rows, inputs], [inputs, outputs]];
    let mut leaves = vec![views[0].leaf(input), views[1].leaf(weight)];
    leaves.extend(with_bias.then_some([1, outputs]));
    type Layer = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Activation) -> Tensor<2>;
    let run = |layer: Layer| {
        move |leaves: &[Tensor<2>]| {
            let (input, weight) = (views[0].of(&leaves[0], input), views[1].of(&leaves[1], weight));
            layer(input, weight, leaves.get(2).map(row), kind)
        }
    };
    let case = ([rows, inputs, outputs], views, kind, with_bias);
    check(&leaves, case, slack, run(dense), run(plain::dense));
}

#[test]
fn dense_layers_are_burns_in_every_layout() {
    for (index, first) in VIEWS.into_iter().enumerate() {
        for second in VIEWS {
            check_dense([7, 5, 3], [first, second], ALL[index], true, 1.0);
        }
        check_dense([4, 9, 6], [first, View::Whole], ALL[index], false, 1.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Sums of many may cancel to little, and slopes be small: what is left has some digits less.
    #[test]
    fn dense_layers_are_burns_in_every_shape(shape in prop::array::uniform3(1_usize..40), with_bias: bool) {
        let views = [VIEWS[shape[0] % 4], VIEWS[shape[1] % 4]];
        check_dense(shape, views, Activation::Silu, with_bias, 100.0);
    }
}

#[test]
fn dense_layers_are_their_definition() {
    let [rows, inputs, outputs] = [7, 5, 3];
    for kind in ALL {
        for (dtype, tolerance) in KINDS {
            let got = evaluate(&[[rows, inputs], [inputs, outputs], [1, outputs]], dtype, |leaves| {
                dense(leaves[0].clone(), leaves[1].clone(), Some(row(&leaves[2])), kind)
            });
            let (x, w, b) = (wave(rows * inputs, 0.0), wave(inputs * outputs, 1.0), wave(outputs, 2.0));
            let (x, w) = (Matrix::row_major(&x, inputs), Matrix::row_major(&w, outputs));
            let sums = naive::product(x, w).into_iter().enumerate().map(|(at, sum)| sum + b[at % outputs]);
            let sums: Vec<f64> = sums.collect();
            let direction = wave(rows * outputs, 0.4);
            let before: Vec<f64> =
                sums.iter().zip(&direction).map(|(&sum, direction)| direction * naive::slope(kind, sum)).collect();
            let of_bias = (0..outputs).map(|column| before.iter().skip(column).step_by(outputs).sum()).collect();
            let of_output = Matrix::row_major(&before, outputs);
            let want = [
                sums.iter().map(|&sum| naive::activation(kind, sum)).collect(),
                naive::product(of_output, w.transposed()),
                naive::product(x.transposed(), of_output),
                of_bias,
            ];
            assert_close(&got[..1], &want[..1], tolerance, (kind, dtype));
            // The definition takes its slopes by differences, which leaves them some ten digits.
            assert_close(&got[1..], &want[1..], tolerance.max(1e-9), (kind, dtype));
        }
    }
}

#[test]
fn leading_axes_of_a_dense_layer_are_rows() {
    let fused =
        |leaves: &[Tensor<2>]| dense(leaves[0].clone().reshape([2, 3, 5]), leaves[1].clone(), None, Activation::Gelu);
    let plain = |leaves: &[Tensor<2>]| {
        plain::dense(leaves[0].clone(), leaves[1].clone(), None, Activation::Gelu).reshape([2, 3, 4])
    };
    check(&[[6, 5], [5, 4]], "[2, 3, 5]", 1.0, fused, plain);
}

#[test]
fn a_matrix_is_read_where_it_lies() {
    let leaf = tensor([6, 5], 0.0, &Device::flex(), DType::F32);
    let memory = |tensor: Tensor<2>| tensor.try_into_primitive::<Flex>().unwrap().bytes().as_ptr();
    let view = shaped(leaf.clone().transpose(), [5, 6]);
    assert_eq!(view.dims(), [5, 6]);
    assert_eq!(memory(view), memory(leaf));
}

#[test]
fn activations_are_burns_in_every_layout() {
    for view in VIEWS {
        for kind in ALL {
            let run = |f: fn(Tensor<2>, Activation) -> Tensor<2>| {
                move |leaves: &[Tensor<2>]| f(view.of(&leaves[0], [6, 7]), kind)
            };
            check(&[view.leaf([6, 7])], (kind, view), 1.0, run(activation), run(plain::activation));
        }
    }
    let run = |f: fn(Tensor<2>) -> Tensor<2>| move |leaves: &[Tensor<2>]| f(leaves[0].clone());
    check(&[[5, 9]], "gelu", 1.0, run(gelu), run(burn::tensor::activation::gelu));
}

#[test]
fn squared_errors_are_burns_in_every_layout() {
    let shape = [9, 7];
    type Loss = fn(Tensor<2>, Tensor<2>, Option<Tensor<2>>, f64) -> Tensor<1>;
    for view in VIEWS {
        for weighted in [false, true] {
            let run = |loss: Loss| {
                move |leaves: &[Tensor<2>]| {
                    let weight = leaves.get(2).map(|leaf| view.of(leaf, shape));
                    loss(view.of(&leaves[0], shape), leaves[1].clone(), weight, 0.3)
                }
            };
            let leaves = &[view.leaf(shape), shape, view.leaf(shape)][..if weighted { 3 } else { 2 }];
            check(leaves, (view, weighted), 1.0, run(squared_error), run(plain::squared_error));
        }
    }
}

#[test]
fn squared_errors_are_their_definition() {
    let values = [0.0, 1.0, 2.0].map(|seed| wave(63, seed));
    // The direction along which gradients are taken has one value.
    let scale = 0.3 * wave(1, 0.4)[0];
    for weighted in [false, true] {
        let weight = weighted.then_some(&values[2][..]);
        let want = [
            vec![naive::squared_error(&values[0], &values[1], weight, 0.3)],
            naive::squared_error_gradient(&values[0], &values[1], weight, scale),
            naive::squared_error_gradient(&values[1], &values[0], weight, scale),
        ];
        for (dtype, tolerance) in KINDS {
            let got = evaluate(&[[9, 7]; 3], dtype, |leaves| {
                squared_error(leaves[0].clone(), leaves[1].clone(), weighted.then(|| leaves[2].clone()), 0.3)
            });
            assert_close(&got[..3], &want, tolerance, (weighted, dtype));
        }
    }
}

fn labels(samples: usize, classes: usize, device: &Device) -> (Vec<u32>, Tensor<1, Int>) {
    let labels: Vec<u32> = (0..samples).map(|sample| (sample * 5 % classes) as u32).collect();
    let tensor = Tensor::from_data(TensorData::new(labels.clone(), [samples]), device);
    (labels, tensor)
}

#[test]
fn cross_entropies_are_burns_and_their_definition() {
    let shape = [13, 6];
    let fused = |view: View| {
        move |leaves: &[Tensor<2>]| {
            let labels = labels(13, 6, &leaves[0].device()).1;
            cross_entropy(view.of(&leaves[0], shape), labels, 1.0 / 13.0).unwrap()
        }
    };
    for view in VIEWS {
        check(&[view.leaf(shape)], view, 1.0, fused(view), |leaves| {
            let labels = labels(13, 6, &leaves[0].device()).1;
            plain::cross_entropy(view.of(&leaves[0], shape), labels, 1.0 / 13.0)
        });
    }
    let (logits, along) = (wave(13 * 6, 0.0), wave(1, 0.4)[0]);
    let labels = labels(13, 6, &Device::flex()).0;
    let definition = |scale| naive::cross_entropy(Matrix::row_major(&logits, 6), &labels, scale);
    let want = [vec![definition(1.0 / 13.0).0], definition(along / 13.0).1];
    for (dtype, tolerance) in KINDS {
        assert_close(&evaluate(&[shape], dtype, fused(View::Whole)), &want, tolerance, dtype);
    }
}

#[test]
fn a_label_out_of_range_is_an_error() {
    let device = Device::flex();
    for wrong in [-1_i64, 3, i64::from(u32::MAX) + 1] {
        let labels = Tensor::<1, Int>::from_data(TensorData::new(vec![2, wrong], [2]), (&device, DType::I64));
        let error = cross_entropy(tensor([2, 3], 0.0, &device, DType::F32), labels, 1.0).unwrap_err();
        assert_eq!(error, LabelOutOfRange { sample: 1, label: wrong, classes: 3 });
    }
}

#[test]
fn layer_norms_are_burns_and_their_definition() {
    let shape = [11, 6];
    type Norm = fn(Tensor<3>, Tensor<1>, Tensor<1>, f64) -> Tensor<3>;
    let run = |norm: Norm, view: View| {
        move |leaves: &[Tensor<2>]| norm(view.of(&leaves[0], shape).unsqueeze(), row(&leaves[1]), row(&leaves[2]), 1e-5)
    };
    for view in VIEWS {
        let leaves = [view.leaf(shape), [1, 6], [1, 6]];
        check(&leaves, view, 1.0, run(layer_norm, view), run(plain::layer_norm, view));
    }
    let [input, gamma, beta, of_output] = [(66, 0.0), (6, 1.0), (6, 2.0), (66, 0.4)].map(|(n, seed)| wave(n, seed));
    let input = Matrix::row_major(&input, 6);
    let output = naive::layer_norm(input, &gamma, &beta, 1e-5);
    let gradients = naive::layer_norm_gradients(input, &gamma, 1e-5, &of_output);
    let want: Vec<_> = std::iter::once(output).chain(gradients).collect();
    for (dtype, tolerance) in KINDS {
        let got = evaluate(&[shape, [1, 6], [1, 6]], dtype, run(layer_norm, View::Whole));
        assert_close(&got, &want, tolerance, dtype);
    }
}

#[test]
fn tensors_that_are_used_again_keep_their_values() {
    let run = |fused: bool| {
        move |leaves: &[Tensor<2>]| {
            let (x, w) = (leaves[0].clone(), leaves[1].clone());
            let layer = if fused { dense } else { |x, w, b, kind| plain::dense(x, w, b, kind) };
            let activate = if fused { activation } else { plain::activation };
            let loss = if fused { squared_error } else { plain::squared_error };
            let hidden = layer(x.clone(), w.clone(), None, Activation::Tanh);
            let again = layer(activate(hidden.clone(), Activation::Gelu), w, None, Activation::Relu);
            let loss = loss(again.clone(), hidden.clone(), None, 0.5);
            again * hidden + x + loss.unsqueeze()
        }
    };
    check(&[[5, 4], [4, 4]], "used again", 1.0, run(true), run(false));
}

/// A loss through every operation, and its gradients by two leaves.
fn through_all(device: &Device, asked: bool) -> (f64, Tensor<1>, [Tensor<2>; 2]) {
    let of = |shape, seed| tensor(shape, seed, device, DType::F32);
    let leaves = [of([700, 60], 0.0), of([60, 50], 1.0)].map(|leaf| if asked { leaf.require_grad() } else { leaf });
    let bias = row(&of([1, 50], 2.0));
    let output = dense(leaves[0].clone(), leaves[1].clone(), Some(bias.clone()), Activation::Tanh);
    // Burn's own sine is what a device that keeps less computes again.
    let normal = layer_norm(output.clone().sin(), bias.clone(), bias, 1e-5);
    let entropy = cross_entropy(gelu(normal), labels(700, 50, device).1, 1e-3).unwrap();
    let loss = squared_error(output, of([700, 50], 3.0), None, 1e-3) + entropy;
    (numbers(loss.clone())[0], loss, leaves)
}

fn gradients_through_all(device: &Device) -> (f64, [Vec<f64>; 2]) {
    let (value, loss, leaves) = through_all(device, true);
    let gradients = loss.backward();
    (value, leaves.map(|leaf| numbers(leaf.grad(&gradients).unwrap())))
}

#[test]
fn what_no_gradient_is_asked_for_is_the_same() {
    let (host, graph) = (Device::flex(), Device::flex().autodiff());
    let want = through_all(&host, false).0;
    assert_eq!(through_all(&graph, false).0, want);
    assert_eq!(through_all(&graph, true).0, want);
}

#[test]
fn computing_again_what_was_not_kept_changes_nothing() {
    let device = Device::flex().autodiff();
    assert_eq!(gradients_through_all(&device.clone().gradient_checkpointing()), gradients_through_all(&device));
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| gradients_through_all(&Device::flex().autodiff()))
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(4));
}

#[test]
fn not_a_number_passes_through() {
    let device = Device::flex().autodiff();
    let mut values = wave(6, 0.0);
    values[4] = f64::NAN;
    let input =
        || Tensor::<2>::from_data(TensorData::new(values.clone(), [2, 3]), (&device, DType::F32)).require_grad();
    let ones = Tensor::<1>::ones([3], &device);
    let target = Tensor::<2>::ones([2, 3], &device);
    for kind in ALL {
        let output = numbers(dense(input(), Tensor::eye(3, &device), None, kind));
        assert!(output[..3].iter().all(|value| value.is_finite()) && output[3..].iter().all(|value| value.is_nan()));
        assert!(numbers(activation(input(), kind))[4].is_nan(), "{kind:?}");
    }
    assert!(numbers(layer_norm(input(), ones.clone(), ones, 1e-5))[3..].iter().all(|value| value.is_nan()));
    let losses: [fn(Tensor<2>, Tensor<2>) -> Tensor<1>; 2] = [
        |input, target| squared_error(input, target, None, 1.0),
        |input, _| cross_entropy(input.clone(), labels(2, 3, &input.device()).1, 1.0).unwrap(),
    ];
    for loss in losses {
        let input = input();
        let loss = loss(input.clone(), target.clone());
        assert!(numbers(loss.clone())[0].is_nan());
        let gradient = numbers(input.grad(&loss.backward()).unwrap());
        assert!(gradient[4].is_nan() && gradient[0].is_finite(), "{gradient:?}");
    }
}

#[test]
fn what_is_on_the_host_is_fused() {
    for device in [Device::flex(), Device::flex().autodiff(), Device::flex().autodiff().gradient_checkpointing()] {
        for dtype in [DType::F32, DType::F64] {
            assert_eq!(on_host(&tensor([2, 3], 0.0, &device, dtype)), Some(dtype));
        }
        assert_eq!(on_host(&tensor([2, 3], 0.0, &device, DType::F16)), None);
    }
    let logits = tensor([70, 9], 0.0, &Device::flex(), DType::F32);
    let (numbers_of_labels, labels) = labels(70, 9, &Device::flex());
    let mut values: Vec<f32> = logits.to_data().iter().collect();
    let want = crate::cross_entropy(&mut values, 9, &numbers_of_labels, 0.1).unwrap() as f32;
    assert_eq!(numbers(cross_entropy(logits, labels, 0.1).unwrap()), [f64::from(want)]);
}

#[test]
fn other_kinds_of_numbers_are_burns_own() {
    let half = |device: &Device| tensor([4, 3], 0.0, device, DType::F32).cast(FloatDType::F16);
    let device = Device::flex();
    let output = dense(half(&device), half(&device).transpose(), None, Activation::Relu);
    assert_eq!(output.dtype(), DType::F16);
    let want = plain::dense(half(&device), half(&device).transpose(), None, Activation::Relu);
    assert_eq!(numbers(output), numbers(want));
    assert_eq!(numbers(gelu(half(&device))), numbers(burn::tensor::activation::gelu(half(&device))));
}
