//! Products of matrices: where a training spends most of its time.
//!
//! The arithmetic is the `gemm` crate's, which chooses AVX-512, AVX2, NEON or portable code at run time. Here the
//! result is cut into blocks that threads take. The cut depends on the shapes alone, never on the number of threads,
//! so neither do the bits.
#![allow(unsafe_code)]

use gemm::Parallelism;
use rayon::prelude::*;

use crate::{Float, Matrix};

/// Multiply-adds below which a product is not worth sharing.
const SHARED_FROM: usize = 1 << 20;
/// Multiply-adds of one block of a large product.
const BLOCK_WORK: usize = 1 << 25;
/// Blocks begin at multiples of this many rows or columns: whole vectors.
const GRAIN: usize = 16;

/// `out = left right`, where `out` is row-major `[rows of left, columns of right]` without gaps.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn product<T: Float>(out: &mut [T], left: Matrix<'_, T>, right: Matrix<'_, T>) {
    let (rows, columns) = (left.rows(), right.columns());
    assert_eq!(left.columns(), right.rows(), "columns of the left factor for rows of the right one");
    assert_eq!(out.len(), rows * columns, "values for a result of {rows} rows and {columns} columns");
    let out = Target { first: out.as_mut_ptr(), stride: columns };
    let blocks = blocks(rows * columns * left.columns());
    let size = rows.max(columns).div_ceil(blocks).next_multiple_of(GRAIN);
    if blocks == 1 {
        // SAFETY: `out` holds all rows and columns, and nothing else writes there.
        unsafe { multiply(out, left, right) }
    } else if columns > rows {
        (0..columns.div_ceil(size)).into_par_iter().with_max_len(1).for_each(|block| {
            // SAFETY: no two blocks have a column in common, and `some_columns` ends with the last column.
            unsafe { multiply(out.at(0, block * size), left, right.some_columns(block * size, size)) }
        });
    } else {
        (0..rows.div_ceil(size)).into_par_iter().with_max_len(1).for_each(|block| {
            // SAFETY: no two blocks have a row in common, and `some_rows` ends with the last row.
            unsafe { multiply(out.at(block * size, 0), left.some_rows(block * size, size), right) }
        });
    }
}

/// Into how many blocks a product of so many multiply-adds is cut: a power of two.
fn blocks(work: usize) -> usize {
    if work < SHARED_FROM {
        return 1;
    }
    1 << (work / BLOCK_WORK).clamp(2, 16).ilog2()
}

/// Where a block of the result begins.
#[derive(Clone, Copy)]
struct Target<T> {
    first: *mut T,
    stride: usize,
}

// SAFETY: a pointer to values that may be sent; who writes through it answers for the blocks being disjoint.
unsafe impl<T: Send> Send for Target<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Target<T> {}

impl<T> Target<T> {
    /// # Safety
    /// The row and the column are within the result.
    unsafe fn at(&self, row: usize, column: usize) -> Self {
        // SAFETY: by the caller.
        Self { first: unsafe { self.first.add(row * self.stride + column) }, stride: self.stride }
    }
}

/// # Safety
/// The block `[rows of left, columns of right]` at `out` is within its allocation, and nobody else touches it.
unsafe fn multiply<T: Float>(out: Target<T>, left: Matrix<'_, T>, right: Matrix<'_, T>) {
    // SAFETY: the block by the caller; a `Matrix` ends within its values; strides fit `isize` as slices do.
    unsafe {
        gemm::gemm(
            left.rows(),
            right.columns(),
            left.columns(),
            out.first,
            1,
            out.stride as isize,
            false,
            left.values().as_ptr(),
            left.column_stride() as isize,
            left.row_stride() as isize,
            right.values().as_ptr(),
            right.column_stride() as isize,
            right.row_stride() as isize,
            T::ZERO,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive;

    fn values<T: Float>(count: usize, seed: f64) -> Vec<T> {
        (0..count).map(|at| T::from_f64((at as f64 * 0.37 + seed).sin())).collect()
    }

    /// Against the sums written out, in every orientation, at sizes around the blocks' edges.
    fn check<T: Float>(tolerance_of_a_term: f64) {
        let shapes = [[1, 1, 1], [3, 0, 2], [0, 3, 2], [7, 5, 1], [1, 33, 17], [65, 130, 200], [200, 130, 67]];
        for [rows, inner, columns] in shapes {
            let (left, right) = (values::<T>(rows * inner, 0.1), values::<T>(inner * columns, 0.7));
            let across = |values, columns, rows| Matrix::strided(values, [rows, columns], [1, rows]).unwrap();
            for orientation in 0..4 {
                let a = if orientation & 1 == 0 {
                    Matrix::strided(&left, [rows, inner], [inner, 1]).unwrap()
                } else {
                    across(&left, inner, rows)
                };
                let b = if orientation & 2 == 0 {
                    Matrix::strided(&right, [inner, columns], [columns, 1]).unwrap()
                } else {
                    across(&right, columns, inner)
                };
                let mut out = vec![T::from_f64(9.0); rows * columns];
                product(&mut out, a, b);
                for (got, want) in out.iter().zip(naive::product(a, b)) {
                    let error = (got.to_f64() - want).abs();
                    assert!(
                        error <= tolerance_of_a_term * inner as f64,
                        "{rows} {inner} {columns}, {orientation}: {got:?} for {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn agrees_with_the_sums_written_out() {
        check::<f32>(1e-6);
        check::<f64>(1e-15);
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let (left, right) = (values::<f32>(257 * 300, 0.1), values::<f32>(300 * 501, 0.7));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut out = vec![0.0; 257 * 501];
            pool.install(|| product(&mut out, Matrix::row_major(&left, 300), Matrix::row_major(&right, 501)));
            out
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(4));
    }
}
