//! Linear classifiers at work: logits by blocks of rows, and the class of the largest.

use faer::MatRef;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::blocks::{row_blocks, row_major};
use crate::{Error, check};

/// The class with the largest `weight · code + bias` for each row of `codes`; the lowest class where several tie.
pub(crate) fn predict(weight: MatRef<'_, f32>, bias: &[f32], codes: MatRef<'_, f32>) -> Result<Vec<u32>, Error> {
    check::length("biases, one per class", weight.nrows(), bias.len())?;
    check::features(codes, weight.ncols())?;
    check::finite(codes)?;
    let weight = row_major(weight);
    let predict_block = |&(start, length): &(usize, usize)| {
        let codes = row_major(codes.subrows(start, length));
        Arch::new().dispatch(Classes { weight: &weight, bias, codes: &codes })
    };
    Ok(row_blocks(codes.nrows()).par_iter().map(predict_block).collect::<Vec<_>>().concat())
}

/// The classes of row-major codes. By dot products: a product of matrices wastes most of its width on few classes.
struct Classes<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
    codes: &'a [f32],
}

impl WithSimd for Classes<'_> {
    type Output = Vec<u32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<u32> {
        let features = (self.weight.len() / self.bias.len().max(1)).max(1);
        let mut classes = Vec::with_capacity(self.codes.len() / features);
        let mut logits = vec![0.0; self.bias.len()];
        for code in self.codes.chunks_exact(features) {
            for ((logit, weight), bias) in logits.iter_mut().zip(self.weight.chunks_exact(features)).zip(self.bias) {
                *logit = bias + dot(simd, weight, code);
            }
            classes.push(largest(logits.iter().copied()));
        }
        classes
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = S::as_simd_f32s(left);
    let (right, right_rest) = S::as_simd_f32s(right);
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (place, (&left, &right)) in left.iter().zip(right).enumerate() {
        sums[place % 4] = simd.mul_add_e_f32s(left, right, sums[place % 4]);
    }
    let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
    let mut rest = 0.0;
    for (left, right) in left_rest.iter().zip(right_rest) {
        rest += left * right;
    }
    simd.reduce_sum_f32s(sum) + rest
}

/// The index of the largest value, the first of equals.
pub(crate) fn largest(values: impl Iterator<Item = f32>) -> u32 {
    let first = (0, f32::NEG_INFINITY);
    values.zip(0..).fold(first, |best, (value, index)| if value > best.1 { (index, value) } else { best }).0
}
