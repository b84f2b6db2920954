//! A linear autoencoder's loss on given data: value, gradient, and its values along a line.
//!
//! All five objectives are one formula. With `C = W₁R`, `G = R Cᵀ`, `S = C Cᵀ`, `A = W₂ᵀW₂`, `K = R Rᵀ` and the tails
//! `P_i = Σ_{b ≥ i} p_b` of the prefix weights, half the gradient is
//!
//! ```text
//! ∂W₂ = W₂ (T ∘ S) - G D + W₂ Λ + λ W₂ (W₁W₁ᵀ)      T_ij = P_max(i,j),  D = diag(P)
//! ∂W₁ = (T ∘ A) Gᵀ - D W₂ᵀ K + Λ W₁ + λ A W₁
//! ```
//!
//! where without nested dropout `P` is 1, and `Λ` and `λ` are 0 unless the objective has them. The masked form is that
//! of the code of Bao et al. (2020, `models/linear_ae_nested_dropout.py`).

use faer::{Mat, MatRef};

use super::arithmetic::{inner, product, scaled_columns, scaled_rows, subtract_product};
use super::{Evaluation, Factor, LinearAutoencoder, Objective, Weights};
use crate::Error;

/// A validated configuration with its data.
pub(super) struct Problem<'a> {
    pub(super) config: &'a LinearAutoencoder,
    pub(super) factor: &'a Factor,
    /// `R`, `[features, rank]`.
    pub(super) root: Mat<f64>,
    pub(super) terms: Terms,
}

/// The coefficients of the objective, per code.
pub(super) struct Terms {
    /// `p`: weights of the prefixes; of the whole code alone without nested dropout.
    prefixes: Vec<f64>,
    /// `P`, the sums of `p` from each code on.
    pub(super) tails: Vec<f64>,
    /// The diagonal of `Λ`.
    pub(super) strengths: Vec<f64>,
    /// `λ` of the product penalty.
    pub(super) product: f64,
}

/// Half the gradient by its parts: what is added, and what is taken off.
struct HalfGradient {
    gradient: Weights,
    /// The sum of the norms of the parts, for encoder and decoder.
    parts: (f64, f64),
}

impl Terms {
    pub(super) fn of(objective: &Objective, codes: usize) -> Self {
        let whole = |i: usize| if i + 1 == codes { 1.0 } else { 0.0 };
        let prefixes = match objective {
            Objective::NestedDropout { prefixes } => prefixes.clone(),
            _ => (0..codes).map(whole).collect(),
        };
        let tails = (0..codes).map(|i| prefixes[i..].iter().sum()).collect();
        let strengths = objective.strengths(codes).unwrap_or(vec![0.0; codes]);
        let product = if let Objective::Product { lambda } = objective { *lambda } else { 0.0 };
        Self { prefixes, tails, strengths, product }
    }

    /// `T ∘ matrix`.
    pub(super) fn masked(&self, matrix: MatRef<'_, f64>) -> Mat<f64> {
        Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| self.tails[i.max(j)] * matrix[(i, j)])
    }

    /// The whole gradient on data whose root is `root`.
    pub(super) fn gradient(&self, root: MatRef<'_, f64>, weights: &Weights) -> Weights {
        let half = self.half_gradient(root, weights).gradient;
        half.zip(&half, |a, b| a + b)
    }

    fn half_gradient(&self, root: MatRef<'_, f64>, weights: &Weights) -> HalfGradient {
        let (w1, w2) = (weights.encoder.as_ref(), weights.decoder.as_ref());
        let codes = product(w1, root);
        let g = product(root, codes.transpose());
        let a = product(w2.transpose(), w2);
        let s = self.masked(product(codes.as_ref(), codes.transpose()).as_ref());
        let k = product(product(w2.transpose(), root).as_ref(), root.transpose());
        let [encoder_penalty, decoder_penalty] = self.penalty_gradient(weights, a.as_ref());
        let encoder = [
            product(self.masked(a.as_ref()).as_ref(), g.transpose()),
            scaled_rows(k.as_ref(), &self.tails),
            encoder_penalty,
        ];
        let decoder = [product(w2, s.as_ref()), scaled_columns(g.as_ref(), &self.tails), decoder_penalty];
        let norms = |parts: &[Mat<f64>; 3]| parts.iter().map(Mat::norm_l2).sum();
        let parts = (norms(&encoder), norms(&decoder));
        let sum = |[plus, minus, penalty]: [Mat<f64>; 3]| plus - minus + penalty;
        HalfGradient { gradient: Weights { encoder: sum(encoder), decoder: sum(decoder) }, parts }
    }

    fn penalty_gradient(&self, weights: &Weights, a: MatRef<'_, f64>) -> [Mat<f64>; 2] {
        let (w1, w2) = (weights.encoder.as_ref(), weights.decoder.as_ref());
        if self.product > 0.0 {
            let b = product(w1, w1.transpose());
            return [product(a, w1) * self.product, product(w2, b.as_ref()) * self.product];
        }
        [scaled_rows(w1, &self.strengths), scaled_columns(w2, &self.strengths)]
    }

    /// `Σ_b p_b ‖E_b‖²` with the errors of every prefix, as the coefficients of a polynomial in the step along
    /// `direction`: `E_b(t) = R - W₂(t) π_b W₁(t) R` is quadratic in `t`.
    fn errors_along(&self, root: MatRef<'_, f64>, weights: &Weights, direction: &Weights) -> [f64; 5] {
        let (c, f) = (product(weights.encoder.as_ref(), root), product(direction.encoder.as_ref(), root));
        let (w, d) = (weights.decoder.as_ref(), direction.decoder.as_ref());
        let mut error =
            [root.to_owned(), Mat::zeros(root.nrows(), root.ncols()), Mat::zeros(root.nrows(), root.ncols())];
        let mut sum = [0.0; 5];
        for (from, to, weight) in self.pieces() {
            let (w, d) = (w.subcols(from, to - from), d.subcols(from, to - from));
            let (c, f) = (c.subrows(from, to - from), f.subrows(from, to - from));
            subtract_product(&mut error[0], w, c);
            subtract_product(&mut error[1], d, c);
            subtract_product(&mut error[1], w, f);
            subtract_product(&mut error[2], d, f);
            add_square(&mut sum, &error, weight);
        }
        sum
    }

    /// `Σ_b p_b ‖E_b‖²` on data whose root is `root`.
    pub(super) fn errors(&self, root: MatRef<'_, f64>, weights: &Weights) -> f64 {
        let codes = product(weights.encoder.as_ref(), root);
        let mut error = root.to_owned();
        let mut sum = 0.0;
        for (from, to, weight) in self.pieces() {
            let (w, c) = (weights.decoder.as_ref().subcols(from, to - from), codes.as_ref().subrows(from, to - from));
            subtract_product(&mut error, w, c);
            sum += weight * error.squared_norm_l2();
        }
        sum
    }

    /// The codes that each prefix of positive weight adds to the one before, and its weight.
    fn pieces(&self) -> Vec<(usize, usize, f64)> {
        let mut from = 0;
        let mut pieces = Vec::new();
        for (i, &weight) in self.prefixes.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
            pieces.push((from, i + 1, weight));
            from = i + 1;
        }
        pieces
    }

    fn penalty(&self, weights: &Weights) -> f64 {
        let code = |i: usize| weights.encoder.row(i).squared_norm_l2() + weights.decoder.col(i).squared_norm_l2();
        let sum: f64 = self.strengths.iter().enumerate().filter(|(_, l)| **l > 0.0).map(|(i, l)| l * code(i)).sum();
        if self.product > 0.0 { sum + self.product * weights.map().squared_norm_l2() } else { sum }
    }

    fn penalty_along(&self, weights: &Weights, direction: &Weights) -> [f64; 5] {
        let mut sum = [0.0; 5];
        let strong = Weights {
            encoder: scaled_rows(direction.encoder.as_ref(), &self.strengths),
            decoder: scaled_columns(direction.decoder.as_ref(), &self.strengths),
        };
        sum[1] = 2.0 * weights.inner(&strong);
        sum[2] = direction.inner(&strong);
        sum[0] = self.penalty(weights);
        if self.product > 0.0 {
            let mixed = |a: &Weights, b: &Weights| product(a.decoder.as_ref(), b.encoder.as_ref());
            let map = [weights.map(), mixed(weights, direction) + mixed(direction, weights), direction.map()];
            sum[0] -= self.product * map[0].squared_norm_l2();
            add_square(&mut sum, &map, self.product);
        }
        sum
    }

    /// The natural size of half the gradient where the weights vanish: the penalty on weights of norm 1. Other
    /// objectives have none, as the scale of one weight is then free.
    fn floor(&self) -> f64 {
        self.strengths.iter().copied().fold(0.0, f64::max)
    }
}

impl<'a> Problem<'a> {
    pub(super) fn new(config: &'a LinearAutoencoder, factor: &'a Factor) -> Result<Self, Error> {
        config.validate(factor)?;
        let terms = Terms::of(&config.objective, config.codes);
        Ok(Self { config, factor, root: factor.root(config.normalisation), terms })
    }

    pub(super) fn check(&self, weights: &Weights) -> Result<(), Error> {
        weights.check(self.factor.features(), self.config.codes)
    }

    pub(super) fn evaluate(&self, weights: &Weights) -> Evaluation {
        let HalfGradient { gradient, parts } = self.terms.half_gradient(self.root.as_ref(), weights);
        let floor = self.terms.floor();
        let share = |part: &Mat<f64>, whole: f64| {
            let size = part.norm_l2();
            if size == 0.0 { 0.0 } else { size / whole.hypot(floor) }
        };
        let residuals = [share(&gradient.encoder, parts.0), share(&gradient.decoder, parts.1)];
        let residual = if residuals.iter().any(|r| r.is_nan()) { f64::NAN } else { residuals[0].max(residuals[1]) };
        let reconstruction = self.terms.errors(self.root.as_ref(), weights);
        let penalty = self.terms.penalty(weights);
        let gradient = gradient.zip(&gradient, |a, b| a + b);
        Evaluation { loss: reconstruction + penalty, reconstruction, penalty, gradient, residual }
    }

    pub(super) fn along(&self, weights: &Weights, direction: &Weights) -> [f64; 5] {
        let errors = self.terms.errors_along(self.root.as_ref(), weights, direction);
        let penalty = self.terms.penalty_along(weights, direction);
        std::array::from_fn(|i| errors[i] + penalty[i])
    }
}

/// Adds `weight · ‖M₀ + t M₁ + t² M₂‖²` to the coefficients of a polynomial in `t`.
fn add_square(sum: &mut [f64; 5], matrices: &[Mat<f64>; 3], weight: f64) {
    for i in 0..3 {
        sum[2 * i] += weight * matrices[i].squared_norm_l2();
        for j in 0..i {
            sum[i + j] += 2.0 * weight * inner(matrices[i].as_ref(), matrices[j].as_ref());
        }
    }
}
