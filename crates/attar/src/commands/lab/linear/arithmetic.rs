//! Products of matrices on one thread, so that their bits do not depend on how many there are.

use attar_linear::linear_autoencoder::Weights;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

pub(super) fn product(left: MatRef<'_, f64>, right: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(left.nrows(), right.ncols());
    matmul(out.as_mut(), Accum::Replace, left, right, 1.0, Par::Seq);
    out
}

/// `W₂W₁`, `[features, features]`.
pub(super) fn map_of(weights: &Weights) -> Mat<f64> {
    product(weights.decoder.as_ref(), weights.encoder.as_ref())
}

/// `weights + step · direction`.
pub(super) fn moved(weights: &Weights, step: f64, direction: &Weights) -> Weights {
    Weights {
        encoder: &weights.encoder + &direction.encoder * faer::Scale(step),
        decoder: &weights.decoder + &direction.decoder * faer::Scale(step),
    }
}

/// The code multiplied by `by` and its inverse by the decoder: the same map.
pub(super) fn recoded(weights: &Weights, by: MatRef<'_, f64>, inverse: MatRef<'_, f64>) -> Weights {
    Weights { encoder: product(by, weights.encoder.as_ref()), decoder: product(weights.decoder.as_ref(), inverse) }
}

/// Numbers in a Gaussian's random order: the places of the `count` largest of `size` draws.
pub(super) fn drawn_indices(count: usize, size: usize, seed: u64) -> Vec<usize> {
    let draws = Weights::random(size, 1, 1.0, seed).decoder;
    let mut places: Vec<usize> = (0..size).collect();
    places.sort_by(|&a, &b| draws[(b, 0)].total_cmp(&draws[(a, 0)]));
    places.truncate(count);
    places
}

pub(super) fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NEG_INFINITY, |most, value| if value > most || value.is_nan() { value } else { most })
}

pub(super) fn smallest(values: impl IntoIterator<Item = f64>) -> f64 {
    -largest(values.into_iter().map(|value| -value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_do_not_hide_what_is_no_number() {
        assert_eq!((largest([1.0, 3.0, 2.0]), smallest([1.0, 3.0, 2.0])), (3.0, 1.0));
        assert!(largest([1.0, f64::NAN, 2.0]).is_nan() && smallest([f64::NAN, 2.0]).is_nan());
    }

    #[test]
    fn drawn_indices_are_different_and_in_range() {
        let mut indices = drawn_indices(7, 9, 3);
        indices.sort_unstable();
        indices.dedup();
        assert!(indices.len() == 7 && indices[6] < 9, "{indices:?}");
    }

    #[test]
    fn the_map_stays_when_the_code_is_multiplied() {
        let weights = Weights::random(4, 2, 1.0, 0);
        let by = faer::mat![[2.0, 1.0], [0.0, 4.0]];
        let inverse = faer::mat![[0.5, -0.125], [0.0, 0.25]];
        let other = recoded(&weights, by.as_ref(), inverse.as_ref());
        assert!((map_of(&weights) - map_of(&other)).norm_max() < 1e-14);
    }
}
