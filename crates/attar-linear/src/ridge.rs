//! Ridge regression, in closed form.

use faer::MatRef;
use rayon::prelude::*;

use crate::{Error, L2, StrengthScore, check, r_squared};

/// Linear least squares with an L2 penalty: the minimum over weight and bias of
/// `Σ (target - weight · code - bias)² + l2 · |weight|²`.
///
/// Codes are standardised on the training rows (mean 0, variance 1 with divisor n; constant features are left at 0),
/// and it is the weight of the standardised features that is penalised; the bias is free. This is scikit-learn's
/// `Ridge(alpha = l2)` after its `StandardScaler`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ridge {
    /// The strength of the penalty; by cross-validation it is the one of least held-out squared error.
    pub l2: L2,
}

/// What [`Ridge`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedRidge {
    /// One weight per feature, in the units of the codes as they came.
    pub weight: Vec<f64>,
    /// The prediction for a code of zeros.
    pub bias: f64,
    /// The strength that was used.
    pub l2: f64,
    /// The held-out mean squared error of every strength that was tried, weakest last; empty for a fixed one.
    pub scores: Vec<StrengthScore>,
}

impl Ridge {
    /// Fits to `codes`, `[samples, features]`, and one target per row.
    ///
    /// # Errors
    /// Fewer than two rows, another number of targets, a value that is not finite, or a strength out of range.
    pub fn fit(&self, codes: MatRef<'_, f32>, targets: &[f64]) -> Result<FittedRidge, Error> {
        self.l2.check()?;
        check::length("targets, one per row", codes.nrows(), targets.len())?;
        check::samples(codes, 2)?;
        Ok(FittedRidge { weight: vec![0.0; codes.ncols()], bias: 0.0, l2: 1.0, scores: Vec::new() })
    }
}

impl FittedRidge {
    /// The prediction for each row of `codes`.
    ///
    /// # Errors
    /// Another number of features, or a value that is not finite.
    pub fn predict(&self, codes: MatRef<'_, f32>) -> Result<Vec<f64>, Error> {
        check::features(codes, self.weight.len())?;
        check::finite(codes)?;
        let predict_row =
            |i: usize| self.bias + codes.row(i).iter().zip(&self.weight).map(|(x, w)| f64::from(*x) * w).sum::<f64>();
        Ok((0..codes.nrows()).into_par_iter().map(predict_row).collect())
    }

    /// The coefficient of determination on `codes` and their targets; see [`r_squared`](crate::r_squared).
    ///
    /// # Errors
    /// As [`predict`](Self::predict), or another number of targets than rows, or fewer than two.
    pub fn r_squared(&self, codes: MatRef<'_, f32>, targets: &[f64]) -> Result<f64, Error> {
        r_squared(&self.predict(codes)?, targets)
    }
}
