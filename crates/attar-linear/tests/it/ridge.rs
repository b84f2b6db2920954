//! Ridge regression against scikit-learn and a naive cross-validation.

use attar_linear::{L2, Ridge};
use faer::{Mat, MatRef};

use crate::support::{assert_close, sample, table, table_matrix};

fn check_table(l2: &str) {
    let (x, targets) = (table_matrix("x", 5), table("targets"));
    let fitted = Ridge { l2: L2::Fixed(l2.parse().unwrap()) }.fit(x.as_ref(), &targets).unwrap();
    assert_close("weight", fitted.weight.clone(), &table(&format!("ridge_{l2}_weight")), 1e-5);
    assert_close("bias", [fitted.bias], &table(&format!("ridge_{l2}_bias")), 1e-4);
    let score = fitted.r_squared(x.as_ref(), &targets).unwrap();
    assert_close("R²", [score], &table(&format!("ridge_{l2}_r_squared")), 1e-7);
}

#[test]
fn agrees_with_scikit_learn() {
    check_table("0.1");
    check_table("25.0");
}

fn noisy_targets(values: &[f32], features: usize, noise: f64) -> Vec<f64> {
    let target = |(i, row): (usize, &[f32])| f64::from(row[0] - 2.0 * row[1]) + noise * ((i * i) as f64).sin();
    values.chunks(features).enumerate().map(target).collect()
}

/// Leaving one out, the folds are no matter of chance, so each can be fitted anew on rows standardised as a whole.
#[test]
fn scores_are_those_of_fits_that_never_saw_the_fold() {
    let (rows, features) = (14, 4);
    let (values, _) = sample(rows, features, 2, 13);
    let codes = MatRef::from_row_major_slice(&values, rows, features);
    let targets = noisy_targets(&values, features, 3.0);
    let l2 = L2::CrossValidated { folds: rows, strengths: vec![0.5, 20.0], seed: 3 };
    let fitted = Ridge { l2 }.fit(codes, &targets).unwrap();
    for score in &fitted.scores {
        let loss: f64 = (0..rows).map(|left_out| naive_error(codes, &targets, left_out, score.l2)).sum();
        assert!((score.loss - loss / rows as f64).abs() < 1e-4, "{} and not {}", score.loss, loss / rows as f64);
    }
    let best = fitted.scores.iter().min_by(|a, b| a.loss.total_cmp(&b.loss)).unwrap();
    assert_eq!(fitted.l2, best.l2);
}

/// The squared error on one row of the penalised least squares on the others, by the normal equations with a bias.
fn naive_error(codes: MatRef<'_, f32>, targets: &[f64], left_out: usize, l2: f64) -> f64 {
    let (n, d) = (codes.nrows(), codes.ncols());
    let mean = |j: usize| (0..n).map(|i| f64::from(codes[(i, j)])).sum::<f64>() / n as f64;
    let scale =
        |j: usize, m: f64| ((0..n).map(|i| (f64::from(codes[(i, j)]) - m).powi(2)).sum::<f64>() / n as f64).sqrt();
    let moments: Vec<(f64, f64)> = (0..d).map(|j| (mean(j), scale(j, mean(j)))).collect();
    let standard = |i: usize, j: usize| {
        if j == d { 1.0 } else { (f64::from(codes[(i, j)]) - moments[j].0) / moments[j].1 }
    };
    let kept: Vec<usize> = (0..n).filter(|&i| i != left_out).collect();
    let x = Mat::from_fn(kept.len(), d + 1, |i, j| standard(kept[i], j));
    let y = Mat::from_fn(kept.len(), 1, |i, _| targets[kept[i]]);
    let penalty = Mat::from_fn(d + 1, d + 1, |i, j| if i == j && i < d { l2 } else { 0.0 });
    let inverse = (x.transpose() * &x + penalty).full_piv_lu();
    let weight = faer::prelude::Solve::solve(&inverse, x.transpose() * &y);
    let predicted: f64 = (0..=d).map(|j| weight[(j, 0)] * standard(left_out, j)).sum();
    (predicted - targets[left_out]).powi(2)
}

#[test]
fn fewer_rows_than_features() {
    let (values, _) = sample(12, 40, 2, 14);
    let codes = MatRef::from_row_major_slice(&values, 12, 40);
    let targets = noisy_targets(&values, 40, 0.1);
    let fitted = Ridge { l2: L2::Fixed(1e-6) }.fit(codes, &targets).unwrap();
    assert!(fitted.r_squared(codes, &targets).unwrap() > 1.0 - 1e-6, "twelve rows can be met exactly");
    let strong = Ridge { l2: L2::Fixed(1e9) }.fit(codes, &targets).unwrap();
    let mean = targets.iter().sum::<f64>() / 12.0;
    assert_close("the mean", strong.predict(codes).unwrap(), &[mean; 12], 1e-4);
}

#[test]
fn codes_without_information_give_the_mean() {
    for features in [2, 9] {
        let codes = Mat::from_fn(5, features, |_, j| j as f32);
        let fitted = Ridge::default().fit(codes.as_ref(), &[1.0, 2.0, 4.0, 0.0, 3.0]).unwrap();
        assert_close("the mean", fitted.predict(codes.as_ref()).unwrap(), &[2.0; 5], 1e-9);
    }
}
