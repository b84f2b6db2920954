//! Losses with their gradients, in one pass.

use rayon::prelude::*;

use crate::Float;
use crate::network::Target;
use crate::reduce::LaneSum;
use crate::threads::BLOCK;

/// The target's squared error for `output`, which becomes the loss's gradient by it.
///
/// The loss is `scale * sum of weight * (output - target)^2`.
pub fn squared_error<T: Float>(output: &mut [T], target: &Target<'_, T>) -> f64 {
    let factor = T::from_f64(2.0 * target.scale);
    let sums: Vec<f64> = match target.weight {
        None => {
            let blocks = output.par_chunks_mut(BLOCK).zip(target.values.par_chunks(BLOCK));
            blocks.map(|(output, target)| unweighted(output, target, factor)).collect()
        }
        Some(weight) => {
            let blocks =
                output.par_chunks_mut(BLOCK).zip(target.values.par_chunks(BLOCK)).zip(weight.par_chunks(BLOCK));
            blocks.map(|((output, target), weight)| weighted(output, target, weight, factor)).collect()
        }
    };
    sums.into_iter().sum::<f64>() * target.scale
}

fn unweighted<T: Float>(output: &mut [T], target: &[T], factor: T) -> f64 {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut sum = LaneSum::default();
            output.iter_mut().zip(target).for_each(|(output, &target)| *output -= target);
            sum.add_squares(output);
            output.iter_mut().for_each(|error| *error *= factor);
            sum.total()
        },
    )
}

fn weighted<T: Float>(output: &mut [T], target: &[T], weight: &[T], factor: T) -> f64 {
    let mut sum = 0.0;
    for ((output, &target), &weight) in output.iter_mut().zip(target).zip(weight) {
        let error = *output - target;
        sum += (weight * error * error).to_f64();
        *output = factor * weight * error;
    }
    sum
}
