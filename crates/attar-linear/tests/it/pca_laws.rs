//! What holds of PCA whatever the data.

use attar_linear::{Components, CovarianceSum, FittedPca, Pca, Solver};
use faer::Mat;
use proptest::prelude::*;

use crate::support::doubles;

fn solvers() -> impl Strategy<Value = Solver> {
    prop_oneof![
        Just(Solver::Auto),
        Just(Solver::Covariance),
        Just(Solver::Gram),
        Just(Solver::Svd),
        Just(Solver::Randomised { oversampling: 10, iterations: 6, seed: 3 }),
    ]
}

fn fit(rows: &Mat<f64>, components: usize, solver: Solver) -> FittedPca {
    Pca { components: Components::Number(components), solver }.fit(rows.as_ref()).unwrap()
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= tolerance)
}

fn reconstruction(fitted: &FittedPca, rows: &Mat<f64>) -> Mat<f64> {
    fitted.inverse_transform(fitted.transform(rows.as_ref()).unwrap().as_ref()).unwrap()
}

/// Turns neighbouring features into each other, one pair after another.
fn rotated(rows: &Mat<f64>, angle: f64) -> Mat<f64> {
    let mut rotated = rows.clone();
    for j in 1..rows.ncols() {
        let (sine, cosine) = (angle + j as f64).sin_cos();
        for i in 0..rows.nrows() {
            let (a, b) = (rotated[(i, j - 1)], rotated[(i, j)]);
            (rotated[(i, j - 1)], rotated[(i, j)]) = (cosine * a - sine * b, sine * a + cosine * b);
        }
    }
    rotated
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn components_are_orthonormal_ordered_and_signed(
        rows in 3usize..40, features in 2usize..20, seed in 0u64..1000, solver in solvers(),
    ) {
        let most = rows.min(features);
        let fitted = fit(&doubles(rows, features, seed), most, solver);
        let identity = &fitted.components * fitted.components.transpose() - Mat::<f64>::identity(most, most);
        prop_assert!(identity.norm_max() < 1e-12);
        prop_assert!(fitted.explained_variance.is_sorted_by(|a, b| a >= b));
        for row in fitted.components.row_iter() {
            let largest = row.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
            prop_assert!(largest > 0.0);
        }
    }

    #[test]
    fn a_rotation_turns_the_components_and_nothing_else(
        rows in 12usize..40, features in 3usize..12, seed in 0u64..1000, angle in 0.0..6.0, solver in solvers(),
    ) {
        let data = doubles(rows, features, seed);
        let (plain, turned) = (fit(&data, 2, solver), fit(&rotated(&data, angle), 2, solver));
        let size = plain.total_variance;
        prop_assert!(close(&turned.explained_variance, &plain.explained_variance, 1e-9 * size));
        prop_assert!((turned.total_variance - size).abs() < 1e-12 * size);
        let expected = rotated(&reconstruction(&plain, &data), angle);
        let gap = (plain.explained_variance[1] - fit(&data, 3, Solver::Svd).explained_variance[2]) / size;
        prop_assert!((reconstruction(&turned, &rotated(&data, angle)) - expected).norm_max() < 1e-6 / gap);
    }

    #[test]
    fn a_factor_scales_variances_by_its_square(
        rows in 12usize..40, features in 3usize..12, seed in 0u64..1000, exponent in -30i32..30, solver in solvers(),
    ) {
        let data = doubles(rows, features, seed);
        let factor = 10f64.powi(exponent);
        let (plain, scaled) = (fit(&data, 3, solver), fit(&(faer::Scale(factor) * &data), 3, solver));
        let expected: Vec<f64> = plain.explained_variance.iter().map(|v| v * factor * factor).collect();
        prop_assert!(close(&scaled.explained_variance, &expected, 1e-9 * expected[0]));
        prop_assert!(close(&scaled.explained_variance_ratio, &plain.explained_variance_ratio, 1e-9));
        prop_assert_eq!(scaled.solver, plain.solver);
    }

    #[test]
    fn batches_come_to_the_same(
        rows in 12usize..60, features in 3usize..12, seed in 0u64..1000, batch in 1usize..20,
    ) {
        let data = doubles(rows, features, seed);
        let mut halves = [CovarianceSum::new(features), CovarianceSum::new(features)];
        for (i, start) in (0..rows).step_by(batch).enumerate() {
            halves[i % 2].add(data.subrows(start, batch.min(rows - start))).unwrap();
        }
        let [mut sum, other] = halves;
        sum.merge(&other).unwrap();
        let (streamed, whole) = (Pca::new(3).fit_covariance(&sum).unwrap(), fit(&data, 3, Solver::Covariance));
        prop_assert!(close(&streamed.explained_variance, &whole.explained_variance, 1e-12 * whole.total_variance));
        prop_assert!(close(&streamed.mean, &whole.mean, 1e-12));
    }

    #[test]
    fn there_and_back_is_the_projection(
        rows in 12usize..40, features in 3usize..12, seed in 0u64..1000, kept in 1usize..4, solver in solvers(),
    ) {
        let data = doubles(rows, features, seed);
        let fitted = fit(&data, kept, solver);
        let once = reconstruction(&fitted, &data);
        prop_assert!((reconstruction(&fitted, &once) - &once).norm_max() < 1e-11, "twice is once");
        let left = &data - &once;
        prop_assert!((&left * fitted.components.transpose()).norm_max() < 1e-11, "what is left is orthogonal");
        let expected = (rows - 1) as f64 * (fitted.total_variance - fitted.explained_variance.iter().sum::<f64>());
        prop_assert!((left.squared_norm_l2() - expected).abs() < 1e-10 * fitted.total_variance * rows as f64);
    }
}
