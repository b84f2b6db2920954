//! What PCA found, and what can be done with it.

use faer::{Mat, MatRef};
use rayon::prelude::*;

use super::{Found, Solver};
use crate::blocks::{BLOCK, centred, row_blocks};
use crate::products::product;
use crate::real::Real;
use crate::{Error, check};

/// What [`Pca`](crate::Pca) found.
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
    /// The singular value of the centred rows that belongs to each component: the root of its variance times n-1.
    pub singular_values: Vec<f64>,
    /// The average variance of the directions left out, of `min(samples, features)`; 0 where none is. The variance of
    /// the noise in probabilistic PCA (Tipping & Bishop 1999).
    pub noise_variance: f64,
    /// The sum of the features' variances. Without the explained variances it is the mean squared error of the
    /// reconstruction of the fitted rows, summed over features, times n / (n-1).
    pub total_variance: f64,
    /// The variances along all `min(samples, features)` directions, kept or not, largest first; none if the solver
    /// does not know them.
    pub spectrum: Option<Vec<f64>>,
    /// The solver that was used, never [`Solver::Auto`].
    pub solver: Solver,
    /// How far off the randomised solver may be; none for the others.
    pub error_estimate: Option<ErrorEstimate>,
}

/// Two measures of how far the components are from the principal ones, computed from the data afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorEstimate {
    /// For each component `v` with variance `λ` the length of `C v - λ v`, where `C` is the covariance matrix: some
    /// direction's true variance lies no further from `λ`.
    pub residuals: Vec<f64>,
    /// The standard deviation along any direction orthogonal to the components is below this, with probability
    /// 1 - 1e-10 over the seeds: Halko, Martinsson & Tropp (2011), equation 4.3, with ten random vectors. Usually
    /// several times too large, as it has the whole variance left out in it.
    pub left_out: f64,
}

impl FittedPca {
    pub(super) fn new(found: Found, samples: usize) -> Self {
        let Found { solver, mean, variances, total, directions, estimate, .. } = found;
        let (kept, most) = (directions.ncols(), samples.min(mean.len()));
        let explained_variance = variances[..kept].to_vec();
        let left_out = match &estimate {
            None => variances[kept..].iter().sum(),
            Some(_) => (total - explained_variance.iter().sum::<f64>()).max(0.0),
        };
        Self {
            components: signed_rows(directions.as_ref()),
            explained_variance_ratio: explained_variance.iter().map(|variance| variance / total).collect(),
            singular_values: explained_variance.iter().map(|v| (v * (samples - 1) as f64).sqrt()).collect(),
            noise_variance: left_out / (most - kept).max(1) as f64,
            total_variance: total,
            spectrum: estimate.is_none().then_some(variances),
            error_estimate: estimate,
            mean,
            explained_variance,
            solver,
        }
    }

    /// What stands in for the components of rows that are all the same, `mean`: unit vectors, no variance along any.
    /// `components` is cut to the number of features. [`Pca::fit`](crate::Pca::fit) refuses such rows; this is for a
    /// caller that has to go on.
    pub fn of_constant(mean: Vec<f64>, components: usize) -> Self {
        let kept = components.min(mean.len());
        Self {
            components: Mat::from_fn(kept, mean.len(), |i, j| if i == j { 1.0 } else { 0.0 }),
            explained_variance: vec![0.0; kept],
            explained_variance_ratio: vec![0.0; kept],
            singular_values: vec![0.0; kept],
            noise_variance: 0.0,
            total_variance: 0.0,
            spectrum: Some(vec![0.0; mean.len()]),
            solver: Solver::Covariance,
            error_estimate: None,
            mean,
        }
    }

    /// The codes of `rows`, `[samples, components]`: their coordinates along the components.
    ///
    /// # Errors
    /// Another number of features.
    pub fn transform<T: Real>(&self, rows: MatRef<'_, T>) -> Result<Mat<T>, Error> {
        self.encode(rows, self.components.transpose())
    }

    /// The rows that `codes`, `[samples, components]`, stand for: `[samples, features]`.
    ///
    /// # Errors
    /// Another number of components.
    pub fn inverse_transform<T: Real>(&self, codes: MatRef<'_, T>) -> Result<Mat<T>, Error> {
        self.decode(codes, self.components.as_ref())
    }

    /// As [`transform`](Self::transform), each coordinate over its standard deviation: codes of variance 1.
    ///
    /// # Errors
    /// Another number of features, or a component without variance, which rounding may hide: a variance up to 1e-15 of
    /// the largest counts as none, unless the solver was [`Solver::Svd`], with which 1e-30 does.
    pub fn whiten<T: Real>(&self, rows: MatRef<'_, T>) -> Result<Mat<T>, Error> {
        let deviations = self.deviations()?;
        let scaled = Mat::from_fn(self.mean.len(), deviations.len(), |j, i| self.components[(i, j)] / deviations[i]);
        self.encode(rows, scaled.as_ref())
    }

    /// The rows that whitened `codes`, `[samples, components]`, stand for: `[samples, features]`.
    ///
    /// # Errors
    /// Another number of components, or one without variance, as in [`whiten`](Self::whiten).
    pub fn unwhiten<T: Real>(&self, codes: MatRef<'_, T>) -> Result<Mat<T>, Error> {
        let deviations = self.deviations()?;
        let scaled = Mat::from_fn(deviations.len(), self.mean.len(), |i, j| self.components[(i, j)] * deviations[i]);
        self.decode(codes, scaled.as_ref())
    }

    fn encode<T: Real>(&self, rows: MatRef<'_, T>, directions: MatRef<'_, f64>) -> Result<Mat<T>, Error> {
        check::features(rows, self.mean.len())?;
        Ok(by_blocks(rows, directions.ncols(), |block| product(centred(block, &self.mean).as_ref(), directions)))
    }

    fn decode<T: Real>(&self, codes: MatRef<'_, T>, directions: MatRef<'_, f64>) -> Result<Mat<T>, Error> {
        check::features(codes, directions.nrows())?;
        let nothing = vec![0.0; codes.ncols()];
        Ok(by_blocks(codes, self.mean.len(), |block| {
            let mut rows = product(centred(block, &nothing).as_ref(), directions);
            for (column, mean) in self.mean.iter().enumerate() {
                rows.col_as_slice_mut(column).iter_mut().for_each(|value| *value += mean);
            }
            rows
        }))
    }

    fn deviations(&self) -> Result<Vec<f64>, Error> {
        let rounding = if self.solver == Solver::Svd { 1e-30 } else { 1e-15 };
        let floor = rounding * self.explained_variance.first().copied().unwrap_or(0.0);
        match self.explained_variance.iter().position(|&variance| variance <= floor) {
            Some(component) => Err(Error::Unvaried { component }),
            None => Ok(self.explained_variance.iter().map(|variance| variance.sqrt()).collect()),
        }
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

/// Maps fixed blocks of rows in parallel and stacks the results.
fn by_blocks<T: Real>(rows: MatRef<'_, T>, columns: usize, map: impl Fn(MatRef<'_, T>) -> Mat<f64> + Sync) -> Mat<T> {
    let blocks = row_blocks(rows.nrows());
    let parts: Vec<Mat<f64>> = blocks.par_iter().map(|&(start, length)| map(rows.subrows(start, length))).collect();
    Mat::from_fn(rows.nrows(), columns, |i, j| T::of(parts[i / BLOCK][(i % BLOCK, j)]))
}
