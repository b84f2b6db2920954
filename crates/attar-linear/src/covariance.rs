//! Mean and covariance of rows that arrive in parts.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use crate::blocks::{centred, row_blocks};
use crate::{Error, check};

/// Columns of one tile of the scatter matrix; tiles are what the threads share.
const TILE: usize = 192;

/// The count, mean and scatter matrix of the rows seen so far, to which more rows, or another sum, can be added.
///
/// Parts are combined by the update of Chan, Golub & LeVeque (1979), so the result has the accuracy of the two-pass
/// formula and the data is read once. Sums are in `f64`. The order of the parts changes the last bits only; the number
/// of threads changes nothing.
#[derive(Debug, Clone)]
pub struct CovarianceSum {
    count: usize,
    mean: Vec<f64>,
    /// `Σ (x - mean)(x - mean)ᵀ`, lower triangle.
    scatter: Mat<f64>,
}

impl CovarianceSum {
    /// The sum of no rows, for data of `features` columns.
    pub fn new(features: usize) -> Self {
        Self { count: 0, mean: vec![0.0; features], scatter: Mat::zeros(features, features) }
    }

    /// Rows seen so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mean of each feature; zeros where no row was seen.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Adds `rows`, `[samples, features]`.
    ///
    /// # Errors
    /// Another number of features, or a value that is not finite; the sum is then as it was.
    pub fn add(&mut self, rows: MatRef<'_, f32>) -> Result<(), Error> {
        check::features(rows, self.mean.len())?;
        check::finite(rows)?;
        for (start, length) in row_blocks(rows.nrows()) {
            self.combine(&Self::of_block(rows.subrows(start, length)));
        }
        Ok(())
    }

    /// Adds what another sum has seen.
    ///
    /// # Errors
    /// Another number of features.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let (expected, found) = (self.mean.len(), other.mean.len());
        if expected != found {
            return Err(Error::Features { expected, found });
        }
        self.combine(other);
        Ok(())
    }

    /// The covariance matrix, `[features, features]`, divided by n-1.
    ///
    /// # Errors
    /// Fewer than two rows.
    pub fn covariance(&self) -> Result<Mat<f64>, Error> {
        if self.count < 2 {
            return Err(Error::TooFewRows { rows: self.count, needed: 2 });
        }
        let scale = 1.0 / (self.count - 1) as f64;
        let d = self.mean.len();
        Ok(Mat::from_fn(d, d, |i, j| scale * self.scatter[(i.max(j), i.min(j))]))
    }

    fn of_block(rows: MatRef<'_, f32>) -> Self {
        let mean = column_means(rows);
        let block = centred(rows, &mean);
        let mut sum = Self { count: rows.nrows(), mean, scatter: Mat::zeros(rows.ncols(), rows.ncols()) };
        for ((i, j), tile) in scatter_tiles(block.as_ref()) {
            sum.scatter.as_mut().submatrix_mut(i, j, tile.nrows(), tile.ncols()).copy_from(&tile);
        }
        sum
    }

    fn combine(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let difference: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(y, x)| y - x).collect();
        let weight = a * b / (a + b);
        for (j, dj) in difference.iter().enumerate() {
            let (mine, theirs) = (self.scatter.col_mut(j), other.scatter.col(j));
            for ((s, t), di) in mine.iter_mut().zip(theirs.iter()).zip(&difference).skip(j) {
                *s += t + weight * di * dj;
            }
        }
        for (mean, d) in self.mean.iter_mut().zip(&difference) {
            *mean += d * b / (a + b);
        }
        self.count += other.count;
    }
}

/// The mean of each column in `f64`, rows added in order.
pub(crate) fn column_means(rows: MatRef<'_, f32>) -> Vec<f64> {
    let mut sums = vec![0.0; rows.ncols()];
    for i in 0..rows.nrows() {
        for (sum, value) in sums.iter_mut().zip(rows.row(i).iter()) {
            *sum += f64::from(*value);
        }
    }
    sums.iter_mut().for_each(|sum| *sum /= rows.nrows() as f64);
    sums
}

/// The lower-triangular tiles of `blockᵀ block`, each with its place; one thread computes a tile whole.
fn scatter_tiles(block: MatRef<'_, f64>) -> Vec<((usize, usize), Mat<f64>)> {
    let starts: Vec<usize> = (0..block.ncols()).step_by(TILE).collect();
    let places: Vec<_> =
        starts.iter().flat_map(|&j| starts.iter().map(move |&i| (i, j))).filter(|(i, j)| i >= j).collect();
    let columns = |start: usize| block.subcols(start, TILE.min(block.ncols() - start));
    let compute = |(i, j)| {
        let (left, right) = (columns(i), columns(j));
        let mut tile = Mat::zeros(left.ncols(), right.ncols());
        matmul(&mut tile, Accum::Replace, left.transpose(), right, 1.0, Par::Seq);
        ((i, j), tile)
    };
    places.into_par_iter().map(compute).collect()
}
