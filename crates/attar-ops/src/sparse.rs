//! Products whose left factor is mostly 0, such as the pixels of scanned digits.
//!
//! A few rows are summed at a time, over the places alone where one of them is not 0.
#![allow(unsafe_code)]

use std::array;

use pulp::{Arch, Simd, WithSimd};

use crate::{Matrix, MatrixMut, vectorised};

/// Columns of a panel.
const PANEL: usize = 32;
/// Rows of the left factor that are summed at once: with two vectors of sums each they leave half of 32 registers.
const ROWS: usize = 8;
/// Share of the places up to which leaving out the others pays: a dense product is a fifth faster place by place.
const PAYS_UP_TO: f64 = 0.75;

/// The right factor of many products, copied panel by panel: 32 columns, row after row, the last filled up with 0.
#[derive(Clone, Debug)]
pub struct Panels {
    rows: usize,
    columns: usize,
    values: Vec<PanelRow>,
    /// 1 for a row that holds an infinity or NaN, which a factor of 0 does not undo; otherwise 0.
    not_finite: Vec<u32>,
}

/// It begins with a line of the cache, so that no vector lies on two.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct PanelRow([f32; PANEL]);

impl Panels {
    /// Copies the factor.
    pub fn new(right: Matrix<'_, f32>) -> Self {
        let (rows, columns) = (right.rows(), right.columns());
        let mut values = Vec::with_capacity(rows * columns.div_ceil(PANEL));
        let mut not_finite = vec![0; rows];
        for first in (0..columns).step_by(PANEL) {
            let panel = right.some_columns(first, PANEL);
            for (row, not_finite) in not_finite.iter_mut().enumerate() {
                let of_row = array::from_fn(|at| if at < panel.columns() { panel.at(row, at) } else { 0.0 });
                *not_finite |= u32::from(of_row.iter().any(|value| !value.is_finite()));
                values.push(PanelRow(of_row));
            }
        }
        Self { rows, columns, values, not_finite }
    }

    /// Whether rows like these have so many zeros that [`Self::product`] is faster than a dense one.
    pub fn pays_for(&self, left: &[f32]) -> bool {
        let (mut places, mut needed, mut groups) = (Vec::new(), 0, 0);
        for left in left.chunks((ROWS * self.rows).max(1)) {
            self.needed(left, &mut places);
            needed += places.len();
            groups += 1;
        }
        (needed as f64) < PAYS_UP_TO * (groups * self.rows) as f64
    }

    /// `out = left right` on this thread, both row-major without gaps.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    pub fn product(&self, out: &mut [f32], left: &[f32]) {
        let samples = left.len().checked_div(self.rows).unwrap_or(0);
        assert_eq!(left.len(), samples * self.rows, "values for whole rows of the left factor");
        assert_eq!(out.len(), samples * self.columns, "values for the result");
        let mut places = Vec::new();
        let blocks = out.chunks_mut((ROWS * self.columns).max(1)).zip(left.chunks((ROWS * self.rows).max(1)));
        for (out, left) in blocks {
            self.needed(left, &mut places);
            let out = MatrixMut::row_major(out, self.columns);
            Arch::new().dispatch(Product { panels: self, out, left, places: &places });
        }
    }

    /// The columns of some rows that are not all 0, or that meet what is not finite.
    fn needed(&self, left: &[f32], places: &mut Vec<usize>) {
        let mut bits = self.not_finite.clone();
        vectorised(
            &mut bits[..],
            #[inline(always)]
            |bits: &mut [u32]| {
                for row in left.chunks_exact(bits.len().max(1)) {
                    // Without the sign: -0 is 0.
                    bits.iter_mut().zip(row).for_each(|(bits, value)| *bits |= value.to_bits() << 1);
                }
            },
        );
        places.clear();
        places.extend((0..self.rows).filter(|&place| bits[place] != 0));
    }
}

/// A product over some places, each of them below the rows of the panels.
struct Product<'a> {
    panels: &'a Panels,
    out: MatrixMut<'a, f32>,
    left: &'a [f32],
    places: &'a [usize],
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut first = 0;
        while first < self.out.rows() {
            first += match self.out.rows() - first {
                ROWS.. if S::REGISTER_COUNT >= 32 => self.some_rows::<S, ROWS>(simd, first),
                4.. => self.some_rows::<S, 4>(simd, first),
                _ => self.some_rows::<S, 1>(simd, first),
            };
        }
    }
}

impl Product<'_> {
    /// `R` rows from `first` on; returns their number.
    #[inline(always)]
    fn some_rows<S: Simd, const R: usize>(&mut self, simd: S, first: usize) -> usize {
        let Panels { rows, columns, values, .. } = self.panels;
        let (width, columns) = (2 * S::F32_LANES, *columns);
        let left = &self.left[first * rows..][..R * rows];
        for (index, panel) in values.chunks_exact(*rows).enumerate() {
            for at in (0..PANEL.min(columns - index * PANEL)).step_by(width) {
                let start = index * PANEL + at;
                for (row, sums) in sums::<S, R>(simd, left, panel, self.places, at).into_iter().enumerate() {
                    let out = &mut self.out.row(first + row)[start..columns.min(start + width)];
                    let (one, other) = out.split_at_mut(S::F32_LANES.min(out.len()));
                    simd.partial_store_f32s(one, sums[0]);
                    simd.partial_store_f32s(other, sums[1]);
                }
            }
        }
        R
    }
}

/// The sums over the places for `R` rows and for two vectors of columns from `at` on.
#[inline(always)]
fn sums<S: Simd, const R: usize>(
    simd: S,
    left: &[f32],
    panel: &[PanelRow],
    places: &[usize],
    at: usize,
) -> [[S::f32s; 2]; R] {
    assert_eq!(left.len(), R * panel.len());
    let mut sums = [[simd.splat_f32s(0.0); 2]; R];
    for &place in places {
        let right = S::as_simd_f32s(&panel[place].0[at..at + 2 * S::F32_LANES]).0;
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: the row is below `R`; the place is below the panel's rows, or the line above had panicked; the
            // left factor has as many values as both together, by the assertion.
            let factor = simd.splat_f32s(unsafe { *left.get_unchecked(row * panel.len() + place) });
            *sums = [simd.mul_add_e_f32s(factor, right[0], sums[0]), simd.mul_add_e_f32s(factor, right[1], sums[1])];
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive;

    /// Numbers of which about the given share is 0, in runs as long as a few rows of an image.
    fn mostly_zero(count: usize, share: f64) -> Vec<f32> {
        let value = |at: usize| if ((at / 5) as f64 * 0.618).fract() < share { 0.0 } else { (at as f32 * 0.37).sin() };
        (0..count).map(value).collect()
    }

    /// Against the sums written out, at sizes around the edges of rows and panels.
    #[test]
    fn agrees_with_the_sums_written_out() {
        for [samples, rows, columns] in
            [[1, 1, 1], [8, 20, 32], [9, 31, 33], [21, 64, 70], [3, 5, 0], [0, 5, 3], [3, 0, 4]]
        {
            let right: Vec<f32> = (0..rows * columns).map(|at| (at as f32 * 0.71).cos()).collect();
            let right = Matrix::strided(&right, [rows, columns], [columns, 1]).unwrap();
            for share in [0.0, 0.7, 1.0] {
                let left = mostly_zero(samples * rows, share);
                let mut out = vec![9.0; if rows == 0 { 0 } else { samples * columns }];
                Panels::new(right).product(&mut out, &left);
                let want = naive::product(Matrix::row_major(&left, rows), right);
                for (at, (got, want)) in out.iter().zip(want).enumerate() {
                    let error = (f64::from(*got) - want).abs();
                    assert!(error < 1e-5, "{samples} {rows} {columns}, {share}, place {at}: {got} for {want}");
                }
            }
        }
    }

    /// A right factor that is no number is not hidden behind a left factor of 0.
    #[test]
    fn zero_times_infinity_is_not_a_number() {
        let mut right = vec![1.0_f32; 3 * 40];
        right[40 + 35] = f32::INFINITY;
        let mut out = vec![0.0; 40];
        Panels::new(Matrix::row_major(&right, 40)).product(&mut out, &[2.0, 0.0, -0.0]);
        assert!(out.iter().enumerate().all(|(at, value)| if at == 35 { value.is_nan() } else { *value == 2.0 }));
    }

    #[test]
    fn pays_for_zeros_alone() {
        let panels = Panels::new(Matrix::row_major(&[1.0; 400], 1));
        assert!(!panels.pays_for(&mostly_zero(20 * 400, 0.0)));
        let mut pixels = mostly_zero(20 * 400, 0.0);
        // The same places of every row, as the edges of images.
        pixels.iter_mut().enumerate().for_each(|(at, value)| {
            if at % 400 < 200 {
                *value = 0.0
            }
        });
        assert!(panels.pays_for(&pixels));
    }
}
