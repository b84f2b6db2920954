//! Dropout whose masks belong to samples, not to batches.

use attar_data::random::{Purpose, stream};
use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use rayon::prelude::*;

use crate::staged::Pass;

/// Drops each unit with probability `rate` and multiplies the others by `1 / (1 - rate)` (Srivastava et al. 2014, as
/// everybody scales it): a function of the pass's seed and step, the layer and the sample of each row.
pub(super) fn dropout(values: Tensor<3>, rate: f64, layer: u64, pass: &Pass) -> Tensor<3> {
    let shape @ [samples, positions, channels] = values.dims();
    let units = positions * channels;
    let mut mask = vec![0.0_f32; samples * units];
    let rows = mask.par_chunks_mut(units.max(1)).zip(pass.samples.par_iter());
    rows.for_each(|(mask, &sample)| draw(mask, rate, pass.seed, pass.step as u64, layer, sample));
    // Zeros and ones in any kind of number; the scale in that of the values.
    let mask = Tensor::<3>::from_data(TensorData::new(mask, shape), (&values.device(), values.dtype()));
    values * mask.mul_scalar(1.0 / (1.0 - rate))
}

fn draw(mask: &mut [f32], rate: f64, seed: u64, step: u64, layer: u64, sample: u64) {
    let mut rng = stream(seed, Purpose::Dropout, step, layer, sample);
    let dropped = (rate * 4_294_967_296.0).ceil() as u64;
    for kept in mask {
        *kept = if u64::from(rng.next_u32()) < dropped { 0.0 } else { 1.0 };
    }
}
