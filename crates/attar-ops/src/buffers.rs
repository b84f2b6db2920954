//! Memory that is used again from step to step, so that no page is asked for twice.

/// Arrays that were given back, to be taken again by their length.
#[derive(Clone, Debug)]
pub struct Buffers<T> {
    free: Vec<Vec<T>>,
    /// For work on a second thread, which takes them and gives them back.
    pub(crate) others: Option<Box<Self>>,
}

impl<T> Default for Buffers<T> {
    fn default() -> Self {
        Self { free: Vec::new(), others: None }
    }
}

impl<T: Copy + Default> Buffers<T> {
    /// `count` values, of whatever stood there before.
    pub fn take(&mut self, count: usize) -> Vec<T> {
        match self.free.iter().rposition(|buffer| buffer.len() == count) {
            Some(place) => self.free.swap_remove(place),
            None => vec![T::default(); count],
        }
    }

    /// Keeps an array for the next [`Self::take`] of its length.
    pub fn give(&mut self, buffer: Vec<T>) {
        if !buffer.is_empty() {
            self.free.push(buffer);
        }
    }
}
