//! Products of matrices: where a training spends most of its time.
//!
//! The arithmetic is the `gemm` crate's, which chooses AVX-512, AVX2, NEON or portable code at run time. Here the
//! result is cut into blocks that threads take. The cut depends on the shapes alone, never on the number of threads,
//! so neither do the bits.
#![allow(unsafe_code)]

use gemm::Parallelism;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Float, Matrix, MatrixMut};

/// Multiply-adds below which a product is not worth sharing.
pub(crate) const SHARED_FROM: usize = 1 << 20;
/// Multiply-adds of one block of a large product.
const BLOCK_WORK: usize = 1 << 25;
/// Most blocks of a product: each block reads a whole factor.
const MOST_BLOCKS: usize = 16;
/// Blocks begin at multiples of this many columns: whole vectors.
const COLUMN_GRAIN: usize = 16;
/// Blocks begin at multiples of this many rows.
const ROW_GRAIN: usize = 4;

/// How the factors of a product are rounded; sums are in the type of the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Not at all.
    #[default]
    #[serde(rename = "f32")]
    Full,
    /// To bf16, see [`crate::bf16`]; for `f32` alone, others stay as they are.
    Bf16,
}

/// `out = left right`, where `out` is row-major `[rows of left, columns of right]` without gaps.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn product<T: Float>(precision: Precision, out: &mut [T], left: Matrix<'_, T>, right: Matrix<'_, T>) {
    let (rows, columns) = (left.rows(), right.columns());
    assert_eq!(left.columns(), right.rows(), "columns of the left factor for rows of the right one");
    assert_eq!(out.len(), rows * columns, "values for a result of {rows} rows and {columns} columns");
    if out.is_empty() {
        return;
    }
    let blocks = blocks(rows * columns * left.columns());
    let out = MatrixMut::row_major(out, columns);
    if blocks == 1 {
        T::product(precision, out, left, right);
    } else if columns > rows {
        let size = columns.div_ceil(blocks).next_multiple_of(COLUMN_GRAIN);
        out.column_blocks(size).into_par_iter().enumerate().for_each(|(block, out)| {
            T::product(precision, out, left, right.some_columns(block * size, size));
        });
    } else {
        let size = rows.div_ceil(blocks).next_multiple_of(ROW_GRAIN);
        out.row_blocks(size).into_par_iter().enumerate().for_each(|(block, out)| {
            T::product(precision, out, left.some_rows(block * size, size), right);
        });
    }
}

/// Into how many blocks a product of so many multiply-adds is cut: a power of two.
fn blocks(work: usize) -> usize {
    if work < SHARED_FROM {
        return 1;
    }
    1 << (work / BLOCK_WORK).clamp(2, MOST_BLOCKS).ilog2()
}

/// `out = left right` in full precision, on this thread; `out += left right` where `accumulate`.
///
/// # Panics
/// If the shapes do not fit each other.
pub(crate) fn full<T: Float>(mut out: MatrixMut<'_, T>, left: Matrix<'_, T>, right: Matrix<'_, T>, accumulate: bool) {
    assert_eq!(left.columns(), right.rows(), "columns of the left factor for rows of the right one");
    assert_eq!([out.rows(), out.columns()], [left.rows(), right.columns()], "shape of the result");
    // SAFETY: `out` is ours alone with all its rows and columns, a `Matrix` ends within its values, the shapes fit by
    // the assertions, and strides fit `isize` because slices do.
    unsafe {
        gemm::gemm(
            left.rows(),
            right.columns(),
            left.columns(),
            out.as_mut_ptr(),
            1,
            out.stride() as isize,
            accumulate,
            left.values().as_ptr(),
            left.column_stride() as isize,
            left.row_stride() as isize,
            right.values().as_ptr(),
            right.column_stride() as isize,
            right.row_stride() as isize,
            if accumulate { T::ONE } else { T::ZERO },
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
                product(Precision::Full, &mut out, a, b);
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

    /// Into a part of a larger array, whose other values stay as they are.
    #[test]
    fn adds_to_what_is_there() {
        let (left, right) = (values::<f64>(7 * 5, 0.1), values::<f64>(5 * 3, 0.7));
        let (left, right) = (Matrix::row_major(&left, 5), Matrix::row_major(&right, 3));
        for inner in [0, 5] {
            let (left, right) = (left.some_columns(0, inner), right.some_rows(0, inner));
            let mut out = values::<f64>(8 * 4, 0.4);
            let before = out.clone();
            f64::add_product(MatrixMut::row_major(&mut out, 4).part([1, 1], [7, 3]), left, right);
            let product = naive::product(left, right);
            for (at, (got, before)) in out.into_iter().zip(before).enumerate() {
                let inside = at / 4 >= 1 && at % 4 >= 1;
                let want = before + if inside { product[(at / 4 - 1) * 3 + at % 4 - 1] } else { 0.0 };
                assert!((got - want).abs() < 1e-14, "{inner}, place {at}: {got} for {want}");
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let (left, right) = (values::<f32>(257 * 300, 0.1), values::<f32>(300 * 501, 0.7));
        let run = |precision, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut out = vec![0.0; 257 * 501];
            pool.install(|| {
                product(precision, &mut out, Matrix::row_major(&left, 300), Matrix::row_major(&right, 501))
            });
            out
        };
        for precision in [Precision::Full, Precision::Bf16] {
            let one = run(precision, 1);
            assert_eq!(one, run(precision, 2));
            assert_eq!(one, run(precision, 4));
        }
    }
}
