//! The minimum of every objective in closed form.

use faer::MatRef;

use super::arithmetic::{scaled_columns, singular_values};
use super::problem::Problem;
use super::weights::first;
use super::{Factor, LinearAutoencoder, Objective, Weights};
use crate::{Error, check};

/// The global minimum of an objective.
#[derive(Debug, Clone)]
pub struct Optimum {
    /// One minimiser: `W₂ = U_k diag(√q)` and `W₁ = W₂ᵀ`, `q` the singular values of the map. [`Objective`] says up to
    /// what it is unique.
    pub weights: Weights,
    /// The least loss.
    pub loss: f64,
    /// The singular values of the map `W₂W₁`, largest first, one per code.
    pub map_singular_values: Vec<f64>,
    /// The singular values of `W₁` and of `W₂`, where the objective determines them (the L2 objectives).
    pub weight_singular_values: Option<Vec<f64>>,
    /// Directions that are kept: the code's size less those that the penalty has collapsed (`σᵢ² ≤ λᵢ`).
    pub kept: usize,
}

impl LinearAutoencoder {
    /// The global minimum on the data of `factor`.
    ///
    /// With `σ₁ ≥ σ₂ ≥ …` under the normalisation, the `i`-th singular value of the map and the loss it leaves are
    ///
    /// | objective | value | loss along a kept direction | source |
    /// |---|---|---|---|
    /// | plain, nested dropout | `1` | `0` | Baldi & Hornik 1989; Bao et al. 2020 |
    /// | L2, each code its `λᵢ` | `(1 - λᵢ/σᵢ²)₊` | `2λᵢ - λᵢ²/σᵢ²` | Kunin et al. 2019; Bao et al. 2020 |
    /// | product | `σᵢ²/(σᵢ² + λ)` | `λσᵢ²/(σᵢ² + λ)` | derived here |
    ///
    /// and a direction that is not kept leaves `σᵢ²`. A collapsed one (`σᵢ² ≤ λᵢ`) is not kept. Nested dropout leaves
    /// `Σ_b p_b Σ_{i > b} σᵢ²`, as each prefix reaches its own optimum. The product loss is a regression of `[R, 0]` on
    /// `[R, √λ I]` by a map of rank `k`, so its optimum is the best approximation of the fitted values, whose squared
    /// singular values are `σᵢ⁴/(σᵢ² + λ)`: the order of the directions stays, and none collapses.
    ///
    /// # Errors
    /// A setting outside its range.
    pub fn optimum(&self, factor: &Factor) -> Result<Optimum, Error> {
        let problem = Problem::new(self, factor)?;
        let variances = factor.variances(self.normalisation);
        let values = self.shrunk(&variances[..self.codes]);
        let kept: f64 = (0..self.codes).map(|i| self.left_along(i, variances[i])).sum();
        let tail = |from: usize| variances[from..].iter().rev().sum::<f64>();
        let loss = match &self.objective {
            Objective::NestedDropout { prefixes } => prefixes.iter().enumerate().map(|(i, p)| p * tail(i + 1)).sum(),
            _ => kept + tail(self.codes),
        };
        let roots: Vec<f64> = values.iter().map(|q| q.sqrt()).collect();
        let decoder = scaled_columns(first(problem.factor.vectors(), self.codes), &roots);
        Ok(Optimum {
            weights: Weights { encoder: decoder.transpose().to_owned(), decoder },
            loss,
            kept: values.iter().filter(|&&q| q > 0.0).count(),
            map_singular_values: values,
            weight_singular_values: self.objective.strengths(self.codes).map(|_| roots),
        })
    }

    /// The map's singular values for the first variances.
    fn shrunk(&self, variances: &[f64]) -> Vec<f64> {
        let strengths = self.objective.strengths(self.codes);
        let shrink = |(i, &variance): (usize, &f64)| match (&self.objective, &strengths) {
            (Objective::Product { lambda }, _) => variance / (variance + lambda),
            (_, Some(strengths)) => (1.0 - strengths[i] / variance).max(0.0),
            _ => 1.0,
        };
        variances.iter().enumerate().map(shrink).collect()
    }

    /// The loss that direction `i` leaves when the `i`-th code stands for it.
    fn left_along(&self, i: usize, variance: f64) -> f64 {
        let l2 = |lambda: f64| if variance > lambda { lambda * (2.0 - lambda / variance) } else { variance };
        match &self.objective {
            Objective::Plain | Objective::NestedDropout { .. } => 0.0,
            Objective::L2 { lambda } => l2(*lambda),
            Objective::NonUniformL2 { lambdas } => l2(lambdas[i]),
            Objective::Product { lambda } => lambda * variance / (variance + lambda),
        }
    }
}

/// The variances of the data, read from a decoder trained with the L2 sum: `σ² = λ/(1 - s²)` for each singular value
/// `s` of the decoder, largest first, under the normalisation of `lambda` (README of Kunin et al. 2019).
///
/// `None` where the decoder says nothing: for a collapsed direction (`s` below 1e-6) only that `σ² ≤ λ`, and a value of
/// 1 or more is none of a minimum. Where `λ ≪ σ²` the values are close to 1 and the result is ill-conditioned.
///
/// # Errors
/// `lambda` not above 0, or a decomposition that does not converge.
pub fn recovered_variances(decoder: MatRef<'_, f64>, lambda: f64) -> Result<Vec<Option<f64>>, Error> {
    check::setting("lambda", "above 0 and finite", lambda, lambda > 0.0 && lambda.is_finite())?;
    super::factor::check_finite(decoder)?;
    let variance = |s: f64| (s > 1e-6 && s < 1.0).then(|| lambda / ((1.0 - s) * (1.0 + s)));
    Ok(singular_values(decoder)?.into_iter().map(variance).collect())
}
