//! Linear classifiers at work: logits by blocks of rows, and the class of the largest.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use crate::blocks::row_blocks;
use crate::{Error, check};

/// The class with the largest `weight · code + bias` for each row of `codes`; the lowest class where several tie.
pub(crate) fn predict(weight: MatRef<'_, f32>, bias: &[f32], codes: MatRef<'_, f32>) -> Result<Vec<u32>, Error> {
    check::length("biases, one per class", weight.nrows(), bias.len())?;
    check::features(codes, weight.ncols())?;
    check::finite(codes)?;
    let blocks = row_blocks(codes.nrows());
    let predict_block = |&(start, length): &(usize, usize)| {
        let mut logits = Mat::<f32>::zeros(bias.len(), length);
        matmul(&mut logits, Accum::Replace, weight, codes.subrows(start, length).transpose(), 1.0, Par::Seq);
        logits.col_iter().map(|column| largest(column.iter().zip(bias).map(|(z, b)| z + b))).collect::<Vec<_>>()
    };
    Ok(blocks.par_iter().map(predict_block).collect::<Vec<_>>().concat())
}

/// The index of the largest value, the first of equals.
pub(crate) fn largest(values: impl Iterator<Item = f32>) -> u32 {
    let first = (0, f32::NEG_INFINITY);
    values.zip(0..).fold(first, |best, (value, index)| if value > best.1 { (index, value) } else { best }).0
}
