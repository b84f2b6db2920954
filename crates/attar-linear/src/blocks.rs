//! Fixed row blocks, and copies between row-major slices and matrices.

use std::ops::Range;

use faer::{Mat, MatRef};
use pulp::Arch;

use crate::real::Real;

/// Rows handled at a time. Fixed, so that sums do not depend on the number of threads.
pub(crate) const BLOCK: usize = 1024;

/// The half-open row ranges `[start, start + length)` that cover `rows` in fixed blocks.
pub(crate) fn row_blocks(rows: usize) -> Vec<(usize, usize)> {
    row_blocks_of(rows, BLOCK)
}

/// As [`row_blocks`], in blocks of another size.
pub(crate) fn row_blocks_of(rows: usize, size: usize) -> Vec<(usize, usize)> {
    (0..rows).step_by(size).map(|start| (start, size.min(rows - start))).collect()
}

/// Hands over the rows from first to last, without a copy where their values lie side by side. `take` is compiled for
/// the widest vectors that the machine has.
pub(crate) fn for_each_row<T: Real>(matrix: MatRef<'_, T>, mut take: impl FnMut(usize, &[T])) {
    let mut copy: Vec<T> = Vec::new();
    Arch::new().dispatch(|| {
        for i in 0..matrix.nrows() {
            let row = matrix.row(i);
            let values = match row.try_as_row_major() {
                Some(row) => row.as_slice(),
                None => {
                    copy.clear();
                    copy.extend(row.iter());
                    &copy
                }
            };
            take(i, values);
        }
    });
}

/// The matrix's values in row-major order, `rows * columns` of them.
pub fn row_major<T: Real>(matrix: MatRef<'_, T>) -> Vec<T> {
    let mut values = Vec::with_capacity(matrix.nrows() * matrix.ncols());
    for_each_row(matrix, |_, row| values.extend_from_slice(row));
    values
}

/// The matrix in `f64`, with `shift` taken from every row.
pub(crate) fn centred<T: Real>(matrix: MatRef<'_, T>, shift: &[f64]) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| matrix[(i, j)].into() - shift[j])
}

/// Some features of the rows as columns, `[features, samples]`, with `shift` taken from every row. The features are
/// named by runs of neighbours.
pub(crate) fn centred_columns<T: Real, P: Real>(rows: MatRef<'_, T>, shift: &[f64], runs: &[Range<usize>]) -> Mat<P> {
    let shift: Vec<P> = shift.iter().map(|&shift| P::of(shift)).collect();
    let mut columns = Mat::zeros(runs.iter().map(Range::len).sum(), rows.nrows());
    for_each_row(rows, |i, row| {
        let mut out = columns.col_as_slice_mut(i);
        for run in runs {
            let (now, later) = out.split_at_mut(run.len());
            let values = row[run.clone()].iter().zip(&shift[run.clone()]);
            now.iter_mut().zip(values).for_each(|(out, (&value, &shift))| *out = P::of(value.into()) - shift);
            out = later;
        }
    });
    columns
}
