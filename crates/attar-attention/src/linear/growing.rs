//! Sums that grow chunk by chunk, in two levels where they grow for long.

use std::ops::Range;

use attar_ops::{Float, vectorised};

use super::Side;

/// Places of a sequence beyond which the sums of a stretch's small chunks are kept apart: in `f32` some 2,000 equal terms
/// on top of each other lose more digits than they may.
const LONG: usize = 1 << 15;

/// Sums that chunks add to.
pub(super) struct Growing<'s, T> {
    pub(super) sums: &'s mut [T],
    /// The sums at the start, and what was added since; empty where it is added to the sums at once.
    apart: [Vec<T>; 2],
}

impl<'s, T: Float> Growing<'s, T> {
    pub(super) fn new(side: &Side<'_, T>, sums: &'s mut [T]) -> Self {
        let apart = side.group.causal && side.features.keeps_rows() && side.line.end > LONG;
        let apart = if apart { [sums.to_vec(), vec![T::ZERO; sums.len()]] } else { Default::default() };
        Self { sums, apart }
    }

    /// Over a chunk, see [`Side::rescale_over`].
    pub(super) fn rescale(&mut self, side: &Side<'_, T>, chunk: &Range<usize>) {
        side.rescale_over(chunk, self.sums);
        self.apart.iter_mut().for_each(|part| side.rescale_over(chunk, part));
    }

    /// What `add` adds to the array that it is given.
    pub(super) fn add(&mut self, add: impl FnOnce(&mut [T])) {
        let [start, since] = &mut self.apart;
        if start.is_empty() {
            return add(self.sums);
        }
        add(since);
        vectorised(
            (&mut *self.sums, &start[..], &since[..]),
            #[inline(always)]
            |(sums, start, since): (&mut [T], &[T], &[T])| {
                sums.iter_mut().zip(start.iter().zip(since)).for_each(|(sum, (start, since))| *sum = *start + *since);
            },
        );
    }
}
