//! Memory for values of the moment, at the beginning of a cache line.

use std::ops::{Deref, DerefMut};

use crate::Float;

/// What the widest vectors have, and a cache line.
const LINE: usize = 64;

/// Values that one piece of work after the other writes and reads.
///
/// As a slice it begins at a cache line, so that no vector lies in two of them; a `Vec` promises no such thing.
#[derive(Debug, Default)]
pub struct Scratch<T> {
    values: Vec<T>,
    count: usize,
}

impl<T: Float> Scratch<T> {
    /// Makes it `count` values, of whatever stood there before.
    pub fn resize(&mut self, count: usize) {
        let needed = count + LINE / size_of::<T>();
        if self.values.len() < needed {
            self.values.resize(needed, T::ZERO);
        }
        self.count = count;
    }

    /// Makes it `count` zeros.
    pub fn clear(&mut self, count: usize) {
        self.resize(count);
        self.fill(T::ZERO);
    }

    fn start(&self) -> usize {
        // At most a line less one value; if this cannot be found out, the line is given up.
        let start = self.values.as_ptr().align_offset(LINE);
        if start < LINE { start } else { 0 }
    }
}

impl<T: Float> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.values.get(self.start()..).and_then(|values| values.get(..self.count)).unwrap_or(&[])
    }
}

impl<T: Float> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let (start, count) = (self.start(), self.count);
        self.values.get_mut(start..).and_then(|values| values.get_mut(..count)).unwrap_or(&mut [])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_a_line_and_has_as_many_values_as_asked_for() {
        let mut scratch = Scratch::<f32>::default();
        assert!(scratch.is_empty());
        for count in [5, 1000, 3, 0, 70] {
            scratch.clear(count);
            assert_eq!(*scratch, *vec![0.0; count]);
            assert!(scratch.as_ptr().addr().is_multiple_of(LINE));
            scratch.fill(1.0);
        }
    }
}
