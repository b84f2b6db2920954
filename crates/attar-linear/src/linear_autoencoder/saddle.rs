//! The critical points of the plain loss, and the way down from each that is no minimum.

use faer::Mat;

use super::{Factor, LinearAutoencoder, Normalisation, Objective, Weights};
use crate::{Error, check};

/// A critical point of the plain loss: the map is the projector on the principal directions of an index set.
#[derive(Debug, Clone)]
pub struct CriticalPoint {
    /// `W₂ = U_I` and `W₁ = W₂ᵀ`, codes without a direction being 0. `W₂ Q` and `Q⁻¹ W₁` are as critical for every
    /// invertible `Q`.
    pub weights: Weights,
    /// The sum of the other variances.
    pub loss: f64,
    /// The number of independent directions of descent: negative eigenvalues of the Hessian.
    pub descending: usize,
    /// The steepest of them per unit of decoder and encoder, along which the loss falls like `t²`; `None` at a minimum.
    pub descent: Option<Weights>,
}

impl CriticalPoint {
    /// The critical point of `codes` codes on the principal directions `indices` (from 0, all different).
    ///
    /// Baldi & Hornik (1989): these are all there are, and only the first `codes` directions give a minimum. The
    /// Hessian falls apart into one block for each used code `i` and unused direction `j`, with the form
    /// `σᵢ² b² + σⱼ² a² - 2σⱼ² ab` for steps `b uⱼ` of the decoder's column and `a uⱼ` of the encoder's row; it has a
    /// negative eigenvalue where `σⱼ > σᵢ`. An unused code has the form `-2σⱼ² ab` with every unused `j`, which has one
    /// too. So the descending directions are the pairs `i ∈ I, j ∉ I` with `σⱼ > σᵢ`, and `(k - |I|)` times the unused
    /// directions (derived here, and for `|I| < k` too).
    ///
    /// # Errors
    /// A number of codes outside `1..=rank`, or indices that are too many, repeated or not below the rank.
    pub fn of(factor: &Factor, codes: usize, indices: &[usize], normalisation: Normalisation) -> Result<Self, Error> {
        LinearAutoencoder { codes, objective: Objective::Plain, normalisation }.validate(factor)?;
        check_indices(factor.rank(), codes, indices)?;
        let variances = factor.variances(normalisation);
        let unused: Vec<usize> = (0..factor.rank()).filter(|j| !indices.contains(j)).collect();
        let below = |j: &usize| indices.iter().filter(|&&i| variances[*j] > variances[i]).count();
        let pairs: usize = unused.iter().map(below).sum();
        let decoder = Mat::from_fn(factor.features(), codes, |row, code| match indices.get(code) {
            Some(&i) => factor.vectors()[(row, i)],
            None => 0.0,
        });
        Ok(Self {
            weights: Weights { encoder: decoder.transpose().to_owned(), decoder },
            loss: unused.iter().rev().map(|&j| variances[j]).sum(),
            descending: pairs + (codes - indices.len()) * unused.len(),
            descent: descent(factor, codes, indices, &unused),
        })
    }
}

/// Turns the weakest used code, or one that is not used, towards the strongest unused direction.
///
/// Among steps with `a = b` the curvature is `σᵢ² - σⱼ²`, least for that pair; an unused code counts as `σᵢ = 0`.
fn descent(factor: &Factor, codes: usize, indices: &[usize], unused: &[usize]) -> Option<Weights> {
    let values = factor.singular_values();
    let &strongest = unused.first()?;
    let weakest = (0..codes).min_by(|&a, &b| {
        let value = |code: usize| indices.get(code).map_or(0.0, |&i| values[i]);
        value(a).total_cmp(&value(b))
    })?;
    if indices.get(weakest).is_some_and(|&i| values[i] >= values[strongest]) {
        return None;
    }
    let entry = |row: usize, code: usize| if code == weakest { factor.vectors()[(row, strongest)] } else { 0.0 };
    let decoder = Mat::from_fn(factor.features(), codes, entry);
    Some(Weights { encoder: decoder.transpose().to_owned(), decoder })
}

fn check_indices(rank: usize, codes: usize, indices: &[usize]) -> Result<(), Error> {
    let few = indices.len() <= codes;
    check::setting("indices", "at most one per code", indices.len() as f64, few)?;
    let wrong = (0..indices.len()).find(|&i| indices[i] >= rank || indices[..i].contains(&indices[i]));
    wrong.map_or(Ok(()), |i| check::setting("indices", "different and below the rank", indices[i] as f64, false))
}
