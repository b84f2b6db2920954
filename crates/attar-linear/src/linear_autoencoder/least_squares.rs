//! Exact minimisation over one weight with the other held fixed.
//!
//! In the terms of `problem.rs`, the loss is quadratic in each weight, and its gradient vanishes where
//!
//! ```text
//! W₂ (T ∘ S + Λ + λ W₁W₁ᵀ) = G D
//! (T ∘ A) W₁ K + Λ W₁ + λ A W₁ = D W₂ᵀ K
//! ```

use faer::{Mat, MatRef};

use super::arithmetic::{LeftSvd, left_svd, product, scaled_columns, scaled_rows, svd};
use super::problem::Problem;
use super::{Objective, Weights};
use crate::Error;
use crate::spectral::{cholesky_solve, eigen};

/// The best decoder for the encoder as it is, then the best encoder for that decoder.
pub(super) fn step(problem: &Problem<'_>, weights: &Weights) -> Result<Weights, Error> {
    let decoder = best_decoder(problem, weights.encoder.as_ref())?;
    let encoder = best_encoder(problem, decoder.as_ref())?;
    Ok(Weights { encoder, decoder })
}

/// The same map in the code's best basis.
pub(super) fn balanced(problem: &Problem<'_>, weights: Weights) -> Result<Weights, Error> {
    if let Objective::NestedDropout { .. } = problem.config.objective {
        return Ok(weights);
    }
    let basis = left_svd(weights.decoder.as_ref())?.vectors;
    let small = product(product(basis.transpose(), weights.decoder.as_ref()).as_ref(), weights.encoder.as_ref());
    let (LeftSvd { vectors: left, values }, right) = svd(small.as_ref())?;
    let roots: Vec<f64> = values.iter().map(|s| s.sqrt()).collect();
    let decoder = scaled_columns(product(basis.as_ref(), left.as_ref()).as_ref(), &roots);
    Ok(Weights { encoder: scaled_rows(right.transpose(), &roots), decoder })
}

fn best_decoder(problem: &Problem<'_>, encoder: MatRef<'_, f64>) -> Result<Mat<f64>, Error> {
    let terms = &problem.terms;
    let codes = product(encoder, problem.root.as_ref());
    let mut system = terms.masked(product(codes.as_ref(), codes.transpose()).as_ref());
    if terms.product > 0.0 {
        system += product(encoder, encoder.transpose()) * terms.product;
    }
    for (i, strength) in terms.strengths.iter().enumerate() {
        system[(i, i)] += strength;
    }
    let target = scaled_rows(product(codes.as_ref(), problem.root.transpose()).as_ref(), &terms.tails);
    Ok(solved(system, target)?.transpose().to_owned())
}

/// Without an L2 penalty the code's system stands on the left and the data's on the right of `W₁`. With one they do not
/// come apart; with `Λ^(-½) A Λ^(-½) = V diag(d) Vᵀ` and `K = U diag(σ²) Uᵀ` each entry of `V ᵀ Λ^½ W₁ U` has an
/// equation of its own, `(d_i σ_j² + 1) y_ij = h_ij σ_j²`.
fn best_encoder(problem: &Problem<'_>, decoder: MatRef<'_, f64>) -> Result<Mat<f64>, Error> {
    let terms = &problem.terms;
    let gram = product(decoder.transpose(), decoder);
    if let Objective::L2 { .. } | Objective::NonUniformL2 { .. } = problem.config.objective {
        return penalised_encoder(problem, decoder, gram.as_ref());
    }
    let mut target = scaled_rows(decoder.transpose(), &terms.tails);
    if terms.product > 0.0 {
        let vectors = problem.factor.vectors();
        let variances = problem.factor.variances(problem.config.normalisation);
        let shares: Vec<f64> = variances.iter().map(|v| v / (v + terms.product)).collect();
        let along = scaled_columns(product(target.as_ref(), vectors).as_ref(), &shares);
        target = product(along.as_ref(), vectors.transpose());
    }
    solved(terms.masked(gram.as_ref()), target)
}

fn penalised_encoder(
    problem: &Problem<'_>,
    decoder: MatRef<'_, f64>,
    gram: MatRef<'_, f64>,
) -> Result<Mat<f64>, Error> {
    let vectors = problem.factor.vectors();
    let variances = problem.factor.variances(problem.config.normalisation);
    let shrink: Vec<f64> = problem.terms.strengths.iter().map(|l| 1.0 / l.sqrt()).collect();
    let scaled = scaled_columns(scaled_rows(gram, &shrink).as_ref(), &shrink);
    let eigen = eigen(scaled)?;
    let turn = eigen.vectors(eigen.values.len());
    let target = scaled_rows(product(decoder.transpose(), vectors).as_ref(), &shrink);
    let target = product(turn.transpose(), target.as_ref());
    let entry = |i: usize, j: usize| target[(i, j)] * variances[j] / (eigen.values[i].max(0.0) * variances[j] + 1.0);
    let solution = Mat::from_fn(target.nrows(), target.ncols(), entry);
    let encoder = scaled_rows(product(turn.as_ref(), solution.as_ref()).as_ref(), &shrink);
    Ok(product(encoder.as_ref(), vectors.transpose()))
}

fn solved(mut system: Mat<f64>, mut target: Mat<f64>) -> Result<Mat<f64>, Error> {
    cholesky_solve(system.as_mut(), target.as_mut())?;
    Ok(target)
}
