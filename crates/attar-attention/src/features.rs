//! The features that the sums of the linear form are made of: what becomes of them, without all of them at once.

use attar_ops::{Float, Matrix, MatrixMut, Precision, Scratch, add_product_with_vector};

use crate::map::{Map, Side};
use crate::symmetric;

/// About how many of the symmetric features there are at a time: with 128 rows they fit the second cache beside all
/// else.
const BLOCK: usize = 256;

/// Rows to rows whose inner products are the weights.
#[derive(Clone, Debug)]
pub(crate) enum Features<T> {
    /// Those of a map.
    Mapped(Map<T>),
    /// All products of two values of `(root x, shift)`: the inner product of such rows is the square of that of the
    /// values, see [`symmetric`].
    Symmetric { root: T, shift: T },
}

/// Arrays that the blocks of features use one after the other.
#[derive(Debug, Default)]
pub(crate) struct Room<T> {
    block: Scratch<T>,
    of_lifted: Scratch<T>,
    column: Vec<T>,
}

impl<T: Float> Features<T> {
    /// Features of a row of `dim` values.
    pub(crate) fn width(&self, dim: usize) -> usize {
        match self {
            Self::Mapped(map) => map.width(dim),
            Self::Symmetric { shift, .. } => symmetric::width(lifted(dim, *shift)),
        }
    }

    /// What the features of the rows are made from: those of a map themselves.
    pub(crate) fn prepare<'a>(&self, rows: &'a [T], dim: usize, side: Side<T>, out: &'a mut Scratch<T>) -> &'a [T] {
        match self {
            Self::Mapped(map) => map.apply(rows, dim, side, out),
            Self::Symmetric { root, shift } => {
                symmetric::lift(rows, dim, [*root, *shift], out);
                out
            }
        }
    }

    /// Calls `work` on the features `[rows, some]` of prepared rows, and on the place of the first of them.
    fn each_block(
        &self,
        prepared: &[T],
        rows: usize,
        block: &mut Scratch<T>,
        mut work: impl FnMut(Matrix<'_, T>, usize),
    ) {
        if rows == 0 {
            return;
        }
        if matches!(self, Self::Mapped(_)) {
            return work(Matrix::row_major(prepared, prepared.len() / rows), 0);
        }
        let count = prepared.len() / rows;
        for firsts in symmetric::blocks(count, BLOCK) {
            symmetric::products(prepared, rows, &firsts, block);
            work(Matrix::row_major(block, rows).transposed(), symmetric::start(count, firsts.start));
        }
    }

    /// `out += features sums` for all columns of the sums but the last, and `of_last` for that, unless it is empty.
    pub(crate) fn add_times_sums(
        &self,
        prepared: &[T],
        sums: Matrix<'_, T>,
        [out, of_last]: [&mut [T]; 2],
        room: &mut Room<T>,
    ) {
        let columns = sums.columns() - 1;
        let (rows, column) = (out.len() / columns, &mut room.column);
        self.each_block(prepared, rows, &mut room.block, |features, first| {
            let sums = sums.some_rows(first, features.columns());
            T::small_product(MatrixMut::row_major(&mut *out, columns), features, sums.some_columns(0, columns), true);
            if !of_last.is_empty() {
                column.clear();
                column.extend(last_column(sums));
                add_product_with_vector(of_last, features, column);
            }
        });
    }

    /// `sums += features^T values`
    pub(crate) fn add_to_sums(&self, prepared: &[T], values: Matrix<'_, T>, sums: &mut [T], room: &mut Room<T>) {
        // The last column by itself: it would cost the product as much as a whole vector of them.
        let columns = values.columns() - 1;
        let last: Vec<T> = last_column(values).collect();
        let column = &mut room.column;
        self.each_block(prepared, values.rows(), &mut room.block, |features, first| {
            let features = features.transposed();
            let sums = &mut sums[first * (columns + 1)..][..features.rows() * (columns + 1)];
            let all_but_last = [features.rows(), columns];
            let mut all = MatrixMut::row_major(&mut *sums, columns + 1);
            T::small_product(all.part([0, 0], all_but_last), features, values.some_columns(0, columns), true);
            column.clear();
            column.resize(features.rows(), T::ZERO);
            add_product_with_vector(column, features, &last);
            sums.chunks_exact_mut(columns + 1).zip(&*column).for_each(|(sums, &value)| sums[columns] += value);
        });
    }

    /// Adds to the rows' gradient what follows from that of their features, which is `values sums^T`.
    pub(crate) fn add_gradient(
        &self,
        [rows, prepared]: [&[T]; 2],
        values: Matrix<'_, T>,
        sums: Matrix<'_, T>,
        of_rows: &mut [T],
        room: &mut Room<T>,
    ) {
        let count = values.rows();
        if count == 0 {
            return;
        }
        let dim = rows.len() / count;
        match self {
            Self::Mapped(map) => {
                room.block.resize(count * sums.rows());
                let out = MatrixMut::row_major(&mut room.block, sums.rows());
                T::small_product(out, values, sums.transposed(), false);
                map.add_gradient(rows, dim, prepared, &room.block, of_rows);
            }
            Self::Symmetric { root, .. } => {
                room.of_lifted.clear(prepared.len());
                let lifted = prepared.len() / count;
                for firsts in symmetric::blocks(lifted, BLOCK) {
                    let [first, end] = [firsts.start, firsts.end].map(|first| symmetric::start(lifted, first));
                    room.block.resize((end - first) * count);
                    let out = MatrixMut::row_major(&mut room.block, count);
                    T::product(Precision::Full, out, sums.some_rows(first, end - first), values.transposed());
                    symmetric::add_gradient(prepared, count, &firsts, &room.block, &mut room.of_lifted);
                }
                symmetric::lower(&room.of_lifted, dim, *root, of_rows);
            }
        }
    }
}

fn last_column<T: Copy>(matrix: Matrix<'_, T>) -> impl Iterator<Item = T> {
    matrix.values().iter().copied().skip(matrix.columns() - 1).step_by(matrix.row_stride()).take(matrix.rows())
}

fn lifted<T: Float>(dim: usize, shift: T) -> usize {
    dim + usize::from(shift != T::ZERO)
}
