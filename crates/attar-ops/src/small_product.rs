//! Products of matrices that lie in the nearest cache: nothing is packed, and sums stay in registers.
//!
//! Cut into nothing: bits depend on the shapes alone.
#![allow(unsafe_code)]

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::product::full;
use crate::{Lanes, Matrix, MatrixMut, Scratch, vectorised};

/// Bytes of the right factor up to which it stays near while the rows of the left one pass.
const NEAR: usize = 1 << 15;
/// Rows of the result whose sums are in registers together, the second where eight are left.
const TALL: [usize; 2] = [6, 4];
/// Vectors of each of them, on machines of 32 registers and of fewer.
const WIDE: [usize; 2] = [4, 2];
/// Products that are summed before the result takes them: a long sum that took them one by one would lose the same digit
/// of each.
const DEEP: usize = 128;
/// Rows and columns that change places together.
const SQUARE: usize = 4;

/// Of which values a product of small matrices is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Triangle {
    /// Of all.
    None,
    /// Each row of the result begins with some that are needed, the first one with so many, the next with one more each.
    Result(usize),
    /// The same of the left factor: all others are zeros.
    Left(usize),
    /// The same of the left factor's columns.
    LeftColumns(usize),
}

impl Triangle {
    /// The columns of the left factor that some rows of the result are made of, and how many of these rows' columns
    /// there are to make; others may be, too.
    fn extent(self, rows: Range<usize>, inner: usize, columns: usize) -> (Range<usize>, usize) {
        match self {
            Self::None => (0..inner, columns),
            Self::Result(first) => (0..inner, columns.min(first + rows.end - 1)),
            Self::Left(first) => (0..inner.min(first + rows.end - 1), columns),
            Self::LeftColumns(first) => (inner.min((rows.start + 1).saturating_sub(first))..inner, columns),
        }
    }
}

/// `out = left right`, or `out += left right`, on this thread; the same as [`full`] but for rounding.
pub(crate) fn small<T: Near>(
    out: MatrixMut<'_, T>,
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    triangle: Triangle,
    accumulate: bool,
) {
    let near = size_of::<T>() * right.rows() * right.columns() <= NEAR;
    if !near || !right.columns().is_multiple_of(Arch::new().dispatch(Count::<T>(PhantomData))) {
        full(out, left, right, accumulate);
    } else if right.column_stride() == 1 {
        Arch::new().dispatch(Product { out, left, right, triangle, accumulate });
    } else {
        T::with_scratch(|scratch| {
            scratch.resize(right.rows() * right.columns());
            copy(&mut scratch[..], right);
            let right = Matrix::row_major(scratch, right.columns());
            Arch::new().dispatch(Product { out, left, right, triangle, accumulate });
        });
    }
}

/// How many values a vector has.
struct Count<T>(PhantomData<T>);

impl<T: Lanes> WithSimd for Count<T> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        T::count::<S>()
    }
}

/// Copies the matrix to rows without gaps.
pub(crate) fn copy<T: Near>(out: &mut [T], matrix: Matrix<'_, T>) {
    let (rows, columns) = (matrix.rows(), matrix.columns());
    assert_eq!(out.len(), rows * columns, "values of the copy");
    let squares = if matrix.row_stride() == 1 { [rows, columns].map(|count| count - count % SQUARE) } else { [0, 0] };
    vectorised(
        &mut *out,
        #[inline(always)]
        |out: &mut [T]| {
            for row in (0..squares[0]).step_by(SQUARE) {
                for column in (0..squares[1]).step_by(SQUARE) {
                    let start = row + column * matrix.column_stride();
                    // SAFETY: `SQUARE` rows and columns from here on are within the matrix, whose last value is among
                    // its values, and within `out`, which is as large.
                    unsafe {
                        let from = matrix.values().as_ptr().add(start);
                        T::transpose(
                            from,
                            matrix.column_stride(),
                            out.as_mut_ptr().add(row * columns + column),
                            columns,
                        );
                    }
                }
            }
        },
    );
    for row in 0..rows {
        for column in if row < squares[0] { squares[1] } else { 0 }..columns {
            out[row * columns + column] = matrix.at(row, column);
        }
    }
}

struct Product<'a, T> {
    out: MatrixMut<'a, T>,
    left: Matrix<'a, T>,
    /// Its rows lie without gaps and are whole vectors.
    right: Matrix<'a, T>,
    triangle: Triangle,
    accumulate: bool,
}

impl<T: Lanes> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let whole = self.right.columns().is_multiple_of(T::count::<S>()) && self.right.column_stride() == 1;
        assert!(whole, "rows of the right factor that are whole vectors");
        assert_eq!(self.left.columns(), self.right.rows(), "columns of the left factor for rows of the right one");
        assert_eq!(
            [self.out.rows(), self.out.columns()],
            [self.left.rows(), self.right.columns()],
            "shape of the result"
        );
        let (rows, mut row) = (self.left.rows(), 0);
        let narrow = S::REGISTER_COUNT >= 32 && self.right.columns() <= WIDE[1] * T::count::<S>();
        while row < rows {
            row += match rows - row {
                // Narrow results have room for more rows.
                rows if narrow && rows >= 2 * TALL[1] => self.rows::<S, { 2 * TALL[1] }>(simd, row),
                rows if rows >= TALL[0] && rows != 2 * TALL[1] => self.rows::<S, { TALL[0] }>(simd, row),
                rows if rows >= TALL[1] => self.rows::<S, { TALL[1] }>(simd, row),
                _ => self.rows::<S, 1>(simd, row),
            };
        }
    }
}

impl<T: Lanes> Product<'_, T> {
    /// `R` rows of the result; returns their number.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, simd: S, row: usize) -> usize {
        let (inner, columns) = self.triangle.extent(row..row + R, self.left.columns(), self.right.columns());
        let mut first = inner.start;
        loop {
            let part = first..inner.end.min(first + DEEP);
            first = part.end;
            self.columns::<S, R>(simd, row, columns, part, self.accumulate || first > inner.start + DEEP);
            if first == inner.end {
                return R;
            }
        }
    }

    /// The first columns of `R` rows, by a part of the inner axis.
    #[inline(always)]
    fn columns<S: Simd, const R: usize>(
        &mut self,
        simd: S,
        row: usize,
        columns: usize,
        inner: Range<usize>,
        accumulate: bool,
    ) {
        let lanes = T::count::<S>();
        let mut column = 0;
        while column < columns {
            let vectors = (columns - column).div_ceil(lanes);
            // SAFETY: `R` rows are there, as the caller has seen, and so are the vectors: all columns are whole ones,
            // and a triangle needs no more of them.
            column += lanes
                * unsafe {
                    if S::REGISTER_COUNT >= 32 && vectors >= WIDE[0] {
                        self.tile::<S, R, { WIDE[0] }>(simd, row, column, inner.clone(), accumulate)
                    } else if vectors >= WIDE[1] {
                        self.tile::<S, R, { WIDE[1] }>(simd, row, column, inner.clone(), accumulate)
                    } else {
                        self.tile::<S, R, 1>(simd, row, column, inner.clone(), accumulate)
                    }
                };
        }
    }

    /// `C` vectors of `R` rows; returns the former number.
    ///
    /// # Safety
    /// The result has those rows and vectors; with the shapes compared, the factors then have what is read.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const C: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        inner: Range<usize>,
        accumulate: bool,
    ) -> usize {
        let (left, left_steps) = (self.left.values().as_ptr(), [self.left.row_stride(), self.left.column_stride()]);
        let (right, right_step) = (self.right.values().as_ptr(), self.right.row_stride());
        let out_step = self.out.stride();
        // SAFETY: a matrix ends within its values, the shapes fit each other by the assertions at the start, rows and
        // vectors are there as promised, `inner` is within the left factor's columns, and vectors may lie anywhere.
        unsafe {
            let out = self.out.as_mut_ptr().add(row * out_step + column);
            let (left, right) = (left.add(row * left_steps[0]), right.add(column));
            let one = T::splat(simd, T::ONE);
            let mut sums = [[T::splat(simd, T::ZERO); C]; R];
            for at in inner {
                let mut vectors = [T::splat(simd, T::ZERO); C];
                for (c, vector) in vectors.iter_mut().enumerate() {
                    *vector = right.add(at * right_step).cast::<T::Vector<S>>().add(c).read_unaligned();
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let value = T::splat(simd, *left.add(r * left_steps[0] + at * left_steps[1]));
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = T::multiply_add(simd, value, vector, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (c, sum) in sums.iter().enumerate() {
                    let out = out.add(r * out_step).cast::<T::Vector<S>>().add(c);
                    let before = if accumulate { out.read_unaligned() } else { T::splat(simd, T::ZERO) };
                    out.write_unaligned(T::multiply_add(simd, one, *sum, before));
                }
            }
        }
        C
    }
}

thread_local! {
    static F32: RefCell<Scratch<f32>> = RefCell::default();
    static F64: RefCell<Scratch<f64>> = RefCell::default();
}

/// What brings a factor into another layout.
pub(crate) trait Near: Lanes {
    /// Calls `work` with memory of the thread.
    fn with_scratch<R>(work: impl FnOnce(&mut Scratch<Self>) -> R) -> R;

    /// Writes `SQUARE` rows of as many values, `from_step` apart, as columns of rows that are `to_step` apart.
    ///
    /// # Safety
    /// The first can be read, the others written.
    #[inline(always)]
    unsafe fn transpose(from: *const Self, from_step: usize, to: *mut Self, to_step: usize) {
        for row in 0..SQUARE {
            for column in 0..SQUARE {
                // SAFETY: as the caller promises.
                unsafe { *to.add(column * to_step + row) = *from.add(row * from_step + column) };
            }
        }
    }
}

impl Near for f32 {
    fn with_scratch<R>(work: impl FnOnce(&mut Scratch<f32>) -> R) -> R {
        F32.with_borrow_mut(work)
    }

    /// By the shuffles that every such machine has: the compiler finds none.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
        // SAFETY: as the caller promises.
        unsafe {
            let [mut a, mut b, mut c, mut d] = [0, 1, 2, 3].map(|row| _mm_loadu_ps(from.add(row * from_step)));
            _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
            for (row, values) in [a, b, c, d].into_iter().enumerate() {
                _mm_storeu_ps(to.add(row * to_step), values);
            }
        }
    }
}

impl Near for f64 {
    fn with_scratch<R>(work: impl FnOnce(&mut Scratch<f64>) -> R) -> R {
        F64.with_borrow_mut(work)
    }
}
