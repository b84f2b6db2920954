//! What is minimised, and in which units.

use super::Factor;
use crate::{Error, check};

/// What the squared reconstruction error is divided by. The penalties are divided by nothing.
///
/// `σ²` stands everywhere for the squared singular values of the centred data over the same divisor, so a strength
/// `lambda` is compared with the variances that [`Factor::variances`] gives for the same normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalisation {
    /// Nothing: the sum over samples and features, as in Baldi & Hornik (1989) and Kunin et al. (2019).
    Sum,
    /// The number of samples, as in Bao et al. (2020).
    PerSample,
    /// Samples times features, as PyTorch's `MSELoss` does by default.
    PerEntry,
}

impl Normalisation {
    /// What the sum of squares is multiplied by.
    pub fn scale(self, samples: usize, features: usize) -> f64 {
        match self {
            Self::Sum => 1.0,
            Self::PerSample => 1.0 / samples as f64,
            Self::PerEntry => 1.0 / (samples as f64 * features as f64),
        }
    }
}

/// The loss of a linear autoencoder. `‖·‖²` of the error is under a [`Normalisation`], `‖·‖` is Frobenius' norm.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// `‖X - W₂W₁X‖²`: Baldi & Hornik (1989). Determines the map `W₂W₁`; the codes up to any invertible matrix.
    Plain,
    /// `‖X - W₂W₁X‖² + λ (‖W₁‖² + ‖W₂‖²)`, the sum loss of Kunin et al. (2019, arXiv:1901.08168).
    /// Determines the codes up to a rotation.
    L2 {
        /// `λ`, above 0.
        lambda: f64,
    },
    /// `‖X - W₂W₁X‖² + λ ‖W₂W₁‖²`, the product loss of Kunin et al. (2019). Determines the map only.
    Product {
        /// `λ`, above 0.
        lambda: f64,
    },
    /// `‖X - W₂W₁X‖² + Σᵢ λᵢ (‖row i of W₁‖² + ‖column i of W₂‖²)`: Bao et al. (2020, arXiv:2007.06731).
    /// Determines the codes up to sign.
    NonUniformL2 {
        /// `λ₁ < … < λ_k`, one per code, all above 0. (The authors' code asks for their roots.)
        lambdas: Vec<f64>,
    },
    /// `Σ_b p_b ‖X - W₂ π_b W₁ X‖²` where `π_b` keeps the first `b` codes: deterministic nested dropout, Bao et al.
    /// (2020), the expectation of Rippel et al. (2014). Determines each code up to its scale.
    NestedDropout {
        /// `p_1, …, p_k`, the weight of each prefix length, all above 0. Nothing here asks that they sum to 1.
        prefixes: Vec<f64>,
    },
}

impl Objective {
    /// `ρᵇ⁻¹ (1 - ρ)` for each prefix length `b` below `codes`, what is left for the whole code: the geometric
    /// distribution that Bao et al. (2020) and Rippel et al. (2014) draw from, the former with `ρ = 0.9`.
    pub fn geometric_dropout(codes: usize, rho: f64) -> Self {
        let mass = |b: usize| if b + 1 < codes { rho.powi(b as i32) * (1.0 - rho) } else { rho.powi(b as i32) };
        Self::NestedDropout { prefixes: (0..codes).map(mass).collect() }
    }

    /// The strength of the L2 penalty on each code, where the two weights are penalised.
    pub(super) fn strengths(&self, codes: usize) -> Option<Vec<f64>> {
        match self {
            Self::L2 { lambda } => Some(vec![*lambda; codes]),
            Self::NonUniformL2 { lambdas } => Some(lambdas.clone()),
            _ => None,
        }
    }

    /// Whether the optimum has the principal directions themselves, in order.
    pub(super) fn is_ordered(&self) -> bool {
        matches!(self, Self::NonUniformL2 { .. } | Self::NestedDropout { .. })
    }

    fn validate(&self, codes: usize) -> Result<(), Error> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        match self {
            Self::Plain => Ok(()),
            Self::L2 { lambda } | Self::Product { lambda } => {
                check::setting("lambda", "above 0 and finite", *lambda, positive(*lambda))
            }
            Self::NonUniformL2 { lambdas } => {
                check::length("lambdas, one per code", codes, lambdas.len())?;
                let wrong = (0..codes).find(|&i| !positive(lambdas[i]) || (i > 0 && lambdas[i] <= lambdas[i - 1]));
                wrong.map_or(Ok(()), |i| check::setting("lambdas", "above 0 and rising", lambdas[i], false))
            }
            Self::NestedDropout { prefixes } => {
                check::length("prefixes, one per code", codes, prefixes.len())?;
                let wrong = prefixes.iter().find(|&&p| !positive(p));
                wrong.map_or(Ok(()), |&p| check::setting("prefixes", "above 0 and finite", p, false))
            }
        }
    }
}

/// A linear autoencoder: `codes` numbers stand for a row, and `W₂ W₁ x` is its reconstruction.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearAutoencoder {
    /// Size of the code `k`, at most the rank of the centred data.
    pub codes: usize,
    /// What is minimised.
    pub objective: Objective,
    /// In which units.
    pub normalisation: Normalisation,
}

impl LinearAutoencoder {
    pub(super) fn validate(&self, factor: &Factor) -> Result<(), Error> {
        let ok = self.codes >= 1 && self.codes <= factor.rank();
        check::setting("codes", "between 1 and the rank of the centred data", self.codes as f64, ok)?;
        self.objective.validate(self.codes)
    }
}
