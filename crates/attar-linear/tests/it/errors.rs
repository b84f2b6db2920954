//! What is refused, and how it is said.

use attar_linear::{
    CodeHealth, Components, CovarianceSum, Error, FittedLinearProbe, KNearest, L2, LinearProbe, LogisticRegression,
    Pca, Ridge, Solver, accuracy, r_squared,
};
use faer::{Mat, mat};

fn good() -> Mat<f32> {
    mat![[0.0, 1.0], [1.0, 3.0], [2.0, 2.0], [4.0, 0.0]]
}

fn with(row: usize, column: usize, value: f32) -> Mat<f32> {
    let mut codes = good();
    codes[(row, column)] = value;
    codes
}

fn check<T: std::fmt::Debug>(result: Result<T, Error>, message: &str) {
    assert_eq!(result.unwrap_err().to_string(), message);
}

#[test]
fn every_fit_refuses_values_that_are_not_finite() {
    let message = "expected finite values, got NaN at row 2, column 1";
    let codes = with(2, 1, f32::NAN);
    let (x, labels) = (codes.as_ref(), [0, 1, 0, 1]);
    check(Pca::new(1).fit(x), message);
    check(LinearProbe::default().fit(x, &labels, 2), message);
    check(LogisticRegression::default().fit(x, &labels, 2), message);
    check(Ridge::default().fit(x, &[1.0, 2.0, 3.0, 4.0]), message);
    check(KNearest { k: 1 }.fit(x, &labels, 2), message);
    check(CodeHealth::of(x), message);
    check(Pca::new(1).fit(with(0, 0, f32::INFINITY).as_ref()), "expected finite values, got inf at row 0, column 0");
    let row_major = codes.transpose().to_owned();
    check(CodeHealth::of(row_major.transpose()), message);
}

const SOLVERS: [Solver; 6] = [
    Solver::Auto,
    Solver::Covariance,
    Solver::SingleCovariance,
    Solver::Gram,
    Solver::Svd,
    Solver::Randomised { oversampling: 2, iterations: 1, seed: 0 },
];

#[test]
fn every_solver_refuses_what_no_component_describes() {
    for solver in SOLVERS {
        let pca = Pca { solver, ..Pca::new(1) };
        check(pca.fit(with(2, 1, f32::NAN).as_ref()), "expected finite values, got NaN at row 2, column 1");
        check(
            pca.fit(Mat::from_fn(2000, 2, |i, _| if i < 1500 { 1.0 } else { f64::NEG_INFINITY }).as_ref()),
            "expected finite values, got -inf at row 1500, column 0",
        );
        let same = "expected rows that differ, got 1100 rows that are all the same";
        check(pca.fit(Mat::from_fn(1100, 3, |_, j| 0.1 * j as f32).as_ref()), same);
        check(pca.fit(Mat::from_fn(1100, 3, |_, j| 0.1 * j as f64).as_ref()), same);
        check(pca.fit(mat![[1.0f64, 2.0]].as_ref()), "expected at least 2 rows, got 1");
        let huge = pca.fit(mat![[1e200, 2.0], [-1e200, 3.0]].as_ref());
        assert!(matches!(huge, Err(Error::Range { .. })), "{solver:?}: {huge:?}");
        let endless = pca.fit(mat![[1.7e308, 2.0], [1.7e308, 3.0]].as_ref());
        assert!(matches!(endless, Err(Error::Range { .. })), "{solver:?}: {endless:?}");
        let most = "expected between 1 and 2 components (the smaller of rows and features), got 3";
        check(Pca { solver, ..Pca::new(3) }.fit(good().as_ref()), most);
    }
}

#[test]
fn numbers_of_components() {
    let fit = |components, solver| Pca { components, solver }.fit(good().as_ref());
    for share in [0.0, 1.0, -0.5, f64::NAN] {
        let message = format!("expected share to be above 0 and below 1, got {share}");
        check(fit(Components::Share(share), Solver::Auto), &message);
    }
    let message = "expected a number of components: the randomised solver sees only some of the variances";
    check(fit(Components::Mle, SOLVERS[5]), message);
    check(fit(Components::Share(0.5), SOLVERS[5]), message);
    let mle = Pca { components: Components::Mle, solver: Solver::Auto };
    check(mle.fit(good().transpose()), "expected at least 4 rows, got 2");
    assert!(mle.fit(good().subrows(0, 2)).is_ok(), "as many rows as features are enough");
}

#[test]
fn whitening_without_variance() {
    let rows = mat![[1.0, 2.0, 5.0], [2.0, 4.0, 5.0], [3.0, 6.0, 5.0], [5.0, 10.0, 5.0]];
    for solver in [Solver::Covariance, Solver::Gram, Solver::Svd] {
        let fitted = Pca { solver, ..Pca::new(2) }.fit(rows.as_ref()).unwrap();
        let message = "expected components with variance to whiten, got none along component 1";
        check(fitted.whiten(rows.as_ref()), message);
        check(fitted.unwhiten(rows.subcols(0, 2)), message);
    }
}

#[test]
fn stored_sums() {
    let parts = CovarianceSum::from_parts;
    check(parts(3, vec![0.0; 2], vec![1.0; 4]), "expected 3 values of a scatter matrix, got 4");
    check(parts(3, vec![0.0, f64::NAN], vec![1.0; 3]), "expected a stored sum to be finite, got NaN");
    check(parts(3, vec![0.0; 2], vec![1.0, 0.0, -1.0]), "expected a stored sum of squares to be at least 0, got -1");
}

#[test]
fn every_classifier_refuses_labels_that_teach_nothing() {
    let cases: [(&[u32], usize, &str); 4] = [
        (&[1, 1, 1, 1], 2, "expected at least two classes among the labels, got only class 1"),
        (&[0, 1, 2, 1], 5, "expected at least one row per class: 4 rows for 5 classes"),
        (&[0, 1, 2, 1], 2, "expected labels below 2, got 2 at row 2"),
        (&[0, 1, 0], 2, "expected 4 labels, one per row, got 3"),
    ];
    for (labels, classes, message) in cases {
        check(LinearProbe::default().fit(good().as_ref(), labels, classes), message);
        check(LogisticRegression::default().fit(good().as_ref(), labels, classes), message);
        check(KNearest { k: 1 }.fit(good().as_ref(), labels, classes), message);
    }
}

#[test]
fn shapes_and_settings() {
    let x = good();
    let asked = |asked| format!("expected between 1 and 2 components (the smaller of rows and features), got {asked}");
    check(Pca::new(3).fit(x.as_ref()), &asked(3));
    check(Pca::new(0).fit(x.as_ref()), &asked(0));
    check(Pca::new(1).fit(mat![[1.0f32, 2.0]].as_ref()), "expected at least 2 rows, got 1");
    check(Pca::new(1).fit(Mat::<f32>::zeros(3, 0).as_ref()), "expected at least one feature, got none");
    check(
        KNearest { k: 5 }.fit(x.as_ref(), &[0, 1, 0, 1], 2),
        "expected k to be between 1 and the number of rows, got 5",
    );
    let probe = LinearProbe { batch_size: 0, ..LinearProbe::default() };
    check(probe.fit(x.as_ref(), &[0, 1, 0, 1], 2), "expected batch_size to be at least 1, got 0");
    let ridge = |l2| Ridge { l2 }.fit(x.as_ref(), &[1.0, 2.0, 0.0, 1.0]);
    check(ridge(L2::Fixed(-1.0)), "expected l2 to be finite and not negative, got -1");
    let folds = L2::CrossValidated { folds: 1, strengths: vec![1.0], seed: 0 };
    check(ridge(folds), "expected folds to be at least 2, got 1");
    let target = Ridge::default().fit(x.as_ref(), &[1.0, f64::NAN, 0.0, 1.0]);
    check(target, "expected finite targets, got NaN at row 1");
}

#[test]
fn predictions_and_scores() {
    let layer = FittedLinearProbe { weight: Mat::zeros(2, 3), bias: vec![0.0; 2] };
    check(layer.predict(good().as_ref()), "expected 3 features, got 2");
    let layer = FittedLinearProbe { weight: Mat::zeros(2, 2), bias: vec![0.0; 3] };
    check(layer.predict(good().as_ref()), "expected 2 biases, one per class, got 3");
    check(accuracy(&[], &[]), "expected at least 1 rows, got 0");
    check(r_squared(&[1.0], &[1.0, 2.0]), "expected 2 predictions, one per target, got 1");
}

#[test]
fn a_refused_part_changes_no_sum() {
    let mut sum = CovarianceSum::new(2);
    sum.add(good().as_ref()).unwrap();
    let before = sum.covariance().unwrap();
    check(sum.add(with(3, 0, f32::NAN).as_ref()), "expected finite values, got NaN at row 3, column 0");
    check(sum.add(Mat::<f32>::zeros(2, 3).as_ref()), "expected 2 features, got 3");
    check(sum.merge(&CovarianceSum::new(3)), "expected 2 features, got 3");
    assert_eq!((sum.count(), sum.covariance().unwrap()), (4, before));
}
