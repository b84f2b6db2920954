//! Classification by the nearest neighbours.

use faer::linalg::matmul::matmul;
use faer::{Accum, ColMut, Mat, MatRef, Par, RowRef};
use rayon::prelude::*;

use crate::blocks::row_blocks;
use crate::{Error, accuracy, check};

/// Queries whose distances are held at a time.
const QUERIES: usize = 128;

/// The majority label of the `k` nearest training rows by Euclidean distance, every neighbour counting once.
///
/// Of equally distant rows the earlier one is the nearer; of equally frequent labels the smaller wins.
#[derive(Debug, Clone, PartialEq)]
pub struct KNearest {
    /// Neighbours that vote, at most the number of training rows.
    pub k: usize,
}

/// The training rows that [`KNearest`] remembers.
#[derive(Debug, Clone)]
pub struct FittedKNearest {
    k: usize,
    classes: usize,
    codes: Mat<f32>,
    /// Half the squared length of each row of `codes`.
    half_squares: Vec<f32>,
    labels: Vec<u32>,
}

impl KNearest {
    /// Remembers `codes`, `[samples, features]`, and their labels in `0..classes`.
    ///
    /// # Errors
    /// `k` outside `1..=samples`, one class only, fewer rows than classes, or values that are not finite.
    pub fn fit(&self, codes: MatRef<'_, f32>, labels: &[u32], classes: usize) -> Result<FittedKNearest, Error> {
        check::labelled(codes, labels, classes)?;
        let in_range = (1..=codes.nrows()).contains(&self.k);
        check::setting("k", "between 1 and the number of rows", self.k as f64, in_range)?;
        let codes = codes.to_owned();
        let half_square = |row: RowRef<'_, f32>| 0.5 * row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        let half_squares = codes.row_iter().map(|row| half_square(row) as f32).collect();
        Ok(FittedKNearest { k: self.k, classes, codes, half_squares, labels: labels.to_vec() })
    }
}

impl FittedKNearest {
    /// The label of each row of `codes`.
    ///
    /// # Errors
    /// Another number of features, or a value that is not finite.
    pub fn predict(&self, codes: MatRef<'_, f32>) -> Result<Vec<u32>, Error> {
        check::features(codes, self.codes.ncols())?;
        check::finite(codes)?;
        let starts: Vec<usize> = (0..codes.nrows()).step_by(QUERIES).collect();
        let predict_block =
            |&start: &usize| self.predict_block(codes.subrows(start, QUERIES.min(codes.nrows() - start)));
        Ok(starts.par_iter().map(predict_block).collect::<Vec<_>>().concat())
    }

    /// The share of `labels` that are predicted.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), or another number of labels than rows.
    pub fn accuracy(&self, codes: MatRef<'_, f32>, labels: &[u32]) -> Result<f64, Error> {
        accuracy(&self.predict(codes)?, labels)
    }

    /// Ranks by `|t|²/2 - t·q`, which orders the training rows `t` as their distance to the query `q` does.
    fn predict_block(&self, queries: MatRef<'_, f32>) -> Vec<u32> {
        let mut ranks = Mat::<f32>::zeros(self.codes.nrows(), queries.nrows());
        for (start, length) in row_blocks(self.codes.nrows()) {
            let products = ranks.as_mut().subrows_mut(start, length);
            let rows = self.codes.as_ref().subrows(start, length);
            matmul(products, Accum::Replace, rows, queries.transpose(), -1.0, Par::Seq);
        }
        let predict_query = |(query, column): (usize, ColMut<'_, f32>)| {
            let ranks: Vec<f32> = column.iter().zip(&self.half_squares).map(|(p, h)| h + p).collect();
            self.vote(&self.nearest(&ranks, queries.row(query)))
        };
        ranks.col_iter_mut().enumerate().map(predict_query).collect()
    }

    /// The rows of the `k` least distances. Ranks carry rounding error, so every row within its bound of the k-th rank
    /// is a candidate, and candidates are compared by their distance in `f64`.
    fn nearest(&self, ranks: &[f32], query: RowRef<'_, f32>) -> Vec<usize> {
        let mut sorted = ranks.to_vec();
        let (_, &mut last, _) = sorted.select_nth_unstable_by(self.k - 1, f32::total_cmp);
        let largest = self.half_squares.iter().copied().fold(0.0, f32::max);
        let length = query.iter().map(|q| q * q).sum::<f32>();
        let bound = last + 2.0 * f32::EPSILON * roundings(query.ncols()) * (largest + length);
        let distance = |row: usize| {
            let squares = self.codes.row(row).iter().zip(query.iter());
            squares.map(|(t, q)| (f64::from(*t) - f64::from(*q)).powi(2)).sum::<f64>()
        };
        let candidates = (0..ranks.len()).filter(|&row| ranks[row] <= bound);
        let mut candidates: Vec<(f64, usize)> = candidates.map(|row| (distance(row), row)).collect();
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        candidates.truncate(self.k);
        candidates.into_iter().map(|(_, row)| row).collect()
    }

    fn vote(&self, nearest: &[usize]) -> u32 {
        let mut votes = vec![0.0; self.classes];
        nearest.iter().for_each(|&row| votes[self.labels[row] as usize] += 1.0);
        crate::logits::largest(votes.into_iter())
    }
}

/// Roundings that a product over so many features can gather, with room to spare: errors mostly cancel, so their
/// number grows as the root.
fn roundings(features: usize) -> f32 {
    8.0 + 2.0 * (features as f32).sqrt()
}
