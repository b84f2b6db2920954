//! The places that queries and keys share.

use std::ops::Range;

use crate::shape::Shape;
use crate::tile::{TILE, pieces};

/// The places of a sequence: the last query has that of the last key.
pub(crate) struct Line {
    shape: Shape,
    /// One past the last place.
    pub(crate) end: usize,
    /// Cut for tasks, at multiples of [`TILE`].
    pub(crate) segments: Vec<Range<usize>>,
}

impl Line {
    pub(super) fn new(shape: Shape) -> Self {
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

    pub(super) fn queries(&self, times: &Range<usize>) -> Range<usize> {
        let before = self.end - self.shape.queries;
        times.start.saturating_sub(before)..times.end.saturating_sub(before)
    }

    pub(super) fn keys(&self, times: &Range<usize>) -> Range<usize> {
        let before = self.end - self.shape.keys;
        times.start.saturating_sub(before)..times.end.saturating_sub(before)
    }
}
