//! Symmetric products, one triangle of them, in fixed pieces that threads share.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{BlockStructure, matmul as triangular_matmul};
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use crate::real::Real;

/// Columns of one panel. Narrower ones share better among threads, wider ones multiply faster.
const PANEL: usize = 256;

/// The lower triangle of `blockᵀ block` for a `block` of `[k, n]`.
pub(crate) struct LowerProduct<P> {
    /// For the columns from `PANEL * i` on, the rows from the diagonal's down.
    panels: Vec<Mat<P>>,
}

impl<P: Real> LowerProduct<P> {
    pub(crate) fn of(block: MatRef<'_, P>) -> Self {
        let starts: Vec<usize> = (0..block.ncols()).step_by(PANEL).collect();
        Self { panels: starts.par_iter().map(|&start| panel(block, start)).collect() }
    }

    /// The entries of one column from the diagonal down.
    pub(crate) fn column(&self, column: usize) -> impl Iterator<Item = f64> + '_ {
        let local = column % PANEL;
        self.panels[column / PANEL].col(local).iter().skip(local).map(|&value| value.into())
    }

    /// The whole matrix, with zeros above the diagonal.
    pub(crate) fn into_matrix(self) -> Mat<f64> {
        let size = self.panels.first().map_or(0, Mat::nrows);
        let mut matrix = Mat::zeros(size, size);
        for j in 0..size {
            matrix.col_as_slice_mut(j)[j..].iter_mut().zip(self.column(j)).for_each(|(to, from)| *to = from);
        }
        matrix
    }
}

fn panel<P: Real>(block: MatRef<'_, P>, start: usize) -> Mat<P> {
    let width = PANEL.min(block.ncols() - start);
    let below = block.ncols() - start - width;
    let right = block.subcols(start, width);
    let mut panel = Mat::zeros(width + below, width);
    let (top, bottom) = panel.as_mut().split_at_row_mut(width);
    let whole = BlockStructure::Rectangular;
    let lower = BlockStructure::TriangularLower;
    let one = P::of(1.0);
    triangular_matmul(top, lower, Accum::Replace, right.transpose(), whole, right, whole, one, Par::Seq);
    matmul(bottom, Accum::Replace, block.subcols(start + width, below).transpose(), right, one, Par::Seq);
    panel
}

/// `left · right` on the calling thread.
pub(crate) fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.nrows(), right.ncols());
    matmul(&mut out, Accum::Replace, left, right, 1.0, Par::Seq);
    out
}
