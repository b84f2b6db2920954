//! The encoder and decoder, and the constant term of a model with biases.

use chacha20::ChaCha8Rng;
use faer::{Mat, MatRef};
use rand::SeedableRng;

use super::arithmetic::{inner, normal, product, times};
use crate::{Error, check};

/// The weights of a linear autoencoder `x ↦ W₂ W₁ x`, laid out as PyTorch's `nn.Linear` has them: `[out, in]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    /// `W₁`, `[codes, features]`.
    pub encoder: Mat<f64>,
    /// `W₂`, `[features, codes]`.
    pub decoder: Mat<f64>,
}

impl Weights {
    /// Independent normal weights of mean 0. Bao et al. (2020) start from a deviation of 0.001.
    pub fn random(features: usize, codes: usize, deviation: f64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let encoder = normal(codes, features, deviation, &mut rng);
        Self { encoder, decoder: normal(features, codes, deviation, &mut rng) }
    }

    /// The linear map `W₂ W₁`, `[features, features]`.
    pub fn map(&self) -> Mat<f64> {
        product(self.decoder.as_ref(), self.encoder.as_ref())
    }

    /// Whether the shapes are those of `codes` codes of `features` features.
    pub(super) fn fits(&self, features: usize, codes: usize) -> bool {
        self.encoder.shape() == (codes, features) && self.decoder.shape() == (features, codes)
    }

    pub(super) fn check(&self, features: usize, codes: usize) -> Result<(), Error> {
        check::length("rows of the encoder, one per code", codes, self.encoder.nrows())?;
        check::length("columns of the encoder, one per feature", features, self.encoder.ncols())?;
        check::length("rows of the decoder, one per feature", features, self.decoder.nrows())?;
        check::length("columns of the decoder, one per code", codes, self.decoder.ncols())
    }

    pub(super) fn zip(&self, other: &Self, map: impl Fn(f64, f64) -> f64) -> Self {
        let each = |a: &Mat<f64>, b: &Mat<f64>| Mat::from_fn(a.nrows(), a.ncols(), |i, j| map(a[(i, j)], b[(i, j)]));
        Self { encoder: each(&self.encoder, &other.encoder), decoder: each(&self.decoder, &other.decoder) }
    }

    /// `self + step · direction`.
    pub(super) fn moved(&self, step: f64, direction: &Self) -> Self {
        self.zip(direction, |w, d| w + step * d)
    }

    pub(super) fn inner(&self, other: &Self) -> f64 {
        inner(self.encoder.as_ref(), other.encoder.as_ref()) + inner(self.decoder.as_ref(), other.decoder.as_ref())
    }
}

/// The constant term `W₂ b₁ + b₂` of two layers with biases: the model is `x ↦ W₂ W₁ x + c`.
///
/// # Errors
/// Biases that do not fit the weights.
pub fn constant_term(weights: &Weights, encoder_bias: &[f64], decoder_bias: &[f64]) -> Result<Vec<f64>, Error> {
    check::length("biases of the encoder, one per code", weights.decoder.ncols(), encoder_bias.len())?;
    check::length("biases of the decoder, one per feature", weights.decoder.nrows(), decoder_bias.len())?;
    let through = times(weights.decoder.as_ref(), encoder_bias);
    Ok(through.iter().zip(decoder_bias).map(|(a, b)| a + b).collect())
}

/// The constant term that is best for rows of this mean, `mean - W₂ W₁ mean`: the mean is then reconstructed as it is.
///
/// For given weights the squared error is least where its residuals have mean zero, so with free biases an autoencoder
/// on raw rows is one without biases on centred rows (Bourlard & Kamp 1988). That needs the biases to be unpenalised;
/// PyTorch's `weight_decay` on all parameters penalises them too, and then this holds on centred rows only.
///
/// # Errors
/// Another number of features.
pub fn best_constant(weights: &Weights, mean: &[f64]) -> Result<Vec<f64>, Error> {
    check::length("means, one per feature", weights.encoder.ncols(), mean.len())?;
    Ok(residual_of_mean(weights, mean))
}

/// `(I - W₂ W₁) mean`.
pub(super) fn residual_of_mean(weights: &Weights, mean: &[f64]) -> Vec<f64> {
    let decoded = times(weights.decoder.as_ref(), &times(weights.encoder.as_ref(), mean));
    mean.iter().zip(&decoded).map(|(x, y)| x - y).collect()
}

/// The first `count` columns.
pub(super) fn first(matrix: MatRef<'_, f64>, count: usize) -> MatRef<'_, f64> {
    matrix.subcols(0, count)
}
