//! Blocks of rows and of scores: products, masks, and what is kept between them.

use std::ops::Range;

use attar_ops::{Float, Matrix, MatrixMut, Scratch, Triangle};

use crate::kernel::{Kernel, RowScale};
use crate::map::{Map, Side};
use crate::shape::Group;

/// Most rows of a block of queries or of keys: scores of 128 by 128 and all their factors fit the second cache.
pub(crate) const TILE: usize = 128;

/// Tasks that a call is cut into at least, if there are so many blocks.
const TASKS: usize = 8;

/// How many pieces each group's sequence is cut into, of those there are at most.
pub(crate) fn pieces(groups: usize, most: usize) -> usize {
    TASKS.div_ceil(groups.max(1)).clamp(1, most.max(1))
}

/// `out = left right`
pub(crate) fn product<T: Float>(out: &mut Scratch<T>, left: Matrix<'_, T>, right: Matrix<'_, T>, triangle: Triangle) {
    out.resize(left.rows() * right.columns());
    T::small_product(MatrixMut::row_major(out, right.columns()), left, right, triangle, false);
}

/// `out += left right`
pub(crate) fn add_product<T: Float>(out: &mut [T], left: Matrix<'_, T>, right: Matrix<'_, T>, triangle: Triangle) {
    T::small_product(MatrixMut::row_major(out, right.columns()), left, right, triangle, true);
}

/// Rows as columns without gaps, as products read them: `[width, rows]`.
pub(crate) fn columns<'a, T: Float>(rows: &[T], width: usize, out: &'a mut Scratch<T>) -> Matrix<'a, T> {
    out.resize(rows.len());
    T::copy_rows(out, Matrix::row_major(rows, width).transposed());
    Matrix::row_major(out, rows.len() / width)
}

/// Writes `value` for every pair that does not see each other into a block `[queries, keys]`.
pub(crate) fn mask<T: Float>(
    block: &mut [T],
    group: &Group<'_, T>,
    queries: &Range<usize>,
    keys: &Range<usize>,
    value: T,
) {
    let hidden = group.hidden_of(keys);
    if hidden.is_none() && group.visible_of(keys, queries.start) == keys.len() {
        return;
    }
    for (query, row) in queries.clone().zip(block.chunks_exact_mut(keys.len().max(1))) {
        row[group.visible_of(keys, query)..].fill(value);
        for (value_of_key, _) in row.iter_mut().zip(hidden.into_iter().flatten()).filter(|(_, hidden)| **hidden) {
            *value_of_key = value;
        }
    }
}

/// The gradients by weights of a block of pairs, gone back to scores, queries, keys and values.
///
/// Its arrays are kept from block to block.
#[derive(Default)]
pub(crate) struct BlockGradient<T> {
    weights: Scratch<T>,
    of_scores: Scratch<T>,
    of_features: Scratch<T>,
}

/// A block of pairs: rows of queries and keys, and their features, whose products are the scores.
pub(crate) struct Block<'a, T> {
    pub(crate) queries: Range<usize>,
    pub(crate) keys: Range<usize>,
    pub(crate) head: usize,
    pub(crate) query_features: &'a [T],
    pub(crate) key_features: &'a [T],
    /// The keys' features, `[width, keys]`.
    pub(crate) key_columns: Matrix<'a, T>,
    /// The keys' values, `[value_dim, keys]`.
    pub(crate) value_columns: Matrix<'a, T>,
    /// Of the queries.
    pub(crate) of_output: &'a [T],
    /// Of the queries.
    pub(crate) scales: &'a [RowScale<T>],
    /// Whether the weights give the values a gradient.
    pub(crate) of_values: bool,
}

impl<T: Float> BlockGradient<T> {
    /// Adds the block's part to the gradients of its queries and values, and to that of the keys' features.
    pub(crate) fn add(
        &mut self,
        kernel: &Kernel<T>,
        group: &Group<'_, T>,
        block: &Block<'_, T>,
        [of_queries, of_key_features, of_values]: [&mut [T]; 3],
    ) {
        let Block { queries, keys, query_features, key_features, of_output, .. } = block;
        let (width, value_dim) = (kernel.scores.width(kernel.dim), group.shape.value_dim);
        let seen = group.visible_of(keys, queries.start);
        let (query_rows, of_output) =
            (Matrix::row_major(query_features, width), Matrix::row_major(of_output, value_dim));
        product(&mut self.weights, query_rows, block.key_columns, Triangle::Result(seen));
        product(&mut self.of_scores, of_output, block.value_columns, Triangle::Result(seen));
        self.chain_to_scores(kernel, group, block);
        let weights = Matrix::row_major(&self.weights[..], keys.len());
        let of_scores = Matrix::row_major(&self.of_scores, keys.len());
        if block.of_values {
            add_product(of_values, weights.transposed(), of_output, Triangle::LeftColumns(seen));
        }
        add_product(of_key_features, of_scores.transposed(), query_rows, Triangle::LeftColumns(seen));
        let key_features = Matrix::row_major(key_features, width);
        if matches!(kernel.scores, Map::Identity) {
            add_product(of_queries, of_scores, key_features, Triangle::Left(seen));
        } else {
            product(&mut self.of_features, of_scores, key_features, Triangle::Left(seen));
            let rows = group.query_rows(block.head, queries);
            kernel.scores.add_gradient(rows, kernel.dim, query_features, &self.of_features, of_queries);
        }
    }

    fn chain_to_scores(&mut self, kernel: &Kernel<T>, group: &Group<'_, T>, block: &Block<'_, T>) {
        let (queries, keys) = (&block.queries, &block.keys);
        kernel.link.apply_with_gradient(&mut self.weights, &mut self.of_scores, block.scales);
        mask(&mut self.weights, group, queries, keys, T::ZERO);
        mask(&mut self.of_scores, group, queries, keys, T::ZERO);
    }
}

/// The features of a block of queries, for scores or for sums.
pub(crate) fn of_queries<'a, T: Float>(map: &Map<T>, rows: &'a [T], dim: usize, out: &'a mut Scratch<T>) -> &'a [T] {
    map.apply(rows, dim, Side::Query, out)
}

/// The features of a block of keys, where `shift` lessens the exponents of random ones.
pub(crate) fn of_keys<'a, T: Float>(
    map: &Map<T>,
    rows: &'a [T],
    dim: usize,
    shift: T,
    out: &'a mut Scratch<T>,
) -> &'a [T] {
    map.apply(rows, dim, Side::Key { shift }, out)
}
