//! Products, decompositions and draws in `f64`, single-threaded so that bits do not depend on the machine's cores.

use chacha20::ChaCha8Rng;
use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::matmul::matmul;
use faer::linalg::svd::{ComputeSvdVectors, svd as faer_svd, svd_scratch};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rand_distr::{Distribution, StandardNormal};

use crate::Error;

pub(super) fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.nrows(), right.ncols());
    matmul(&mut out, Accum::Replace, left, right, 1.0, Par::Seq);
    out
}

/// Takes `left · right` from `from`.
pub(super) fn subtract_product(from: &mut Mat<f64>, left: MatRef<'_, f64>, right: MatRef<'_, f64>) {
    matmul(from, Accum::Add, left, right, -1.0, Par::Seq);
}

/// The sum of `left ∘ right`.
pub(super) fn inner(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> f64 {
    (0..left.ncols()).map(|j| left.col(j).transpose() * right.col(j)).sum()
}

/// `matrix · diag(factors)`.
pub(super) fn scaled_columns(matrix: MatRef<'_, f64>, factors: &[f64]) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)] * factors[j])
}

/// `diag(factors) · matrix`.
pub(super) fn scaled_rows(matrix: MatRef<'_, f64>, factors: &[f64]) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)] * factors[i])
}

pub(super) fn times(matrix: MatRef<'_, f64>, vector: &[f64]) -> Vec<f64> {
    let entry = |i: usize| matrix.row(i).iter().zip(vector).map(|(a, b)| a * b).sum();
    (0..matrix.nrows()).map(entry).collect()
}

pub(super) fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// The left singular vectors as columns, and the singular values from largest to smallest.
pub(super) struct LeftSvd {
    pub(super) vectors: Mat<f64>,
    pub(super) values: Vec<f64>,
}

/// The thin singular value decomposition, without the right vectors; an error where a product has overflowed.
pub(super) fn left_svd(matrix: MatRef<'_, f64>) -> Result<LeftSvd, Error> {
    decompose(matrix, None)
}

/// The thin singular value decomposition, and the right vectors as columns.
pub(super) fn svd(matrix: MatRef<'_, f64>) -> Result<(LeftSvd, Mat<f64>), Error> {
    let mut right = Mat::zeros(matrix.ncols(), matrix.nrows().min(matrix.ncols()));
    Ok((decompose(matrix, Some(right.as_mut()))?, right))
}

fn decompose(matrix: MatRef<'_, f64>, right: Option<MatMut<'_, f64>>) -> Result<LeftSvd, Error> {
    let (m, n) = matrix.shape();
    let failed = Error::Decomposition { what: "singular value decomposition", size: m.max(n) };
    if !matrix.is_all_finite() {
        return Err(failed);
    }
    let size = m.min(n);
    let wanted = if right.is_some() { ComputeSvdVectors::Thin } else { ComputeSvdVectors::No };
    let scratch = svd_scratch::<f64>(m, n, ComputeSvdVectors::Thin, wanted, Par::Seq, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let (mut vectors, mut values) = (Mat::zeros(m, size), Diag::zeros(size));
    let stack = MemStack::new(&mut memory);
    faer_svd(matrix, values.as_mut(), Some(vectors.as_mut()), right, Par::Seq, stack, Default::default())
        .map_err(|_| failed)?;
    Ok(LeftSvd { vectors, values: values.column_vector().iter().copied().collect() })
}

/// The singular values from largest to smallest.
pub(super) fn singular_values(matrix: MatRef<'_, f64>) -> Result<Vec<f64>, Error> {
    Ok(left_svd(matrix)?.values)
}

/// Independent normal draws of mean 0.
pub(super) fn normal(rows: usize, columns: usize, deviation: f64, rng: &mut ChaCha8Rng) -> Mat<f64> {
    let mut draw = || -> f64 { StandardNormal.sample(rng) };
    Mat::from_fn(rows, columns, |_, _| deviation * draw())
}
