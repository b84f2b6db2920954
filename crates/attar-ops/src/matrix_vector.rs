//! A matrix times a vector, read where it lies.

use crate::reduce::sum_of_products;
use crate::{Float, Matrix, vectorised};

/// `out += matrix vector`, on this thread.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn add_product_with_vector<T: Float>(out: &mut [T], matrix: Matrix<'_, T>, vector: &[T]) {
    assert_eq!([out.len(), vector.len()], [matrix.rows(), matrix.columns()], "lengths of result and vector");
    if out.is_empty() || vector.is_empty() {
    } else if matrix.column_stride() == 1 {
        add_along_rows(out, matrix, vector);
    } else if matrix.row_stride() == 1 {
        add_down_columns(out, matrix, vector);
    } else {
        for (row, out) in out.iter_mut().enumerate() {
            *out += vector.iter().enumerate().map(|(column, &value)| matrix.at(row, column) * value).sum();
        }
    }
}

/// Rows without gaps: each one's product with the vector.
fn add_along_rows<T: Float>(out: &mut [T], matrix: Matrix<'_, T>, vector: &[T]) {
    vectorised(
        out,
        #[inline(always)]
        |out: &mut [T]| {
            for (row, out) in out.iter_mut().enumerate() {
                let row = &matrix.values()[row * matrix.row_stride()..][..vector.len()];
                *out += T::from_f64(sum_of_products(row, vector));
            }
        },
    );
}

/// Values of the result whose sums are in registers together.
const BLOCK: usize = 64;

/// Columns without gaps: four at a time, and summed before the result takes them, so that a long sum does not lose the
/// same digit of each.
fn add_down_columns<T: Float>(out: &mut [T], matrix: Matrix<'_, T>, vector: &[T]) {
    let stride = matrix.column_stride();
    vectorised(
        out,
        #[inline(always)]
        |out: &mut [T]| {
            let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
            let first_of_rest = blocks.len() * BLOCK;
            for (at, block) in blocks.iter_mut().enumerate() {
                let values = &matrix.values()[at * BLOCK..];
                let mut sums = [T::ZERO; BLOCK];
                add_columns(&mut sums, |column| &values[column * stride..][..BLOCK], vector);
                block.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
            }
            if let Some(values) = matrix.values().get(first_of_rest..).filter(|_| !rest.is_empty()) {
                let mut sums = [T::ZERO; BLOCK];
                let sums = &mut sums[..rest.len()];
                add_columns(sums, |column| &values[column * stride..][..rest.len()], vector);
                rest.iter_mut().zip(sums).for_each(|(out, sum)| *out += *sum);
            }
        },
    );
}

#[inline(always)]
fn add_columns<'a, T: Float>(sums: &mut [T], column: impl Fn(usize) -> &'a [T], vector: &[T]) {
    let (fours, rest) = vector.as_chunks::<4>();
    for (at, &[a, b, c, d]) in fours.iter().enumerate() {
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|next| column(4 * at + next));
        let columns = first.iter().zip(second).zip(third.iter().zip(fourth));
        for (sum, ((&x, &y), (&z, &w))) in sums.iter_mut().zip(columns) {
            *sum += (a * x + b * y) + (c * z + d * w);
        }
    }
    for (at, &value) in rest.iter().enumerate() {
        let column = column(4 * fours.len() + at);
        sums.iter_mut().zip(column).for_each(|(sum, &x)| *sum += value * x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_sums_written_out_in_every_layout() {
        for [rows, columns] in [[1, 1], [1, 9], [3, 0], [0, 2], [5, 7], [33, 16], [130, 70]] {
            let values: Vec<f64> = (0..2 * rows * columns + 1).map(|at| (at as f64 * 0.37).sin()).collect();
            let vector: Vec<f64> = (0..columns).map(|at| (at as f64 * 0.71).cos()).collect();
            for strides in [[columns, 1], [1, rows], [columns + 1, 1], [1, 1], [2, 2 * rows], [2 * columns, 2]] {
                let Some(matrix) = Matrix::strided(&values, [rows, columns], strides) else { continue };
                let mut out = vec![0.5; rows];
                add_product_with_vector(&mut out, matrix, &vector);
                for (row, out) in out.into_iter().enumerate() {
                    let want = 0.5 + (0..columns).map(|at| matrix.at(row, at) * vector[at]).sum::<f64>();
                    assert!((out - want).abs() < 1e-13, "{rows} {columns} {strides:?}: {out} for {want}");
                }
            }
        }
    }
}
