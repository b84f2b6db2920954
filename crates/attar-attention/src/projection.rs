//! The random matrix of the positive random features.

use attar_ops::{NORMALS, standard_normals};
use chacha20::ChaCha8Rng;
use rand::rand_core::{Rng, SeedableRng};

/// `[features, dim]`, row-major: rows as long as independent normal vectors are, and orthogonal to each other within
/// each `dim` of them (Choromanski et al. 2021, section 3.1, "orthogonal random features").
///
/// The values are those of `f32`, so that the similarity is the same in every type.
pub(crate) fn projection(features: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = normal_vectors(features, dim, &mut rng);
    let lengths: Vec<f64> = normal_vectors(features, dim, &mut rng).chunks_exact(dim).map(length).collect();
    rows.chunks_mut(dim * dim).for_each(|block| orthonormalise(block, dim));
    for (row, length) in rows.chunks_exact_mut(dim).zip(lengths) {
        row.iter_mut().for_each(|value| *value *= length);
    }
    rows.into_iter().map(|value| value as f32).collect()
}

fn normal_vectors(rows: usize, dim: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut values = Vec::with_capacity(rows * dim + NORMALS);
    while values.len() < rows * dim {
        values.extend(standard_normals(&std::array::from_fn(|_| rng.next_u32())).map(f64::from));
    }
    values.truncate(rows * dim);
    values
}

fn length(row: &[f64]) -> f64 {
    row.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// Gram and Schmidt, twice for each row: once leaves some of what it takes away.
fn orthonormalise(rows: &mut [f64], dim: usize) {
    for at in 0..rows.len() / dim {
        let (before, rest) = rows.split_at_mut(at * dim);
        let row = &mut rest[..dim];
        for other in before.chunks_exact(dim).chain(before.chunks_exact(dim)) {
            let along: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
        let length = length(row);
        row.iter_mut().for_each(|value| *value /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_orthogonal_within_a_block_and_normally_long() {
        let (features, dim) = (40, 16);
        let rows = projection(features, dim, 7);
        let product = |a: usize, b: usize| -> f64 {
            (0..dim).map(|at| f64::from(rows[a * dim + at]) * f64::from(rows[b * dim + at])).sum()
        };
        for a in 0..features {
            for b in 0..a {
                assert_eq!(product(a, b).abs() < 1e-5, a / dim == b / dim, "{a} {b}");
            }
        }
        let mean = (0..features).map(|row| product(row, row)).sum::<f64>() / features as f64;
        // A squared length has mean 16 and variance 32.
        assert!((mean - 16.0).abs() < 4.0 * f64::sqrt(32.0 / features as f64), "{mean}");
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(projection(5, 3, 1), projection(5, 3, 1));
        assert_ne!(projection(5, 3, 1), projection(5, 3, 2));
    }

    /// The mean over many features is the similarity of softmax.
    #[test]
    fn the_mean_is_softmax() {
        let (features, dim) = (200_000, 4);
        let rows = projection(features, dim, 3);
        let (q, k) = ([0.3, -0.5, 0.2, 0.4], [0.1, 0.6, -0.3, 0.5]);
        let squares: f64 = q.iter().chain(&k).map(|x| x * x).sum();
        let terms = rows.chunks_exact(dim).map(|row| {
            let along: f64 = row.iter().zip(q.iter().zip(&k)).map(|(w, (q, k))| f64::from(*w) * (q + k)).sum();
            (along - squares / 2.0).exp()
        });
        let mean = terms.sum::<f64>() / features as f64;
        let want = q.iter().zip(&k).map(|(q, k)| q * k).sum::<f64>().exp();
        // The variance of a term, of independent rows: an upper bound here.
        let variance = (q.iter().zip(&k).map(|(q, k)| (q + k) * (q + k)).sum::<f64>()).exp() * want * want;
        assert!((mean - want).abs() < 4.0 * f64::sqrt(variance / features as f64), "{mean} for {want}");
    }
}
