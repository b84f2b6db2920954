//! Layer normalisation and its gradients (Ba et al. 2016, eq. 4), each row in one go.

use rayon::prelude::*;

use crate::Float;
use crate::reduce::{rows_of_a_block, sum, sum_of_products};
use crate::vectorised::vectorised;

/// What one row was normalised with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// The mean of its values.
    pub mean: f64,
    /// `1 / sqrt(variance + epsilon)`, of the variance that divides by the number of columns.
    pub inverse_deviation: f64,
}

/// The gradients of [`layer_norm`].
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormGradient<T> {
    /// Of the input, row-major `[rows, columns]`.
    pub input: Vec<T>,
    /// Of the scale, `[columns]`.
    pub gamma: Vec<T>,
    /// Of the shift, `[columns]`.
    pub beta: Vec<T>,
}

/// `out = gamma (input - mean) / sqrt(variance + epsilon) + beta`, mean and variance over each row of the row-major
/// `[rows, columns of gamma]`. Gives the rows' moments, which [`layer_norm_backward`] needs.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn layer_norm<T: Float>(input: &[T], gamma: &[T], beta: &[T], epsilon: f64, out: &mut [T]) -> Vec<Moments> {
    let columns = gamma.len();
    assert_eq!(beta.len(), columns, "shifts for {columns} scales");
    assert_eq!(out.len(), input.len(), "values for the normalised input");
    let mut moments = vec![Moments::default(); rows_in(input, columns)];
    let rows = rows_of_a_block(columns);
    let size = (rows * columns).max(1);
    let blocks = out.par_chunks_mut(size).zip(input.par_chunks(size)).zip(moments.par_chunks_mut(rows));
    blocks.for_each(|((out, input), moments)| {
        vectorised(
            (out, moments),
            #[inline(always)]
            |(out, moments): (&mut [T], &mut [Moments])| {
                let rows = out.chunks_exact_mut(columns).zip(input.chunks_exact(columns)).zip(moments);
                for ((out, input), moments) in rows {
                    *moments = normalise(input, gamma, beta, epsilon, out);
                }
            },
        );
    });
    moments
}

/// The gradients from that of the output, `of_output`, laid out as the input.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn layer_norm_backward<T: Float>(
    input: &[T],
    gamma: &[T],
    moments: &[Moments],
    of_output: &[T],
) -> LayerNormGradient<T> {
    let columns = gamma.len();
    assert_eq!(moments.len(), rows_in(input, columns), "moments for the rows");
    assert_eq!(of_output.len(), input.len(), "gradients for the values");
    let mut of_input = vec![T::ZERO; input.len()];
    let rows = rows_of_a_block(columns);
    let size = (rows * columns).max(1);
    let blocks = of_input.par_chunks_mut(size).zip(input.par_chunks(size)).zip(of_output.par_chunks(size));
    let sums: Vec<_> = blocks
        .zip(moments.par_chunks(rows))
        .map(|(((of_input, input), of_output), moments)| block_backward(input, gamma, moments, of_output, of_input))
        .collect();
    let (mut of_gamma, mut of_beta) = (vec![T::ZERO; columns], vec![T::ZERO; columns]);
    for (gamma, beta) in sums {
        of_gamma.iter_mut().zip(gamma).for_each(|(sum, value)| *sum += value);
        of_beta.iter_mut().zip(beta).for_each(|(sum, value)| *sum += value);
    }
    LayerNormGradient { input: of_input, gamma: of_gamma, beta: of_beta }
}

fn rows_in<T>(values: &[T], columns: usize) -> usize {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    assert_eq!(values.len(), rows * columns, "values for rows of {columns} columns");
    rows
}

#[inline(always)]
fn normalise<T: Float>(input: &[T], gamma: &[T], beta: &[T], epsilon: f64, out: &mut [T]) -> Moments {
    let count = input.len() as f64;
    let mean = sum(input) / count;
    let shift = T::from_f64(mean);
    for (out, &value) in out.iter_mut().zip(input) {
        *out = value - shift;
    }
    let inverse_deviation = 1.0 / (sum_of_products(out, out) / count + epsilon).sqrt();
    let scale = T::from_f64(inverse_deviation);
    for (out, (&gamma, &beta)) in out.iter_mut().zip(gamma.iter().zip(beta)) {
        *out = *out * scale * gamma + beta;
    }
    Moments { mean, inverse_deviation }
}

/// Writes the gradient of a block's input; gives its part of those of gamma and beta.
fn block_backward<T: Float>(
    input: &[T],
    gamma: &[T],
    moments: &[Moments],
    of_output: &[T],
    of_input: &mut [T],
) -> (Vec<T>, Vec<T>) {
    let columns = gamma.len();
    let (mut of_gamma, mut of_beta) = (vec![T::ZERO; columns], vec![T::ZERO; columns]);
    let mut weighted = vec![T::ZERO; columns];
    vectorised(
        (of_input, &mut of_gamma, &mut of_beta, &mut weighted),
        #[inline(always)]
        |(of_input, of_gamma, of_beta, weighted): (&mut [T], &mut Vec<T>, &mut Vec<T>, &mut Vec<T>)| {
            let rows = input.chunks_exact(columns).zip(of_output.chunks_exact(columns)).zip(moments);
            for (((input, of_output), moments), of_input) in rows.zip(of_input.chunks_exact_mut(columns)) {
                let (shift, scale) = (T::from_f64(moments.mean), T::from_f64(moments.inverse_deviation));
                for (out, &value) in of_input.iter_mut().zip(input) {
                    *out = (value - shift) * scale;
                }
                for (place, &gradient) in of_output.iter().enumerate() {
                    of_gamma[place] += gradient * of_input[place];
                    of_beta[place] += gradient;
                    weighted[place] = gradient * gamma[place];
                }
                through_moments(weighted, scale, of_input);
            }
        },
    );
    (of_gamma, of_beta)
}

/// From the gradient of the normalised row, and the row itself, the gradient of the row before.
#[inline(always)]
fn through_moments<T: Float>(of_normalised: &[T], scale: T, normalised: &mut [T]) {
    let count = normalised.len() as f64;
    let mean = T::from_f64(sum(of_normalised) / count);
    let along = T::from_f64(sum_of_products(of_normalised, normalised) / count);
    for (value, &gradient) in normalised.iter_mut().zip(of_normalised) {
        *value = (gradient - mean - *value * along) * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Matrix, naive};
    use proptest::prelude::*;

    fn values<T: Float>(count: usize, seed: f64) -> Vec<T> {
        (0..count).map(|at| T::from_f64(2.0 * (at as f64 * 0.737 + seed).sin() + 0.3)).collect()
    }

    fn relative_error<T: Float>(got: &[T], want: &[f64]) -> f64 {
        assert_eq!(got.len(), want.len());
        let largest = want.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        got.iter().zip(want).map(|(got, want)| (got.to_f64() - want).abs()).fold(0.0, f64::max) / largest
    }

    /// The largest error of output and gradients, relative to the largest value.
    fn error<T: Float>(rows: usize, columns: usize) -> f64 {
        let (input, of_output) = (values::<T>(rows * columns, 0.1), values::<T>(rows * columns, 0.5));
        let (gamma, beta) = (values::<T>(columns, 0.2), values::<T>(columns, 0.9));
        let mut out = vec![T::from_f64(9.0); input.len()];
        let moments = layer_norm(&input, &gamma, &beta, 1e-5, &mut out);
        let gradient = layer_norm_backward(&input, &gamma, &moments, &of_output);
        let matrix = Matrix::row_major(&input, columns);
        let want = naive::layer_norm_gradients(matrix, &gamma, 1e-5, &of_output);
        [
            relative_error(&out, &naive::layer_norm(matrix, &gamma, &beta, 1e-5)),
            relative_error(&gradient.input, &want[0]),
            relative_error(&gradient.gamma, &want[1]),
            relative_error(&gradient.beta, &want[2]),
        ]
        .into_iter()
        .fold(0.0, f64::max)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn agrees_with_the_definition(rows in 1_usize..300, columns in 5_usize..70) {
            let (single, double) = (error::<f32>(rows, columns), error::<f64>(rows, columns));
            prop_assert!(single < 1e-6 && double < 1e-12, "{rows} {columns}: {single} {double}");
        }
    }

    #[test]
    fn the_gradients_are_the_slopes_of_the_output() {
        let (rows, columns) = (3, 5);
        let parameters: [Vec<f64>; 3] = [values(rows * columns, 0.1), values(columns, 0.2), values(columns, 0.9)];
        let of_output: Vec<f64> = values(rows * columns, 0.5);
        let along = |[input, gamma, beta]: &[Vec<f64>; 3]| {
            let mut out = vec![0.0; input.len()];
            layer_norm(input, gamma, beta, 1e-3, &mut out);
            out.iter().zip(&of_output).map(|(out, gradient)| out * gradient).sum::<f64>()
        };
        let moments = layer_norm(&parameters[0], &parameters[1], &parameters[2], 1e-3, &mut vec![0.0; rows * columns]);
        let got = layer_norm_backward(&parameters[0], &parameters[1], &moments, &of_output);
        for (which, gradient) in [got.input, got.gamma, got.beta].into_iter().enumerate() {
            for (at, got) in gradient.into_iter().enumerate() {
                let shifted = |by| {
                    let mut parameters = parameters.clone();
                    parameters[which][at] += by;
                    along(&parameters)
                };
                let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
                assert!((got - slope).abs() < 1e-8, "parameter {which}, {at}: {got} for {slope}");
            }
        }
    }

    #[test]
    fn a_constant_row_becomes_beta_and_not_a_number_stays_in_its_row() {
        let input = [3.0, 3.0, 3.0, 1.0, f32::NAN, 2.0, 1.0, 2.0, 4.0];
        let (gamma, beta) = ([2.0, 2.0, 2.0], [0.5, 1.5, -1.0]);
        let mut out = [9.0; 9];
        let moments = layer_norm(&input, &gamma, &beta, 1e-5, &mut out);
        assert_eq!(out[..3], beta);
        let gradient = layer_norm_backward(&input, &gamma, &moments, &[1.0; 9]);
        for at in 0..9 {
            assert_eq!(out[at].is_nan(), at / 3 == 1, "{out:?}");
            assert_eq!(gradient.input[at].is_nan(), at / 3 == 1, "{gradient:?}");
        }
        assert!(gradient.gamma.iter().all(|value| value.is_nan()), "{gradient:?}");
    }

    #[test]
    fn nothing_is_normalised_to_nothing() {
        assert_eq!(layer_norm::<f32>(&[], &[], &[], 1e-5, &mut []), []);
        let gradient = layer_norm_backward::<f32>(&[], &[1.0], &[], &[]);
        assert_eq!(gradient, LayerNormGradient { input: vec![], gamma: vec![0.0], beta: vec![0.0] });
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let (input, gamma) = (values::<f32>(3000 * 37, 0.1), values::<f32>(37, 0.2));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut out = vec![0.0; input.len()];
            pool.install(|| {
                let moments = layer_norm(&input, &gamma, &gamma, 1e-5, &mut out);
                let gradient = layer_norm_backward(&input, &gamma, &moments, &out);
                (moments, gradient)
            })
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(4));
    }
}
