//! The covariance sum: parts, merging, storing.

use attar_linear::{CovarianceSum, Pca, Solver};
use faer::{Mat, MatRef};
use proptest::prelude::*;

use crate::support::{doubles, sample};

/// The covariance by its definition.
fn naive_covariance(values: &[f32], features: usize) -> Mat<f64> {
    let rows: Vec<&[f32]> = values.chunks(features).collect();
    let n = rows.len() as f64;
    let mean = |j: usize| rows.iter().map(|row| f64::from(row[j])).sum::<f64>() / n;
    let means: Vec<f64> = (0..features).map(mean).collect();
    let deviation = |row: &&[f32], j: usize| f64::from(row[j]) - means[j];
    Mat::from_fn(features, features, |i, j| {
        rows.iter().map(|row| deviation(row, i) * deviation(row, j)).sum::<f64>() / (n - 1.0)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parts_sum_to_the_whole(rows in 2usize..60, features in 1usize..9, cut in 0usize..60, seed in 0u64..1000) {
        let (values, _) = sample(rows, features, 2, seed);
        let cut = cut.min(rows);
        let view = |from: usize, to: usize| {
            MatRef::from_row_major_slice(&values[from * features..to * features], to - from, features)
        };
        let (mut first, mut second) = (CovarianceSum::new(features), CovarianceSum::new(features));
        first.add(view(0, cut)).unwrap();
        second.add(view(cut, rows)).unwrap();
        first.merge(&second).unwrap();
        prop_assert_eq!(first.count(), rows);
        let difference = first.covariance().unwrap() - naive_covariance(&values, features);
        prop_assert!(difference.norm_max() < 1e-10);
    }
}

/// More rows than are handled at once, more features than a panel has, some of them constant for a while.
#[test]
fn blocks_waves_and_panels_do_not_show() {
    let (rows, features) = (9500, 300);
    let (mut values, _) = sample(rows, features, 3, 3);
    for i in 0..rows {
        for j in (0..features).step_by(3) {
            values[i * features + j] = if j == 0 || i < 2000 { j as f32 / 7.0 } else { values[i * features + j] };
        }
    }
    let mut sum = CovarianceSum::new(features);
    sum.add(MatRef::from_row_major_slice(&values, rows, features)).unwrap();
    let (found, expected) = (sum.covariance().unwrap(), naive_covariance(&values, features));
    assert!((&found - &expected).norm_max() < 1e-12 * expected.norm_max());
    assert_eq!(found[(0, 0)], 0.0, "a constant feature has no variance at all");
    let column_major = MatRef::from_row_major_slice(&values, rows, features).to_owned();
    let mut same = CovarianceSum::new(features);
    same.add(column_major.as_ref()).unwrap();
    assert_eq!(sum, same, "however the rows lie in memory");
}

/// A mean a million standard deviations away costs six digits of the data, and no more of the covariance.
#[test]
fn far_from_zero() {
    let near = doubles(500, 3, 2);
    let far = Mat::from_fn(500, 3, |i, j| near[(i, j)] + 1e6);
    let variances =
        |rows: &Mat<f64>, solver| Pca { solver, ..Pca::new(3) }.fit(rows.as_ref()).unwrap().explained_variance;
    for solver in [Solver::Covariance, Solver::Svd] {
        for (a, b) in variances(&near, solver).iter().zip(variances(&far, solver)) {
            assert!((a / b - 1.0).abs() < 1e-9, "{solver:?}: {a} and {b}");
        }
    }
}

/// Sums of shards, stored in between, lead to the same components whatever the order.
#[test]
fn shards_are_stored_and_merged() {
    let rows = doubles(3000, 7, 8);
    let shard = |start: usize, length: usize| {
        let mut sum = CovarianceSum::new(7);
        sum.add(rows.subrows(start, length)).unwrap();
        let stored = (sum.count(), sum.mean().to_vec(), sum.scatter().to_vec());
        let back = CovarianceSum::from_parts(stored.0, stored.1, stored.2).unwrap();
        assert_eq!(back, sum);
        back
    };
    let shards = [shard(0, 1700), shard(1700, 3), shard(1703, 1297)];
    let whole = Pca::new(4).fit(rows.as_ref()).unwrap();
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let mut sum = CovarianceSum::new(7);
        order.into_iter().for_each(|place| sum.merge(&shards[place]).unwrap());
        let fitted = Pca::new(4).fit_covariance(&sum).unwrap();
        assert!((&fitted.components - &whole.components).norm_max() < 1e-12);
        assert_eq!(sum.count(), 3000);
    }
    let mut empty = CovarianceSum::new(7);
    empty.merge(&CovarianceSum::new(7)).unwrap();
    assert_eq!(empty, CovarianceSum::new(7));
}
