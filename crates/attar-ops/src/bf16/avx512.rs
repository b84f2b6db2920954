//! Products of tiles with AVX512-BF16.
//!
//! Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (`VDPBF16PS`).

use core::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    _mm512_storeu_ps,
};
use core::mem::transmute;

use super::tiles::{BLOCK, Kernel, LINES, Step, check_block};
use crate::MatrixMut;

/// Rows of a block that are summed at once: with two sums a row they fill half the 32 vector registers.
const ROWS: usize = 8;

/// Whether this machine has the vectors that packing and this kernel use.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// The vector unit.
pub(super) struct Avx512(());

impl Avx512 {
    /// # Safety
    /// [`available`] has returned true.
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

impl Kernel for Avx512 {
    fn block(&self, mut out: MatrixMut<'_, f32>, left: &[Step], right: &[Step], accumulate: bool) {
        check_block(&out, left, right);
        for first in (0..BLOCK).step_by(ROWS) {
            // SAFETY: a value of this type says that the machine has the instructions.
            unsafe { some_rows(&mut out, left, right, first, accumulate) };
        }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn some_rows(out: &mut MatrixMut<'_, f32>, left: &[Step], right: &[Step], first: usize, accumulate: bool) {
    let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
    if accumulate {
        for (row, sums) in sums.iter_mut().enumerate() {
            *sums = load(out.row(first + row));
        }
    }
    for (left, right) in left.iter().zip(right) {
        let (right, next) = (right[0].lines(), right[1].lines());
        let left = &left[first / LINES].pairs()[first % LINES..][..ROWS];
        for pair in 0..LINES {
            for (sums, row) in sums.iter_mut().zip(left) {
                let factor = _mm512_set1_epi32(row[pair]);
                *sums = [add_products(sums[0], factor, right[pair]), add_products(sums[1], factor, next[pair])];
            }
        }
    }
    for (row, sums) in sums.into_iter().enumerate() {
        store(out.row(first + row), sums);
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn add_products(sums: __m512, left: __m512i, right: __m512i) -> __m512 {
    // SAFETY: both types are 64 bytes of which any are a value.
    let (left, right) = unsafe { (transmute::<__m512i, __m512bh>(left), transmute::<__m512i, __m512bh>(right)) };
    _mm512_dpbf16_ps(sums, left, right)
}

#[target_feature(enable = "avx512f")]
fn load(values: &[f32]) -> [__m512; 2] {
    let values = values[..BLOCK].as_ptr();
    // SAFETY: the slice has just been cut to two vectors of values.
    unsafe { [_mm512_loadu_ps(values), _mm512_loadu_ps(values.add(LINES))] }
}

#[target_feature(enable = "avx512f")]
fn store(values: &mut [f32], sums: [__m512; 2]) {
    let values = values[..BLOCK].as_mut_ptr();
    // SAFETY: the slice has just been cut to two vectors of values.
    unsafe {
        _mm512_storeu_ps(values, sums[0]);
        _mm512_storeu_ps(values.add(LINES), sums[1]);
    }
}
