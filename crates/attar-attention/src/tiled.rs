//! All pairs of queries and keys, a block at a time: N^2 time, O(N) memory.
//!
//! Softmax goes through its keys with a running largest score (Milakov & Gimelshein 2018; Dao et al. 2022, algorithm
//! 1), and the logarithm of the denominator is what the gradients start from.

mod backward;

use std::ops::Range;

use attar_ops::{Float, Matrix, Scratch, Triangle, largest, replace_and_sum, sum, vectorised};
use rayon::prelude::*;

pub(crate) use self::backward::{TOGETHER, backward};
use crate::attention::{Attention, Forward};
use crate::denominator::Bounds;
use crate::kernel::{Kernel, Link};
use crate::map::exp_or_zero;
use crate::shape::{Group, Inputs, Shape, parts, ranges};
use crate::shift::{Shifts, decay};
use crate::tile::{TILE, add_product, mask, of_keys, of_queries, product};
use crate::{HardGradient, Similarity};

/// Most keys of a block: as many as the products' right factor has room for in the nearest cache.
const KEYS: usize = TILE;

/// Most blocks of queries that go through the keys together.
const QUERIES_TOGETHER: usize = 2;

/// Tasks that are left at least where blocks go together.
const TASKS_LEFT: usize = 32;

/// The output of a checked attention.
pub(crate) fn forward<T: Float>(attention: &Attention, inputs: &Inputs<'_, T>) -> Forward<T> {
    let shape = inputs.shape;
    let kernel = Kernel::new(attention.similarity, shape.dim);
    let mut forward = Forward::zeros(attention, &shape);
    let groups: Vec<Prepared<'_, T>> =
        (0..shape.groups()).into_par_iter().map(|index| Prepared::new(&kernel, attention, inputs, index)).collect();
    let blocks = ranges(shape.queries, TILE * together(&shape));
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
            group.forward(head, queries, Results { output, normaliser, chosen, soft });
        }
    });
    forward
}

/// Blocks of queries that go through a block of keys while that is in the second cache; as many as leave enough tasks.
fn together(shape: &Shape) -> usize {
    let blocks = shape.groups() * shape.queries.div_ceil(TILE);
    (blocks / TASKS_LEFT).clamp(1, QUERIES_TOGETHER)
}

/// A group with what is found once for all of its blocks.
struct Prepared<'a, T> {
    kernel: &'a Kernel<T>,
    group: Group<'a, T>,
    bounds: Bounds<'a, T>,
    shifts: Shifts<T>,
    /// The keys, cut by [`key_blocks`].
    key_blocks: Vec<Range<usize>>,
    /// The features of each block of keys as [`columns`].
    key_columns: Scratch<T>,
}

/// Keys in blocks of at most [`KEYS`], each of which has one shift.
fn key_blocks<T: Float>(keys: &Range<usize>, shifts: &Shifts<T>) -> Vec<Range<usize>> {
    let blocks = ranges(keys.len(), KEYS).into_iter().filter(|block| !block.is_empty());
    blocks.flat_map(|block| shifts.cut(keys.start + block.start..keys.start + block.end)).collect()
}

/// Where the results of some queries of a head go.
#[derive(Default)]
struct Results<'a, T> {
    output: &'a mut [T],
    normaliser: &'a mut [T],
    /// Of hard attention; otherwise empty.
    chosen: &'a mut [u32],
    /// Of hard attention that learns; otherwise empty.
    soft: &'a mut [T],
}

impl<'a, T> Results<'a, T> {
    /// Takes those of the first rows.
    fn split_off(&mut self, rows: usize, value_dim: usize) -> Self {
        fn first<'a, T>(values: &mut &'a mut [T], count: usize) -> &'a mut [T] {
            let count = count.min(values.len());
            values.split_off_mut(..count).unwrap_or_default()
        }
        Self {
            output: first(&mut self.output, rows * value_dim),
            normaliser: first(&mut self.normaliser, rows),
            chosen: first(&mut self.chosen, rows),
            soft: first(&mut self.soft, rows * value_dim),
        }
    }
}

impl<'a, T: Float> Prepared<'a, T> {
    fn new(kernel: &'a Kernel<T>, attention: &Attention, inputs: &Inputs<'a, T>, index: usize) -> Self {
        let group = inputs.group(index, attention.causal);
        let shifts = Shifts::new(kernel, &group, T::from_f64(f64::NEG_INFINITY));
        let key_blocks = key_blocks(&(0..group.shape.keys), &shifts);
        let width = kernel.scores.width(kernel.dim);
        let (mut key_columns, mut of_key) = (Scratch::default(), Scratch::default());
        key_columns.resize(group.shape.keys * width);
        for keys in &key_blocks {
            let shift = shifts.after(keys.end);
            let features = of_keys(&kernel.scores, group.key_rows(keys), kernel.dim, shift, &mut of_key);
            let columns = &mut key_columns[keys.start * width..keys.end * width];
            T::copy_rows(columns, Matrix::row_major(features, width).transposed());
        }
        Self { kernel, group, bounds: Bounds::new(kernel, group, 0.0), shifts, key_blocks, key_columns }
    }

    /// The features of the first keys of a block, `[width, keys]`.
    fn columns(&self, block: &Range<usize>, keys: usize) -> Matrix<'_, T> {
        let width = self.kernel.scores.width(self.kernel.dim);
        Matrix::row_major(&self.key_columns[block.start * width..block.end * width], block.len()).some_columns(0, keys)
    }

    /// Some queries of a head, all blocks of which go through each block of keys in turn.
    fn forward(&self, head: usize, queries: &Range<usize>, mut results: Results<'_, T>) {
        let blocks = ranges(queries.len(), TILE);
        let mut rooms: [Scratch<T>; QUERIES_TOGETHER] = Default::default();
        let blocks = blocks.into_iter().zip(&mut rooms).map(|(places, room)| {
            let results = results.split_off(places.len(), self.group.shape.value_dim);
            Queries::new(self, head, queries.start + places.start..queries.start + places.end, results, room)
        });
        let mut blocks: Vec<Queries<'_, T>> = blocks.collect();
        let mut scores = Scratch::default();
        for keys in &self.key_blocks {
            blocks.iter_mut().for_each(|block| block.look_at(self, keys, &mut scores));
        }
        blocks.into_iter().for_each(|block| block.finish(self));
    }
}

/// A block of one head's queries on its way through the keys.
struct Queries<'r, T> {
    head: usize,
    places: Range<usize>,
    /// Keys that the last of them sees before any is hidden; no other sees more.
    seen: usize,
    features: Matrix<'r, T>,
    /// Of hard attention; otherwise empty.
    best: Vec<Best<T>>,
    running: Running<T>,
    results: Results<'r, T>,
}

impl<'r, T: Float> Queries<'r, T> {
    fn new(
        from: &'r Prepared<'_, T>,
        head: usize,
        places: Range<usize>,
        results: Results<'r, T>,
        room: &'r mut Scratch<T>,
    ) -> Self {
        let (kernel, group) = (from.kernel, &from.group);
        let features = of_queries(&kernel.scores, group.query_rows(head, &places), kernel.dim, room);
        Self {
            head,
            seen: places.end.checked_sub(1).map_or(0, |last| group.shape.visible(group.causal, last)),
            features: Matrix::row_major(features, kernel.scores.width(kernel.dim)),
            best: vec![Best::default(); results.chosen.len()],
            running: Running::new(places.len(), kernel.link),
            results,
            places,
        }
    }

    /// Takes a block of keys into the result.
    fn look_at(&mut self, from: &Prepared<'_, T>, key_block: &Range<usize>, scores: &mut Scratch<T>) {
        let (kernel, group) = (from.kernel, &from.group);
        let keys = key_block.start..key_block.end.min(self.seen);
        if keys.is_empty() {
            return;
        }
        product(scores, self.features, from.columns(key_block, keys.len()), Triangle::None);
        let hard = !self.best.is_empty();
        if hard || kernel.link.is_exp() {
            mask(scores, group, &self.places, &keys, T::from_f64(f64::NEG_INFINITY));
        }
        for (best, row) in self.best.iter_mut().zip(scores.chunks_exact(keys.len())) {
            best.look_at(row, keys.start);
        }
        if averages(kernel.similarity) {
            let mean: &mut [T] = if hard { self.results.soft } else { self.results.output };
            if from.shifts.vary() {
                let first = self.places.clone().take_while(|query| group.visible_of(&keys, *query) == 0).count();
                self.running.lessen(mean, first, from.shifts.after(key_block.end));
            }
            self.running.weigh(scores, mean, group, &self.places, &keys);
            let values = Matrix::row_major(group.value_rows(&keys), group.shape.value_dim);
            add_product(mean, Matrix::row_major(scores, keys.len()), values, Triangle::None);
        }
    }

    /// Writes the results.
    fn finish(self, from: &Prepared<'_, T>) {
        let Self { head, places, best, running, results: Results { output, normaliser, chosen, soft }, .. } = self;
        if averages(from.kernel.similarity) {
            let mean: &mut [T] = if best.is_empty() { &mut *output } else { soft };
            running.divide(mean, normaliser, |row, total| from.bounds.settled(head, places.start + row, total));
        }
        for ((best, chosen), out) in best.iter().zip(chosen).zip(output.chunks_exact_mut(from.group.shape.value_dim)) {
            *chosen = best.copy_value(&from.group, out);
        }
    }
}

/// Whether values are averaged, and not one of them taken alone.
fn averages(similarity: Similarity) -> bool {
    similarity != Similarity::Hard { gradient: HardGradient::None }
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
    /// Of the scores times the scale, for exponentials; for random features what the keys so far are lessened by.
    largest: Vec<T>,
    totals: Vec<f64>,
}

impl<T: Float> Running<T> {
    fn new(rows: usize, link: Link<T>) -> Self {
        Self { link, largest: vec![T::from_f64(f64::NEG_INFINITY); rows], totals: vec![0.0; rows] }
    }

    /// Lessens what there is so far of the rows from `first` on by `shift`, as what comes will be.
    fn lessen(&mut self, mean: &mut [T], first: usize, shift: T) {
        let width = mean.len() / self.totals.len();
        let rows = mean.chunks_exact_mut(width).zip(self.largest.iter_mut().zip(&mut self.totals));
        for (mean, (before, total)) in rows.skip(first) {
            let factor = decay(*before, shift);
            mean.iter_mut().for_each(|value| *value *= factor);
            *total *= factor.to_f64();
            *before = shift;
        }
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
