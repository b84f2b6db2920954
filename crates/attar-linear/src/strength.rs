//! The strength of an L2 penalty: fixed, or chosen by cross-validation.

use crate::{Error, check};

/// How the L2 strength of a probe is set.
#[derive(Debug, Clone, PartialEq)]
pub enum L2 {
    /// This strength. Zero is least squares for ridge; logistic regression has no optimum there where the classes can be
    /// told apart by a plane, and then ends unconverged.
    Fixed(f64),
    /// The strength with the best score on held-out folds, each fold left out once.
    CrossValidated {
        /// Number of folds, at least 2; lowered to the rarest class's count of labels where that is smaller.
        folds: usize,
        /// The strengths to try, in any order, all positive.
        strengths: Vec<f64>,
        /// Shuffles the rows before they are dealt to the folds.
        seed: u64,
    },
}

/// One strength and how it did on the folds that were held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StrengthScore {
    /// The L2 strength.
    pub l2: f64,
    /// The mean held-out loss per row, lower is better.
    pub loss: f64,
}

impl Default for L2 {
    /// Five folds over powers of ten from 1e-2 to 1e4.
    fn default() -> Self {
        Self::CrossValidated { folds: 5, strengths: (-2..=4).map(|e| 10f64.powi(e)).collect(), seed: 0 }
    }
}

impl L2 {
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Fixed(l2) => check::setting("l2", "finite and not negative", *l2, l2.is_finite() && *l2 >= 0.0),
            Self::CrossValidated { folds, strengths, .. } => {
                check::setting("folds", "at least 2", *folds as f64, *folds >= 2)?;
                check::setting("the number of strengths", "at least 1", strengths.len() as f64, !strengths.is_empty())?;
                let wrong = strengths.iter().copied().find(|l2| !(l2.is_finite() && *l2 > 0.0));
                wrong.map_or(Ok(()), |l2| check::setting("every strength", "finite and positive", l2, false))
            }
        }
    }
}
