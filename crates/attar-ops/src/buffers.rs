//! Memory that is used again from step to step, so that no page is asked for twice.

/// Arrays that were given back, to be taken again by their length.
#[derive(Clone, Debug, Default)]
pub struct Buffers<T>(Vec<Vec<T>>);

impl<T: Copy + Default> Buffers<T> {
    /// `count` values, of whatever stood there before.
    pub fn take(&mut self, count: usize) -> Vec<T> {
        match self.0.iter().rposition(|buffer| buffer.len() == count) {
            Some(place) => self.0.swap_remove(place),
            None => vec![T::default(); count],
        }
    }

    /// Keeps an array for the next [`Self::take`] of its length.
    pub fn give(&mut self, buffer: Vec<T>) {
        if !buffer.is_empty() {
            self.0.push(buffer);
        }
    }
}
