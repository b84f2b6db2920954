//! What the exponents of a group's keys are lessened by, so that no weight is lost that a query needs.
//!
//! The features of positive random maps are exponentials, and so is their range: divided by the largest of a whole
//! sequence, all that an early query sees may vanish. In causal attention the divisor therefore grows with the keys, and
//! so little within a block that it is the same for the whole of it.

use std::ops::Range;

use attar_ops::Float;

use crate::kernel::Kernel;
use crate::map::Map;
use crate::shape::{Group, ranges};
use crate::tile::TILE;

/// By how much exponents may be lessened beyond what a query sees: `e^-16` is about the rounding of `f32`, whose
/// exponentials end at `e^-87`.
const STEP: f64 = 16.0;

/// The largest exponents of the first keys of a group.
#[derive(Debug)]
pub(crate) struct Shifts<T> {
    /// For each number of keys; one for all where attention is not causal, or nothing is lessened.
    largest: Vec<T>,
}

impl<T: Float> Shifts<T> {
    /// Of keys that follow others whose largest exponent is `before`: minus infinity if there are none.
    pub(crate) fn new(kernel: &Kernel<T>, group: &Group<'_, T>, before: T) -> Self {
        let Map::Random(random) = &kernel.scores else { return Self { largest: vec![before] } };
        let mut largest = vec![before];
        for keys in ranges(group.shape.keys, TILE) {
            let of_rows = random.largest_exponents(group.key_rows(&keys), kernel.dim);
            for (key, of_row) in keys.zip(of_rows) {
                let last = largest.last().copied().unwrap_or(before);
                largest.push(if of_row > last && !group.is_hidden(key) { of_row } else { last });
            }
        }
        if !group.causal {
            largest.drain(..largest.len() - 1);
        }
        Self { largest }
    }

    /// After so many keys.
    pub(crate) fn after(&self, keys: usize) -> T {
        self.largest[keys.min(self.largest.len() - 1)]
    }

    /// After all keys.
    pub(crate) fn after_all(&self) -> T {
        self.after(usize::MAX)
    }

    /// Whether blocks of keys may have different ones.
    pub(crate) fn vary(&self) -> bool {
        self.largest.first() != self.largest.last()
    }

    /// The keys in ranges, each of which is lessened by [`Self::after`] its end: that is at most [`STEP`] more than what a
    /// query that sees the first of them sees.
    pub(crate) fn cut(&self, keys: Range<usize>) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut rest = keys.clone();
        while self.vary() && !rest.is_empty() {
            let end = self.end_of_step(&rest);
            ranges.push(rest.start..end);
            rest.start = end;
        }
        if ranges.is_empty() { std::iter::once(keys).collect() } else { ranges }
    }

    fn end_of_step(&self, keys: &Range<usize>) -> usize {
        let (mut base, mut end) = (self.after(keys.start + 1).to_f64(), keys.start + 1);
        while end < keys.end {
            let next = self.after(end + 1).to_f64();
            if base == f64::NEG_INFINITY {
                base = next;
            }
            if next - base > STEP {
                break;
            }
            end += 1;
        }
        end
    }
}

/// Sums of what was lessened by `before`, lessened by `now` instead, or the gradient of such sums the other way.
pub(crate) fn rescale<T: Float>(sums: &mut [T], before: T, now: T) {
    if now > before {
        let factor = decay(before, now);
        sums.iter_mut().for_each(|sum| *sum *= factor);
    }
}

/// `exp(before - now)`, 1 where both are minus infinity.
pub(crate) fn decay<T: Float>(before: T, now: T) -> T {
    if now > before { T::from_f64((before.to_f64() - now.to_f64()).exp()) } else { T::ONE }
}
