//! The product over blocks of tiles.
//!
//! The depth is cut every [`MOST_STEPS`] steps. For each cut, rows of the left operand and then columns of the right
//! one are packed into panels of tiles, and every pair of panels makes a block of the product. Between two cuts the
//! sums rest in `out`, which holds them exactly, so the cuts do not show in the result.

use core::arch::x86_64::{__m128i, __m512i};
use core::cell::RefCell;
use core::mem::transmute;

use crate::{Matrix, MatrixMut};

use super::Engine;
use super::amx::Amx;
use super::avx512::Avx512;
use super::pack::{Lines, pack};

/// Lines of a tile, and pairs of bf16 in each.
pub(super) const LINES: usize = 16;
/// Values of the depth that a tile holds.
pub(super) const DEPTH: usize = 2 * LINES;
/// Rows and columns of a block of the product, two tiles each way.
pub(super) const BLOCK: usize = 2 * LINES;

/// Most steps of a panel, 32 KiB: a panel of the left operand then stays in the first-level cache over a row of blocks.
const MOST_STEPS: usize = 16;
/// Steps of the left operand that are packed at once, 1 MiB: half the second-level cache of machines with AMX.
const LEFT_STEPS: usize = 512;
/// Steps of the right operand that are packed at once, 512 KiB.
const RIGHT_STEPS: usize = 256;

/// Sixteen lines of sixteen pairs of bf16, 1 KiB.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Tile([__m512i; LINES]);

impl Tile {
    /// All zeros.
    // SAFETY: any bits are a vector of integers.
    pub(super) const ZERO: Self = Self(unsafe { transmute::<[u64; 8 * LINES], [__m512i; LINES]>([0; 8 * LINES]) });

    pub(super) fn lines(&self) -> &[__m512i; LINES] {
        &self.0
    }

    pub(super) fn lines_mut(&mut self) -> &mut [__m512i; LINES] {
        &mut self.0
    }

    pub(super) fn pairs(&self) -> &[[i32; LINES]; LINES] {
        // SAFETY: the same bytes, of which any are a value, with less alignment.
        unsafe { transmute(&self.0) }
    }

    pub(super) fn quarters(&self) -> &[[__m128i; 4]; LINES] {
        // SAFETY: the same bytes, of which any are a value, with less alignment.
        unsafe { transmute(&self.0) }
    }
}

/// Two tiles next to each other, [`BLOCK`] outer indices at [`DEPTH`] depths; a panel is a row of them.
pub(super) type Step = [Tile; 2];

/// A way to multiply a panel of rows with a panel of columns.
pub(super) trait Kernel {
    /// Writes a whole block of the product, or adds to it.
    ///
    /// # Panics
    /// If [`check_block`] does.
    fn block(&self, out: MatrixMut<'_, f32>, left: &[Step], right: &[Step], accumulate: bool);
}

/// # Panics
/// If the depths differ or are zero, or `out` is not a whole block.
pub(super) fn check_block(out: &MatrixMut<'_, f32>, left: &[Step], right: &[Step]) {
    assert!(left.len() == right.len() && !left.is_empty(), "panels of {} and {} steps", left.len(), right.len());
    assert_eq!([out.rows(), out.columns()], [BLOCK, BLOCK], "shape of a whole block");
}

/// Packed operands, kept by each thread for the next product.
#[derive(Default)]
struct Packed {
    left: Vec<Step>,
    right: Vec<Step>,
}

thread_local! {
    static PACKED: RefCell<Packed> = RefCell::default();
}

/// `out = left right`, or `out += left right` where `accumulate`, of operands that fit and have a depth.
///
/// # Safety
/// The machine has the engine, and it is not [`Engine::F32`].
pub(super) unsafe fn product(
    engine: Engine,
    out: MatrixMut<'_, f32>,
    left: Matrix<'_, f32>,
    right: Matrix<'_, f32>,
    accumulate: bool,
) {
    let out = Out { values: out, accumulate };
    PACKED.with_borrow_mut(|packed| {
        if engine == Engine::Amx {
            // SAFETY: the caller says that the machine has it; the borrow of `PACKED` is alone, so this one is.
            packed.product(&unsafe { Amx::new() }, out, left, right);
        } else {
            // SAFETY: the caller says that the machine has it.
            packed.product(&unsafe { Avx512::new() }, out, left, right);
        }
    });
}

impl Packed {
    fn product(&mut self, kernel: &impl Kernel, mut out: Out<'_>, left: Matrix<'_, f32>, right: Matrix<'_, f32>) {
        for depth in (0..left.columns()).step_by(MOST_STEPS * DEPTH) {
            let left = left.some_columns(depth, MOST_STEPS * DEPTH);
            let right = right.some_rows(depth, MOST_STEPS * DEPTH);
            let steps = left.columns().div_ceil(DEPTH);
            let rows = LEFT_STEPS / steps * BLOCK;
            for first in (0..left.rows()).step_by(rows) {
                self.some_rows(
                    kernel,
                    out.part([first, 0], [rows, right.columns()]),
                    left.some_rows(first, rows),
                    right,
                );
            }
            out.accumulate = true;
        }
    }

    fn some_rows(&mut self, kernel: &impl Kernel, mut out: Out<'_>, left: Matrix<'_, f32>, right: Matrix<'_, f32>) {
        let steps = left.columns().div_ceil(DEPTH);
        let lefts = room(&mut self.left, left.rows().div_ceil(BLOCK) * steps);
        // SAFETY: there is a kernel, so the machine has the instructions.
        unsafe { pack(lefts, steps, left, Lines::Outer) };
        let columns = RIGHT_STEPS / steps * BLOCK;
        for first in (0..right.columns()).step_by(columns) {
            let right = right.some_columns(first, columns);
            let rights = room(&mut self.right, right.columns().div_ceil(BLOCK) * steps);
            // SAFETY: as above.
            unsafe { pack(rights, steps, right.transposed(), Lines::Depth) };
            out.part([0, first], [left.rows(), columns]).blocks(kernel, [lefts, rights], steps);
        }
    }
}

/// The first `count` steps of a buffer that grows where it is too short.
fn room(buffer: &mut Vec<Step>, count: usize) -> &mut [Step] {
    if buffer.len() < count {
        buffer.resize(count, [Tile::ZERO; 2]);
    }
    &mut buffer[..count]
}

/// Where a product goes.
struct Out<'a> {
    values: MatrixMut<'a, f32>,
    accumulate: bool,
}

impl Out<'_> {
    fn part(&mut self, place: [usize; 2], shape: [usize; 2]) -> Out<'_> {
        Out { values: self.values.part(place, shape), accumulate: self.accumulate }
    }

    /// Makes the product of all panels, a row of blocks after the other: in the order it lies.
    fn blocks(mut self, kernel: &impl Kernel, [lefts, rights]: [&[Step]; 2], steps: usize) {
        for (left, row) in lefts.chunks_exact(steps).zip((0..).step_by(BLOCK)) {
            for (right, column) in rights.chunks_exact(steps).zip((0..).step_by(BLOCK)) {
                self.part([row, column], [BLOCK; 2]).block(kernel, left, right);
            }
        }
    }

    /// Makes one block, by way of a whole one where it is less.
    fn block(mut self, kernel: &impl Kernel, left: &[Step], right: &[Step]) {
        let [rows, columns] = [self.values.rows(), self.values.columns()];
        if [rows, columns] == [BLOCK, BLOCK] {
            return kernel.block(self.values, left, right, self.accumulate);
        }
        let mut whole = [0.0; BLOCK * BLOCK];
        if self.accumulate {
            for (row, whole) in whole.chunks_mut(BLOCK).enumerate().take(rows) {
                whole[..columns].copy_from_slice(self.values.row(row));
            }
        }
        kernel.block(MatrixMut::row_major(&mut whole, BLOCK), left, right, self.accumulate);
        for (row, whole) in whole.chunks(BLOCK).enumerate().take(rows) {
            self.values.row(row).copy_from_slice(&whole[..columns]);
        }
    }
}
