//! Classification by the nearest neighbours.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
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
    /// Half the squared length of each training row.
    half_squares: Vec<f32>,
    labels: Vec<u32>,
    /// The training mean, which distances are measured from: it keeps the products below small.
    origin: Vec<f64>,
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
        let origin = crate::covariance::column_means(codes);
        let codes = shifted(codes, &origin);
        let half_squares = (0..codes.nrows()).map(|i| 0.5 * codes.row(i).iter().map(|v| v * v).sum::<f32>()).collect();
        Ok(FittedKNearest { k: self.k, classes, codes, half_squares, labels: labels.to_vec(), origin })
    }
}

impl FittedKNearest {
    /// The label of each row of `codes`.
    ///
    /// # Errors
    /// Another number of features, or a value that is not finite.
    pub fn predict(&self, codes: MatRef<'_, f32>) -> Result<Vec<u32>, Error> {
        check::features(codes, self.origin.len())?;
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
        let queries = shifted(queries, &self.origin);
        let mut ranks = Mat::<f32>::zeros(self.codes.nrows(), queries.nrows());
        for (start, length) in row_blocks(self.codes.nrows()) {
            let products = ranks.as_mut().subrows_mut(start, length);
            let rows = self.codes.as_ref().subrows(start, length);
            matmul(products, Accum::Replace, rows, queries.transpose(), -1.0, Par::Seq);
        }
        ranks.col_iter().map(|column| self.vote(column.iter().copied())).collect()
    }

    fn vote(&self, products: impl Iterator<Item = f32>) -> u32 {
        let mut nearest: Vec<(f32, usize)> = Vec::with_capacity(self.k + 1);
        for (row, product) in products.enumerate() {
            let rank = self.half_squares[row] + product;
            if nearest.len() == self.k && rank >= nearest[self.k - 1].0 {
                continue;
            }
            let place = nearest.partition_point(|(other, _)| *other <= rank);
            nearest.insert(place, (rank, row));
            nearest.truncate(self.k);
        }
        let mut votes = vec![0.0; self.classes];
        nearest.iter().for_each(|&(_, row)| votes[self.labels[row] as usize] += 1.0);
        crate::logits::largest(votes.into_iter())
    }
}

fn shifted(codes: MatRef<'_, f32>, origin: &[f64]) -> Mat<f32> {
    Mat::from_fn(codes.nrows(), codes.ncols(), |i, j| (f64::from(codes[(i, j)]) - origin[j]) as f32)
}
