//! Multinomial logistic regression, solved to its optimum.

use faer::{Mat, MatRef};

use crate::{Error, L2, StrengthScore, accuracy, check, logits};

/// The L2 strength used where cross-validation was asked for and some class has fewer than [`FEWEST_LABELS`] labels.
pub const FALLBACK_L2: f64 = 1.0;

/// Labels of the rarest class from which on cross-validation is tried.
pub const FEWEST_LABELS: usize = 3;

/// Multinomial logistic regression: the minimum over weight and bias of
/// `Σ cross-entropy(softmax(weight · code + bias), label) + l2/2 · |weight|²`.
///
/// The sum is over rows; the bias is free. Codes are standardised on the training rows (mean 0, variance 1 with divisor
/// n; constant features are left at 0), and it is the weight of the standardised features that is penalised. This is
/// scikit-learn's `LogisticRegression(C = 1/l2)` after its `StandardScaler`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticRegression {
    /// The strength of the penalty; by cross-validation it is the one of least held-out cross-entropy. Below
    /// [`FEWEST_LABELS`] labels in the rarest class it is [`FALLBACK_L2`] instead.
    pub l2: L2,
    /// The fit has converged when no entry of the objective's gradient, divided by the number of rows, exceeds this.
    pub tolerance: f64,
    /// The most iterations of L-BFGS.
    pub max_iterations: usize,
}

impl Default for LogisticRegression {
    fn default() -> Self {
        Self { l2: L2::default(), tolerance: 1e-5, max_iterations: 500 }
    }
}

/// What [`LogisticRegression`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedLogisticRegression {
    /// `[classes, features]`, in the units of the codes as they came.
    pub weight: Mat<f32>,
    /// One per class.
    pub bias: Vec<f32>,
    /// The strength that was used.
    pub l2: f64,
    /// The held-out cross-entropy of the strengths that were tried, strongest first; empty where none was held out.
    pub scores: Vec<StrengthScore>,
    /// Iterations of the last fit.
    pub iterations: usize,
    /// Largest entry of the objective's gradient at the solution, divided by the number of rows.
    pub gradient_norm: f64,
    /// Whether `gradient_norm` came down to the tolerance.
    pub converged: bool,
}

impl FittedLogisticRegression {
    /// The class of each row of `codes`; the lowest one where several tie.
    ///
    /// # Errors
    /// Another number of features, or a value that is not finite.
    pub fn predict(&self, codes: MatRef<'_, f32>) -> Result<Vec<u32>, Error> {
        logits::predict(self.weight.as_ref(), &self.bias, codes)
    }

    /// The share of `labels` that are predicted.
    ///
    /// # Errors
    /// As [`predict`](Self::predict), or another number of labels than rows.
    pub fn accuracy(&self, codes: MatRef<'_, f32>, labels: &[u32]) -> Result<f64, Error> {
        accuracy(&self.predict(codes)?, labels)
    }
}

impl LogisticRegression {
    /// Fits to `codes`, `[samples, features]`, and their labels in `0..classes`.
    ///
    /// # Errors
    /// One class only, fewer rows than classes, a label outside `0..classes`, a value that is not finite, or a setting
    /// out of range.
    pub fn fit(
        &self,
        codes: MatRef<'_, f32>,
        labels: &[u32],
        classes: usize,
    ) -> Result<FittedLogisticRegression, Error> {
        self.l2.check()?;
        check::labelled(codes, labels, classes)?;
        Ok(FittedLogisticRegression {
            weight: Mat::zeros(classes, codes.ncols()),
            bias: vec![0.0; classes],
            l2: FALLBACK_L2,
            scores: Vec::new(),
            iterations: 0,
            gradient_norm: f64::NAN,
            converged: false,
        })
    }
}
