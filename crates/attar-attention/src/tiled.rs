//! All pairs of queries and keys, a block at a time: N^2 time, O(N) memory.
//!
//! Softmax goes through its keys with a running largest score (Milakov & Gimelshein 2018; Dao et al. 2022, algorithm
//! 1), and the logarithm of the denominator is what the gradients start from.

use std::ops::Range;

use attar_ops::{Float, Matrix, Scratch, Triangle, largest, replace_and_sum, sum, vectorised};
use rayon::prelude::*;

use crate::attention::{Attention, Forward, Gradients};
use crate::denominator::Bounds;
use crate::kernel::{Kernel, Link, RowScale};
use crate::map::exp_or_zero;
use crate::shape::{Group, Inputs, parts, ranges};
use crate::tile::{
    Block, BlockGradient, TILE, add_product, columns, key_shift, mask, of_keys, of_queries, pieces, product,
};
use crate::{HardGradient, Similarity};

/// Most keys of a block: as many as the products' right factor has room for in the nearest cache.
const KEYS: usize = TILE;

/// The output of a checked attention.
pub(crate) fn forward<T: Float>(attention: &Attention, inputs: &Inputs<'_, T>) -> Forward<T> {
    let shape = inputs.shape;
    let kernel = Kernel::new(attention.similarity, shape.dim);
    let mut forward = Forward::zeros(attention.similarity, &shape);
    let groups: Vec<Prepared<'_, T>> =
        (0..shape.groups()).into_par_iter().map(|index| Prepared::new(&kernel, attention, inputs, index)).collect();
    let blocks = ranges(shape.queries, TILE);
    let cut = |width| (shape.groups(), shape.group(), &blocks[..], width);
    let [of_output, of_row] = [shape.value_dim, 1].map(cut);
    let width_if = |there: bool, width| if there { width } else { 0 };
    let outputs = parts(&mut forward.output[..], of_output.0, of_output.1, of_output.2, of_output.3);
    let normalisers = parts(&mut forward.normaliser[..], of_row.0, of_row.1, of_row.2, of_row.3);
    let chosen_width = width_if(!forward.chosen.is_empty(), 1);
    let chosen = parts(&mut forward.chosen[..], of_row.0, of_row.1, of_row.2, chosen_width);
    let soft_width = width_if(!forward.soft.is_empty(), shape.value_dim);
    let soft = parts(&mut forward.soft[..], of_output.0, of_output.1, of_output.2, soft_width);
    let tasks: Vec<_> = outputs.into_iter().zip(normalisers).zip(chosen.into_iter().zip(soft)).collect();
    tasks.into_par_iter().enumerate().for_each(|(task, ((outputs, normalisers), (chosen, soft)))| {
        let (group, queries) = (&groups[task / blocks.len()], &blocks[task % blocks.len()]);
        let heads = outputs.into_iter().zip(normalisers).zip(chosen.into_iter().zip(soft));
        for (head, ((output, normaliser), (chosen, soft))) in heads.enumerate() {
            let rows = Rows { head, queries: queries.clone(), output, normaliser, chosen, soft };
            group.forward(&kernel, rows);
        }
    });
    forward
}

/// A group with what is found once for all of its blocks.
struct Prepared<'a, T> {
    group: Group<'a, T>,
    bounds: Bounds<'a, T>,
    /// The features of each [`KEYS`] keys as [`columns`].
    key_columns: Scratch<T>,
}

/// A block of one head's queries, and where its results go.
struct Rows<'a, T> {
    head: usize,
    queries: Range<usize>,
    output: &'a mut [T],
    normaliser: &'a mut [T],
    /// Of hard attention; otherwise empty.
    chosen: &'a mut [u32],
    /// Of hard attention that learns; otherwise empty.
    soft: &'a mut [T],
}

impl<'a, T: Float> Prepared<'a, T> {
    fn new(kernel: &'a Kernel<T>, attention: &Attention, inputs: &Inputs<'a, T>, index: usize) -> Self {
        let group = inputs.group(index, attention.causal);
        let shift = key_shift(kernel, &group, T::from_f64(f64::NEG_INFINITY));
        let width = kernel.scores.width(kernel.dim);
        let (mut key_columns, mut of_key) = (Scratch::default(), Scratch::default());
        key_columns.resize(group.shape.keys * width);
        for keys in ranges(group.shape.keys, KEYS) {
            let features = of_keys(&kernel.scores, group.key_rows(&keys), kernel.dim, shift, &mut of_key);
            let columns = &mut key_columns[keys.start * width..keys.end * width];
            T::copy_rows(columns, Matrix::row_major(features, width).transposed());
        }
        Self { group, bounds: Bounds::new(kernel, group, 0.0), key_columns }
    }

    /// The features of keys from the start of a block on, `[width, keys]`.
    fn columns(&self, keys: &Range<usize>, width: usize) -> Matrix<'_, T> {
        let end = self.group.shape.keys.min(keys.start + KEYS);
        let block = &self.key_columns[keys.start * width..end * width];
        Matrix::row_major(block, end - keys.start).some_columns(0, keys.len())
    }

    fn forward(&self, kernel: &Kernel<T>, rows: Rows<'_, T>) {
        let Rows { head, queries, output, normaliser, chosen, soft } = rows;
        let hard = matches!(kernel.similarity, Similarity::Hard { .. });
        let averages = kernel.similarity != Similarity::Hard { gradient: HardGradient::None };
        let mut best = vec![Best::default(); if hard { queries.len() } else { 0 }];
        let mut running = Running::new(queries.len(), kernel.link);
        let mean: &mut [T] = if hard { soft } else { &mut *output };
        let (mut of_query, mut block) = (Scratch::default(), Scratch::default());
        let rows = self.group.query_rows(head, &queries);
        let width = kernel.scores.width(kernel.dim);
        let query_features = Matrix::row_major(of_queries(&kernel.scores, rows, kernel.dim, &mut of_query), width);
        let seen = queries.end.checked_sub(1).map_or(0, |last| self.group.shape.visible(self.group.causal, last));
        for keys in ranges(seen, KEYS).into_iter().filter(|keys| !keys.is_empty()) {
            product(&mut block, query_features, self.columns(&keys, width), Triangle::None);
            if hard || kernel.link.is_exp() {
                mask(&mut block, &self.group, &queries, &keys, T::from_f64(f64::NEG_INFINITY));
            }
            for (best, row) in best.iter_mut().zip(block.chunks_exact(keys.len())) {
                best.look_at(row, keys.start);
            }
            if averages {
                running.weigh(&mut block, mean, &self.group, &queries, &keys);
                let values = Matrix::row_major(self.group.value_rows(&keys), self.group.shape.value_dim);
                add_product(mean, Matrix::row_major(&block, keys.len()), values, Triangle::None);
            }
        }
        if averages {
            running.divide(mean, normaliser, |row, total| self.bounds.settled(head, queries.start + row, total));
        }
        for ((best, chosen), out) in best.iter().zip(chosen).zip(output.chunks_exact_mut(self.group.shape.value_dim)) {
            *chosen = best.copy_value(&self.group, out);
        }
    }
}

/// The largest score so far, and the first key that has it.
#[derive(Clone, Copy)]
struct Best<T> {
    score: T,
    key: Option<usize>,
}

impl<T: Float> Default for Best<T> {
    fn default() -> Self {
        Self { score: T::from_f64(f64::NEG_INFINITY), key: None }
    }
}

/// Stands for no key.
pub(crate) const NO_KEY: u32 = u32::MAX;

impl<T: Float> Best<T> {
    /// Scores of keys from `first` on; minus infinity is not seen.
    fn look_at(&mut self, row: &[T], first: usize) {
        let is_nan = |score: T| score.partial_cmp(&score).is_none();
        let (of_row, any_nan) = vectorised(
            row,
            #[inline(always)]
            |row: &[T]| (largest(row), row.iter().fold(false, |any, score| any | is_nan(*score))),
        );
        if any_nan {
            *self = Self { score: T::from_f64(f64::NAN), key: None };
        } else if of_row > self.score {
            *self = Self { score: of_row, key: row.iter().position(|score| *score == of_row).map(|at| first + at) };
        }
    }

    /// The chosen key's value as the output; NaN where a score was.
    fn copy_value(&self, group: &Group<'_, T>, out: &mut [T]) -> u32 {
        match self.key {
            Some(key) => out.copy_from_slice(group.value_rows(&(key..key + 1))),
            None if self.score.partial_cmp(&self.score).is_none() => out.fill(self.score),
            None => out.fill(T::ZERO),
        }
        self.key.and_then(|key| u32::try_from(key).ok()).unwrap_or(NO_KEY)
    }
}

/// The denominators of some rows while they go through their keys.
struct Running<T> {
    link: Link<T>,
    /// Of the scores times the scale, for exponentials.
    largest: Vec<T>,
    totals: Vec<f64>,
}

impl<T: Float> Running<T> {
    fn new(rows: usize, link: Link<T>) -> Self {
        Self { link, largest: vec![T::from_f64(f64::NEG_INFINITY); rows], totals: vec![0.0; rows] }
    }

    /// Scores to weights, with their sums; where a larger score turns up, what there is so far shrinks.
    fn weigh(
        &mut self,
        block: &mut [T],
        mean: &mut [T],
        group: &Group<'_, T>,
        queries: &Range<usize>,
        keys: &Range<usize>,
    ) {
        if let Link::Exp { scale } = self.link {
            self.weigh_exponentials(block, mean, scale);
            return;
        }
        self.link.apply(block);
        mask(block, group, queries, keys, T::ZERO);
        let columns = keys.len();
        vectorised(
            &mut self.totals[..],
            #[inline(always)]
            |totals: &mut [f64]| {
                totals.iter_mut().zip(block.chunks_exact(columns)).for_each(|(total, row)| *total += sum(row));
            },
        );
    }

    fn weigh_exponentials(&mut self, block: &mut [T], mean: &mut [T], scale: T) {
        let (columns, width) = (block.len() / self.totals.len(), mean.len() / self.totals.len());
        vectorised(
            (block, mean, &mut self.largest[..], &mut self.totals[..]),
            #[inline(always)]
            |(block, mean, all_largest, totals): (&mut [T], &mut [T], &mut [T], &mut [f64])| {
                let rows = block.chunks_exact_mut(columns).zip(mean.chunks_exact_mut(width));
                for ((row, mean), (before, total)) in rows.zip(all_largest.iter_mut().zip(totals)) {
                    let of_row = scale * largest(row);
                    let now = if of_row > *before { of_row } else { *before };
                    // Minus infinity: nothing is seen yet, and the difference of two such would be NaN.
                    let base = if now == T::from_f64(f64::NEG_INFINITY) { T::ZERO } else { now };
                    let of_row = replace_and_sum(row, |score| exp_or_zero(scale * score - base));
                    let shrink = exp_or_zero(*before - base);
                    if shrink != T::ONE {
                        mean.iter_mut().for_each(|value| *value *= shrink);
                    }
                    *total = *total * shrink.to_f64() + of_row;
                    *before = now;
                }
            },
        );
    }

    /// Sums to means, with what they were divided by.
    fn divide(&self, mean: &mut [T], normaliser: &mut [T], settled: impl Fn(usize, T) -> T) {
        let width = mean.len() / normaliser.len().max(1);
        for (row, (mean, normaliser)) in mean.chunks_exact_mut(width.max(1)).zip(normaliser).enumerate() {
            let total = self.totals[row];
            let denominator = settled(row, T::from_f64(total));
            *normaliser =
                if self.link.is_exp() { T::from_f64(self.largest[row].to_f64() + total.ln()) } else { denominator };
            if denominator == T::ZERO {
                mean.fill(T::ZERO);
            } else {
                let factor = T::ONE / denominator;
                mean.iter_mut().for_each(|value| *value *= factor);
            }
        }
    }
}

/// The gradients of a checked attention, from what its forward pass kept.
pub(crate) fn backward<T: Float>(
    attention: &Attention,
    inputs: &Inputs<'_, T>,
    forward: &Forward<T>,
    of_output: &[T],
) -> Gradients<T> {
    let shape = inputs.shape;
    let mut gradients = Gradients::zeros(inputs);
    let kernel = Kernel::new(attention.similarity, shape.dim);
    let scales = forward.row_scales(&kernel, &shape, of_output, 0..shape.rows());
    let blocks = shape.keys.div_ceil(KEYS);
    let segments = ranges(shape.keys, blocks.div_ceil(pieces(shape.groups(), blocks)).max(1) * KEYS);
    let shifts: Vec<T> = (0..shape.groups())
        .into_par_iter()
        .map(|index| key_shift(&kernel, &inputs.group(index, attention.causal), T::from_f64(f64::NEG_INFINITY)))
        .collect();
    let of_keys = parts(&mut gradients.keys[..], shape.groups(), 1, &segments, shape.dim);
    let of_values = parts(&mut gradients.values[..], shape.groups(), 1, &segments, shape.value_dim);
    let tasks: Vec<_> = of_keys.into_iter().flatten().zip(of_values.into_iter().flatten()).collect();
    let rows = shape.group() * shape.queries;
    let of_queries: Vec<Vec<T>> = tasks
        .into_par_iter()
        .enumerate()
        .map(|(task, (of_keys, of_values))| {
            let index = task / segments.len();
            let segment = Segment {
                kernel: &kernel,
                group: inputs.group(index, attention.causal),
                key_shift: shifts[index],
                keys: segments[task % segments.len()].clone(),
                scales: &scales[index * rows..][..rows],
                of_output: &of_output[index * rows * shape.value_dim..][..rows * shape.value_dim],
                chosen: forward.chosen.get(index * rows..(index + 1) * rows).unwrap_or(&[]),
            };
            segment.backward(of_keys, of_values)
        })
        .collect();
    let of_group = (rows * shape.dim).max(1);
    for (sums, parts) in gradients.queries.chunks_exact_mut(of_group).zip(of_queries.chunks(segments.len())) {
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, &value)| *sum += value);
        }
    }
    gradients
}

/// Some keys of a group, with all queries that may see them.
struct Segment<'a, T> {
    kernel: &'a Kernel<T>,
    group: Group<'a, T>,
    key_shift: T,
    keys: Range<usize>,
    /// Of all of the group's queries.
    scales: &'a [RowScale<T>],
    /// Of all of the group's queries.
    of_output: &'a [T],
    /// Of all of the group's queries, if attention is hard.
    chosen: &'a [u32],
}

impl<T: Float> Segment<'_, T> {
    /// Writes the gradients of the segment's keys and values, and gives its part of that of the group's queries.
    fn backward(&self, of_keys: &mut [T], of_values: &mut [T]) -> Vec<T> {
        let mut of_queries = vec![T::ZERO; self.group.queries.len()];
        self.scatter(of_values);
        if self.kernel.similarity == (Similarity::Hard { gradient: HardGradient::None }) {
            return of_queries;
        }
        let (dim, value_dim) = (self.kernel.dim, self.group.shape.value_dim);
        let mut room = (BlockGradient::default(), Scratch::default());
        for keys in ranges(self.keys.len(), KEYS).into_iter().filter(|keys| !keys.is_empty()) {
            let of_keys = &mut of_keys[keys.start * dim..keys.end * dim];
            let of_values = &mut of_values[keys.start * value_dim..keys.end * value_dim];
            let keys = self.keys.start + keys.start..self.keys.start + keys.end;
            self.of_key_block(&keys, [&mut of_queries, of_keys, of_values], &mut room);
        }
        of_queries
    }

    /// Each hard output's gradient goes to the value that it was.
    fn scatter(&self, of_values: &mut [T]) {
        let width = self.group.shape.value_dim;
        for (&chosen, of_row) in self.chosen.iter().zip(self.of_output.chunks_exact(width)) {
            if chosen != NO_KEY && self.keys.contains(&(chosen as usize)) {
                let of_value = &mut of_values[(chosen as usize - self.keys.start) * width..][..width];
                of_value.iter_mut().zip(of_row).for_each(|(sum, &of)| *sum += of);
            }
        }
    }

    fn of_key_block(
        &self,
        keys: &Range<usize>,
        [of_all_queries, of_key_rows, of_values]: [&mut [T]; 3],
        (block_gradient, of_query): &mut (BlockGradient<T>, Scratch<T>),
    ) {
        let (kernel, group, shape) = (self.kernel, &self.group, &self.group.shape);
        let (mut of_key, mut of_key_features) = (Scratch::default(), Scratch::default());
        let key_rows = group.key_rows(keys);
        let key_features = of_keys(&kernel.scores, key_rows, kernel.dim, self.key_shift, &mut of_key);
        let width = kernel.scores.width(kernel.dim);
        let (mut of_features, mut of_values_of_key) = (Scratch::default(), Scratch::default());
        let key_columns = columns(key_features, width, &mut of_features);
        let value_columns = columns(group.value_rows(keys), shape.value_dim, &mut of_values_of_key);
        of_key_features.clear(key_features.len());
        for at in 0..shape.group() * shape.queries.div_ceil(TILE) {
            let (head, block) = (at / shape.queries.div_ceil(TILE), at % shape.queries.div_ceil(TILE));
            let queries = block * TILE..((block + 1) * TILE).min(shape.queries);
            let seen = group.visible_of(keys, queries.end - 1);
            if seen == 0 {
                continue;
            }
            let rows = head * shape.queries + queries.start..head * shape.queries + queries.end;
            let query_rows = group.query_rows(head, &queries);
            let block = Block {
                head,
                keys: keys.start..keys.start + seen,
                query_features: of_queries(&kernel.scores, query_rows, kernel.dim, of_query),
                key_features: &key_features[..seen * width],
                key_columns: key_columns.some_columns(0, seen),
                value_columns: value_columns.some_columns(0, seen),
                of_output: &self.of_output[rows.start * shape.value_dim..rows.end * shape.value_dim],
                scales: &self.scales[rows.clone()],
                of_values: self.chosen.is_empty(),
                queries,
            };
            let of_queries = &mut of_all_queries[rows.start * shape.dim..rows.end * shape.dim];
            let of_key_features = &mut of_key_features[..seen * width];
            let of_values = &mut of_values[..seen * shape.value_dim];
            block_gradient.add(kernel, group, &block, [of_queries, of_key_features, of_values]);
        }
        kernel.scores.add_gradient(key_rows, kernel.dim, key_features, &of_key_features, of_key_rows);
    }
}
