//! PCA against scikit-learn, its solvers against each other, and what they do with hard data.

use attar_linear::{Components, CovarianceSum, FittedPca, Pca, Real, Solver};
use faer::{Mat, MatRef};

use crate::support::{assert_close, doubles, rows_of, sample, table, table_doubles, table_matrix, values_of};

const EXACT: [Solver; 3] = [Solver::Covariance, Solver::Gram, Solver::Svd];
const RANDOMISED: Solver = Solver::Randomised { oversampling: 10, iterations: 4, seed: 5 };

fn fit<T: Real>(rows: &Mat<T>, components: usize, solver: Solver) -> FittedPca {
    Pca { components: Components::Number(components), solver }.fit(rows.as_ref()).unwrap()
}

fn single(rows: &Mat<f64>) -> Mat<f32> {
    Mat::from_fn(rows.nrows(), rows.ncols(), |i, j| rows[(i, j)] as f32)
}

/// Variances to 1e-10 of the largest, the rest to 1e-8, where the gaps between variances allow it: here everywhere.
fn check_against_table(name: &str, features: usize, components: usize, solver: Solver) {
    let rows = table_doubles(&format!("pca_{name}"), features);
    let fitted = fit(&rows, components, solver);
    let largest = fitted.explained_variance[0];
    let check = |what: &str, found: Vec<f64>, tolerance: f64| {
        assert_close(&format!("{name} {what} {solver:?}"), found, &table(&format!("pca_{name}_{what}")), tolerance);
    };
    check("mean", fitted.mean.clone(), 1e-12);
    check("components", values_of(&fitted.components), 1e-8);
    check("variance", fitted.explained_variance.clone(), 1e-10 * largest);
    check("ratio", fitted.explained_variance_ratio.clone(), 1e-10);
    check("singular", fitted.singular_values.clone(), 1e-8);
    check("noise", vec![fitted.noise_variance], 1e-10 * largest);
    check("codes", values_of(&fitted.transform(rows.as_ref()).unwrap()), 1e-8);
    check("white", values_of(&fitted.whiten(rows.as_ref()).unwrap()), 1e-8);
}

#[test]
fn agrees_with_scikit_learn() {
    for solver in [Solver::Auto, Solver::Covariance, Solver::Gram, Solver::Svd, RANDOMISED] {
        check_against_table("tall", 6, 4, solver);
        check_against_table("few", 12, 5, solver);
        check_against_table("flat", 5, 3, solver);
    }
}

#[test]
fn agrees_with_scikit_learn_on_single_rows() {
    for (solver, tolerance) in [(Solver::Covariance, 1e-9), (Solver::SingleCovariance, 1e-5)] {
        let fitted = fit(&table_matrix("x", 5), 3, solver);
        assert_close("components", values_of(&fitted.components), &table("pca_components"), tolerance);
        assert_close("variance", fitted.explained_variance.clone(), &table("pca_variance"), tolerance);
        assert_close("ratio", fitted.explained_variance_ratio.clone(), &table("pca_ratio"), tolerance);
        let codes = fitted.transform(table_matrix("queries", 5).as_ref()).unwrap();
        assert_close("codes", rows_of(codes.as_ref()), &table("pca_codes"), 1e-4);
    }
}

#[test]
fn minka_and_shares_agree_with_scikit_learn() {
    let all = table_doubles("pca_signals", 8);
    let mut start = 0;
    for (i, rows) in table("pca_signals_rows").into_iter().enumerate() {
        let signal = all.subrows(start, rows as usize);
        start += rows as usize;
        for solver in [Solver::Auto, Solver::Covariance, Solver::Svd] {
            let count = |components| Pca { components, solver }.fit(signal).unwrap().components.nrows() as f64;
            assert_eq!(count(Components::Mle), table("pca_signals_mle")[i], "signal {i}, {solver:?}");
            assert_eq!(count(Components::Share(0.9)), table("pca_signals_share")[i], "signal {i}, {solver:?}");
        }
    }
}

#[test]
fn one_feature_has_one_component() {
    let rows = Mat::from_fn(5, 1, |i, _| i as f64);
    for components in [Components::Number(1), Components::Share(0.5), Components::Mle] {
        let fitted = Pca { components, solver: Solver::Auto }.fit(rows.as_ref()).unwrap();
        assert_eq!((fitted.components.nrows(), fitted.components[(0, 0)]), (1, 1.0));
        assert_close("variance", fitted.explained_variance, &[2.5], 1e-12);
        assert_eq!(fitted.noise_variance, 0.0);
    }
}

#[test]
fn the_ratio_is_of_the_total_variance() {
    let (values, _) = sample(60, 6, 2, 1);
    let fitted = Pca::new(2).fit(MatRef::from_row_major_slice(&values, 60, 6)).unwrap();
    let spectrum = fitted.spectrum.unwrap();
    let total: f64 = spectrum.iter().sum();
    assert_eq!((spectrum.len(), fitted.total_variance), (6, total));
    assert!((fitted.explained_variance_ratio[0] - spectrum[0] / total).abs() < 1e-15);
    assert!(fitted.explained_variance_ratio.iter().sum::<f64>() < 0.9);
}

/// Rows with three singular values, along known directions: waves of three frequencies are orthogonal and of mean 0.
fn with_singular_values(values: [f64; 3]) -> (Mat<f64>, Mat<f64>) {
    let directions = faer::mat![[2.0, -1.0, 2.0], [2.0, 2.0, -1.0], [-1.0, 2.0, 2.0]] * faer::Scale(1.0 / 3.0);
    let waves = Mat::from_fn(64, 3, |i, k| {
        let turn = std::f64::consts::TAU * ((k + 1) * i) as f64 / 64.0;
        values[k] * turn.cos() / 32f64.sqrt()
    });
    (&waves * &directions, directions)
}

/// How far the last singular value is off, relative to itself; and the sine of the angle to its true direction.
fn last_off(solver: Solver, values: [f64; 3]) -> (f64, f64, Solver) {
    let (rows, directions) = with_singular_values(values);
    let fitted = fit(&rows, 3, solver);
    let off = (fitted.singular_values[2] / values[2] - 1.0).abs();
    let cosine: f64 = (0..3).map(|j| fitted.components[(2, j)] * directions[(2, j)]).sum();
    (off, (1.0 - cosine * cosine).max(0.0).sqrt(), fitted.solver)
}

/// The covariance squares the condition number: of 1e-9 nothing is left, of 1e-5 half the digits.
#[test]
fn the_svd_resolves_what_the_covariance_does_not() {
    for solver in [Solver::Svd, Solver::Auto] {
        let (off, sine, used) = last_off(solver, [1.0, 1e-4, 1e-9]);
        assert!(off < 1e-6 && sine < 1e-6, "{solver:?}: off by {off:e}, sine {sine:e}");
        assert_eq!(used, Solver::Svd);
    }
    let (off, ..) = last_off(Solver::Covariance, [1.0, 1e-4, 1e-9]);
    assert!(off > 0.5, "the covariance cannot know: off by {off:e}");
    let (off, sine, used) = last_off(Solver::Auto, [1.0, 1e-2, 1e-5]);
    assert!(off < 1e-5 && sine < 1e-7, "off by {off:e}, sine {sine:e}");
    assert_eq!(used, Solver::Covariance);
    let rows = single(&with_singular_values([1.0, 1e-2, 1e-5]).0);
    let off = |solver| (fit(&rows, 3, solver).singular_values[2] / 1e-5 - 1.0).abs();
    assert!(
        off(Solver::SingleCovariance) > 0.5,
        "single precision cannot know: off by {:e}",
        off(Solver::SingleCovariance)
    );
    assert!(off(Solver::Auto) < 0.02, "rounding of the rows alone: off by {:e}", off(Solver::Auto));
}

#[test]
fn the_solver_suits_shape_type_and_data() {
    let used = |rows: &Mat<f64>, components| fit(rows, components, Solver::Auto).solver;
    let used_single = |rows: &Mat<f64>, components| fit(&single(rows), components, Solver::Auto).solver;
    let (tall, wide) = (doubles(90, 5, 1), doubles(5, 90, 1));
    assert_eq!((used(&tall, 2), used_single(&tall, 2)), (Solver::Covariance, Solver::SingleCovariance));
    assert_eq!((used(&wide, 2), used_single(&wide, 2)), (Solver::Gram, Solver::Gram));
    let repeated = Mat::from_fn(90, 6, |i, j| tall[(i, j % 5)]);
    assert_eq!((used(&repeated, 6), used_single(&repeated, 6)), (Solver::Svd, Solver::Svd), "rank 5");
    assert_eq!(used(&repeated, 5), Solver::Covariance);
    let constant = Mat::from_fn(90, 6, |i, j| if j < 5 { tall[(i, j)] } else { 0.1 });
    assert_eq!(used(&constant, 6), Solver::Covariance, "a constant feature is no rounding");
    let tiny = faer::Scale(1e-25) * &tall;
    assert_eq!(used_single(&tiny, 2), Solver::Covariance, "squares vanish in single precision");
    let seven = Solver::Randomised { oversampling: 10, iterations: 7, seed: 0 };
    assert_eq!(used(&doubles(2100, 2100, 1), 2), seven, "few of many");
    let mle = Pca { components: Components::Mle, solver: Solver::Auto };
    assert_eq!(mle.fit(table_matrix("x", 5).as_ref()).unwrap().solver, Solver::Covariance);
}

fn projector(fitted: &FittedPca) -> Mat<f64> {
    fitted.components.transpose() * &fitted.components
}

#[test]
fn solvers_agree_on_deficient_data() {
    for (name, features, rank) in [("flat", 5, 3), ("few", 12, 6)] {
        let rows = table_doubles(&format!("pca_{name}"), features);
        let most = features.min(rows.nrows());
        let expected = projector(&fit(&rows, rank, Solver::Svd));
        for solver in EXACT.into_iter().chain([RANDOMISED]) {
            let difference = projector(&fit(&rows, rank, solver)) - &expected;
            assert!(difference.norm_max() < 1e-10, "{name}, {solver:?}");
            let whole = fit(&rows, most, solver);
            let identity = &whole.components * whole.components.transpose() - Mat::<f64>::identity(most, most);
            assert!(identity.norm_max() < 1e-12, "{name}, {solver:?}: orthonormal beyond the rank");
            assert!(whole.explained_variance[rank] < 1e-13 * whole.explained_variance[0]);
            let codes = whole.transform(rows.as_ref()).unwrap();
            let back = whole.inverse_transform(codes.as_ref()).unwrap();
            assert!((back - &rows).norm_max() < 1e-11, "{name}, {solver:?}");
        }
    }
}

#[test]
fn constant_features_have_directions_of_their_own() {
    let rows = Mat::from_fn(9, 4, |i, j| if j % 2 == 0 { 0.1 } else { (i * i + j * i) as f64 });
    let fitted = fit(&rows, 4, Solver::Covariance);
    assert_eq!(fitted.explained_variance[2..], [0.0, 0.0]);
    assert_eq!(fitted.components.row(2).iter().copied().collect::<Vec<_>>(), [1.0, 0.0, 0.0, 0.0]);
    assert_eq!(fitted.components.row(3).iter().copied().collect::<Vec<_>>(), [0.0, 0.0, 1.0, 0.0]);
    assert_eq!((fitted.mean[0], fitted.mean[2]), (0.1, 0.1));
}

#[test]
fn whitening_makes_variances_one_and_inverts() {
    let rows = doubles(80, 6, 4);
    for solver in EXACT {
        let fitted = fit(&rows, 4, solver);
        let white = fitted.whiten(rows.as_ref()).unwrap();
        let mut sum = CovarianceSum::new(4);
        sum.add(white.as_ref()).unwrap();
        assert!((sum.covariance().unwrap() - Mat::<f64>::identity(4, 4)).norm_max() < 1e-12);
        let back = fitted.unwhiten(white.as_ref()).unwrap();
        let projected = fitted.inverse_transform(fitted.transform(rows.as_ref()).unwrap().as_ref()).unwrap();
        assert!((back - projected).norm_max() < 1e-12);
    }
}

/// Variances fall as 1/k²: slowly enough that the randomised solver is off, and has to say so.
#[test]
fn the_error_estimate_bounds_the_error() {
    let noise = doubles(300, 120, 6);
    let rows = Mat::from_fn(300, 120, |i, j| (noise[(i, j)] - j as f64) / ((1 + j) as f64).powf(1.5));
    let exact = fit(&rows, 120, Solver::Svd);
    for (iterations, seed) in [(0, 1), (1, 2), (4, 3)] {
        let fitted = fit(&rows, 12, Solver::Randomised { oversampling: 5, iterations, seed });
        let estimate = fitted.error_estimate.clone().unwrap();
        for (found, residual) in fitted.explained_variance.iter().zip(&estimate.residuals) {
            let nearest = exact.explained_variance.iter().map(|v| (v - found).abs()).fold(f64::MAX, f64::min);
            assert!(nearest <= residual + 1e-12, "iterations {iterations}: {nearest:e} beyond {residual:e}");
        }
        let codes = fitted.transform(rows.as_ref()).unwrap();
        let left = &rows - fitted.inverse_transform(codes.as_ref()).unwrap();
        let largest = fit(&left, 1, Solver::Svd).explained_variance[0].sqrt();
        assert!(largest < estimate.left_out && estimate.left_out < 100.0 * largest);
        assert!(fitted.spectrum.is_none() && (fitted.total_variance / exact.total_variance - 1.0).abs() < 1e-12);
        assert!(iterations < 4 || estimate.residuals[0] < 1e-9 * fitted.explained_variance[0]);
    }
}

#[test]
fn more_iterations_come_nearer() {
    let noise = doubles(300, 120, 6);
    let rows = Mat::from_fn(300, 120, |i, j| (noise[(i, j)] - j as f64) / ((1 + j) as f64).sqrt());
    let explained = |iterations| {
        let fitted = fit(&rows, 10, Solver::Randomised { oversampling: 2, iterations, seed: 1 });
        fitted.explained_variance.iter().sum::<f64>()
    };
    let best: f64 = fit(&rows, 10, Solver::Svd).explained_variance.iter().sum();
    let found: Vec<f64> = [0, 1, 3, 30].into_iter().map(explained).collect();
    assert!(found.is_sorted() && found[0] < 0.99 * best && found[3] > 0.999 * best, "{found:?} of {best}");
}

#[test]
fn constant_rows_have_a_stand_in() {
    let fitted = FittedPca::of_constant(vec![3.0, 4.0, 5.0], 2);
    let rows = Mat::from_fn(2, 3, |_, j| 3.0 + j as f32);
    let codes = fitted.transform(rows.as_ref()).unwrap();
    assert_eq!(codes, Mat::<f32>::zeros(2, 2));
    assert_eq!(fitted.inverse_transform(codes.as_ref()).unwrap(), rows);
}
