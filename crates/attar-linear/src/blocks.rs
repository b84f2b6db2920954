//! Fixed row blocks, and copies between row-major slices and matrices.

use faer::{Mat, MatRef};

/// Rows handled at a time. Fixed, so that sums do not depend on the number of threads.
pub(crate) const BLOCK: usize = 1024;

/// The half-open row ranges `[start, start + length)` that cover `rows` in fixed blocks.
pub(crate) fn row_blocks(rows: usize) -> Vec<(usize, usize)> {
    (0..rows).step_by(BLOCK).map(|start| (start, BLOCK.min(rows - start))).collect()
}

/// The matrix's values in row-major order, `rows * columns` of them.
pub fn row_major(matrix: MatRef<'_, f32>) -> Vec<f32> {
    let mut values = Vec::with_capacity(matrix.nrows() * matrix.ncols());
    for i in 0..matrix.nrows() {
        let row = matrix.row(i);
        match row.try_as_row_major() {
            Some(row) => values.extend_from_slice(row.as_slice()),
            None => values.extend(row.iter()),
        }
    }
    values
}

/// The matrix in `f64`, with `shift` taken from every row.
pub(crate) fn centred(matrix: MatRef<'_, f32>, shift: &[f64]) -> Mat<f64> {
    Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| f64::from(matrix[(i, j)]) - shift[j])
}
