//! Through sums of features over the keys: O(N) time and memory.
//!
//! With features `phi`, the output is `phi(q) S` with `S = sum_j phi(k_j) (v_j, 1)`, and its last column the
//! denominator (Katharopoulos et al. 2020, eq. 4 and 6). Causal attention goes through its sequence by chunks: earlier
//! ones through `S`, within a chunk pair by pair through the similarity itself. No features outlive their chunk.
//! The gradients go through the same sums again, and through `R = sum_i phi(q_i) g_i` from the end, where `g_i` is the
//! gradient by numerator and denominator.

mod backward;

use std::ops::Range;

use attar_ops::{Float, Matrix};
use rayon::prelude::*;

pub(crate) use self::backward::backward;
use crate::Error;
use crate::attention::{Attention, Form, Forward};
use crate::denominator::Bounds;
use crate::kernel::{Kernel, Link, RowScale};
use crate::map::Map;
use crate::shape::{Group, Inputs, Shape, parts};
use crate::tile::{TILE, add_product, key_shift, mask, of_keys, of_queries, pieces, product, scores};

/// The map whose features the sums are made of.
pub(crate) fn features<T>(kernel: &Kernel<T>) -> Result<&Map<T>, Error> {
    kernel.features.as_ref().ok_or(Error::NoFeatures(kernel.similarity.name()))
}

/// The output of a checked attention.
pub(crate) fn forward<T: Float>(attention: &Attention, inputs: &Inputs<'_, T>) -> Result<Forward<T>, Error> {
    let shape = inputs.shape;
    let kernel = Kernel::new(attention.similarity, shape.dim);
    let map = features(&kernel)?;
    let mut forward = Forward::zeros(attention.similarity, &shape).with_form(Form::Linear);
    let line = Line::new(shape);
    let sides = sides(&kernel, map, attention, inputs, &line);
    let starts = starts(&sides, &line, attention.causal, Side::sum_of_keys);
    let queries: Vec<Range<usize>> = line.segments.iter().map(|times| line.queries(times)).collect();
    let outputs = parts(&mut forward.output, shape.groups(), shape.group(), &queries, shape.value_dim);
    let normalisers = parts(&mut forward.normaliser, shape.groups(), shape.group(), &queries, 1);
    let tasks: Vec<_> = starts.into_iter().zip(outputs.into_iter().zip(normalisers)).collect();
    tasks.into_par_iter().enumerate().for_each(|(task, (mut sums, (outputs, normalisers)))| {
        let times = &line.segments[task % line.segments.len()];
        let rows = outputs.into_iter().zip(normalisers).collect();
        // The last segment's sums are nobody's start.
        sides[task / line.segments.len()].forward(times, &mut sums, rows, times.end < line.end);
    });
    Ok(forward)
}

/// The places of a sequence: the last query has that of the last key.
pub(crate) struct Line {
    shape: Shape,
    /// One past the last place.
    pub(crate) end: usize,
    /// Cut for tasks, at multiples of [`TILE`].
    pub(crate) segments: Vec<Range<usize>>,
}

impl Line {
    fn new(shape: Shape) -> Self {
        let end = shape.queries.max(shape.keys);
        let blocks = end.div_ceil(TILE);
        let size = blocks.div_ceil(pieces(shape.groups(), blocks)).max(1) * TILE;
        Self { shape, end, segments: crate::shape::ranges(end, size) }
    }

    /// In one piece.
    pub(crate) fn whole(shape: Shape) -> Self {
        let end = shape.queries.max(shape.keys);
        Self { shape, end, segments: std::iter::once(0..end).collect() }
    }

    fn queries(&self, times: &Range<usize>) -> Range<usize> {
        let before = self.end - self.shape.queries;
        times.start.saturating_sub(before)..times.end.saturating_sub(before)
    }

    fn keys(&self, times: &Range<usize>) -> Range<usize> {
        let before = self.end - self.shape.keys;
        times.start.saturating_sub(before)..times.end.saturating_sub(before)
    }
}

/// Places in chunks.
fn chunks(times: &Range<usize>) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
    let Range { start, end } = *times;
    (0..(end - start).div_ceil(TILE)).map(move |at| start + at * TILE..(start + (at + 1) * TILE).min(end))
}

/// A group with what is found once for all of its segments.
pub(crate) struct Side<'a, T> {
    pub(crate) kernel: &'a Kernel<T>,
    pub(crate) map: &'a Map<T>,
    pub(crate) group: Group<'a, T>,
    pub(crate) bounds: Bounds<'a, T>,
    pub(crate) key_shift: T,
    pub(crate) line: &'a Line,
    /// Of the group's queries; empty on the way forward.
    scales: &'a [RowScale<T>],
    /// Of the group's queries; empty on the way forward.
    of_output: &'a [T],
}

fn sides<'a, T: Float>(
    kernel: &'a Kernel<T>,
    map: &'a Map<T>,
    attention: &Attention,
    inputs: &Inputs<'a, T>,
    line: &'a Line,
) -> Vec<Side<'a, T>> {
    let side = |index| {
        let group = inputs.group(index, attention.causal);
        let key_shift = key_shift(kernel, &group, T::from_f64(f64::NEG_INFINITY));
        let bounds = Bounds::new(kernel, group, 0.0);
        Side { kernel, map, group, bounds, key_shift, line, scales: &[], of_output: &[] }
    };
    (0..inputs.shape.groups()).into_par_iter().map(side).collect()
}

/// The sums that each segment of each group starts from: of the segments before it where attention is causal, else of
/// all.
fn starts<'a, T: Float>(
    sides: &[Side<'a, T>],
    line: &Line,
    causal: bool,
    sum: impl Fn(&Side<'a, T>, &Range<usize>) -> Vec<T> + Sync,
) -> Vec<Vec<T>> {
    let count = line.segments.len();
    let of_segment = |task: usize| {
        let (side, segment) = (&sides[task / count], task % count);
        // What the last segment adds, no other starts from.
        if causal && segment + 1 == count { vec![T::ZERO; side.sums()] } else { sum(side, &line.segments[segment]) }
    };
    let totals: Vec<Vec<T>> = (0..sides.len() * count).into_par_iter().map(of_segment).collect();
    totals.chunks(count).flat_map(|totals| if causal { sums_before(totals) } else { sums_of_all(totals) }).collect()
}

fn sums_before<T: Float>(totals: &[Vec<T>]) -> Vec<Vec<T>> {
    let mut sum = vec![T::ZERO; totals.first().map_or(0, Vec::len)];
    let mut starts = Vec::with_capacity(totals.len());
    for total in totals {
        starts.push(sum.clone());
        add(&mut sum, total);
    }
    starts
}

fn sums_of_all<T: Float>(totals: &[Vec<T>]) -> Vec<Vec<T>> {
    let mut sum = vec![T::ZERO; totals.first().map_or(0, Vec::len)];
    totals.iter().for_each(|total| add(&mut sum, total));
    vec![sum; totals.len()]
}

fn add<T: Float>(sums: &mut [T], values: &[T]) {
    sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
}

/// Arrays that a segment's chunks use one after the other.
#[derive(Default)]
struct Room<T> {
    query_features: Vec<T>,
    key_features: Vec<T>,
    values: Vec<T>,
    rows: Vec<T>,
    weights: Vec<T>,
}

impl<'a, T: Float> Side<'a, T> {
    pub(crate) fn new(
        kernel: &'a Kernel<T>,
        map: &'a Map<T>,
        group: Group<'a, T>,
        bounds: Bounds<'a, T>,
        key_shift: T,
        line: &'a Line,
    ) -> Self {
        Self { kernel, map, group, bounds, key_shift, line, scales: &[], of_output: &[] }
    }

    /// Values with the denominator's column.
    fn columns(&self) -> usize {
        self.group.shape.value_dim + 1
    }

    /// Length of the sums `[features, value_dim + 1]`.
    fn sums(&self) -> usize {
        self.map.width(self.kernel.dim) * self.columns()
    }

    fn sum_of_keys(&self, times: &Range<usize>) -> Vec<T> {
        let (mut sums, mut room) = (vec![T::ZERO; self.sums()], Room::default());
        chunks(times).for_each(|times| self.add_keys(&self.line.keys(&times), &mut sums, &mut room));
        sums
    }

    fn add_keys(&self, keys: &Range<usize>, sums: &mut [T], room: &mut Room<T>) {
        let rows = self.group.key_rows(keys);
        let features = of_keys(self.map, rows, self.kernel.dim, self.key_shift, &mut room.key_features);
        self.values_with_ones(keys, &mut room.values);
        self.add_outer(sums, features, &room.values);
    }

    /// `sums += features^T columns`
    fn add_outer(&self, sums: &mut [T], features: &[T], columns: &[T]) {
        let features = Matrix::row_major(features, self.map.width(self.kernel.dim)).transposed();
        add_product(sums, features, Matrix::row_major(columns, self.columns()));
    }

    /// `[keys, value_dim + 1]`: the values and a one; zeros where the key is hidden.
    fn values_with_ones(&self, keys: &Range<usize>, out: &mut Vec<T>) {
        let width = self.group.shape.value_dim;
        out.clear();
        for key in keys.clone() {
            if self.group.is_hidden(key) {
                out.resize(out.len() + width + 1, T::ZERO);
            } else {
                out.extend_from_slice(self.group.value_rows(&(key..key + 1)));
                out.push(T::ONE);
            }
        }
    }

    /// Writes the outputs of a segment's queries, for each head of the group, with their denominators.
    ///
    /// `sums` are those that the first chunk starts from; causal attention leaves in them those after the last, unless
    /// nobody wants them.
    pub(crate) fn forward(
        &self,
        times: &Range<usize>,
        sums: &mut [T],
        mut heads: Vec<(&mut [T], &mut [T])>,
        keep: bool,
    ) {
        let mut room = Room::default();
        let first = self.line.queries(times).start;
        for chunk in chunks(times) {
            let (queries, keys) = (self.line.queries(&chunk), self.line.keys(&chunk));
            let (from, to) = (queries.start - first, queries.end - first);
            for (head, (output, normaliser)) in heads.iter_mut().enumerate() {
                self.numerators(head, &queries, &keys, sums, &mut room);
                let output = &mut output[from * (self.columns() - 1)..to * (self.columns() - 1)];
                self.divide(head, queries.start, &room.rows, output, &mut normaliser[from..to]);
            }
            if self.group.causal && (keep || chunk.end < times.end) {
                self.add_keys(&keys, sums, &mut room);
            }
        }
    }

    /// `[queries, value_dim + 1]`, undivided, to `room.rows`.
    fn numerators(&self, head: usize, queries: &Range<usize>, keys: &Range<usize>, sums: &[T], room: &mut Room<T>) {
        let rows = self.group.query_rows(head, queries);
        let features = of_queries(self.map, rows, self.kernel.dim, &mut room.query_features);
        let width = self.map.width(self.kernel.dim);
        product(&mut room.rows, Matrix::row_major(features, width), Matrix::row_major(sums, self.columns()));
        if !self.group.causal || keys.is_empty() || queries.is_empty() {
            return;
        }
        // Where the score is the product of the features that the sums are made of, those are at hand.
        let same = matches!(self.kernel.link, Link::Identity);
        let map = &self.kernel.scores;
        let key_rows = self.group.key_rows(keys);
        let key_features = of_keys(map, key_rows, self.kernel.dim, self.key_shift, &mut room.key_features);
        let query_features = if same { features } else { rows };
        scores(&mut room.weights, query_features, key_features, map.width(self.kernel.dim));
        self.kernel.link.apply(&mut room.weights);
        mask(&mut room.weights, &self.group, queries, keys, T::ZERO);
        self.values_with_ones(keys, &mut room.values);
        let weights = Matrix::row_major(&room.weights, keys.len());
        add_product(&mut room.rows, weights, Matrix::row_major(&room.values, self.columns()));
    }

    fn divide(&self, head: usize, first: usize, rows: &[T], output: &mut [T], normaliser: &mut [T]) {
        let width = self.columns() - 1;
        let rows = rows.chunks_exact(width + 1).zip(output.chunks_exact_mut(width).zip(normaliser));
        for (at, (row, (output, normaliser))) in rows.enumerate() {
            *normaliser = self.bounds.settled(head, first + at, row[width]);
            if *normaliser == T::ZERO {
                output.fill(T::ZERO);
            } else {
                let factor = T::ONE / *normaliser;
                output.iter_mut().zip(row).for_each(|(output, &value)| *output = factor * value);
            }
        }
    }
}
