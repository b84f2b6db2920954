//! New memory in large pages where the system has them: asking for small ones one by one takes longer than some
//! operations do.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::{Float, prefetch};

/// Bytes from which on an array is worth it: what a large page has on most machines, or a quarter of it.
const LARGE: usize = 1 << 19;

/// Values that one task writes.
const BLOCK: usize = 1 << 16;

/// `count` zeros, written by all threads: where memory is used again, one thread alone takes long.
pub fn zeros<T: Float>(count: usize) -> Vec<T> {
    if count * size_of::<T>() < LARGE {
        return vec![T::ZERO; count];
    }
    let mut values = Vec::with_capacity(count);
    let places = &mut values.spare_capacity_mut()[..count];
    ask_for_large_pages(places);
    places.par_chunks_mut(BLOCK).for_each(|block| block.fill(MaybeUninit::new(T::ZERO)));
    // SAFETY: the capacity is `count` at least, and that many values have just been written.
    unsafe { values.set_len(count) };
    values
}

/// An array to come: each part is zeroed by the task that goes on with it, while it is near.
#[derive(Debug)]
pub struct Unwritten<T> {
    values: Vec<T>,
    count: usize,
    written: AtomicUsize,
}

/// Some places of an [`Unwritten`], which nobody else has.
#[derive(Debug)]
pub struct UnwrittenPart<'a, T> {
    places: &'a mut [MaybeUninit<T>],
    written: &'a AtomicUsize,
}

impl<T: Float> Unwritten<T> {
    /// Room for `count` values.
    pub fn new(count: usize) -> Self {
        let mut values = Vec::with_capacity(count);
        if count * size_of::<T>() >= LARGE {
            ask_for_large_pages(&values.spare_capacity_mut()[..count]);
        }
        Self { values, count, written: AtomicUsize::new(0) }
    }

    /// All of it, with nothing written.
    pub fn all(&mut self) -> UnwrittenPart<'_, T> {
        *self.written.get_mut() = 0;
        UnwrittenPart { places: &mut self.values.spare_capacity_mut()[..self.count], written: &self.written }
    }

    /// The values.
    ///
    /// # Panics
    /// If a part of the last [`Self::all`] has not been written.
    pub fn into_values(mut self) -> Vec<T> {
        assert_eq!(*self.written.get_mut(), self.count, "values that are written");
        // SAFETY: the capacity is `count` at least. Parts share no place and each counts its own once, after writing
        // them, so all places of the last `all` have been written.
        unsafe { self.values.set_len(self.count) };
        self.values
    }
}

impl<'a, T: Float> UnwrittenPart<'a, T> {
    /// The first `count` places, and the others.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn split_at(self, count: usize) -> (Self, Self) {
        let (first, rest) = self.places.split_at_mut(count);
        (Self { places: first, written: self.written }, Self { places: rest, written: self.written })
    }

    /// The first `count` places as zeros, which are no longer its own.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn take_zeros(&mut self, count: usize) -> &'a mut [T] {
        let (first, rest) = std::mem::take(&mut self.places).split_at_mut(count);
        self.places = rest;
        Self { places: first, written: self.written }.zeros()
    }

    /// Has the first `count` places, or all if there are fewer, brought near, as [`prefetch`] does.
    pub fn prefetch(&self, count: usize) {
        prefetch(&self.places[..count.min(self.places.len())]);
    }

    /// Its places as zeros.
    pub fn zeros(self) -> &'a mut [T] {
        self.places.fill(MaybeUninit::new(T::ZERO));
        self.written.fetch_add(self.places.len(), Ordering::Relaxed);
        // SAFETY: all places have just been written, and a `MaybeUninit<T>` lies as a `T` does.
        unsafe { &mut *(std::ptr::from_mut(self.places) as *mut [T]) }
    }
}

/// Keeps the memory that this process gives back, up to 256 MB a thread, for when it next asks for some.
///
/// The C library's own rule returns what lies free above some MB to the system at once. Work that asks for as much in
/// every round then meets new pages each time; a lab of small trainings spent some 3 % of its time on them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_freed_memory() {
    use std::ffi::c_int;

    const M_TRIM_THRESHOLD: c_int = -1;
    const M_MMAP_THRESHOLD: c_int = -3;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }

    // SAFETY: sets two numbers of the allocator, under its own lock.
    unsafe {
        mallopt(M_TRIM_THRESHOLD, 256 << 20);
        mallopt(M_MMAP_THRESHOLD, 32 << 20);
    }
}

/// Does nothing: other C libraries have rules of their own.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_freed_memory() {}

/// Advice that the system may ignore, so that its answer does not matter.
#[cfg(target_os = "linux")]
fn ask_for_large_pages<T>(values: &[T]) {
    use std::ffi::{c_int, c_void};

    const MADV_HUGEPAGE: c_int = 14;
    const PAGE: usize = 4096;

    unsafe extern "C" {
        fn madvise(address: *mut c_void, length: usize, advice: c_int) -> c_int;
    }

    let range = values.as_ptr_range();
    // With the pages that the first and the last value share with others: arrays side by side become one region.
    let (start, end) = (range.start.addr() & !(PAGE - 1), range.end.addr().next_multiple_of(PAGE));
    let address = range.start.cast_mut().cast::<c_void>().with_addr(start);
    // SAFETY: this advice changes neither what stands in the memory nor who may read or write it, whoever owns it.
    unsafe { madvise(address, end - start, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_large_pages<T>(_: &[T]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_zeros_of_the_same_array() {
        for count in [0, 7, 300_000] {
            let mut array = Unwritten::<f64>::new(count);
            let (first, rest) = array.all().split_at(count / 3);
            rest.zeros().fill(2.0);
            assert!(first.zeros().iter().all(|value| *value == 0.0));
            let values = array.into_values();
            assert_eq!(values.len(), count);
            assert_eq!(values.iter().sum::<f64>(), 2.0 * (count - count / 3) as f64);
        }
    }

    #[test]
    #[should_panic(expected = "values that are written")]
    fn a_part_that_is_not_written_is_no_value() {
        let mut array = Unwritten::<f32>::new(9);
        array.all().zeros();
        array.all().split_at(4).0.zeros();
        array.into_values();
    }

    #[test]
    fn zeros_of_any_number_can_be_written() {
        for count in [0, 1, LARGE / 8 - 1, LARGE / 8, 1_000_003] {
            let mut values = zeros::<f64>(count);
            assert_eq!(values.len(), count);
            assert!(values.iter().all(|value| *value == 0.0), "{count}");
            values.iter_mut().for_each(|value| *value += 1.0);
            assert_eq!(values.iter().sum::<f64>(), count as f64);
        }
    }
}
