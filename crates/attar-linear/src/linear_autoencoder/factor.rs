//! The data as the objectives see it: mean, singular values and left singular vectors.

use faer::{Mat, MatRef};

use super::Normalisation;
use super::arithmetic::{LeftSvd, left_svd, scaled_columns};
use crate::spectral::eigen;
use crate::{CovarianceSum, Error};

/// Variances below this share of the largest are rounding error where they come from a covariance matrix.
const COVARIANCE_FLOOR: f64 = 1e-14;

/// Units in the last place that an entry may be wrong by once its column's mean is taken from it.
const ROUNDING: f64 = 4.0;

/// The mean and the thin singular value decomposition `X = U S Vᵀ`, without `V`, of centred data `X`,
/// `[features, samples]`.
///
/// Every objective here depends on centred data through `X Xᵀ` alone, so `R = U S` may stand for `X`: it has
/// `R Rᵀ = X Xᵀ` and at most as many columns as features, and `‖(I - W₂W₁) R‖²` is a sum of squares, in which nothing
/// cancels as it does in a difference of traces.
#[derive(Debug, Clone)]
pub struct Factor {
    samples: usize,
    mean: Vec<f64>,
    vectors: Mat<f64>,
    singular_values: Vec<f64>,
}

impl Factor {
    /// Decomposes `rows`, `[samples, features]`, after taking their mean from them.
    ///
    /// Singular values below rounding are left out: that of the decomposition (the larger side times the machine's
    /// epsilon, of the largest value), and that of taking the mean off.
    ///
    /// # Errors
    /// Fewer than two rows, no features, a value that is not finite, or a decomposition that does not converge.
    pub fn of(rows: MatRef<'_, f64>) -> Result<Self, Error> {
        check_samples(rows)?;
        let (n, m) = rows.shape();
        let mean = column_means(rows);
        let centred = Mat::from_fn(m, n, |j, i| rows[(i, j)] - mean[j]);
        let svd = left_svd(centred.as_ref())?;
        let floor = n.max(m) as f64 * f64::EPSILON;
        let rounding = ROUNDING * f64::EPSILON * rows.norm_max() * ((n * m) as f64).sqrt();
        Ok(Self::above(floor, rounding, n, mean, svd))
    }

    /// Decomposes the covariance of rows that were summed as they streamed past.
    ///
    /// Singular values are then roots of variances, and those below 1e-7 of the largest are left out.
    ///
    /// # Errors
    /// No features, fewer than two rows, or a decomposition that does not converge.
    pub fn from_covariance(sum: &CovarianceSum) -> Result<Self, Error> {
        if sum.mean().is_empty() {
            return Err(Error::NoFeatures);
        }
        let eigen = eigen(sum.covariance()?)?;
        let vectors = eigen.vectors(eigen.values.len());
        let degrees = (sum.count() - 1) as f64;
        let values = eigen.values.iter().map(|v| (v.max(0.0) * degrees).sqrt()).collect();
        Ok(Self::above(COVARIANCE_FLOOR.sqrt(), 0.0, sum.count(), sum.mean().to_vec(), LeftSvd { vectors, values }))
    }

    /// Rows the data had.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Features of the data.
    pub fn features(&self) -> usize {
        self.mean.len()
    }

    /// Directions along which the data varies.
    pub fn rank(&self) -> usize {
        self.singular_values.len()
    }

    /// The mean of each feature.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The principal directions as columns, `[features, rank]`, by falling variance.
    pub fn vectors(&self) -> MatRef<'_, f64> {
        self.vectors.as_ref()
    }

    /// The singular values of the centred data, largest first: `rank` of them, as no normalisation has touched them.
    pub fn singular_values(&self) -> &[f64] {
        &self.singular_values
    }

    /// `σ²`, the squared singular values under a normalisation of the loss, largest first.
    pub fn variances(&self, normalisation: Normalisation) -> Vec<f64> {
        let scale = normalisation.scale(self.samples, self.features());
        self.singular_values.iter().map(|s| scale * s * s).collect()
    }

    /// `R = U diag(σ)`, `[features, rank]`.
    pub(super) fn root(&self, normalisation: Normalisation) -> Mat<f64> {
        let scale = normalisation.scale(self.samples, self.features()).sqrt();
        let deviations: Vec<f64> = self.singular_values.iter().map(|s| scale * s).collect();
        scaled_columns(self.vectors(), &deviations)
    }

    /// Keeps what is above a share of the largest value and above an absolute floor.
    fn above(share: f64, least: f64, samples: usize, mean: Vec<f64>, svd: LeftSvd) -> Self {
        let floor = (share * svd.values.first().copied().unwrap_or(0.0)).max(least);
        let rank = svd.values.iter().take_while(|&&v| v > floor).count();
        let vectors = svd.vectors.subcols(0, rank).to_owned();
        Self { samples, mean, vectors, singular_values: svd.values[..rank].to_vec() }
    }
}

/// The mean of each column, corrected by the mean of what it leaves, so that rounding does not grow with the rows.
fn column_means(rows: MatRef<'_, f64>) -> Vec<f64> {
    let n = rows.nrows() as f64;
    let corrected = |j: usize| {
        let first = rows.col(j).iter().sum::<f64>() / n;
        first + rows.col(j).iter().map(|x| x - first).sum::<f64>() / n
    };
    (0..rows.ncols()).map(corrected).collect()
}

/// Refuses a matrix with no features, fewer than two rows, or a value that is not finite.
pub(super) fn check_samples(rows: MatRef<'_, f64>) -> Result<(), Error> {
    if rows.ncols() == 0 {
        return Err(Error::NoFeatures);
    }
    if rows.nrows() < 2 {
        return Err(Error::TooFewRows { rows: rows.nrows(), needed: 2 });
    }
    check_finite(rows)
}

/// Refuses the first NaN or infinity, in row order.
pub(super) fn check_finite(rows: MatRef<'_, f64>) -> Result<(), Error> {
    for (row, values) in rows.row_iter().enumerate() {
        if let Some(column) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::NonFinite { row, column, value: rows[(row, column)] });
        }
    }
    Ok(())
}
