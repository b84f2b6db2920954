//! The gradients, through the same sums and through those of the queries from the end.

use std::ops::Range;

use attar_ops::{Float, Matrix, Scratch, Unwritten, UnwrittenPart, vectorised};
use rayon::prelude::*;

use super::{KeyRoom, Keys, Line, Room, Side, by_group, features, sums_before, sums_of_all};
use crate::Error;
use crate::attention::{Attention, Forward, Gradients};
use crate::features::Columns;
use crate::kernel::{Kernel, RowScale};
use crate::shape::{Inputs, parts};
use crate::tile::{Block, BlockGradient};

type Part<'a, T> = UnwrittenPart<'a, T>;

/// The gradients of a checked attention, from what its forward pass kept.
pub(crate) fn backward<T: Float>(
    attention: &Attention,
    inputs: &Inputs<'_, T>,
    forward: &Forward<T>,
    of_output: &[T],
) -> Result<Gradients<T>, Error> {
    let shape = inputs.shape;
    let kernel = Kernel::new(attention.similarity, shape.dim);
    let features = features(&kernel)?;
    let [mut queries_gradient, mut keys_gradient, mut values_gradient] =
        [inputs.queries, inputs.keys, inputs.values].map(|input| Unwritten::new(input.len()));
    let line = Line::new(shape);
    let (queries, keys) = (line.cut(Line::queries), line.cut(Line::keys));
    let of_queries = parts(queries_gradient.all(), shape.groups(), shape.group(), &queries, shape.dim);
    let of_keys = parts(keys_gradient.all(), shape.groups(), 1, &keys, shape.dim);
    let of_values = parts(values_gradient.all(), shape.groups(), 1, &keys, shape.value_dim);
    let of_rows = of_keys.into_iter().flatten().zip(of_values.into_iter().flatten());
    let groups = by_group(of_queries.into_iter().zip(of_rows), queries.len());
    groups.into_par_iter().enumerate().for_each(|(index, rows)| {
        let mut side = Side::of_group(&kernel, features, inputs.group(index, attention.causal), &line);
        let all = index * shape.group() * shape.queries..(index + 1) * shape.group() * shape.queries;
        side.of_output = &of_output[all.start * shape.value_dim..all.end * shape.value_dim];
        let scales = |rows: Range<usize>| {
            forward.row_scales(&kernel, &shape, of_output, all.start + rows.start..all.start + rows.end)
        };
        let (of_queries, of_rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        if attention.causal {
            side.scales = scales(0..all.len());
            side.causal(of_queries, of_rows);
        } else {
            side.over_all_keys(of_queries, of_rows, scales);
        }
    });
    Ok(Gradients {
        queries: queries_gradient.into_values(),
        keys: keys_gradient.into_values(),
        values: values_gradient.into_values(),
    })
}

impl<T: Float> Side<'_, T> {
    /// The gradients of the group's queries, a segment's heads together, and of its keys and values.
    fn causal(&self, of_queries: Vec<Vec<Part<'_, T>>>, of_rows: Vec<(Part<'_, T>, Part<'_, T>)>) {
        let sums = self.starts(Self::sum_of_keys).into_par_iter().zip(self.starts_from_the_end());
        let tasks = of_queries.into_par_iter().zip(of_rows).zip(sums).zip(&self.line.segments);
        tasks.for_each(|(((queries, (keys, values)), (mut before, mut after)), times)| {
            let (keys, values) = (keys.zeros(), values.zeros());
            self.backward_down(times, &mut before, queries, [&mut *keys, &mut *values]);
            self.backward_up(times, &mut after, [keys, values]);
        });
    }

    /// As [`Self::causal`], where the sums of all keys are known at the first query: one pass over the queries.
    fn over_all_keys(
        &self,
        of_queries: Vec<Vec<Part<'_, T>>>,
        of_rows: Vec<(Part<'_, T>, Part<'_, T>)>,
        scales: impl Fn(Range<usize>) -> Vec<RowScale<T>> + Sync,
    ) {
        let before = self.starts(Self::sum_of_keys);
        let tasks = of_queries.into_par_iter().zip(&before).zip(&self.line.segments);
        let totals: Vec<Vec<T>> =
            tasks.map(|((queries, before), times)| self.backward_queries(times, before, queries, &scales)).collect();
        let tasks = of_rows.into_par_iter().zip(sums_of_all(&totals)).zip(&self.line.segments);
        tasks.for_each(|(((keys, values), mut after), times)| {
            self.backward_up(times, &mut after, [keys.zeros(), values.zeros()])
        });
    }

    /// [`Self::starts`] of the sums over queries, of the segments after each.
    fn starts_from_the_end(&self) -> Vec<Vec<T>> {
        let totals = self.line.segments.par_iter().enumerate().rev();
        let totals: Vec<Vec<T>> = totals
            .map(|(at, times)| if at == 0 { vec![T::ZERO; self.sums()] } else { self.sum_of_queries(times) })
            .collect();
        let mut starts = sums_before(&totals);
        starts.reverse();
        starts
    }

    fn sum_of_queries(&self, times: &Range<usize>) -> Vec<T> {
        let (mut sums, mut room) = (vec![T::ZERO; self.sums()], Room::default());
        self.chunks(times).rev().for_each(|times| self.add_queries(&self.line.queries(&times), &mut sums, &mut room));
        sums
    }

    /// The queries' gradients by the sums of all keys, and what the segment adds to those of the queries.
    fn backward_queries(
        &self,
        times: &Range<usize>,
        of_keys: &[T],
        mut of_queries: Vec<Part<'_, T>>,
        scales: impl Fn(Range<usize>) -> Vec<RowScale<T>>,
    ) -> Vec<T> {
        let (mut sums, mut room) = (vec![T::ZERO; self.sums()], Room::default());
        for chunk in self.chunks(times) {
            let queries = self.line.queries(&chunk);
            for (head, of_rows) in of_queries.iter_mut().enumerate() {
                let of_rows = of_rows.take_zeros(queries.len() * self.kernel.dim);
                let rows = self.all_rows(head, &queries);
                let Room { queries: query_room, rows: of_rows_room, of_denominators, features, .. } = &mut room;
                let of_numerators = self.scaled(&rows, &scales(rows.clone()), of_rows_room, of_denominators);
                let prepared = self.queries(head, &queries, query_room);
                let of_keys = Columns::of_sums(of_keys, self.columns());
                let rows = [self.group.query_rows(head, &queries), prepared];
                self.features.add_gradient(rows, of_numerators, of_keys, of_rows, features);
                self.features.add_to_sums(prepared, of_numerators, &mut sums, features);
            }
        }
        sums
    }

    fn add_queries(&self, queries: &Range<usize>, sums: &mut [T], room: &mut Room<T>) {
        for head in 0..self.group.shape.group() {
            let Room { queries: query_room, rows, of_denominators, features, .. } = &mut *room;
            let of_numerators = self.of_numerators(head, queries, rows, of_denominators);
            let prepared = self.queries(head, queries, query_room);
            self.features.add_to_sums(prepared, of_numerators, sums, features);
        }
    }

    /// Places among all queries of the group.
    fn all_rows(&self, head: usize, queries: &Range<usize>) -> Range<usize> {
        let first = head * self.group.shape.queries;
        first + queries.start..first + queries.end
    }

    fn of_output_rows(&self, rows: &Range<usize>) -> &[T] {
        &self.of_output[rows.start * (self.columns() - 1)..rows.end * (self.columns() - 1)]
    }

    /// The gradient by numerators and denominator.
    fn of_numerators<'r>(
        &self,
        head: usize,
        queries: &Range<usize>,
        out: &'r mut Scratch<T>,
        of_denominators: &'r mut Scratch<T>,
    ) -> Columns<'r, T> {
        let rows = self.all_rows(head, queries);
        self.scaled(&rows, &self.scales[rows.clone()], out, of_denominators)
    }

    /// [`Self::of_numerators`] of rows with these scales.
    fn scaled<'r>(
        &self,
        rows: &Range<usize>,
        scales: &[RowScale<T>],
        out: &'r mut Scratch<T>,
        of_denominators: &'r mut Scratch<T>,
    ) -> Columns<'r, T> {
        let width = self.columns() - 1;
        let of_output = self.of_output_rows(rows);
        out.resize(of_output.len());
        of_denominators.resize(rows.len());
        for (out, RowScale { factor, delta, .. }) in of_denominators.iter_mut().zip(scales) {
            *out = -*factor * *delta;
        }
        vectorised(
            &mut out[..],
            #[inline(always)]
            |out: &mut [T]| {
                let rows = out.chunks_exact_mut(width).zip(scales);
                for ((out, &RowScale { factor, .. }), of_output) in rows.zip(of_output.chunks_exact(width)) {
                    out.iter_mut().zip(of_output).for_each(|(out, &of)| *out = factor * of);
                }
            },
        );
        Columns { all: Matrix::row_major(out, width), last: of_denominators }
    }

    /// From the first chunk on: the queries' gradients, and within chunks those of keys and values.
    fn backward_down(
        &self,
        times: &Range<usize>,
        sums: &mut [T],
        mut of_queries_rows: Vec<Part<'_, T>>,
        [of_key_rows, of_values]: [&mut [T]; 2],
    ) {
        let (dim, value_dim) = (self.kernel.dim, self.columns() - 1);
        let (mut room, mut key_room, mut block) = (Room::default(), KeyRoom::default(), BlockGradient::default());
        let first_key = self.line.keys(times).start;
        for chunk in self.chunks(times) {
            let (queries, places) = (self.line.queries(&chunk), self.line.keys(&chunk));
            let keys = self.keys(&places, &mut key_room);
            let at_keys = places.start - first_key..places.end - first_key;
            for (head, of_rows) in of_queries_rows.iter_mut().enumerate() {
                let of_rows = of_rows.take_zeros(queries.len() * dim);
                let Room { queries: query_room, rows, of_denominators, features, .. } = &mut room;
                let prepared = self.queries(head, &queries, query_room);
                let of_numerators = self.of_numerators(head, &queries, rows, of_denominators);
                let sums = Columns::of_sums(sums, self.columns());
                let query_rows = self.group.query_rows(head, &queries);
                self.features.add_gradient([query_rows, prepared], of_numerators, sums, of_rows, features);
                if !queries.is_empty() && !places.is_empty() {
                    let of_key_rows = &mut of_key_rows[at_keys.start * dim..at_keys.end * dim];
                    let of_values = &mut of_values[at_keys.start * value_dim..at_keys.end * value_dim];
                    self.within(head, &queries, prepared, &keys, [of_rows, of_key_rows, of_values], &mut block);
                }
            }
            if chunk.end < times.end {
                self.features.add_to_sums(keys.prepared, keys.values, sums, &mut room.features);
            }
        }
    }

    /// The pairs within a chunk.
    fn within(
        &self,
        head: usize,
        queries: &Range<usize>,
        prepared: &[T],
        keys: &Keys<'_, T>,
        [of_query_rows, of_key_rows, of_values]: [&mut [T]; 3],
        gradient: &mut BlockGradient<T>,
    ) {
        let rows = self.all_rows(head, queries);
        let [query_features, key_features] = self.score_rows(head, queries, prepared, keys);
        let block = Block {
            queries: queries.clone(),
            keys: keys.places.clone(),
            head,
            query_features,
            key_features,
            of_output: self.of_output_rows(&rows),
            scales: &self.scales[rows],
            of_values: true,
        };
        let mut of_features = vec![T::ZERO; key_features.len()];
        gradient.add(self.kernel, &self.group, &block, [of_query_rows, &mut of_features, of_values]);
        let key_rows = self.group.key_rows(&keys.places);
        self.kernel.scores.add_gradient(key_rows, self.kernel.dim, key_features, &of_features, of_key_rows);
    }

    /// From the last chunk on: the gradients of keys and values by the queries of later chunks, or of all.
    fn backward_up(&self, times: &Range<usize>, sums: &mut [T], [of_key_rows, of_values]: [&mut [T]; 2]) {
        let (dim, value_dim) = (self.kernel.dim, self.columns() - 1);
        let (mut room, mut key_room) = (Room::default(), KeyRoom::default());
        let first_key = self.line.keys(times).start;
        for chunk in self.chunks(times).rev() {
            let (queries, keys) = (self.line.queries(&chunk), self.line.keys(&chunk));
            let places = keys.start - first_key..keys.end - first_key;
            let of_key_rows = &mut of_key_rows[places.start * dim..places.end * dim];
            let of_values = &mut of_values[places.start * value_dim..places.end * value_dim];
            let keys = self.keys(&keys, &mut key_room);
            self.of_keys_by_sums(&keys, sums, [of_key_rows, of_values], &mut room);
            if self.group.causal && chunk.start > times.start {
                self.add_queries(&queries, sums, &mut room);
            }
        }
    }

    fn of_keys_by_sums(&self, keys: &Keys<'_, T>, sums: &[T], [of_rows, of_values]: [&mut [T]; 2], room: &mut Room<T>) {
        let (rows, width) = (self.group.key_rows(&keys.places), self.columns() - 1);
        let sums = Columns::of_sums(sums, self.columns());
        self.features.add_gradient([rows, keys.prepared], keys.values, sums, of_rows, &mut room.features);
        self.features.add_times_sums(keys.prepared, sums, [&mut *of_values, &mut []], &mut room.features);
        for key in keys.places.clone().filter(|key| self.group.is_hidden(*key)) {
            of_values[(key - keys.places.start) * width..][..width].fill(T::ZERO);
        }
    }
}
