//! Rounding and packing f32 values into tiles of bf16.
//!
//! A pair is two values that follow each other along the depth, the first in the lower half of 32 bits: what the
//! instructions multiply and add at once.

use core::arch::x86_64::{
    __m128i, __m512, __m512bh, __m512i, _mm512_castsi128_si512, _mm512_cvtne2ps_pbh, _mm512_loadu_ps,
    _mm512_loadu_si512, _mm512_mask_broadcast_i32x4, _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};
use core::mem::transmute;

use crate::matrix::Matrix;

use super::tiles::{BLOCK, DEPTH, LINES, Step, Tile};

/// What a line of a tile runs along.
#[derive(Clone, Copy)]
pub(super) enum Lines {
    /// A line is an outer index, a row of the left operand: sixteen pairs along the depth.
    Outer,
    /// A line is a pair of the depth: one pair for each of sixteen outer indices, columns of the right operand.
    Depth,
}

/// Packs `source`, `[outer, depth]`, into panels of so many steps, with zeros where it ends before them.
///
/// The panels are filled in the order in which the source lies.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pack(panels: &mut [Step], steps: usize, source: Matrix<'_, f32>, lines: Lines) {
    let count = panels.len() / steps;
    let depth_first = source.column_stride() == 1;
    for index in 0..panels.len() {
        let [panel, step] = if depth_first { [index / steps, index % steps] } else { [index % count, index / count] };
        let source = source.some_rows(panel * BLOCK, BLOCK).some_columns(step * DEPTH, DEPTH);
        for (half, tile) in panels[panel * steps + step].iter_mut().enumerate() {
            pack_tile(tile, source.some_rows(half * LINES, LINES), lines);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn pack_tile(tile: &mut Tile, source: Matrix<'_, f32>, lines: Lines) {
    if source.column_stride() != 1 && source.row_stride() != 1 {
        return pack_tile(tile, Matrix::row_major(&gathered(source), DEPTH), lines);
    }
    let mut other = Tile::ZERO;
    match (source.column_stride(), lines) {
        (1, Lines::Outer) => along(tile, source),
        (1, Lines::Depth) => {
            along(&mut other, source);
            transpose(&other, tile);
        }
        (_, Lines::Depth) => across(tile, source),
        (_, Lines::Outer) => {
            across(&mut other, source);
            transpose(&other, tile);
        }
    }
}

/// Packs a source whose depth lies without gaps; a line is an outer index.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn along(tile: &mut Tile, source: Matrix<'_, f32>) {
    for (outer, line) in tile.lines_mut().iter_mut().enumerate() {
        let values = piece(source, outer);
        let (low, high) = values.split_at(values.len().min(LINES));
        *line = rounded(load(low), load(high));
    }
}

/// Packs a source whose outer indices lie without gaps; a line is a pair of the depth.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn across(tile: &mut Tile, source: Matrix<'_, f32>) {
    let source = source.transposed();
    for (pair, line) in tile.lines_mut().iter_mut().enumerate() {
        let low = load(piece(source, 2 * pair));
        let high = load(piece(source, 2 * pair + 1));
        *line = _mm512_permutexvar_epi16(halves_in_turn(), rounded(low, high));
    }
}

/// The values of a row that lie without gaps, none beyond the last row.
fn piece<'a>(source: Matrix<'a, f32>, row: usize) -> &'a [f32] {
    if row < source.rows() { &source.values()[row * source.row_stride()..][..source.columns()] } else { &[] }
}

/// The first sixteen values, or all and zeros after them.
#[target_feature(enable = "avx512f")]
fn load(values: &[f32]) -> __m512 {
    if let Some(values) = values.first_chunk::<LINES>() {
        // SAFETY: the array is as long as the vector.
        return unsafe { _mm512_loadu_ps(values.as_ptr()) };
    }
    let mask = (1_u16 << values.len()) - 1;
    // SAFETY: only the lanes of the mask are read, and these are the values of the slice.
    unsafe { _mm512_maskz_loadu_ps(mask, values.as_ptr()) }
}

/// 32 values rounded to the nearest bf16, ties to even.
#[target_feature(enable = "avx512f,avx512bf16")]
fn rounded(low: __m512, high: __m512) -> __m512i {
    // SAFETY: both types are 64 bytes of which any are a value.
    unsafe { transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
}

/// The places 0, 16, 1, 17 and so on: a value of the lower half, then one of the upper.
#[target_feature(enable = "avx512f")]
fn halves_in_turn() -> __m512i {
    const PLACES: [u16; 32] = {
        let mut places = [0; 32];
        let mut place = 0;
        while place < 32 {
            places[place] = (place / 2 + place % 2 * 16) as u16;
            place += 1;
        }
        places
    };
    // SAFETY: the array is as long as the vector.
    unsafe { _mm512_loadu_si512(PLACES.as_ptr().cast()) }
}

/// `[LINES, DEPTH]` values without gaps of a source that has gaps both ways.
fn gathered(source: Matrix<'_, f32>) -> [f32; LINES * DEPTH] {
    let mut values = [0.0; LINES * DEPTH];
    for row in 0..source.rows() {
        for column in 0..source.columns() {
            let place = row * source.row_stride() + column * source.column_stride();
            values[row * DEPTH + column] = source.values()[place];
        }
    }
    values
}

/// `to` becomes `from`, lines for columns of pairs.
///
/// Reading four lines into a vector leaves transpositions of four by four pairs in each of its quarters; reads do not
/// compete for the one port that moves pairs between lanes. Not inlined, lest the reads become moves.
#[inline(never)]
#[target_feature(enable = "avx512f")]
fn transpose(from: &Tile, to: &mut Tile) {
    let from = from.quarters();
    for (quarter, lines) in to.lines_mut().as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let a = every_fourth(from, 0, quarter);
        let b = every_fourth(from, 1, quarter);
        let c = every_fourth(from, 2, quarter);
        let d = every_fourth(from, 3, quarter);
        *lines = transposed_quarters(a, b, c, d);
    }
}

/// One quarter of the lines `first`, `first + 4`, `first + 8` and `first + 12`.
#[target_feature(enable = "avx512f")]
fn every_fourth(lines: &[[__m128i; 4]; LINES], first: usize, quarter: usize) -> __m512i {
    let line = _mm512_castsi128_si512(lines[first][quarter]);
    let line = _mm512_mask_broadcast_i32x4(line, 0x00f0, lines[first + 4][quarter]);
    let line = _mm512_mask_broadcast_i32x4(line, 0x0f00, lines[first + 8][quarter]);
    _mm512_mask_broadcast_i32x4(line, 0xf000, lines[first + 12][quarter])
}

/// Four by four pairs transposed in each quarter of four vectors.
#[target_feature(enable = "avx512f")]
fn transposed_quarters(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    let (low_ab, high_ab) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (low_cd, high_cd) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(low_ab, low_cd),
        _mm512_unpackhi_epi64(low_ab, low_cd),
        _mm512_unpacklo_epi64(high_ab, high_cd),
        _mm512_unpackhi_epi64(high_ab, high_cd),
    ]
}
