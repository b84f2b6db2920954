//! Losses with their gradients, in one pass.

use rayon::prelude::*;

use crate::Float;
use crate::network::Target;
use crate::reduce::sum_of_products;
use crate::threads::BLOCK;
use crate::vectorised::vectorised;

/// Values that stay in the nearest cache over the passes.
const RUN: usize = 1024;

/// The target's squared error for `output`, which becomes the loss's gradient by it.
///
/// The loss is `scale * sum of weight * (output - target)^2`.
pub fn squared_error<T: Float>(output: &mut [T], target: &Target<'_, T>) -> f64 {
    squared_error_with_bias(output, None, target)
}

/// The same for `output` plus a bias on each of its rows, which are as long as the bias.
pub(crate) fn squared_error_with_bias<T: Float>(output: &mut [T], bias: Option<&[T]>, target: &Target<'_, T>) -> f64 {
    let bias = bias.unwrap_or_default();
    let width = bias.len().max(1);
    let block = (BLOCK / width).max(1) * width;
    let factor = T::from_f64(2.0 * target.scale);
    let blocks = output.par_chunks_mut(block).zip(target.values.par_chunks(block));
    let sums: Vec<f64> = match target.weight {
        None => blocks.map(|(output, target)| unweighted(output, bias, target, factor)).collect(),
        Some(weight) => {
            let blocks = blocks.zip(weight.par_chunks(block));
            blocks.map(|((output, target), weight)| weighted(output, bias, target, weight, factor)).collect()
        }
    };
    sums.into_iter().sum::<f64>() * target.scale
}

#[inline(always)]
fn add_to_rows<T: Float>(output: &mut [T], bias: &[T]) {
    for row in output.chunks_mut(bias.len().max(1)) {
        row.iter_mut().zip(bias).for_each(|(output, &bias)| *output += bias);
    }
}

fn unweighted<T: Float>(output: &mut [T], bias: &[T], target: &[T], factor: T) -> f64 {
    vectorised(
        output,
        #[inline(always)]
        |output: &mut [T]| {
            add_to_rows(output, bias);
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

fn weighted<T: Float>(output: &mut [T], bias: &[T], target: &[T], weight: &[T], factor: T) -> f64 {
    vectorised(
        output,
        #[inline(always)]
        |output: &mut [T]| {
            add_to_rows(output, bias);
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
            sum
        },
    )
}
