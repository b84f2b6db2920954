//! The gradients, a block of keys against a block of queries at a time.

use std::ops::Range;

use attar_ops::{Float, Matrix, Scratch};
use rayon::prelude::*;

use super::{KEYS, NO_KEY, key_blocks};
use crate::attention::{Attention, Forward, Gradients};
use crate::kernel::{Kernel, RowScale};
use crate::shape::{Group, Inputs, Shape, parts, ranges};
use crate::shift::{Shifts, decay};
use crate::tile::{Block, BlockGradient, TILE, columns, of_keys, of_queries, pieces};
use crate::{HardGradient, Similarity};

/// Blocks of keys that a block of queries goes through before the next one comes: they and their gradients stay in the
/// second cache, and queries are fetched as many times less often.
pub(crate) const TOGETHER: usize = 3;

/// Values whose sums one task takes.
const SUMS: usize = 1 << 14;

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
    let segments = segments(&shape, attention.causal);
    let shifts = (0..shape.groups()).into_par_iter().map(|index| {
        let group = inputs.group(index, attention.causal);
        let shifts = Shifts::new(&kernel, &group, T::from_f64(f64::NEG_INFINITY));
        let of_rows = row_shifts(&group, &shifts);
        (shifts, of_rows)
    });
    let shifts: Vec<(Shifts<T>, Vec<T>)> = shifts.collect();
    let of_keys = parts(&mut gradients.keys[..], shape.groups(), 1, &segments, shape.dim);
    let of_values = parts(&mut gradients.values[..], shape.groups(), 1, &segments, shape.value_dim);
    let rows = shape.group() * shape.queries;
    let mut of_queries = OfQueries::new(&mut gradients.queries, rows * shape.dim, segments.len());
    let of_rows = of_keys.into_iter().flatten().zip(of_values.into_iter().flatten());
    let tasks: Vec<_> = of_rows.zip(of_queries.parts()).enumerate().collect();
    tasks.into_par_iter().for_each(|(task, ((of_keys, of_values), of_queries))| {
        let index = task / segments.len();
        let segment = Segment {
            kernel: &kernel,
            group: inputs.group(index, attention.causal),
            shifts: &shifts[index].0,
            row_shifts: &shifts[index].1,
            keys: segments[task % segments.len()].clone(),
            scales: &scales[index * rows..][..rows],
            of_output: &of_output[index * rows * shape.value_dim..][..rows * shape.value_dim],
            chosen: forward.chosen.get(index * rows..(index + 1) * rows).unwrap_or(&[]),
        };
        segment.backward(of_queries, of_keys, of_values);
    });
    of_queries.add_up();
    gradients
}

/// The keys in as many ranges as there are tasks of a group, each with about as many pairs.
fn segments(shape: &Shape, causal: bool) -> Vec<Range<usize>> {
    let blocks = ranges(shape.keys, KEYS);
    let queries_of =
        |block: &Range<usize>| if causal { shape.queries.min(shape.keys - block.start) } else { shape.queries };
    let (count, all) = (pieces(shape.groups(), blocks.len()), blocks.iter().map(queries_of).sum::<usize>().max(1));
    let mut segments: Vec<Range<usize>> = Vec::with_capacity(count);
    let mut before = 0;
    for block in blocks {
        // The one that this block belongs to by the pairs before it.
        let segment = before * count / all;
        before += queries_of(&block);
        if segment < segments.len() {
            segments[segment].end = block.end;
        } else {
            segments.push(block);
        }
    }
    segments
}

/// What the last block of keys that each query sees is lessened by, as is the query's denominator; nothing where all are
/// the same.
fn row_shifts<T: Float>(group: &Group<'_, T>, shifts: &Shifts<T>) -> Vec<T> {
    if !shifts.vary() {
        return Vec::new();
    }
    let shape = &group.shape;
    let mut blocks = key_blocks(&(0..shape.keys), shifts).into_iter();
    let mut last = blocks.next().unwrap_or(0..0);
    let of_row = |query| {
        while last.end < shape.visible(group.causal, query) {
            last = blocks.next().unwrap_or(0..usize::MAX);
        }
        shifts.after(last.end)
    };
    (0..shape.queries).map(of_row).collect()
}

/// The gradient of the queries, to which every segment of keys adds.
struct OfQueries<'a, T> {
    /// Of each group; the first segment adds to it.
    sums: Vec<&'a mut [T]>,
    /// Of each group, what the other segments add to instead.
    others: Vec<Vec<Vec<T>>>,
}

impl<'a, T: Float> OfQueries<'a, T> {
    /// Of groups of `size` values, all of them zero.
    fn new(sums: &'a mut [T], size: usize, segments: usize) -> Self {
        let sums: Vec<_> = sums.chunks_exact_mut(size.max(1)).collect();
        let others = sums.iter().map(|_| vec![vec![T::ZERO; size]; segments - 1]).collect();
        Self { sums, others }
    }

    /// Of each segment of each group.
    fn parts(&mut self) -> impl Iterator<Item = &mut [T]> {
        let groups = self.sums.iter_mut().zip(&mut self.others);
        groups.flat_map(|(first, others)| std::iter::once(&mut **first).chain(others.iter_mut().map(Vec::as_mut_slice)))
    }

    fn add_up(self) {
        for (sums, others) in self.sums.into_iter().zip(self.others) {
            sums.par_chunks_mut(SUMS).enumerate().for_each(|(at, sums)| {
                for other in &others {
                    sums.iter_mut().zip(&other[at * SUMS..]).for_each(|(sum, &value)| *sum += value);
                }
            });
        }
    }
}

/// Some keys of a group, with all queries that may see them.
struct Segment<'a, T> {
    kernel: &'a Kernel<T>,
    group: Group<'a, T>,
    shifts: &'a Shifts<T>,
    /// See [`row_shifts`].
    row_shifts: &'a [T],
    keys: Range<usize>,
    /// Of all of the group's queries.
    scales: &'a [RowScale<T>],
    /// Of all of the group's queries.
    of_output: &'a [T],
    /// Of all of the group's queries, if attention is hard.
    chosen: &'a [u32],
}

/// A block of keys, and the gradients that its pairs add to.
struct Keys<'r, T> {
    places: Range<usize>,
    /// What their exponents are lessened by.
    shift: T,
    features: &'r [T],
    /// The features, `[width, keys]`.
    columns: Matrix<'r, T>,
    /// The values, `[value_dim, keys]`.
    value_columns: Matrix<'r, T>,
    of_features: &'r mut [T],
    of_values: &'r mut [T],
}

/// Arrays for [`Keys`].
#[derive(Default)]
struct KeyRoom<T> {
    features: Scratch<T>,
    columns: Scratch<T>,
    value_columns: Scratch<T>,
    of_features: Scratch<T>,
}

/// Arrays for a block of queries.
#[derive(Default)]
struct QueryRoom<T> {
    features: Scratch<T>,
    /// Empty where they are the segment's own.
    scales: Vec<RowScale<T>>,
    gradient: BlockGradient<T>,
}

impl<T: Float> Segment<'_, T> {
    /// Adds the segment's part to the gradient of the group's queries, and writes those of its keys and values.
    fn backward(&self, of_queries: &mut [T], of_keys: &mut [T], of_values: &mut [T]) {
        self.scatter(of_values);
        if self.kernel.similarity == (Similarity::Hard { gradient: HardGradient::None }) {
            return;
        }
        let (dim, value_dim) = (self.kernel.dim, self.group.shape.value_dim);
        let mut rooms: [KeyRoom<T>; TOGETHER] = Default::default();
        let mut room = QueryRoom::default();
        let (mut of_keys, mut of_values) = (of_keys, of_values);
        for some in key_blocks(&self.keys, self.shifts).chunks(TOGETHER) {
            let blocks = some.iter().zip(&mut rooms).map(|(places, room)| {
                let of_values = of_values.split_off_mut(..places.len() * value_dim).unwrap_or_default();
                self.keys(places.clone(), of_values, room)
            });
            let mut blocks: Vec<Keys<'_, T>> = blocks.collect();
            self.of_key_blocks(&mut blocks, of_queries, &mut room);
            for block in &blocks {
                let rows = self.group.key_rows(&block.places);
                let of_rows = of_keys.split_off_mut(..rows.len()).unwrap_or_default();
                self.kernel.scores.add_gradient(rows, dim, block.features, block.of_features, of_rows);
            }
        }
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

    fn keys<'r>(&'r self, places: Range<usize>, of_values: &'r mut [T], room: &'r mut KeyRoom<T>) -> Keys<'r, T> {
        let scores = &self.kernel.scores;
        let rows = self.group.key_rows(&places);
        let shift = self.shifts.after(places.end);
        let features = of_keys(scores, rows, self.kernel.dim, shift, &mut room.features);
        room.of_features.clear(features.len());
        let values = self.group.value_rows(&places);
        Keys {
            shift,
            features,
            columns: columns(features, scores.width(self.kernel.dim), &mut room.columns),
            value_columns: columns(values, self.group.shape.value_dim, &mut room.value_columns),
            of_features: &mut room.of_features,
            of_values,
            places,
        }
    }

    /// The scales of some rows for keys that are lessened by `shift`: the rows' denominators are as the last block that
    /// they see.
    fn set_scales(&self, rows: Range<usize>, shift: T, out: &mut Vec<RowScale<T>>) {
        out.clear();
        if self.shifts.vary() {
            let queries = self.group.shape.queries;
            out.extend(rows.clone().zip(&self.scales[rows]).map(|(row, scale)| RowScale {
                factor: scale.factor * decay(shift, self.row_shifts[row % queries]),
                ..*scale
            }));
        }
    }

    /// All blocks of queries against these of keys.
    fn of_key_blocks(&self, blocks: &mut [Keys<'_, T>], of_all_queries: &mut [T], room: &mut QueryRoom<T>) {
        let (kernel, group, shape) = (self.kernel, &self.group, &self.group.shape);
        let width = kernel.scores.width(kernel.dim);
        for at in 0..shape.group() * shape.queries.div_ceil(TILE) {
            let (head, block) = (at / shape.queries.div_ceil(TILE), at % shape.queries.div_ceil(TILE));
            let queries = block * TILE..((block + 1) * TILE).min(shape.queries);
            let seen = |keys: &Keys<'_, T>| group.visible_of(&keys.places, queries.end - 1);
            if blocks.first().map_or(0, seen) == 0 {
                continue;
            }
            let rows = head * shape.queries + queries.start..head * shape.queries + queries.end;
            let query_rows = group.query_rows(head, &queries);
            let query_features = of_queries(&kernel.scores, query_rows, kernel.dim, &mut room.features);
            for keys in blocks.iter_mut() {
                let seen = seen(keys);
                if seen == 0 {
                    break;
                }
                self.set_scales(rows.clone(), keys.shift, &mut room.scales);
                let block = Block {
                    head,
                    queries: queries.clone(),
                    keys: keys.places.start..keys.places.start + seen,
                    query_features,
                    key_features: &keys.features[..seen * width],
                    key_columns: keys.columns.some_columns(0, seen),
                    value_columns: keys.value_columns.some_columns(0, seen),
                    of_output: &self.of_output[rows.start * shape.value_dim..rows.end * shape.value_dim],
                    scales: if room.scales.is_empty() { &self.scales[rows.clone()] } else { &room.scales },
                    of_values: self.chosen.is_empty(),
                };
                let of_queries = &mut of_all_queries[rows.start * shape.dim..rows.end * shape.dim];
                let of_features = &mut keys.of_features[..seen * width];
                let of_values = &mut keys.of_values[..seen * shape.value_dim];
                room.gradient.add(kernel, group, &block, [of_queries, of_features, of_values]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_each_other_and_share_the_pairs() {
        for (queries, keys, causal) in [
            (16_384, 16_384, true),
            (16_384, 16_384, false),
            (5_000, 16_384, true),
            (16_384, 5_000, true),
            (1, 16_384, true),
            (300, 100, true),
            (7, 0, true),
            (0, 300, false),
        ] {
            let shape = Shape { batch: 1, heads: 1, key_heads: 1, queries, keys, dim: 4, value_dim: 4 };
            let segments = segments(&shape, causal);
            let case = format!("{queries} queries, {keys} keys, causal {causal}: {segments:?}");
            assert_eq!([segments[0].start, segments[segments.len() - 1].end], [0, keys], "{case}");
            assert!(segments.windows(2).all(|pair| pair[0].end == pair[1].start), "{case}");
            let seen = |query| shape.visible(causal, query);
            let pairs = |keys: &Range<usize>| -> usize {
                (0..queries).map(|query| seen(query).clamp(keys.start, keys.end) - keys.start).sum()
            };
            let all = pairs(&(0..keys));
            for segment in &segments {
                let [less, more] = [all / 8, queries * 2 * KEYS];
                assert!(pairs(segment) <= less + more, "{case}");
                assert!(all < 8 * more || pairs(segment) + more >= less, "{case}");
            }
        }
    }
}
