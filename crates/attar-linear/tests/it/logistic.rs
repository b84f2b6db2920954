//! Logistic regression against scikit-learn and against its own definition.

use attar_linear::{FALLBACK_L2, L2, LogisticRegression};
use faer::{Mat, MatRef};

use crate::support::{assert_close, rows_of, sample, table, table_labels, table_matrix};

fn tight(l2: L2) -> LogisticRegression {
    LogisticRegression { l2, tolerance: 2e-6, max_iterations: 5000 }
}

fn check_table(name: &str, x: Mat<f32>, labels: &[u32], l2: f64) {
    let fitted = tight(L2::Fixed(l2)).fit(x.as_ref(), labels, 3).unwrap();
    assert!(fitted.converged, "{name}: gradient {}", fitted.gradient_norm);
    assert_close(name, rows_of(fitted.weight.as_ref()), &table(&format!("logistic_{name}_weight")), 5e-4);
    let bias = fitted.bias.iter().map(|&b| f64::from(b));
    assert_close(name, bias, &table(&format!("logistic_{name}_bias")), 2e-3);
}

#[test]
fn agrees_with_scikit_learn() {
    check_table("strong", table_matrix("x", 5), &table_labels("labels"), 10.0);
    check_table("weak", table_matrix("x", 5), &table_labels("labels"), 0.5);
    check_table("wide", table_matrix("wide", 14), &table_labels("wide_labels"), 2.0);
}

/// The gradient of the documented objective by its definition, in `f64`, over the standardised weight.
fn naive_gradient_norm(codes: MatRef<'_, f32>, labels: &[u32], weight: &Mat<f64>, bias: &[f64], l2: f64) -> f64 {
    let (n, d) = (codes.nrows(), codes.ncols());
    let mean = |j: usize| (0..n).map(|i| f64::from(codes[(i, j)])).sum::<f64>() / n as f64;
    let means: Vec<f64> = (0..d).map(mean).collect();
    let spread =
        |j: usize| ((0..n).map(|i| (f64::from(codes[(i, j)]) - means[j]).powi(2)).sum::<f64>() / n as f64).sqrt();
    let scales: Vec<f64> = (0..d).map(spread).collect();
    let mut gradient =
        Mat::from_fn(bias.len(), d + 1, |c, j| if j < d { l2 * weight[(c, j)] * scales[j] } else { 0.0 });
    for i in 0..n {
        let logit = |c: usize| (0..d).map(|j| weight[(c, j)] * f64::from(codes[(i, j)])).sum::<f64>() + bias[c];
        let odds: Vec<f64> = (0..bias.len()).map(|c| logit(c).exp()).collect();
        let total: f64 = odds.iter().sum();
        for c in 0..bias.len() {
            let residual = odds[c] / total - if labels[i] as usize == c { 1.0 } else { 0.0 };
            for j in 0..d {
                gradient[(c, j)] += residual * (f64::from(codes[(i, j)]) - means[j]) / scales[j];
            }
            gradient[(c, d)] += residual;
        }
    }
    gradient.norm_l2() / n as f64
}

#[test]
fn the_reported_gradient_is_the_gradient() {
    for (rows, features, classes, l2, tolerance) in
        [(90, 7, 3, 3.0, 1e-2), (1500, 12, 4, 1.0, 1e-3), (30, 60, 2, 5.0, 1e-3)]
    {
        let (values, labels) = sample(rows, features, classes, 8);
        let codes = MatRef::from_row_major_slice(&values, rows, features);
        let config = LogisticRegression { l2: L2::Fixed(l2), tolerance, max_iterations: 200 };
        let fitted = config.fit(codes, &labels, classes).unwrap();
        let weight = Mat::from_fn(classes, features, |c, j| f64::from(fitted.weight[(c, j)]));
        let bias: Vec<f64> = fitted.bias.iter().map(|&b| f64::from(b)).collect();
        let naive = naive_gradient_norm(codes, &labels, &weight, &bias, l2);
        assert!(fitted.converged && fitted.gradient_norm <= tolerance);
        assert!((naive - fitted.gradient_norm).abs() < 2e-5, "naive {naive}, reported {}", fitted.gradient_norm);
    }
}

#[test]
fn few_iterations_are_reported_as_such() {
    let (values, labels) = sample(90, 7, 3, 8);
    let codes = MatRef::from_row_major_slice(&values, 90, 7);
    let config = LogisticRegression { l2: L2::Fixed(1.0), tolerance: 1e-6, max_iterations: 2 };
    let fitted = config.fit(codes, &labels, 3).unwrap();
    assert_eq!((fitted.iterations, fitted.converged), (2, false));
    assert!(fitted.gradient_norm > 1e-6);
}

/// Cross-validation one fold and one strength at a time would choose the same: scores are the folds' own losses.
#[test]
fn cross_validation_picks_the_least_loss_it_reports() {
    let (values, labels) = sample(240, 10, 3, 9);
    let codes = MatRef::from_row_major_slice(&values, 240, 10);
    let fitted = LogisticRegression::default().fit(codes, &labels, 3).unwrap();
    let best = fitted.scores.iter().min_by(|a, b| a.loss.total_cmp(&b.loss)).unwrap();
    assert_eq!(fitted.l2, best.l2);
    assert!(fitted.scores.is_sorted_by(|a, b| a.l2 > b.l2), "strongest first");
    let fixed = LogisticRegression { l2: L2::Fixed(best.l2), ..LogisticRegression::default() };
    let alone = fixed.fit(codes, &labels, 3).unwrap();
    assert_close("weight", rows_of(fitted.weight.as_ref()), &rows_of(alone.weight.as_ref()), 2e-2);
}

#[test]
fn noise_is_penalised_harder_than_signal() {
    let (values, labels) = sample(200, 12, 2, 10);
    let codes = MatRef::from_row_major_slice(&values, 200, 12);
    let shuffled: Vec<u32> = (0..200).map(|i| labels[(i * 37 + 11) % 200]).collect();
    let chosen = |labels: &[u32]| LogisticRegression::default().fit(codes, labels, 2).unwrap().l2;
    assert!(chosen(&shuffled) > chosen(&labels));
}

#[test]
fn below_three_labels_a_class_the_strength_is_fixed() {
    let (values, _) = sample(10, 6, 2, 11);
    let codes = MatRef::from_row_major_slice(&values, 10, 6);
    let fitted = LogisticRegression::default().fit(codes, &[0, 1, 0, 0, 1, 0, 0, 0, 0, 0], 2).unwrap();
    assert_eq!((fitted.l2, fitted.scores.len()), (FALLBACK_L2, 0));
    let fitted = LogisticRegression::default().fit(codes, &[0, 1, 0, 0, 1, 0, 0, 1, 0, 0], 2).unwrap();
    assert!(fitted.scores.len() > 1);
}

#[test]
fn constant_and_repeated_features_do_no_harm() {
    let (values, labels) = sample(80, 3, 2, 12);
    let plain = MatRef::from_row_major_slice(&values, 80, 3);
    let extended = Mat::from_fn(80, 5, |i, j| {
        if j < 3 {
            plain[(i, j)]
        } else if j == 3 {
            7.0
        } else {
            plain[(i, 0)]
        }
    });
    let fitted = tight(L2::Fixed(1.0)).fit(extended.as_ref(), &labels, 2).unwrap();
    assert!(fitted.converged);
    for c in 0..2 {
        assert_eq!(fitted.weight[(c, 3)], 0.0);
        assert!((fitted.weight[(c, 4)] - fitted.weight[(c, 0)]).abs() < 1e-5);
    }
}

#[test]
fn codes_without_information_give_the_commonest_class() {
    for features in [2, 9] {
        let codes = Mat::from_fn(6, features, |_, j| j as f32);
        let fitted = LogisticRegression::default().fit(codes.as_ref(), &[0, 1, 1, 1, 0, 1], 2).unwrap();
        assert!(fitted.converged);
        assert_eq!(fitted.predict(codes.as_ref()).unwrap(), [1; 6]);
        let odds = f64::from(fitted.bias[1] - fitted.bias[0]);
        assert!((odds - 2f64.ln()).abs() < 1e-3, "four against two");
    }
}
