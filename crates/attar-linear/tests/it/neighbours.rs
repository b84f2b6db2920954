//! Nearest neighbours against scikit-learn and a naive search.

use attar_linear::KNearest;
use faer::{MatRef, mat};
use proptest::prelude::*;

use crate::support::{sample, table_labels, table_matrix};

#[test]
fn agrees_with_scikit_learn() {
    for k in [1, 4, 7] {
        let fitted = KNearest { k }.fit(table_matrix("x", 5).as_ref(), &table_labels("labels"), 3).unwrap();
        let predicted = fitted.predict(table_matrix("queries", 5).as_ref()).unwrap();
        assert_eq!(predicted, table_labels(&format!("neighbours_{k}")), "k = {k}");
    }
}

#[test]
fn ties_go_to_the_earlier_row_and_the_smaller_label() {
    let codes = mat![[1.0f32], [-1.0], [1.0], [-1.0], [5.0]];
    let labels = [2, 1, 0, 0, 1];
    let predict = |k, query: f32| {
        KNearest { k }.fit(codes.as_ref(), &labels, 3).unwrap().predict(mat![[query]].as_ref()).unwrap()[0]
    };
    assert_eq!(predict(1, 0.0), 2, "all four are as near: the first row");
    assert_eq!(predict(2, 0.0), 1, "labels 2 and 1 once each: the smaller");
    assert_eq!(predict(4, 0.0), 0, "label 0 twice");
    assert_eq!(predict(1, 1.0), 2, "a row and its copy: the earlier");
}

fn naive(codes: &[f32], labels: &[u32], features: usize, classes: usize, k: usize, query: &[f32]) -> u32 {
    let square = |row: &[f32]| row.iter().zip(query).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    let mut order: Vec<(f64, usize)> = codes.chunks(features).map(square).zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let votes = |class: u32| order[..k].iter().filter(|(_, row)| labels[*row] == class).count();
    (0..classes as u32).rev().max_by_key(|&class| votes(class)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Small whole numbers, so that distances tie often and are exact.
    #[test]
    fn agrees_with_a_naive_search(rows in 4usize..1100, features in 1usize..6, k in 1usize..9, seed in 0u64..1000) {
        let (values, labels) = sample(rows + 20, features, 3, seed);
        let values: Vec<f32> = values.iter().map(|v| v.round()).collect();
        let (codes, queries) = values.split_at(rows * features);
        let k = k.min(rows);
        let fitted = KNearest { k }.fit(MatRef::from_row_major_slice(codes, rows, features), &labels[..rows], 3).unwrap();
        let found = fitted.predict(MatRef::from_row_major_slice(queries, 20, features)).unwrap();
        let expected: Vec<u32> =
            queries.chunks(features).map(|query| naive(codes, &labels[..rows], features, 3, k, query)).collect();
        prop_assert_eq!(found, expected);
    }
}
