//! New memory in large pages where the system has them: asking for small ones one by one takes longer than some
//! operations do.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::Float;

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
