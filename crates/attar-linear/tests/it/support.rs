//! Data, the table of expected values, and comparisons.

use chacha20::ChaCha8Rng;
use faer::{Mat, MatRef};
use rand::{RngExt, SeedableRng};

/// One entry of `expected/table.txt`, which `expected/make.py` wrote.
pub(crate) fn table(name: &str) -> Vec<f64> {
    let lines = include_str!("expected/table.txt").lines();
    let values = |line: &'static str| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
    let values = lines.filter_map(values).next().unwrap_or_else(|| panic!("the table has no {name}"));
    values.split(' ').map(|value| value.parse().unwrap()).collect()
}

/// A matrix of the table.
pub(crate) fn table_matrix(name: &str, columns: usize) -> Mat<f32> {
    let values = table(name);
    Mat::from_fn(values.len() / columns, columns, |i, j| values[i * columns + j] as f32)
}

/// A matrix of the table, as it is.
pub(crate) fn table_doubles(name: &str, columns: usize) -> Mat<f64> {
    let values = table(name);
    Mat::from_fn(values.len() / columns, columns, |i, j| values[i * columns + j])
}

pub(crate) fn table_labels(name: &str) -> Vec<u32> {
    table(name).into_iter().map(|label| label as u32).collect()
}

/// Fails where two lists differ by more than `tolerance` anywhere.
pub(crate) fn assert_close(what: &str, found: impl IntoIterator<Item = f64>, expected: &[f64], tolerance: f64) {
    let found: Vec<f64> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{what}, entry {i}: found {f}, expected {e}");
    }
}

pub(crate) fn rows_of(matrix: MatRef<'_, f32>) -> Vec<f64> {
    attar_linear::row_major(matrix).into_iter().map(f64::from).collect()
}

pub(crate) fn values_of(matrix: &Mat<f64>) -> Vec<f64> {
    attar_linear::row_major(matrix.as_ref())
}

/// Rows as those of [`sample`], in `f64`.
pub(crate) fn doubles(rows: usize, features: usize, seed: u64) -> Mat<f64> {
    let (values, _) = sample(rows, features, 3, seed);
    Mat::from_fn(rows, features, |i, j| f64::from(values[i * features + j]))
}

/// Correlated rows of unequal variances and means: `class` shifts the first features.
pub(crate) fn sample(rows: usize, features: usize, classes: usize, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let labels: Vec<u32> = (0..rows).map(|i| (i * 7 % (classes + 1)).min(classes - 1) as u32).collect();
    let mut values = Vec::with_capacity(rows * features);
    for &label in &labels {
        let mut previous = 0.0;
        for j in 0..features {
            let noise = rng.random_range(-1.0..1.0f32) * (1.0 + j as f32).sqrt();
            let shift = if j % classes == label as usize { 1.5 } else { 0.0 };
            previous = 0.4 * previous + noise;
            values.push(previous + shift + j as f32);
        }
    }
    (values, labels)
}
