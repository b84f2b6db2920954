//! PCA and the covariance sum.

use attar_linear::{CovarianceSum, Pca};
use faer::{Mat, MatRef};
use proptest::prelude::*;

use crate::support::{assert_close, rows_of, sample, table, table_matrix};

#[test]
fn agrees_with_scikit_learn() {
    let fitted = Pca::new(3).fit(table_matrix("x", 5).as_ref()).unwrap();
    let components = fitted.components.row_iter().flat_map(|row| row.iter().copied().collect::<Vec<_>>());
    assert_close("components", components, &table("pca_components"), 1e-9);
    assert_close("variance", fitted.explained_variance.clone(), &table("pca_variance"), 1e-9);
    assert_close("ratio", fitted.explained_variance_ratio.clone(), &table("pca_ratio"), 1e-12);
    let codes = fitted.transform(table_matrix("queries", 5).as_ref()).unwrap();
    assert_close("codes", rows_of(codes.as_ref()), &table("pca_codes"), 1e-5);
}

#[test]
fn the_ratio_is_of_the_total_variance() {
    let (values, _) = sample(60, 6, 2, 1);
    let fitted = Pca::new(2).fit(MatRef::from_row_major_slice(&values, 60, 6)).unwrap();
    let total: f64 = fitted.spectrum.iter().sum();
    assert_eq!(fitted.spectrum.len(), 6);
    assert!((fitted.explained_variance_ratio[0] - fitted.spectrum[0] / total).abs() < 1e-15);
    assert!(fitted.explained_variance_ratio.iter().sum::<f64>() < 0.9);
}

#[test]
fn more_features_than_rows() {
    let (values, _) = sample(7, 20, 2, 2);
    let rows = MatRef::from_row_major_slice(&values, 7, 20);
    let fitted = Pca::new(7).fit(rows).unwrap();
    let back = fitted.inverse_transform(fitted.transform(rows).unwrap().as_ref()).unwrap();
    assert_close("rows", rows_of(back.as_ref()), &rows_of(rows), 1e-4);
    assert!(fitted.spectrum[6] < 1e-9 * fitted.spectrum[0], "seven rows span six directions");
}

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

    #[test]
    fn components_are_orthonormal_ordered_and_signed(rows in 12usize..50, features in 2usize..10, seed in 0u64..1000) {
        let (values, _) = sample(rows, features, 2, seed);
        let data = MatRef::from_row_major_slice(&values, rows, features);
        let fitted = Pca::new(features).fit(data).unwrap();
        let identity = &fitted.components * fitted.components.transpose() - Mat::<f64>::identity(features, features);
        prop_assert!(identity.norm_max() < 1e-12);
        prop_assert!(fitted.explained_variance.is_sorted_by(|a, b| a >= b));
        for row in fitted.components.row_iter() {
            let largest = row.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
            prop_assert!(largest > 0.0);
        }
        let back = fitted.inverse_transform(fitted.transform(data).unwrap().as_ref()).unwrap();
        assert_close("rows", rows_of(back.as_ref()), &rows_of(data), 1e-4);
    }
}

#[test]
fn blocks_and_tiles_do_not_show() {
    let (values, _) = sample(2500, 200, 3, 3);
    let mut sum = CovarianceSum::new(200);
    sum.add(MatRef::from_row_major_slice(&values, 2500, 200)).unwrap();
    let difference = sum.covariance().unwrap() - naive_covariance(&values, 200);
    assert!(difference.norm_max() < 1e-10, "{}", difference.norm_max());
}
