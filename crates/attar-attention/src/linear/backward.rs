//! The gradients, through the same sums and through those of the queries from the end.

use std::ops::Range;

use attar_ops::{Float, Matrix, Scratch, Unwritten, UnwrittenPart, prefetch, vectorised};
use rayon::prelude::*;

use super::{Given, Growing, KeyRoom, Keys, Line, Side, by_group, features, stretches, sums_of_all};
use crate::Error;
use crate::attention::{Attention, Forward, Gradients};
use crate::denominator::Bounds;
use crate::features::{Columns, Features, Room as FeatureRoom};
use crate::kernel::{Kernel, RowScale, set_deltas};
use crate::shape::{Inputs, parts};
use crate::shift::Shifts;
use crate::tile::{Block, BlockGradient};

type Part<'a, T> = UnwrittenPart<'a, T>;

/// A chunk's queries of one head, and their gradients by numerators and denominator.
struct Queries<'r, T> {
    rows: &'r [T],
    /// What their features are made from.
    prepared: &'r [T],
    of_sums: Columns<'r, T>,
    scales: &'r [RowScale<T>],
}

/// Arrays for [`Queries`].
#[derive(Default)]
struct QueryRoom<T> {
    features: Scratch<T>,
    scales: Vec<RowScale<T>>,
    of_numerators: Scratch<T>,
    of_denominators: Scratch<T>,
}

/// Arrays of a segment.
#[derive(Default)]
struct Room<T> {
    /// Of a stretch's chunks, each with the heads of its queries: made on the way down and used again on the way up.
    chunks: Vec<(KeyRoom<T>, Vec<QueryRoom<T>>)>,
    /// With the gradient by the features of its keys.
    block: (BlockGradient<T>, Scratch<T>),
    features: FeatureRoom<T>,
}

/// The gradients of a checked attention, from what its forward pass kept.
pub(crate) fn backward<T: Float>(
    attention: &Attention,
    inputs: &Inputs<'_, T>,
    forward: &Forward<T>,
    of_output: &[T],
) -> Result<Gradients<T>, Error> {
    let kernel = Kernel::new(attention.similarity, inputs.shape.dim);
    let (features, line) = (features(&kernel)?, Line::new(inputs.shape));
    let pass = Pass { inputs, forward, of_output };
    let side = |index| Side::of_group(&kernel, features, inputs.group(index, attention.causal), &line);
    let (gradients, _) = pass.by_groups(side, &line, attention.causal, features, |index, side, rows| {
        if attention.causal {
            side.causal(&forward.sums[index], rows, side.starts_from_the_end());
        } else {
            side.over_all_keys(&forward.sums[index], rows);
        }
    });
    Ok(gradients)
}

/// [`backward`] of tokens that follow others with these largest exponents, from the gradient of each group's sums after
/// them; and the gradient of the sums before them.
pub(crate) fn backward_from<T: Float>(
    kernel: &Kernel<T>,
    tokens: &Inputs<'_, T>,
    forward: &Forward<T>,
    of_output: &[T],
    before: &[T],
    of_sums: &[Vec<T>],
) -> Result<(Gradients<T>, Vec<Vec<T>>), Error> {
    let (features, line) = (features(kernel)?, Line::whole(tokens.shape));
    let pass = Pass { inputs: tokens, forward, of_output };
    let side = |index: usize| {
        let group = tokens.group(index, true);
        let shifts = Shifts::new(kernel, &group, before[index]);
        Side::new(kernel, features, group, Bounds::new(kernel, group, 0.0), shifts, &line)
    };
    Ok(pass.by_groups(side, &line, true, features, |index, side, rows| {
        side.causal(&forward.sums[index], rows, vec![of_sums[index].clone()]).swap_remove(0)
    }))
}

/// What the gradients are computed from.
struct Pass<'a, T> {
    inputs: &'a Inputs<'a, T>,
    forward: &'a Forward<T>,
    of_output: &'a [T],
}

/// Where a group's gradients go, stretch by stretch: those of its queries, of all heads; and of its keys and values.
type Rows<'g, T> = (Vec<Vec<Part<'g, T>>>, Vec<(Part<'g, T>, Part<'g, T>)>);

impl<T: Float> Pass<'_, T> {
    /// The gradients that `work` writes of each group, and what it makes of it.
    fn by_groups<'s, R: Send>(
        &'s self,
        side: impl Fn(usize) -> Side<'s, T> + Sync,
        line: &Line,
        causal: bool,
        features: &Features<T>,
        work: impl Fn(usize, &Side<'s, T>, Rows<'_, T>) -> R + Sync,
    ) -> (Gradients<T>, Vec<R>) {
        let (inputs, shape) = (self.inputs, self.inputs.shape);
        let [mut queries_gradient, mut keys_gradient, mut values_gradient] =
            [inputs.queries, inputs.keys, inputs.values].map(|input| Unwritten::new(input.len()));
        let pieces = line.segments.iter().flat_map(|times| stretches(times, causal, features));
        let (queries, keys): (Vec<_>, Vec<_>) = pieces.map(|times| (line.queries(&times), line.keys(&times))).unzip();
        let of_queries = parts(queries_gradient.all(), shape.groups(), shape.group(), &queries, shape.dim);
        let of_keys = parts(keys_gradient.all(), shape.groups(), 1, &keys, shape.dim);
        let of_values = parts(values_gradient.all(), shape.groups(), 1, &keys, shape.value_dim);
        let of_rows = of_keys.into_iter().flatten().zip(of_values.into_iter().flatten());
        let groups = by_group(of_queries.into_iter().zip(of_rows), shape.groups(), queries.len());
        let made = groups.into_par_iter().enumerate().map(|(index, rows)| {
            let side = Side { given: self.given(index), ..side(index) };
            work(index, &side, rows.into_iter().unzip())
        });
        let made = made.collect();
        let gradients = Gradients {
            queries: queries_gradient.into_values(),
            keys: keys_gradient.into_values(),
            values: values_gradient.into_values(),
        };
        (gradients, made)
    }

    /// What belongs to the queries of a group.
    fn given(&self, index: usize) -> Given<'_, T> {
        let shape = &self.inputs.shape;
        let rows = shape.group() * shape.queries;
        let [all, outputs] = [rows, rows * shape.value_dim].map(|count| index * count..(index + 1) * count);
        Given {
            output: &self.forward.output[outputs.clone()],
            normaliser: &self.forward.normaliser[all],
            of_output: &self.of_output[outputs],
        }
    }
}

impl<T: Float> Side<'_, T> {
    /// Writes the gradients of the group's rows, from those of the sums after each segment; gives those of the sums
    /// before.
    ///
    /// Stretch by stretch from the end of each segment: down from the sums that were kept, and up again.
    fn causal(&self, kept: &[T], (of_queries, of_rows): Rows<'_, T>, mut of_sums: Vec<Vec<T>>) -> Vec<Vec<T>> {
        let mut parts = kept.chunks_exact(self.sums()).zip(of_queries).zip(of_rows);
        let segments = self.line.segments.iter().map(|times| {
            let stretches = stretches(times, true, self.features);
            stretches.zip(parts.by_ref()).collect()
        });
        let segments: Vec<Vec<_>> = segments.collect();
        segments.into_par_iter().zip(&mut of_sums).for_each(|(stretches, of_sums)| {
            let mut room = Room::default();
            for (times, ((before, of_queries), (of_keys, of_values))) in stretches.into_iter().rev() {
                let mut before = self.features.sums_for_gradient(Columns::of_sums(before, self.columns()));
                let of_rows = self.down(&times, &mut before, of_queries, [of_keys, of_values], &mut room);
                self.up(&times, of_sums, of_rows, &mut room);
            }
        });
        of_sums
    }

    /// As [`Self::causal`], where the sums of all keys are known at the first query: one pass over the queries.
    fn over_all_keys(&self, sums: &[T], (of_queries, of_rows): Rows<'_, T>) {
        // Nothing is kept of a sequence without a place.
        let Some(sums) = sums.get(..self.sums()) else { return };
        let tasks = of_queries.into_par_iter().zip(&self.line.segments);
        let totals: Vec<Vec<T>> = tasks.map(|(of_queries, times)| self.all_queries(times, sums, of_queries)).collect();
        let tasks = of_rows.into_par_iter().zip(sums_of_all(&totals)).zip(&self.line.segments);
        tasks.for_each(|(((of_keys, of_values), sums), times)| self.all_keys(times, &sums, of_keys, of_values));
    }

    /// [`Self::starts`] of the sums over queries, of the segments after each.
    fn starts_from_the_end(&self) -> Vec<Vec<T>> {
        let totals = self.line.segments.par_iter().enumerate().rev();
        let totals: Vec<Vec<T>> = totals
            .map(|(at, times)| if at == 0 { vec![T::ZERO; self.sums()] } else { self.sum_of_queries(times) })
            .collect();
        let mut starts = self.sums_before(totals.iter().zip(self.line.segments.iter().rev()));
        starts.reverse();
        starts
    }

    fn sum_of_queries(&self, times: &Range<usize>) -> Vec<T> {
        let (mut sums, mut query_room, mut room) =
            (vec![T::ZERO; self.sums()], QueryRoom::default(), FeatureRoom::default());
        for chunk in self.chunks(times).into_iter().rev() {
            for head in 0..self.group.shape.group() {
                let places = self.line.queries(&chunk);
                let queries = self.queries_with_gradient(head, &places, &mut query_room);
                self.features.add_to_sums(queries.prepared, queries.of_sums, &mut sums, &mut room);
            }
            self.rescale_over(&chunk, &mut sums);
        }
        sums
    }

    /// The queries' gradients by the sums of all keys, and what the segment adds to those of the queries.
    fn all_queries(&self, times: &Range<usize>, of_keys: &[T], mut of_queries: Vec<Part<'_, T>>) -> Vec<T> {
        let of_keys = Columns::of_sums(of_keys, self.columns());
        let (mut sums, mut query_room, mut room) =
            (vec![T::ZERO; self.sums()], QueryRoom::default(), FeatureRoom::default());
        for chunk in self.chunks(times) {
            let places = self.line.queries(&chunk);
            for (head, of_rows) in of_queries.iter_mut().enumerate() {
                let of_rows = of_rows.take_zeros(places.len() * self.kernel.dim);
                let queries = self.queries_with_gradient(head, &places, &mut query_room);
                let rows = [queries.rows, queries.prepared];
                self.features.add_gradient(rows, queries.of_sums, of_keys, of_rows, &mut room);
                self.features.add_to_sums(queries.prepared, queries.of_sums, &mut sums, &mut room);
            }
        }
        sums
    }

    /// The gradients of a segment's keys and values by the sums of all queries.
    fn all_keys(&self, times: &Range<usize>, sums: &[T], mut of_keys: Part<'_, T>, mut of_values: Part<'_, T>) {
        let (mut key_room, mut room) = (KeyRoom::default(), FeatureRoom::default());
        for chunk in self.chunks(times) {
            let places = self.line.keys(&chunk);
            let of_keys = of_keys.take_zeros(places.len() * self.kernel.dim);
            let of_values = of_values.take_zeros(places.len() * (self.columns() - 1));
            self.of_keys_by_sums(&self.keys(&places, &mut key_room), sums, [of_keys, of_values], &mut room);
        }
    }

    /// Places among all queries of the group.
    fn all_rows(&self, head: usize, queries: &Range<usize>) -> Range<usize> {
        let first = head * self.group.shape.queries;
        first + queries.start..first + queries.end
    }

    fn output_rows(&self, rows: &Range<usize>) -> &[T] {
        &self.given.output[rows.start * (self.columns() - 1)..rows.end * (self.columns() - 1)]
    }

    fn of_output_rows(&self, rows: &Range<usize>) -> &[T] {
        &self.given.of_output[rows.start * (self.columns() - 1)..rows.end * (self.columns() - 1)]
    }

    fn queries_with_gradient<'r>(
        &'r self,
        head: usize,
        places: &Range<usize>,
        room: &'r mut QueryRoom<T>,
    ) -> Queries<'r, T> {
        self.queries(head, places, &mut room.features);
        let rows = self.all_rows(head, places);
        self.set_scales(&rows, &mut room.scales);
        self.set_gradient(&rows, room);
        self.queries_again(head, places, room)
    }

    fn prefetch_queries_with_gradient(&self, head: usize, places: &Range<usize>) {
        prefetch(self.group.query_rows(head, places));
        let rows = self.all_rows(head, places);
        prefetch(self.output_rows(&rows));
        prefetch(self.of_output_rows(&rows));
    }

    /// What [`Self::queries_with_gradient`] left in the room.
    fn queries_again<'r>(&'r self, head: usize, places: &Range<usize>, room: &'r QueryRoom<T>) -> Queries<'r, T> {
        let rows = self.group.query_rows(head, places);
        let all = Matrix::row_major(&room.of_numerators, self.columns() - 1);
        let of_sums = Columns { all, last: &room.of_denominators };
        Queries { rows, prepared: self.features.prepared(rows, &room.features), of_sums, scales: &room.scales }
    }

    fn set_scales(&self, rows: &Range<usize>, scales: &mut Vec<RowScale<T>>) {
        scales.clear();
        let normalisers = &self.given.normaliser[rows.clone()];
        scales.extend(normalisers.iter().map(|&normaliser| self.kernel.link.row_scale(normaliser)));
        set_deltas(scales, self.output_rows(rows), self.of_output_rows(rows), self.columns() - 1);
    }

    /// The gradient by numerators and denominators of rows whose scales are there.
    fn set_gradient(&self, rows: &Range<usize>, room: &mut QueryRoom<T>) {
        let width = self.columns() - 1;
        let of_output = self.of_output_rows(rows);
        let scales = &room.scales;
        room.of_numerators.resize(of_output.len());
        room.of_denominators.resize(rows.len());
        vectorised(
            (&mut room.of_numerators[..], &mut room.of_denominators[..]),
            #[inline(always)]
            |(of_numerators, of_denominators): (&mut [T], &mut [T])| {
                let rows = of_numerators.chunks_exact_mut(width).zip(of_denominators).zip(scales);
                for (((out, of_denominator), scale), of_output) in rows.zip(of_output.chunks_exact(width)) {
                    out.iter_mut().zip(of_output).for_each(|(out, &of)| *out = scale.factor * of);
                    *of_denominator = -scale.factor * scale.delta;
                }
            },
        );
    }

    /// From the first chunk on: the queries' gradients, and within chunks those of keys and values, which it returns.
    fn down<'g>(
        &self,
        times: &Range<usize>,
        sums: &mut [T],
        mut of_queries: Vec<Part<'_, T>>,
        [mut of_keys, mut of_values]: [Part<'g, T>; 2],
        Room { chunks: rooms, block, features: room }: &mut Room<T>,
    ) -> Vec<[&'g mut [T]; 2]> {
        let mut of_rows = Vec::new();
        let mut sums = Growing::new(self, sums);
        for (at, chunk) in self.chunks(times).into_iter().enumerate() {
            sums.rescale(self, &chunk);
            let at = if self.features.keeps_rows() { at } else { 0 };
            if rooms.len() == at {
                rooms.push(Default::default());
            }
            let (key_room, query_rooms) = &mut rooms[at];
            query_rooms.resize_with(of_queries.len(), QueryRoom::default);
            let (places, key_places) = (self.line.queries(&chunk), self.line.keys(&chunk));
            let next = self.to_prefetch(&chunk);
            self.prefetch_keys(&next);
            let keys = self.keys(&key_places, key_room);
            let of_key_rows = of_keys.take_zeros(key_places.len() * self.kernel.dim);
            let of_value_rows = of_values.take_zeros(key_places.len() * (self.columns() - 1));
            for (head, (of_queries, query_room)) in of_queries.iter_mut().zip(query_rooms).enumerate() {
                let of_query_rows = of_queries.take_zeros(places.len() * self.kernel.dim);
                let queries = self.queries_with_gradient(head, &places, query_room);
                self.prefetch_queries_with_gradient(head, &self.line.queries(&next));
                let of_keys_sums = self.features.columns_for_gradient(sums.sums, self.columns());
                self.features.add_gradient(
                    [queries.rows, queries.prepared],
                    queries.of_sums,
                    of_keys_sums,
                    of_query_rows,
                    room,
                );
                of_queries.prefetch(places.len() * self.kernel.dim);
                of_keys.prefetch(of_key_rows.len());
                of_values.prefetch(of_value_rows.len());
                if !places.is_empty() && !key_places.is_empty() {
                    let gradients = [of_query_rows, &mut *of_key_rows, &mut *of_value_rows];
                    self.within(head, &places, &queries, &keys, gradients, block);
                }
            }
            if chunk.end < times.end {
                sums.add(|sums| self.features.add_to_sums_for_gradient(keys.prepared, keys.values, sums, room));
            }
            of_rows.push([of_key_rows, of_value_rows]);
        }
        of_rows
    }

    /// The pairs within a chunk.
    fn within(
        &self,
        head: usize,
        places: &Range<usize>,
        queries: &Queries<'_, T>,
        keys: &Keys<'_, T>,
        [of_query_rows, of_key_rows, of_values]: [&mut [T]; 3],
        (gradient, of_features): &mut (BlockGradient<T>, Scratch<T>),
    ) {
        let [query_features, key_features] = self.score_rows(head, places, queries.prepared, keys);
        let columns = |rows, width| Matrix::row_major(rows, width).transposed();
        let block = Block {
            queries: places.clone(),
            keys: keys.places.clone(),
            head,
            query_features,
            key_features,
            key_columns: columns(key_features, self.kernel.scores.width(self.kernel.dim)),
            value_columns: columns(self.group.value_rows(&keys.places), self.columns() - 1),
            of_output: self.of_output_rows(&self.all_rows(head, places)),
            scales: queries.scales,
            of_values: true,
        };
        of_features.clear(key_features.len());
        gradient.add(self.kernel, &self.group, &block, [of_query_rows, &mut *of_features, of_values]);
        let key_rows = self.group.key_rows(&keys.places);
        self.kernel.scores.add_gradient(key_rows, self.kernel.dim, key_features, of_features, of_key_rows);
    }

    /// From the last chunk on: the gradients of keys and values by the queries of later chunks.
    fn up(&self, times: &Range<usize>, sums: &mut [T], of_rows: Vec<[&mut [T]; 2]>, room: &mut Room<T>) {
        let Room { chunks: rooms, features: room, .. } = room;
        let mut sums = Growing::new(self, sums);
        let keeps = self.features.keeps_rows();
        for (at, (chunk, of_rows)) in self.chunks(times).into_iter().zip(of_rows).enumerate().rev() {
            let (places, key_places) = (self.line.queries(&chunk), self.line.keys(&chunk));
            let (key_room, query_rooms) = &mut rooms[if keeps { at } else { 0 }];
            let keys = if keeps { self.keys_again(&key_places, key_room) } else { self.keys(&key_places, key_room) };
            self.of_keys_by_sums(&keys, sums.sums, of_rows, room);
            for (head, query_room) in query_rooms.iter_mut().enumerate() {
                let queries = if keeps {
                    self.queries_again(head, &places, query_room)
                } else {
                    self.queries_with_gradient(head, &places, query_room)
                };
                sums.add(|sums| self.features.add_to_sums(queries.prepared, queries.of_sums, sums, room));
            }
            sums.rescale(self, &chunk);
        }
    }

    fn of_keys_by_sums(
        &self,
        keys: &Keys<'_, T>,
        sums: &[T],
        [of_rows, of_values]: [&mut [T]; 2],
        room: &mut FeatureRoom<T>,
    ) {
        let (rows, width) = (self.group.key_rows(&keys.places), self.columns() - 1);
        let sums = Columns::of_sums(sums, self.columns());
        self.features.add_gradient([rows, keys.prepared], keys.values, sums, of_rows, room);
        self.features.add_times_sums(keys.prepared, sums, [&mut *of_values, &mut []], room);
        for key in keys.places.clone().filter(|key| self.group.is_hidden(*key)) {
            of_values[(key - keys.places.start) * width..][..width].fill(T::ZERO);
        }
    }
}
