//! Ridge regression, in closed form.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

use crate::basis::Basis;
use crate::blocks::BLOCK;
use crate::folds::stratified;
use crate::spectral::cholesky_solve;
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
    /// The held-out mean squared error of every strength that was tried, strongest first; empty for a fixed one.
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
        check::finite_targets(targets)?;
        let basis = Basis::of(codes)?;
        let blocks = basis.coordinates(codes);
        let centre = targets.iter().sum::<f64>() / targets.len() as f64;
        let targets: Vec<f64> = targets.iter().map(|t| t - centre).collect();
        let all = Normal::of(&blocks, &targets, |_| true);
        let (l2, scores) = match &self.l2 {
            L2::Fixed(l2) => (*l2, Vec::new()),
            L2::CrossValidated { folds, strengths, seed } => {
                cross_validate(&all, &blocks, &targets, (*folds).min(targets.len()), strengths, *seed)?
            }
        };
        let solution = all.solve(l2)?;
        let rank = basis.rank();
        let (weight, shift) = basis.restore(Mat::from_fn(rank, 1, |i, _| solution[i] as f32).as_ref());
        Ok(FittedRidge {
            weight: weight.row(0).iter().copied().collect(),
            bias: solution[rank] + centre - shift[0],
            l2,
            scores,
        })
    }
}

/// The normal equations: products of coordinates with each other and with the targets.
struct Normal {
    gram: Mat<f64>,
    moment: Mat<f64>,
}

impl Normal {
    /// Sums over the rows that `chosen` takes.
    fn of(blocks: &[Mat<f32>], targets: &[f64], chosen: impl Fn(usize) -> bool + Sync) -> Self {
        let on_block = |(index, block): (usize, &Mat<f32>)| {
            let rows: Vec<usize> = (0..block.nrows()).filter(|i| chosen(index * BLOCK + i)).collect();
            let left = Mat::from_fn(rows.len(), block.ncols(), |i, j| f64::from(block[(rows[i], j)]));
            let right = Mat::from_fn(rows.len(), 1, |i, _| targets[index * BLOCK + rows[i]]);
            Self { gram: product(&left, &left), moment: product(&left, &right) }
        };
        let parts: Vec<Self> = blocks.par_iter().enumerate().map(on_block).collect();
        let width = blocks.first().map_or(0, Mat::ncols);
        let nothing = Self { gram: Mat::zeros(width, width), moment: Mat::zeros(width, 1) };
        parts
            .into_iter()
            .fold(nothing, |sum, part| Self { gram: sum.gram + part.gram, moment: sum.moment + part.moment })
    }

    fn without(&self, part: &Self) -> Self {
        Self { gram: &self.gram - &part.gram, moment: &self.moment - &part.moment }
    }

    /// The weights along the axes and, last, the bias, which is not penalised.
    fn solve(&self, l2: f64) -> Result<Vec<f64>, Error> {
        let size = self.gram.nrows();
        let mut factor = self.gram.clone();
        for j in 0..size - 1 {
            factor[(j, j)] += l2;
        }
        let mut solution = self.moment.clone();
        cholesky_solve(factor.as_mut(), solution.as_mut())?;
        Ok(solution.col(0).iter().copied().collect())
    }

    /// The sum of squared errors of `solution` on the rows summed here, less that of predicting zero.
    fn excess_error(&self, solution: &[f64]) -> f64 {
        let size = solution.len();
        let column = Mat::from_fn(size, 1, |i, _| solution[i]);
        let mapped = product(&self.gram, &column);
        (0..size).map(|i| solution[i] * (mapped[(i, 0)] - 2.0 * self.moment[(i, 0)])).sum()
    }
}

/// The strength of least held-out squared error, and the mean error of every one, strongest first.
fn cross_validate(
    all: &Normal,
    blocks: &[Mat<f32>],
    targets: &[f64],
    folds: usize,
    strengths: &[f64],
    seed: u64,
) -> Result<(f64, Vec<StrengthScore>), Error> {
    let fold_of = stratified(&vec![0; targets.len()], folds, seed);
    let held_out: Vec<Normal> =
        (0..folds as u32).map(|fold| Normal::of(blocks, targets, |row| fold_of[row] == fold)).collect();
    let of_zero: f64 = targets.iter().map(|t| t * t).sum();
    let mut strengths = strengths.to_vec();
    strengths.sort_by(|a, b| b.total_cmp(a));
    let score = |&l2: &f64| {
        let excess = held_out.iter().map(|part| Ok(part.excess_error(&all.without(part).solve(l2)?)));
        let excess = excess.sum::<Result<f64, Error>>()?;
        Ok(StrengthScore { l2, loss: (of_zero + excess) / targets.len() as f64 })
    };
    let scores = strengths.par_iter().map(score).collect::<Result<Vec<_>, Error>>()?;
    let best = scores.iter().fold(scores[0], |best, &score| if score.loss < best.loss { score } else { best });
    Ok((best.l2, scores))
}

fn product(left: &Mat<f64>, right: &Mat<f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.ncols(), right.ncols());
    matmul(&mut out, Accum::Replace, left.transpose(), right, 1.0, Par::Seq);
    out
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
