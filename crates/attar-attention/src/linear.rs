//! Through sums of features over the keys: O(N) time and memory.
//!
//! With features `phi`, the output is `phi(q) S` with `S = sum_j phi(k_j) (v_j, 1)`, and its last column the
//! denominator (Katharopoulos et al. 2020, eq. 4 and 6). Causal attention goes through its sequence by chunks: earlier
//! ones through `S`, within a chunk pair by pair through the similarity itself. No symmetric features outlive their chunk.
//! The gradients go through the same sums again, from a few that were kept, and through `R = sum_i phi(q_i) g_i` from the
//! end, where `g_i` is the gradient by numerator and denominator.

mod backward;
mod growing;
mod line;

use std::ops::Range;

use attar_ops::{Float, Matrix, Scratch, Triangle, Unwritten, UnwrittenPart, prefetch, sum, vectorised};
use rayon::prelude::*;

pub(crate) use self::backward::{backward, backward_from};
use self::growing::Growing;
pub(crate) use self::line::Line;
use crate::Error;
use crate::attention::{Attention, Forward};
use crate::denominator::Bounds;
use crate::features::{Columns, Features, Room as FeatureRoom};
use crate::kernel::{Kernel, Link};
use crate::map;
use crate::shape::{Group, Inputs, parts};
use crate::shift::{Shifts, rescale};
use crate::tile::{TILE, add_product, mask, product};

/// The features that the sums are made of.
pub(crate) fn features<T>(kernel: &Kernel<T>) -> Result<&Features<T>, Error> {
    kernel.features.as_ref().ok_or(Error::NoFeatures(kernel.similarity.name()))
}

/// The output of a checked attention.
pub(crate) fn forward<T: Float>(attention: &Attention, inputs: &Inputs<'_, T>) -> Result<Forward<T>, Error> {
    let shape = inputs.shape;
    let kernel = Kernel::new(attention.similarity, shape.dim);
    let features = features(&kernel)?;
    let (mut output, mut normaliser) = (Unwritten::new(shape.outputs()), vec![T::ZERO; shape.rows()]);
    let line = Line::new(shape);
    let queries: Vec<_> = line.segments.iter().map(|times| line.queries(times)).collect();
    let outputs = parts(output.all(), shape.groups(), shape.group(), &queries, shape.value_dim);
    let normalisers = parts(&mut normaliser[..], shape.groups(), shape.group(), &queries, 1);
    let groups = by_group(outputs.into_iter().zip(normalisers), shape.groups(), queries.len());
    // One group after the other as far as there are threads, so that its rows stay near.
    let groups = groups.into_par_iter().enumerate().map(|(index, rows)| {
        let side = Side::of_group(&kernel, features, inputs.group(index, attention.causal), &line);
        let segments = rows.into_par_iter().zip(side.starts(Side::sum_of_keys)).zip(&line.segments);
        let sums = segments.flat_map_iter(|(((outputs, normalisers), mut sums), times)| {
            let mut rows = outputs.into_iter().zip(normalisers).collect();
            side.forward_keeping_sums(times, &mut sums, &mut rows)
        });
        sums.collect()
    });
    let sums = groups.collect();
    Ok(Forward::of_linear(attention, &shape, output.into_values(), normaliser, sums))
}

/// As many parts for each group.
fn by_group<P>(mut parts: impl Iterator<Item = P>, groups: usize, each: usize) -> Vec<Vec<P>> {
    (0..groups).map(|_| parts.by_ref().take(each).collect()).collect()
}

/// Places of a chunk: causal attention goes through its pairs one by one, which should cost no more than their features;
/// without pairs, larger products take less time to begin.
pub(crate) fn chunk<T: Float>(causal: bool, features: &Features<T>, dim: usize) -> usize {
    match (causal, features.keeps_rows() && features.width(dim) < TILE) {
        (true, true) => TILE / 4,
        (false, true) => 4 * TILE,
        (_, false) => TILE,
    }
}

/// A group with what is found once for all of its segments.
pub(crate) struct Side<'a, T> {
    pub(crate) kernel: &'a Kernel<T>,
    pub(crate) features: &'a Features<T>,
    pub(crate) group: Group<'a, T>,
    pub(crate) bounds: Bounds<'a, T>,
    pub(crate) shifts: Shifts<T>,
    pub(crate) line: &'a Line,
    /// Of the group's queries; empty on the way forward.
    given: Given<'a, T>,
}

/// What the gradients of a group's queries are computed from.
#[derive(Clone, Copy, Default)]
struct Given<'a, T> {
    output: &'a [T],
    normaliser: &'a [T],
    of_output: &'a [T],
}

/// Where the outputs of a group's heads go, and their denominators.
pub(crate) type Heads<'a, T> = Vec<(UnwrittenPart<'a, T>, &'a mut [T])>;

/// Parts of a segment that begin where their sums are kept; one where those are the same everywhere.
fn stretches<T: Float>(
    times: &Range<usize>,
    causal: bool,
    features: &Features<T>,
) -> impl DoubleEndedIterator<Item = Range<usize>> + use<T> {
    cut(times.clone(), if causal { features.stretch() } else { usize::MAX })
}

/// A range in parts of `size`, the last of what is left.
fn cut(Range { start, end }: Range<usize>, size: usize) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
    let size = size.min(end - start).max(1);
    (0..(end - start).div_ceil(size)).map(move |at| start + at * size..(start + (at + 1) * size).min(end))
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
    queries: Scratch<T>,
    weights: Scratch<T>,
    features: FeatureRoom<T>,
}

/// Arrays for the keys of a chunk.
#[derive(Default)]
struct KeyRoom<T> {
    features: Scratch<T>,
    values: Scratch<T>,
    ones: Scratch<T>,
}

/// The keys of a chunk.
struct Keys<'r, T> {
    places: Range<usize>,
    /// What their features are made from.
    prepared: &'r [T],
    /// The values and a one; zeros where the key is hidden.
    values: Columns<'r, T>,
}

impl<'a, T: Float> Side<'a, T> {
    pub(crate) fn new(
        kernel: &'a Kernel<T>,
        features: &'a Features<T>,
        group: Group<'a, T>,
        bounds: Bounds<'a, T>,
        shifts: Shifts<T>,
        line: &'a Line,
    ) -> Self {
        Self { kernel, features, group, bounds, shifts, line, given: Given::default() }
    }

    fn of_group(kernel: &'a Kernel<T>, features: &'a Features<T>, group: Group<'a, T>, line: &'a Line) -> Self {
        let shifts = Shifts::new(kernel, &group, T::from_f64(f64::NEG_INFINITY));
        Self::new(kernel, features, group, Bounds::new(kernel, group, 0.0), shifts, line)
    }

    /// The sums that each segment starts from: of the segments before it where attention is causal, else of all.
    fn starts(&self, sum: impl Fn(&Self, &Range<usize>) -> Vec<T> + Sync) -> Vec<Vec<T>> {
        let (causal, segments) = (self.group.causal, &self.line.segments);
        // What the last segment adds, no other starts from.
        let none = |at| causal && at + 1 == segments.len();
        let totals = segments.par_iter().enumerate();
        let totals: Vec<Vec<T>> =
            totals.map(|(at, times)| if none(at) { vec![T::ZERO; self.sums()] } else { sum(self, times) }).collect();
        if causal { self.sums_before(totals.iter().zip(segments)) } else { sums_of_all(&totals) }
    }

    /// Values with the denominator's column.
    fn columns(&self) -> usize {
        self.group.shape.value_dim + 1
    }

    /// Length of the sums `[features, value_dim + 1]`.
    fn sums(&self) -> usize {
        self.features.width(self.kernel.dim) * self.columns()
    }

    /// The sums that each segment starts from, of the totals of those before it; in either direction. Those at any place
    /// are lessened as the keys before it are.
    fn sums_before<'t>(&self, totals: impl Iterator<Item = (&'t Vec<T>, &'t Range<usize>)>) -> Vec<Vec<T>>
    where
        T: 't,
    {
        let mut sums = vec![T::ZERO; self.sums()];
        let mut starts = Vec::new();
        for (total, times) in totals {
            starts.push(sums.clone());
            self.rescale_over(times, &mut sums);
            add(&mut sums, total);
        }
        starts
    }

    /// Sums before some places as they are to be after them; the gradient of those after as that of those before.
    fn rescale_over(&self, times: &Range<usize>, sums: &mut [T]) {
        let keys = self.line.keys(times);
        rescale(sums, self.shifts.after(keys.start), self.shifts.after(keys.end));
    }

    pub(crate) fn chunks(&self, times: &Range<usize>) -> Vec<Range<usize>> {
        let chunks = cut(times.clone(), chunk(self.group.causal, self.features, self.kernel.dim));
        if !self.shifts.vary() {
            return chunks.collect();
        }
        let before = self.line.end - self.group.shape.keys;
        let with_one_shift = |chunk: Range<usize>| {
            let keys = self.line.keys(&chunk);
            if keys.is_empty() {
                return std::iter::once(chunk).collect::<Vec<_>>();
            }
            let mut parts: Vec<_> =
                self.shifts.cut(keys).into_iter().map(|keys| keys.start + before..keys.end + before).collect();
            // Places before the first key.
            if let Some(first) = parts.first_mut() {
                first.start = chunk.start;
            }
            parts
        };
        chunks.flat_map(with_one_shift).collect()
    }

    fn keys<'r>(&'r self, places: &Range<usize>, room: &'r mut KeyRoom<T>) -> Keys<'r, T> {
        let (rows, side) = (self.group.key_rows(places), map::Side::Key { shift: self.shifts.after(places.end) });
        self.features.prepare(rows, self.kernel.dim, side, &mut room.features);
        self.set_values(places, &mut room.values, &mut room.ones);
        self.keys_again(places, room)
    }

    /// What [`Self::keys`] left in the room.
    fn keys_again<'r>(&'r self, places: &Range<usize>, room: &'r KeyRoom<T>) -> Keys<'r, T> {
        let prepared = self.features.prepared(self.group.key_rows(places), &room.features);
        let values = if room.values.is_empty() { self.group.value_rows(places) } else { &room.values };
        let values = Columns { all: Matrix::row_major(values, self.columns() - 1), last: &room.ones };
        Keys { places: places.clone(), prepared, values }
    }

    /// What the features of some queries are made from.
    fn queries<'r>(&'r self, head: usize, places: &Range<usize>, room: &'r mut Scratch<T>) -> &'r [T] {
        self.features.prepare(self.group.query_rows(head, places), self.kernel.dim, map::Side::Query, room)
    }

    /// The sums of features over the keys of these places alone.
    pub(crate) fn sum_of_keys(&self, times: &Range<usize>) -> Vec<T> {
        let (mut sums, mut keys, mut room) = (vec![T::ZERO; self.sums()], KeyRoom::default(), FeatureRoom::default());
        for times in self.chunks(times) {
            self.rescale_over(&times, &mut sums);
            let keys = self.keys(&self.line.keys(&times), &mut keys);
            self.features.add_to_sums(keys.prepared, keys.values, &mut sums, &mut room);
        }
        sums
    }

    /// Ones, and values if not all of them are what they were: zeros where the key is hidden.
    fn set_values(&self, keys: &Range<usize>, values: &mut Scratch<T>, ones: &mut Scratch<T>) {
        ones.resize(keys.len());
        ones.fill(T::ONE);
        let hidden = self.group.hidden_of(keys).unwrap_or(&[]);
        let (rows, width) = (self.group.value_rows(keys), self.columns() - 1);
        values.resize(if hidden.contains(&true) { rows.len() } else { 0 });
        if values.is_empty() {
            return;
        }
        values.copy_from_slice(rows);
        for (key, _) in hidden.iter().enumerate().filter(|(_, hidden)| **hidden) {
            values[key * width..][..width].fill(T::ZERO);
            ones[key] = T::ZERO;
        }
    }

    /// The places after a chunk that are worth bringing near while it is worked on: without pairs, chunks are so long that
    /// the processor does so by itself.
    fn to_prefetch(&self, chunk: &Range<usize>) -> Range<usize> {
        let most = if self.group.causal { chunk.len() } else { 0 };
        chunk.end..(chunk.end + most).min(self.line.end)
    }

    fn prefetch_keys(&self, times: &Range<usize>) {
        let places = self.line.keys(times);
        prefetch(self.group.key_rows(&places));
        prefetch(self.group.value_rows(&places));
    }

    /// Writes the outputs of some places' queries, for each head of the group, with their denominators.
    ///
    /// `sums` are those that the first chunk starts from; causal attention leaves in them those before the last.
    pub(crate) fn forward(&self, times: &Range<usize>, sums: &mut [T], heads: &mut Heads<'_, T>) {
        self.forward_to_sums(times, sums, heads, false);
    }

    /// [`Self::forward`], which gives the sums that every stretch starts from: the gradients go through them again.
    pub(crate) fn forward_keeping_sums(
        &self,
        times: &Range<usize>,
        sums: &mut [T],
        heads: &mut Heads<'_, T>,
    ) -> Vec<T> {
        let mut kept = Vec::new();
        for stretch in stretches(times, self.group.causal, self.features) {
            kept.extend_from_slice(sums);
            self.forward_to_sums(&stretch, sums, heads, stretch.end < times.end);
        }
        kept
    }

    /// [`Self::forward`], which leaves the sums after the last chunk if they are wanted.
    fn forward_to_sums(&self, times: &Range<usize>, sums: &mut [T], heads: &mut Heads<'_, T>, wanted: bool) {
        let (mut key_room, mut room) = (KeyRoom::default(), Room::default());
        let mut sums = Growing::new(self, sums);
        for chunk in self.chunks(times) {
            sums.rescale(self, &chunk);
            let queries = self.line.queries(&chunk);
            let next = self.to_prefetch(&chunk);
            self.prefetch_keys(&next);
            let keys = self.group.causal.then(|| self.keys(&self.line.keys(&chunk), &mut key_room));
            for (head, (output_part, normaliser)) in heads.iter_mut().enumerate() {
                let output = output_part.take_zeros(queries.len() * (self.columns() - 1));
                let normaliser = normaliser.split_off_mut(..queries.len()).unwrap_or(&mut []);
                let results = [&mut *output, &mut *normaliser];
                self.numerators(head, &queries, keys.as_ref(), sums.sums, results, &mut room);
                self.divide(head, queries.start, output, normaliser);
                prefetch(self.group.query_rows(head, &self.line.queries(&next)));
                output_part.prefetch(output.len());
            }
            if let Some(keys) = keys.filter(|_| wanted || chunk.end < times.end) {
                sums.add(|sums| self.features.add_to_sums(keys.prepared, keys.values, sums, &mut room.features));
            }
        }
    }

    /// Adds to zeros the outputs undivided, and what to divide them by, from the sums and the keys of the same chunk.
    fn numerators(
        &self,
        head: usize,
        queries: &Range<usize>,
        keys: Option<&Keys<'_, T>>,
        sums: &[T],
        [output, denominators]: [&mut [T]; 2],
        room: &mut Room<T>,
    ) {
        let prepared = self.queries(head, queries, &mut room.queries);
        let sums = Columns::of_sums(sums, self.columns());
        self.features.add_times_sums(prepared, sums, [&mut *output, &mut *denominators], &mut room.features);
        let Some(keys) = keys.filter(|keys| !keys.places.is_empty() && !queries.is_empty()) else { return };
        self.weights(head, queries, keys, prepared, &mut room.weights);
        let values = Matrix::row_major(self.group.value_rows(&keys.places), self.columns() - 1);
        let weights = Matrix::row_major(&room.weights, keys.places.len());
        let seen = self.group.visible_of(&keys.places, queries.start);
        add_product(output, weights, values, Triangle::Left(seen));
        vectorised(
            denominators,
            #[inline(always)]
            |denominators: &mut [T]| {
                for (total, row) in denominators.iter_mut().zip(room.weights.chunks_exact(keys.places.len())) {
                    *total += T::from_f64(sum(row));
                }
            },
        );
    }

    /// The weights of the pairs of a chunk.
    fn weights(&self, head: usize, queries: &Range<usize>, keys: &Keys<'_, T>, prepared: &[T], out: &mut Scratch<T>) {
        let [query_rows, key_rows] = self.score_rows(head, queries, prepared, keys);
        let seen = self.group.visible_of(&keys.places, queries.start);
        let width = key_rows.len() / keys.places.len();
        let [query_rows, key_rows] = [query_rows, key_rows].map(|rows| Matrix::row_major(rows, width));
        product(out, query_rows, key_rows.transposed(), Triangle::Result(seen));
        self.kernel.link.apply(out);
        mask(out, &self.group, queries, &keys.places, T::ZERO);
    }

    /// Rows of queries and keys whose products are the scores.
    fn score_rows<'r>(
        &'r self,
        head: usize,
        queries: &Range<usize>,
        prepared: &'r [T],
        keys: &Keys<'r, T>,
    ) -> [&'r [T]; 2] {
        match self.kernel.link {
            // Those that the sums are made of, which are at hand.
            Link::Identity => [prepared, keys.prepared],
            _ => [self.group.query_rows(head, queries), self.group.key_rows(&keys.places)],
        }
    }

    fn divide(&self, head: usize, first: usize, output: &mut [T], normaliser: &mut [T]) {
        let rows = output.chunks_exact_mut(self.columns() - 1).zip(normaliser);
        for (at, (output, normaliser)) in rows.enumerate() {
            *normaliser = self.bounds.settled(head, first + at, *normaliser);
            if *normaliser == T::ZERO {
                output.fill(T::ZERO);
            } else {
                let factor = T::ONE / *normaliser;
                output.iter_mut().for_each(|output| *output *= factor);
            }
        }
    }
}
