//! Matrix product in bf16 with sums in f32.
//!
//! Both operands are rounded to bf16 as they are packed into tiles; products of two bf16 values, exact in f32, are
//! summed in f32. The order of a sum is fixed by the engine and the depth, which only it cuts, so the bits of an
//! element depend on its row, its column and the engine alone: not on how a caller splits rows or columns over calls.
//! Each thread keeps the room it packs into, at most 1.5 MiB.
//!
//! Subnormal values count as zeros of their sign, in the operands and, but for [`Engine::F32`], in the sums too: the
//! instructions neither read nor write them, whatever MXCSR says (Intel SDM, `TDPBF16PS`, `VDPBF16PS`,
//! `VCVTNE2PS2BF16`).
#![allow(unsafe_code)]

use std::sync::OnceLock;

use crate::{Matrix, MatrixMut};

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod pack;
#[cfg(target_arch = "x86_64")]
mod tiles;

/// What bf16 is multiplied with, the slowest first; a machine that has one has all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// Plain f32 arithmetic on rounded values, on every machine.
    F32,
    /// AVX512-BF16, `vdpbf16ps`.
    Avx512,
    /// Intel AMX, `tdpbf16ps`.
    Amx,
}

/// The fastest engine of this machine.
///
/// Found once. The first call asks Linux for the AMX state on behalf of the whole process, which from then on needs
/// the larger signal frame that comes with it.
pub fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    *ENGINE.get_or_init(find)
}

#[cfg(target_arch = "x86_64")]
fn find() -> Engine {
    match (avx512::available(), amx::available()) {
        (true, true) => Engine::Amx,
        (true, false) => Engine::Avx512,
        (false, _) => Engine::F32,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn find() -> Engine {
    Engine::F32
}

/// `out = left right`, or `out += left right` where `accumulate`, with the fastest engine of this machine.
///
/// `left` is `[rows, depth]`, `right` is `[depth, columns]`. The work is done on the calling thread. One who splits it
/// over threads should split the longer side of `out`: the operand across the split is packed anew by every call.
///
/// # Panics
/// If the shapes do not fit each other.
pub fn product(out: MatrixMut<'_, f32>, left: Matrix<'_, f32>, right: Matrix<'_, f32>, accumulate: bool) {
    product_with(engine(), out, left, right, accumulate);
}

/// [`product`] with the given engine, or the fastest this machine has if it lacks that one.
///
/// # Panics
/// Where [`product`] does.
pub fn product_with(
    engine: Engine,
    out: MatrixMut<'_, f32>,
    left: Matrix<'_, f32>,
    right: Matrix<'_, f32>,
    accumulate: bool,
) {
    assert_eq!(left.columns(), right.rows(), "columns of the left factor for rows of the right one");
    assert_eq!([out.rows(), out.columns()], [left.rows(), right.columns()], "shape of the result");
    match engine.min(self::engine()) {
        #[cfg(target_arch = "x86_64")]
        engine @ (Engine::Avx512 | Engine::Amx) if left.columns() > 0 => {
            // SAFETY: the machine has its own engine and all before it.
            unsafe { tiles::product(engine, out, left, right, accumulate) };
        }
        _ => plain(out, left, right, accumulate),
    }
}

/// The product in plain f32 arithmetic, a row of `right` after the other.
fn plain(mut out: MatrixMut<'_, f32>, left: Matrix<'_, f32>, right: Matrix<'_, f32>, accumulate: bool) {
    if !accumulate {
        (0..out.rows()).for_each(|row| out.row(row).fill(0.0));
    }
    let mut rounded = vec![0.0; right.columns()];
    for depth in 0..right.rows() {
        for (column, value) in rounded.iter_mut().enumerate() {
            *value = round(right.at(depth, column));
        }
        for row in 0..out.rows() {
            let factor = round(left.at(row, depth));
            out.row(row).iter_mut().zip(&rounded).for_each(|(sum, value)| *sum += factor * value);
        }
    }
}

/// The nearest bf16, ties to even, as an f32: NaN stays NaN, an infinity itself, a subnormal becomes a zero.
fn round(value: f32) -> f32 {
    if value.is_nan() {
        return f32::NAN;
    }
    if value.is_subnormal() {
        return 0.0_f32.copysign(value);
    }
    let bits = value.to_bits();
    let tie = (bits >> 16) & 1;
    f32::from_bits((bits + 0x7fff + tie) & 0xffff_0000)
}

#[cfg(test)]
mod tests;
