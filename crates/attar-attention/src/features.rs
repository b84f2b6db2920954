//! The features that the sums of the linear form are made of: what becomes of them, without all of them at once.

use attar_ops::{Float, Matrix, MatrixMut, Scratch, Triangle, add_product_with_vector, vectorised};

use crate::map::{Map, Side};
use crate::symmetric;
use crate::tile::TILE;

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
}

/// A matrix whose last column lies apart: within it would cost a product as much as a whole vector of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns<'a, T> {
    /// All columns but the last.
    pub(crate) all: Matrix<'a, T>,
    /// The last.
    pub(crate) last: &'a [T],
}

impl<'a, T: Float> Columns<'a, T> {
    /// Sums `[features, columns]` in one array, the last column after all others.
    pub(crate) fn of_sums(sums: &'a [T], columns: usize) -> Self {
        let (all, last) = sums.split_at(sums.len() / columns * (columns - 1));
        Self { all: Matrix::row_major(all, columns - 1), last }
    }

    /// Such sums whose columns, all but the last, lie without gaps.
    fn of_sums_across(sums: &'a [T], columns: usize) -> Self {
        let (all, last) = sums.split_at(sums.len() / columns * (columns - 1));
        Self { all: Matrix::row_major(all, last.len()).transposed(), last }
    }

    /// Copied for [`Self::of_sums_across`].
    fn across(&self) -> Vec<T> {
        let mut sums = vec![T::ZERO; (self.all.columns() + 1) * self.last.len()];
        let (all, last) = sums.split_at_mut(self.all.columns() * self.last.len());
        T::copy_rows(all, self.all.transposed());
        last.copy_from_slice(self.last);
        sums
    }
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

    /// What [`Self::prepare`] made of the rows.
    pub(crate) fn prepared<'a>(&self, rows: &'a [T], out: &'a Scratch<T>) -> &'a [T] {
        if matches!(self, Self::Mapped(Map::Identity)) { rows } else { out }
    }

    /// Whether prepared rows are worth keeping for a while: symmetric features themselves are made again anyway.
    pub(crate) fn keeps_rows(&self) -> bool {
        matches!(self, Self::Mapped(_))
    }

    /// Places of a sequence, a multiple of those of every chunk, after which sums are kept: as long as they are about as
    /// large as what belongs to these, and that fits the second cache. Symmetric ones are much larger.
    pub(crate) fn stretch(&self) -> usize {
        if self.keeps_rows() { 4 * TILE } else { usize::MAX }
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

    /// `out += features sums`, and `of_last` the same of the last column, unless it is empty.
    pub(crate) fn add_times_sums(
        &self,
        prepared: &[T],
        sums: Columns<'_, T>,
        [out, of_last]: [&mut [T]; 2],
        room: &mut Room<T>,
    ) {
        let columns = sums.all.columns();
        let rows = out.len() / columns;
        self.each_block(prepared, rows, &mut room.block, |features, first| {
            let count = features.columns();
            T::small_product(
                MatrixMut::row_major(out, columns),
                features,
                sums.all.some_rows(first, count),
                Triangle::None,
                true,
            );
            if !of_last.is_empty() {
                add_product_with_vector(of_last, features, &sums.last[first..][..count]);
            }
        });
    }

    /// `sums += features^T values`, which lie as in [`Columns::of_sums`].
    pub(crate) fn add_to_sums(&self, prepared: &[T], values: Columns<'_, T>, sums: &mut [T], room: &mut Room<T>) {
        let columns = values.all.columns();
        let (all, last) = sums.split_at_mut(sums.len() / (columns + 1) * columns);
        self.add_to_last_sums(prepared, values.last, last, room);
        self.each_block(prepared, values.all.rows(), &mut room.block, |features, first| {
            let features = features.transposed();
            let all = &mut all[first * columns..][..features.rows() * columns];
            T::small_product(MatrixMut::row_major(all, columns), features, values.all, Triangle::None, true);
        });
    }

    /// The last column of [`Self::add_to_sums`].
    fn add_to_last_sums(&self, prepared: &[T], values: &[T], last: &mut [T], room: &mut Room<T>) {
        if values.is_empty() {
            return;
        }
        match self {
            Self::Mapped(_) => {
                add_product_with_vector(last, Matrix::row_major(prepared, last.len()).transposed(), values)
            }
            Self::Symmetric { .. } => {
                symmetric::add_sums(prepared, values, last, [&mut room.block, &mut room.of_lifted]);
            }
        }
    }

    /// Sums as [`Self::add_gradient`] reads them without moving a value: those of a map, which are small, lie across.
    pub(crate) fn sums_for_gradient(&self, sums: Columns<'_, T>) -> Vec<T> {
        if self.keeps_rows() { sums.across() } else { [sums.all.values(), sums.last].concat() }
    }

    /// What [`Self::sums_for_gradient`] made.
    pub(crate) fn columns_for_gradient<'a>(&self, sums: &'a [T], columns: usize) -> Columns<'a, T> {
        if self.keeps_rows() { Columns::of_sums_across(sums, columns) } else { Columns::of_sums(sums, columns) }
    }

    /// [`Self::add_to_sums`] for what [`Self::sums_for_gradient`] made.
    pub(crate) fn add_to_sums_for_gradient(
        &self,
        prepared: &[T],
        values: Columns<'_, T>,
        sums: &mut [T],
        room: &mut Room<T>,
    ) {
        if !self.keeps_rows() {
            return self.add_to_sums(prepared, values, sums, room);
        }
        let columns = values.all.columns();
        let (all, last) = sums.split_at_mut(sums.len() / (columns + 1) * columns);
        self.add_to_last_sums(prepared, values.last, last, room);
        self.each_block(prepared, values.all.rows(), &mut room.block, |features, _| {
            let all = MatrixMut::row_major(all, features.columns());
            T::small_product(all, values.all.transposed(), features, Triangle::None, true);
        });
    }

    /// Adds to the rows' gradient what follows from that of their features, which is `values sums^T`.
    pub(crate) fn add_gradient(
        &self,
        [rows, prepared]: [&[T]; 2],
        values: Columns<'_, T>,
        sums: Columns<'_, T>,
        of_rows: &mut [T],
        room: &mut Room<T>,
    ) {
        let count = values.all.rows();
        if count == 0 {
            return;
        }
        let dim = rows.len() / count;
        match self {
            Self::Mapped(map) => {
                room.block.resize(count * sums.last.len());
                set_products(&mut room.block, values.last, sums.last);
                let out = MatrixMut::row_major(&mut room.block, sums.last.len());
                T::small_product(out, values.all, sums.all.transposed(), Triangle::None, true);
                map.add_gradient(rows, dim, prepared, &room.block, of_rows);
            }
            Self::Symmetric { root, .. } => {
                room.of_lifted.clear(prepared.len());
                let lifted = prepared.len() / count;
                for firsts in symmetric::blocks(lifted, BLOCK) {
                    let [first, end] = [firsts.start, firsts.end].map(|first| symmetric::start(lifted, first));
                    room.block.resize((end - first) * count);
                    set_products(&mut room.block, &sums.last[first..end], values.last);
                    let out = MatrixMut::row_major(&mut room.block, count);
                    T::small_product(
                        out,
                        sums.all.some_rows(first, end - first),
                        values.all.transposed(),
                        Triangle::None,
                        true,
                    );
                    symmetric::add_gradient(prepared, count, &firsts, &room.block, &mut room.of_lifted);
                }
                symmetric::lower(&room.of_lifted, dim, *root, of_rows);
            }
        }
    }
}

/// The products of each pair of two vectors' values, as rows.
fn set_products<T: Float>(out: &mut [T], left: &[T], right: &[T]) {
    vectorised(
        out,
        #[inline(always)]
        |out: &mut [T]| {
            for (out, &left) in out.chunks_exact_mut(right.len()).zip(left) {
                out.iter_mut().zip(right).for_each(|(out, &right)| *out = left * right);
            }
        },
    );
}

fn lifted<T: Float>(dim: usize, shift: T) -> usize {
    dim + usize::from(shift != T::ZERO)
}
