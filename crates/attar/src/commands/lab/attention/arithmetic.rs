//! Random inputs, and what is read off many numbers.

use attar_data::random::{Purpose, stream};
use attar_ops::{NORMALS, standard_normals};
use rand::Rng;

/// Independent standard normal numbers, decided by the seed and by what they are for: question, case and part.
pub(super) fn normals(count: usize, seed: u64, [question, case, part]: [u64; 3]) -> Vec<f64> {
    let mut rng = stream(seed, Purpose::Laboratory, question, case, part);
    let mut values = Vec::with_capacity(count + NORMALS);
    while values.len() < count {
        values.extend(standard_normals(&std::array::from_fn(|_| rng.next_u32())).map(f64::from));
    }
    values.truncate(count);
    values
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The largest; what is no number is not hidden.
pub(super) fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(f64::NEG_INFINITY, |most, value| if value > most || value.is_nan() { value } else { most })
}

/// The largest difference of two arrays over the largest value of the second.
pub(super) fn difference(found: &[f64], expected: &[f64]) -> f64 {
    let size = largest(expected.iter().map(|value| value.abs()));
    largest(found.iter().zip(expected).map(|(found, expected)| (found - expected).abs())) / size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_are_normal_and_their_own() {
        let values = normals(40_000, 5, [1, 2, 3]);
        let squares: Vec<f64> = values.iter().map(|value| value * value).collect();
        // Five standard errors of mean and variance.
        assert!(mean(&values).abs() < 5.0 / 200.0 && (mean(&squares) - 1.0).abs() < 5.0 * 2.0_f64.sqrt() / 200.0);
        assert_eq!(values[..100], normals(100, 5, [1, 2, 3])[..]);
        assert_ne!(values[..100], normals(100, 5, [1, 2, 4])[..]);
    }

    #[test]
    fn what_is_read_off_is_right() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), norm(&[3.0, 4.0])), (2.0, 5.0));
        assert_eq!(difference(&[1.0, -4.5], &[1.0, -4.0]), 0.125);
        assert!(largest([1.0, f64::NAN, 2.0]).is_nan());
    }
}
