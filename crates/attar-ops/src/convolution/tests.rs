//! Against the definition written out, at shapes around the edges of blocks and tiles.

use super::*;
use crate::{Float, naive};

fn numbers<T: Float>(count: usize, seed: f64) -> Vec<T> {
    (0..count).map(|at| T::from_f64((at as f64 * 0.737 + seed).sin() + 0.1)).collect()
}

fn relative_error<T: Float>(got: &[T], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    got.iter().zip(want).map(|(got, want)| (got.to_f64() - want).abs()).fold(0.0, f64::max) / largest
}

const fn shape(height: usize, width: usize, kernel: usize, stride: usize, padding: usize) -> Convolution {
    Convolution { height, width, kernel, stride, padding }
}

/// Samples, shape, channels.
const CASES: [(usize, Convolution, [usize; 2]); 9] = [
    (1, shape(1, 1, 1, 1, 0), [1, 1]),
    (3, shape(4, 6, 3, 1, 1), [1, 4]),
    (17, shape(7, 5, 3, 2, 1), [3, 5]),
    (5, shape(7, 6, 3, 2, 1), [4, 9]),
    (2, shape(6, 9, 5, 3, 2), [2, 3]),
    (2, shape(5, 8, 2, 1, 1), [5, 1]),
    (4, shape(5, 4, 3, 1, 0), [6, 7]),
    (2, shape(4, 4, 1, 2, 0), [3, 8]),
    (0, shape(4, 4, 3, 1, 1), [2, 2]),
];

fn check<T: Lanes>(tolerance: f64) {
    for (samples, shape, channels) in CASES {
        let [inputs, outputs] = channels;
        let input = numbers::<T>(samples * shape.height * shape.width * inputs, 0.1);
        let weight = numbers::<T>(shape.kernel * shape.kernel * inputs * outputs, 0.7);
        let [rows, columns] = shape.output();
        let of_output = numbers::<T>(samples * rows * columns * outputs, 0.4);
        let output = conv2d(&input, &weight, shape, channels);
        let error = relative_error(&output, &naive::conv2d(&input, &weight, shape, channels));
        assert!(error < tolerance, "{samples} {shape:?} {channels:?}: {error}");
        let got = conv2d_backward(&input, &weight, shape, channels, &of_output, true);
        let [of_input, of_weight] = naive::conv2d_gradients(&input, &weight, shape, channels, &of_output);
        let errors = [relative_error(got.input.as_ref().unwrap(), &of_input), relative_error(&got.weight, &of_weight)];
        assert!(errors.iter().all(|error| *error < tolerance), "{samples} {shape:?} {channels:?}: {errors:?}");
        let of_weight_alone = conv2d_backward(&input, &weight, shape, channels, &of_output, false);
        assert_eq!(of_weight_alone, ConvolutionGradient { input: None, weight: got.weight });
    }
}

#[test]
fn agrees_with_the_definition() {
    check::<f32>(1e-6);
    check::<f64>(1e-14);
}

#[test]
fn a_kernel_has_as_many_places_as_fit() {
    assert_eq!(shape(14, 9, 3, 1, 1).output(), [14, 9]);
    assert_eq!(shape(14, 9, 3, 2, 1).output(), [7, 5]);
    assert_eq!(shape(7, 5, 3, 2, 0).output(), [3, 2]);
    assert_eq!(shape(7, 2, 3, 1, 0).output(), [5, 0]);
    assert_eq!(shape(1, 1, 1, 2, 0).output(), [1, 1]);
}

/// What becomes of a sample depends on no other, nor on its place.
#[test]
fn a_sample_has_the_same_bits_in_any_batch() {
    let (shape, channels) = (shape(6, 5, 3, 2, 1), [3, 5]);
    let (input, weight) = (numbers::<f32>(37 * 6 * 5 * 3, 0.1), numbers::<f32>(9 * 3 * 5, 0.7));
    let together = conv2d(&input, &weight, shape, channels);
    for (sample, want) in together.chunks_exact(3 * 3 * 5).enumerate() {
        let alone = conv2d(&input[sample * 90..][..90], &weight, shape, channels);
        assert_eq!(alone, want, "sample {sample}");
    }
}

#[test]
fn not_a_number_stays_in_its_sample() {
    let (shape, channels) = (shape(4, 4, 3, 1, 1), [1, 2]);
    let mut input = vec![1.0_f32; 3 * 16];
    input[16] = f32::NAN;
    let output = conv2d(&input, &[0.0; 18], shape, channels);
    for (at, value) in output.iter().enumerate() {
        let [sample, row, column] = [at / 32, at % 32 / 8, at % 8 / 2];
        assert_eq!(value.is_nan(), sample == 1 && row < 2 && column < 2, "place {at}");
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let (shape, channels) = (shape(9, 8, 3, 1, 1), [4, 8]);
    let (input, weight) = (numbers::<f32>(70 * 72 * 4, 0.1), numbers::<f32>(9 * 32, 0.7));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let output = conv2d(&input, &weight, shape, channels);
            let gradient = conv2d_backward(&input, &weight, shape, channels, &output, true);
            (output, gradient)
        })
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(4));
}
