//! Standardised codes in an orthonormal basis of the directions they vary along.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use crate::blocks::row_blocks;
use crate::columns::Columns;
use crate::products::product;
use crate::spectral::eigen;
use crate::{CovarianceSum, Error};

/// Directions whose squared singular value is below this share of the largest are rounding error.
const FLOOR: f64 = 1e-11;

/// The principal axes of standardised training codes.
///
/// An L2-penalised linear fit has its optimum in the span of the rows, and an orthogonal change of basis leaves the
/// penalty as it is. So the fit may be done on the `rank` coordinates, of which there are at most as many as rows, and
/// along which the codes are uncorrelated.
pub(crate) struct Basis {
    /// The mean of each feature over the training rows.
    mean: Vec<f64>,
    /// The standard deviation (divisor n) of each feature; infinity where the feature is constant.
    scale: Vec<f64>,
    /// `[features, rank]`, orthonormal columns, those of largest variance first.
    axes: Mat<f32>,
}

impl Basis {
    /// The basis of `codes`, `[samples, features]`.
    pub(crate) fn of(codes: MatRef<'_, f32>) -> Result<Self, Error> {
        if codes.nrows() < codes.ncols() { Self::from_rows(codes) } else { Self::from_features(codes) }
    }

    pub(crate) fn rank(&self) -> usize {
        self.axes.ncols()
    }

    /// The coordinates of `codes` along the axes, by fixed blocks of rows: each `[block, rank + 1]`, the last column 1.
    pub(crate) fn coordinates(&self, codes: MatRef<'_, f32>) -> Vec<Mat<f32>> {
        let project = |&(start, length): &(usize, usize)| {
            let standard = self.standardise(codes.subrows(start, length));
            let mut block = Mat::<f32>::ones(length, self.rank() + 1);
            let coordinates = block.as_mut().subcols_mut(0, self.rank());
            matmul(coordinates, Accum::Replace, &standard, &self.axes, 1.0, Par::Seq);
            block
        };
        row_blocks(codes.nrows()).par_iter().map(project).collect()
    }

    /// The weight on the codes as they came, `[outputs, features]`, of a weight on the coordinates, `[rank, outputs]`;
    /// and how much each output's bias falls by the shift of the codes to their mean.
    pub(crate) fn restore(&self, weight: MatRef<'_, f32>) -> (Mat<f64>, Vec<f64>) {
        let mut standard = Mat::<f32>::zeros(weight.ncols(), self.mean.len());
        matmul(&mut standard, Accum::Replace, weight.transpose(), self.axes.transpose(), 1.0, Par::Seq);
        let restored =
            Mat::from_fn(standard.nrows(), standard.ncols(), |i, j| f64::from(standard[(i, j)]) / self.scale[j]);
        let shift = |i: usize| restored.row(i).iter().zip(&self.mean).map(|(w, m)| w * m).sum();
        let shifts = (0..restored.nrows()).map(shift).collect();
        (restored, shifts)
    }

    fn standardise(&self, codes: MatRef<'_, f32>) -> Mat<f32> {
        Mat::from_fn(codes.nrows(), codes.ncols(), |i, j| {
            ((f64::from(codes[(i, j)]) - self.mean[j]) / self.scale[j]) as f32
        })
    }

    /// No fewer rows than features: the axes are the eigenvectors of the correlation matrix.
    fn from_features(codes: MatRef<'_, f32>) -> Result<Self, Error> {
        let mut sum = CovarianceSum::new(codes.ncols());
        sum.add(codes)?;
        let n = codes.nrows() as f64;
        let covariance = sum.covariance()?;
        let scale = scales(codes, |j| (covariance[(j, j)] * (n - 1.0) / n).sqrt());
        let gram =
            Mat::from_fn(codes.ncols(), codes.ncols(), |i, j| (n - 1.0) * covariance[(i, j)] / (scale[i] * scale[j]));
        let eigen = eigen(gram)?;
        let rank = above_floor(&eigen.values);
        let vectors = eigen.vectors(rank);
        let axes = Mat::from_fn(codes.ncols(), rank, |i, j| vectors[(i, j)] as f32);
        Ok(Self { mean: sum.mean().to_vec(), scale, axes })
    }

    /// Fewer rows than features: the axes come from the eigenvectors of the small matrix of products between rows.
    fn from_rows(codes: MatRef<'_, f32>) -> Result<Self, Error> {
        let mean = Columns::of(codes).mean;
        let n = codes.nrows() as f64;
        let square = |j: usize| codes.col(j).iter().map(|x| (f64::from(*x) - mean[j]).powi(2)).sum::<f64>();
        let scale = scales(codes, |j| (square(j) / n).sqrt());
        let standard =
            Mat::from_fn(codes.nrows(), codes.ncols(), |i, j| (f64::from(codes[(i, j)]) - mean[j]) / scale[j]);
        let gram = product(standard.as_ref(), standard.transpose());
        let eigen = eigen(gram)?;
        let rank = above_floor(&eigen.values);
        let axes = product(standard.transpose(), eigen.vectors(rank).as_ref());
        let axes = Mat::from_fn(axes.nrows(), axes.ncols(), |i, j| (axes[(i, j)] / eigen.values[j].sqrt()) as f32);
        Ok(Self { mean, scale, axes })
    }
}

fn scales(codes: MatRef<'_, f32>, deviation: impl Fn(usize) -> f64) -> Vec<f64> {
    let constant = |j: usize| codes.col(j).iter().all(|x| *x == codes[(0, j)]);
    (0..codes.ncols()).map(|j| if constant(j) { f64::INFINITY } else { deviation(j) }).collect()
}

/// How many of the values, largest first, are more than rounding error.
fn above_floor(values: &[f64]) -> usize {
    let floor = FLOOR * values.first().copied().unwrap_or(0.0);
    values.iter().take_while(|&&v| v > floor && v > 0.0).count()
}
