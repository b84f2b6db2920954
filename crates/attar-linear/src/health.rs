//! Whether a code still carries information: effective rank and collapse.

use faer::MatRef;

use crate::spectral::eigenvalues;
use crate::{CovarianceSum, Error};

/// A code whose effective rank is below this share of its dimensions has collapsed. It is low because a code may well
/// have more dimensions than the data has directions.
const COLLAPSED_SHARE: f64 = 0.02;

/// An effective rank at or below this has collapsed, whatever the size of the code, unless the code has one dimension.
const COLLAPSED_RANK: f64 = 1.05;

/// A dimension whose standard deviation is below this share of the largest one's is dead.
const DEAD_SHARE: f64 = 1e-6;

/// What the spread of a code says about its use.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeHealth {
    /// See [`effective_rank`].
    pub effective_rank: f64,
    /// Dimensions that are constant over the rows: standard deviation at most 1e-6 of the largest, or zero.
    pub dead: Vec<usize>,
    /// Every dimension is dead, or the effective rank is at most 1.05 (of a code of two dimensions or more) or under
    /// 2 % of the dimensions. The thresholds are conventions of ours: a warning, not a verdict.
    pub collapsed: bool,
    /// Why `collapsed` is set, in words.
    pub reason: Option<String>,
}

impl CodeHealth {
    /// Measures `codes`, `[samples, dimensions]`.
    ///
    /// # Errors
    /// Fewer than two rows, no dimensions, or a value that is not finite.
    pub fn of(codes: MatRef<'_, f32>) -> Result<Self, Error> {
        crate::check::samples(codes, 2)?;
        let mut sum = CovarianceSum::new(codes.ncols());
        sum.add(codes)?;
        let covariance = sum.covariance()?;
        let variances: Vec<f64> = (0..codes.ncols()).map(|j| covariance[(j, j)]).collect();
        let largest = variances.iter().copied().fold(0.0, f64::max);
        let dead: Vec<usize> =
            (0..codes.ncols()).filter(|&j| variances[j] <= largest * DEAD_SHARE * DEAD_SHARE).collect();
        let rank = entropy_rank(&eigenvalues(covariance.as_ref())?);
        let reason = collapse(rank, dead.len(), codes.ncols());
        Ok(Self { effective_rank: rank, dead, collapsed: reason.is_some(), reason })
    }
}

/// The effective rank of `codes`: `exp(-Σ p ln p)` with `p` the singular values of the centred codes over their sum.
///
/// The definition of Roy & Vetterli (2007), which RankMe (Garrido et al. 2023, arXiv:2210.02885, equation 1) takes for
/// embeddings. We centre first, so that a constant offset does not count as a direction; RankMe does not. Between 1 and
/// the smaller of rows and dimensions; 0 where every dimension is constant.
///
/// # Errors
/// Fewer than two rows, no dimensions, or a value that is not finite.
pub fn effective_rank(codes: MatRef<'_, f32>) -> Result<f64, Error> {
    CodeHealth::of(codes).map(|health| health.effective_rank)
}

/// Singular values are the roots of the variances, up to a factor that cancels. Variances below the rounding error of
/// their sum (1e-14 of the largest) are taken as zero.
fn entropy_rank(variances: &[f64]) -> f64 {
    let floor = variances.first().copied().unwrap_or(0.0) * 1e-14;
    let singular: Vec<f64> = variances.iter().filter(|&&v| v > floor).map(|v| v.sqrt()).collect();
    let total: f64 = singular.iter().sum();
    if singular.is_empty() {
        return 0.0;
    }
    singular.iter().map(|s| s / total).map(|p| -p * p.ln()).sum::<f64>().exp()
}

fn collapse(rank: f64, dead: usize, dimensions: usize) -> Option<String> {
    if dead == dimensions {
        Some(format!("all {dimensions} dimensions are constant"))
    } else if dimensions > 1 && rank <= COLLAPSED_RANK {
        Some(format!("{dimensions} dimensions vary along one direction (effective rank {rank:.2})"))
    } else if rank < COLLAPSED_SHARE * dimensions as f64 {
        Some(format!("effective rank {rank:.1} of {dimensions} dimensions, under {:.0} %", 100.0 * COLLAPSED_SHARE))
    } else {
        None
    }
}
