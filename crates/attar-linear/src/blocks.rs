//! Fixed row blocks, and copies between row-major slices and matrices.

use faer::{Mat, MatRef};

use crate::real::Real;

/// Rows handled at a time. Fixed, so that sums do not depend on the number of threads.
pub(crate) const BLOCK: usize = 1024;

/// The half-open row ranges `[start, start + length)` that cover `rows` in fixed blocks.
pub(crate) fn row_blocks(rows: usize) -> Vec<(usize, usize)> {
    (0..rows).step_by(BLOCK).map(|start| (start, BLOCK.min(rows - start))).collect()
}

/// Hands over the rows from first to last, without a copy where they lie side by side.
pub(crate) fn for_each_row<T: Real>(matrix: MatRef<'_, T>, mut take: impl FnMut(usize, &[T])) {
    let mut copy = Vec::new();
    for i in 0..matrix.nrows() {
        let row = matrix.row(i);
        match row.try_as_row_major() {
            Some(row) => take(i, row.as_slice()),
            None => {
                copy.clear();
                copy.extend(row.iter());
                take(i, &copy);
            }
        }
    }
}

/// The matrix's values in row-major order, `rows * columns` of them.
pub fn row_major<T: Real>(matrix: MatRef<'_, T>) -> Vec<T> {
    let mut values = Vec::with_capacity(matrix.nrows() * matrix.ncols());
    for_each_row(matrix, |_, row| values.extend_from_slice(row));
    values
}

/// The matrix with `shift` taken from every row, in `f64` unless `P` is `f32`.
pub(crate) fn centred<T: Real, P: Real>(matrix: MatRef<'_, T>, shift: &[f64]) -> Mat<P> {
    let mut out = Mat::zeros(matrix.nrows(), matrix.ncols());
    for (j, shift) in shift.iter().enumerate() {
        centre_column(matrix, j, *shift, out.col_as_slice_mut(j));
    }
    out
}

/// Some columns of the matrix, with their `shift` taken from every row.
pub(crate) fn centred_columns<T: Real, P: Real>(matrix: MatRef<'_, T>, shift: &[f64], columns: &[usize]) -> Mat<P> {
    let mut out = Mat::zeros(matrix.nrows(), columns.len());
    for (to, &from) in columns.iter().enumerate() {
        centre_column(matrix, from, shift[from], out.col_as_slice_mut(to));
    }
    out
}

fn centre_column<T: Real, P: Real>(matrix: MatRef<'_, T>, column: usize, shift: f64, out: &mut [P]) {
    for (out, &value) in out.iter_mut().zip(matrix.col(column).iter()) {
        *out = P::of(value.into() - shift);
    }
}
