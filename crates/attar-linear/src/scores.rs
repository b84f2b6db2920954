//! Scores of predictions.

use crate::{Error, check};

/// The share of predicted labels that equal the true ones, in `0..=1`.
///
/// # Errors
/// Lists of different lengths, or empty ones.
pub fn accuracy(predicted: &[u32], truth: &[u32]) -> Result<f64, Error> {
    check::length("predictions, one per label", truth.len(), predicted.len())?;
    if truth.is_empty() {
        return Err(Error::TooFewRows { rows: 0, needed: 1 });
    }
    let correct = predicted.iter().zip(truth).filter(|(p, t)| p == t).count();
    Ok(correct as f64 / truth.len() as f64)
}

/// The coefficient of determination `1 - Σ (t - p)² / Σ (t - mean t)²`.
///
/// 1 is perfect, 0 is as good as the mean of `truth`, and there is no lower limit. Where `truth` is constant it is 1
/// for a perfect prediction and 0 for any other, as in scikit-learn.
///
/// # Errors
/// Lists of different lengths, or fewer than two values.
pub fn r_squared(predicted: &[f64], truth: &[f64]) -> Result<f64, Error> {
    check::length("predictions, one per target", truth.len(), predicted.len())?;
    if truth.len() < 2 {
        return Err(Error::TooFewRows { rows: truth.len(), needed: 2 });
    }
    let mean = truth.iter().sum::<f64>() / truth.len() as f64;
    let residual: f64 = predicted.iter().zip(truth).map(|(p, t)| (t - p).powi(2)).sum();
    let total: f64 = truth.iter().map(|t| (t - mean).powi(2)).sum();
    Ok(if total > 0.0 {
        1.0 - residual / total
    } else if residual == 0.0 {
        1.0
    } else {
        0.0
    })
}
