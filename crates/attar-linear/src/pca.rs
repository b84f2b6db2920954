//! Principal component analysis.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use crate::blocks::{BLOCK, centred, row_blocks};
use crate::spectral::{Eigen, eigen};
use crate::{CovarianceSum, Error, check};

/// Principal component analysis: the `components` orthogonal directions of largest variance.
///
/// Solved through the covariance matrix in `f64`, so the cost is one pass over the rows and an eigenproblem of size
/// `features`. Directions whose standard deviation is below about 1e-8 of the largest are not resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Pca {
    /// Number of components to keep, at most the smaller of rows and features.
    pub components: usize,
}

/// What [`Pca`] found.
#[derive(Debug, Clone)]
pub struct FittedPca {
    /// The mean of each feature.
    pub mean: Vec<f64>,
    /// `[components, features]`, orthonormal rows by falling variance. The entry of largest magnitude in each row is
    /// positive, so that signs do not depend on the solver.
    pub components: Mat<f64>,
    /// The variance along each component, divided by n-1.
    pub explained_variance: Vec<f64>,
    /// Each component's share of the total variance over all features, not over those kept.
    pub explained_variance_ratio: Vec<f64>,
    /// The variances along every direction, kept or not, largest first: `features` of them.
    pub spectrum: Vec<f64>,
}

impl Pca {
    /// Fits to `rows`, `[samples, features]`.
    ///
    /// # Errors
    /// Fewer than two rows, no features, a value that is not finite, or a number of components outside
    /// `1..=min(samples, features)`.
    pub fn fit(&self, rows: MatRef<'_, f32>) -> Result<FittedPca, Error> {
        let mut sum = CovarianceSum::new(rows.ncols());
        sum.add(rows)?;
        self.fit_covariance(&sum)
    }

    /// Fits to rows that were summed as they streamed past.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_covariance(&self, sum: &CovarianceSum) -> Result<FittedPca, Error> {
        let features = sum.mean().len();
        if features == 0 {
            return Err(Error::NoFeatures);
        }
        let covariance = sum.covariance()?;
        let most = sum.count().min(features);
        if self.components == 0 || self.components > most {
            return Err(Error::Components { asked: self.components, most });
        }
        let Eigen { values, vectors } = eigen(covariance.as_ref())?;
        let spectrum: Vec<f64> = values.into_iter().map(|v| v.max(0.0)).collect();
        let total: f64 = spectrum.iter().sum();
        let explained_variance = spectrum[..self.components].to_vec();
        let share = |v: &f64| if total > 0.0 { v / total } else { 0.0 };
        Ok(FittedPca {
            mean: sum.mean().to_vec(),
            components: signed_rows(vectors.subcols(0, self.components)),
            explained_variance_ratio: explained_variance.iter().map(share).collect(),
            explained_variance,
            spectrum,
        })
    }
}

impl FittedPca {
    /// The codes of `rows`, `[samples, components]`: their coordinates along the components.
    ///
    /// # Errors
    /// Another number of features.
    pub fn transform(&self, rows: MatRef<'_, f32>) -> Result<Mat<f32>, Error> {
        check::features(rows, self.mean.len())?;
        Ok(by_blocks(rows, self.components.nrows(), |block| {
            product(centred(block, &self.mean).as_ref(), self.components.transpose())
        }))
    }

    /// The rows that `codes`, `[samples, components]`, stand for: `[samples, features]`.
    ///
    /// # Errors
    /// Another number of components.
    pub fn inverse_transform(&self, codes: MatRef<'_, f32>) -> Result<Mat<f32>, Error> {
        check::features(codes, self.components.nrows())?;
        let nothing = vec![0.0; codes.ncols()];
        Ok(by_blocks(codes, self.mean.len(), |block| {
            let mut rows = product(centred(block, &nothing).as_ref(), self.components.as_ref());
            for (column, mean) in self.mean.iter().enumerate() {
                rows.col_mut(column).iter_mut().for_each(|value| *value += mean);
            }
            rows
        }))
    }
}

/// The columns of `vectors` as rows, each turned so that its largest entry is positive.
fn signed_rows(vectors: MatRef<'_, f64>) -> Mat<f64> {
    let mut rows = vectors.transpose().to_owned();
    for i in 0..rows.nrows() {
        let largest = rows.row(i).iter().copied().fold(0.0, |a: f64, b: f64| if b.abs() > a.abs() { b } else { a });
        if largest < 0.0 {
            rows.row_mut(i).iter_mut().for_each(|value| *value = -*value);
        }
    }
    rows
}

fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.nrows(), right.ncols());
    matmul(&mut out, Accum::Replace, left, right, 1.0, Par::Seq);
    out
}

/// Maps fixed blocks of rows in parallel and stacks the results.
fn by_blocks(rows: MatRef<'_, f32>, columns: usize, map: impl Fn(MatRef<'_, f32>) -> Mat<f64> + Sync) -> Mat<f32> {
    let blocks = row_blocks(rows.nrows());
    let parts: Vec<Mat<f64>> = blocks.par_iter().map(|&(start, length)| map(rows.subrows(start, length))).collect();
    Mat::from_fn(rows.nrows(), columns, |i, j| parts[i / BLOCK][(i % BLOCK, j)] as f32)
}
