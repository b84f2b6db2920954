//! Memory that is brought near before it is needed.
#![allow(unsafe_code)]

/// Bytes that come together.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks for the values to be brought into the second cache while work goes on; does nothing where that is not known how.
///
/// Some at a time between other operations: many at once wait for each other, and the work with them.
#[inline]
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(LINE / size_of::<T>().clamp(1, LINE)) {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: every such processor has the instruction, which reads nothing into the program and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_values_may_be_asked_for() {
        prefetch::<f64>(&[]);
        prefetch(&[(); 3]);
        prefetch(&[[0_u8; 100]; 3]);
        let values: Vec<f32> = (0..1001_u16).map(f32::from).collect();
        prefetch(&values[1..]);
        assert!(values.iter().zip(0_u16..).all(|(value, index)| *value == f32::from(index)));
    }
}
