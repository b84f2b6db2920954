//! Losses with their gradients, in one pass.

use rayon::prelude::*;

use crate::Float;
use crate::network::Target;
use crate::reduce::sum_of_products;
use crate::threads::BLOCK;
use crate::vectorised::vectorised;

/// Sums side by side: one vector.
const LANES: usize = 16;
/// Values that stay in the nearest cache over the passes.
const RUN: usize = 1024;

/// The target's squared error for `output`, which becomes the loss's gradient by it.
///
/// The loss is `scale * sum of weight * (output - target)^2`.
pub fn squared_error<T: Float>(output: &mut [T], target: &Target<'_, T>) -> f64 {
    squared_error_with_bias(output, &[], &mut [], target)
}

/// The same for `output` plus a bias on each of its rows, which are as long as the bias; `of_bias` becomes the loss's
/// gradient by that, the sums of the columns.
pub(crate) fn squared_error_with_bias<T: Float>(
    output: &mut [T],
    bias: &[T],
    of_bias: &mut [T],
    target: &Target<'_, T>,
) -> f64 {
    let width = bias.len().max(1);
    let block = (BLOCK / width).max(1) * width;
    let factor = T::from_f64(2.0 * target.scale);
    let blocks = output.par_chunks_mut(block).zip(target.values.par_chunks(block));
    let sums: Vec<(f64, Vec<T>)> = match target.weight {
        None if bias.is_empty() => {
            blocks.map(|(output, target)| (unweighted(output, target, factor), Vec::new())).collect()
        }
        None => blocks.map(|(output, target)| with_bias(output, bias, target, factor)).collect(),
        Some(weight) => {
            let blocks = blocks.zip(weight.par_chunks(block));
            blocks.map(|((output, target), weight)| weighted(output, bias, target, weight, factor)).collect()
        }
    };
    of_bias.fill(T::ZERO);
    let mut total = 0.0;
    for (sum, columns) in sums {
        of_bias.iter_mut().zip(columns).for_each(|(sum, column)| *sum += column);
        total += sum;
    }
    total * target.scale
}

fn unweighted<T: Float>(output: &mut [T], target: &[T], factor: T) -> f64 {
    vectorised(
        output,
        #[inline(always)]
        |output: &mut [T]| {
            let mut sum = 0.0;
            for (output, target) in output.chunks_mut(RUN).zip(target.chunks(RUN)) {
                for (output, &target) in output.iter_mut().zip(target) {
                    *output -= target;
                }
                sum += sum_of_products(output, output);
                for error in output {
                    *error *= factor;
                }
            }
            sum
        },
    )
}

/// The sums of the squared errors and of each column of their gradient.
fn with_bias<T: Float>(output: &mut [T], bias: &[T], target: &[T], factor: T) -> (f64, Vec<T>) {
    let mut columns = vec![T::ZERO; bias.len()];
    let sum = vectorised(
        (output, &mut columns),
        #[inline(always)]
        |(output, columns): (&mut [T], &mut Vec<T>)| {
            let rows = output.chunks_exact_mut(bias.len()).zip(target.chunks_exact(bias.len()));
            rows.map(|(output, target)| row_with_bias(output, bias, target, factor, columns)).sum()
        },
    );
    (sum, columns)
}

#[inline(always)]
fn row_with_bias<T: Float>(output: &mut [T], bias: &[T], target: &[T], factor: T, columns: &mut [T]) -> f64 {
    let mut sum = 0.0;
    let runs = output.chunks_mut(RUN).zip(target.chunks(RUN)).zip(bias.chunks(RUN).zip(columns.chunks_mut(RUN)));
    for ((output, target), (bias, columns)) in runs {
        let mut lanes = [T::ZERO; LANES];
        let mut some = |output: &mut [T], target: &[T], bias: &[T], columns: &mut [T]| {
            let places = output.iter_mut().zip(target).zip(bias.iter().zip(columns)).zip(&mut lanes);
            for (((output, &target), (&bias, column)), lane) in places {
                let error = *output + bias - target;
                *lane += error * error;
                *output = error * factor;
                *column += *output;
            }
        };
        let (outputs, output_rest) = output.as_chunks_mut::<LANES>();
        let (targets, target_rest) = target.as_chunks::<LANES>();
        let (biases, bias_rest) = bias.as_chunks::<LANES>();
        let (sums, sum_rest) = columns.as_chunks_mut::<LANES>();
        for ((output, target), (bias, sums)) in outputs.iter_mut().zip(targets).zip(biases.iter().zip(sums)) {
            some(output, target, bias, sums);
        }
        some(output_rest, target_rest, bias_rest, sum_rest);
        sum += lanes.iter().map(|&lane| lane.to_f64()).sum::<f64>();
    }
    sum
}

fn weighted<T: Float>(output: &mut [T], bias: &[T], target: &[T], weight: &[T], factor: T) -> (f64, Vec<T>) {
    let mut columns = vec![T::ZERO; bias.len()];
    let sum = vectorised(
        (output, &mut columns),
        #[inline(always)]
        |(output, columns): (&mut [T], &mut Vec<T>)| {
            for row in output.chunks_mut(bias.len().max(1)) {
                row.iter_mut().zip(bias).for_each(|(output, &bias)| *output += bias);
            }
            let mut errors = [T::ZERO; RUN];
            let mut sum = 0.0;
            for ((output, target), weight) in output.chunks_mut(RUN).zip(target.chunks(RUN)).zip(weight.chunks(RUN)) {
                let errors = &mut errors[..output.len()];
                for ((error, output), (&target, &weight)) in
                    errors.iter_mut().zip(output.iter_mut()).zip(target.iter().zip(weight))
                {
                    *error = *output - target;
                    *output = weight * *error;
                }
                sum += sum_of_products(errors, output);
                for output in output {
                    *output *= factor;
                }
            }
            for row in output.chunks(bias.len().max(1)) {
                columns.iter_mut().zip(row).for_each(|(column, &value)| *column += value);
            }
            sum
        },
    );
    (sum, columns)
}
