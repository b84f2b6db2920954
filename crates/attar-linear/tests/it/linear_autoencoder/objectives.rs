//! Values and gradients against the definitions, and the symmetries of each objective.

use attar_linear::linear_autoencoder::{Factor, LinearAutoencoder, Normalisation, Objective, Weights};
use faer::Mat;
use proptest::prelude::*;

use super::{CODES, SPECTRA, config, factor_of_spectrum, objectives, recoded, rotation, rows_of_spectrum};

const NORMALISATIONS: [Normalisation; 3] = [Normalisation::Sum, Normalisation::PerSample, Normalisation::PerEntry];

/// The loss by its definition on the rows as they are, `[samples, features]`.
pub(super) fn naive_loss(config: &LinearAutoencoder, rows: &Mat<f64>, weights: &Weights) -> f64 {
    let (n, m) = (rows.nrows() as f64, rows.ncols() as f64);
    let divisor = match config.normalisation {
        Normalisation::Sum => 1.0,
        Normalisation::PerSample => n,
        Normalisation::PerEntry => n * m,
    };
    let squared_error = |codes: usize| {
        let hidden = rows * weights.encoder.transpose().subcols(0, codes);
        (rows - hidden * weights.decoder.transpose().subrows(0, codes)).squared_norm_l2() / divisor
    };
    let square = |matrix: &Mat<f64>| matrix.squared_norm_l2();
    let k = config.codes;
    match &config.objective {
        Objective::Plain => squared_error(k),
        Objective::L2 { lambda } => squared_error(k) + lambda * (square(&weights.encoder) + square(&weights.decoder)),
        Objective::Product { lambda } => squared_error(k) + lambda * square(&weights.map()),
        Objective::NonUniformL2 { lambdas } => {
            let code = |i: usize| weights.encoder.row(i).squared_norm_l2() + weights.decoder.col(i).squared_norm_l2();
            squared_error(k) + (0..k).map(|i| lambdas[i] * code(i)).sum::<f64>()
        }
        Objective::NestedDropout { prefixes } => (0..k).map(|i| prefixes[i] * squared_error(i + 1)).sum(),
    }
}

#[test]
fn the_loss_is_its_definition() {
    for (name, spectrum) in SPECTRA {
        let rows = rows_of_spectrum(&spectrum, 1);
        let factor = Factor::of(rows.as_ref()).unwrap();
        let weights = Weights::random(8, CODES, 0.4, 2);
        for (objective, normalisation) in objectives().into_iter().flat_map(|o| NORMALISATIONS.map(|n| (o.clone(), n)))
        {
            let config = LinearAutoencoder { codes: CODES, objective, normalisation };
            let (found, expected) =
                (config.evaluate(&factor, &weights).unwrap().loss, naive_loss(&config, &rows, &weights));
            assert!((found - expected).abs() < 1e-12 * expected, "{name}, {config:?}: {found}, not {expected}");
        }
    }
}

#[test]
fn the_gradient_is_that_of_the_loss() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 3);
    let weights = Weights::random(8, CODES, 0.4, 4);
    for objective in objectives() {
        let config = config(objective);
        let gradient = config.evaluate(&factor, &weights).unwrap().gradient;
        for seed in 0..5 {
            let direction = Weights::random(8, CODES, 1.0, 10 + seed);
            let at = |t: f64| config.evaluate(&factor, &moved(&weights, t, &direction)).unwrap().loss;
            let step = 1e-5;
            let slope = (at(step) - at(-step)) / (2.0 * step);
            let along = inner(&gradient, &direction);
            assert!((slope - along).abs() < 1e-6 * along.abs().max(1.0), "{config:?}: {slope} and {along}");
        }
    }
}

#[test]
fn the_loss_along_a_line_is_a_polynomial() {
    let factor = factor_of_spectrum(&SPECTRA[1].1, 5);
    let (weights, direction) = (Weights::random(8, CODES, 0.4, 6), Weights::random(8, CODES, 0.7, 7));
    for objective in objectives() {
        let config = config(objective);
        let along = config.along(&factor, &weights, &direction).unwrap();
        for t in [-1.3f64, -0.2, 0.0, 0.6, 2.0] {
            let expected = config.evaluate(&factor, &moved(&weights, t, &direction)).unwrap().loss;
            let found: f64 = (0..5).map(|i| along[i] * t.powi(i as i32)).sum();
            assert!((found - expected).abs() < 1e-11 * expected, "{config:?} at {t}: {found}, not {expected}");
        }
    }
}

#[test]
fn the_covariance_gives_the_same_factor() {
    let rows = Mat::from_fn(40, 8, |i, j| rows_of_spectrum(&SPECTRA[0].1, 8)[(i, j)] as f32 + j as f32);
    let mut sum = attar_linear::CovarianceSum::new(8);
    sum.add(rows.as_ref()).unwrap();
    let streamed = Factor::from_covariance(&sum).unwrap();
    let whole = Factor::of(Mat::from_fn(40, 8, |i, j| f64::from(rows[(i, j)])).as_ref()).unwrap();
    assert_eq!((streamed.samples(), streamed.features(), streamed.rank()), (40, 8, 8));
    let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
    assert!(difference(streamed.singular_values(), whole.singular_values()) < 1e-10);
    assert!(difference(streamed.mean(), whole.mean()) < 1e-12);
}

#[test]
fn fewer_rows_than_features_leave_their_rank() {
    let rows = Weights::random(5, 12, 1.0, 9).decoder;
    let factor = Factor::of(rows.as_ref()).unwrap();
    assert_eq!((factor.rank(), factor.vectors().shape()), (4, (12, 4)));
    let constant = Mat::from_fn(7, 3, |_, j| 0.1 * (j as f64 + 1.3));
    assert_eq!(Factor::of(constant.as_ref()).unwrap().rank(), 0);
}

fn moved(weights: &Weights, t: f64, direction: &Weights) -> Weights {
    let add = |a: &Mat<f64>, b: &Mat<f64>| a + b * faer::Scale(t);
    Weights { encoder: add(&weights.encoder, &direction.encoder), decoder: add(&weights.decoder, &direction.decoder) }
}

fn inner(a: &Weights, b: &Weights) -> f64 {
    let entries = |w: &Weights| -> Vec<f64> {
        let columns = [w.encoder.as_ref(), w.decoder.as_ref()].map(|m| m.transpose().to_owned());
        columns
            .iter()
            .flat_map(|m| m.row_iter().flat_map(|r| r.iter().copied().collect::<Vec<_>>()).collect::<Vec<_>>())
            .collect()
    };
    entries(a).iter().zip(entries(b)).map(|(x, y)| x * y).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The code may be turned freely where nothing singles out its axes, and changed by any matrix where the weights
    /// are not penalised.
    #[test]
    fn each_objective_has_its_symmetry(seed in 0u64..1000) {
        let factor = factor_of_spectrum(&SPECTRA[0].1, 11);
        let weights = Weights::random(8, CODES, 0.4, seed);
        let turn = rotation(CODES, seed + 1);
        let stretch = Mat::from_fn(CODES, CODES, |i, j| turn[(i, j)] * (1.5 + i as f64));
        for (objective, (turns, stretches)) in
            objectives().into_iter().zip([(true, true), (true, false), (true, true), (false, false), (false, false)])
        {
            let config = config(objective);
            let loss = |weights: &Weights| config.evaluate(&factor, weights).unwrap().loss;
            let change = |by: &Mat<f64>| (loss(&recoded(&weights, by)) - loss(&weights)).abs() / loss(&weights);
            prop_assert_eq!(change(&turn) < 1e-11, turns, "{:?} turned: {}", config, change(&turn));
            prop_assert_eq!(change(&stretch) < 1e-11, stretches, "{:?} stretched: {}", config, change(&stretch));
        }
    }

    /// Data in other units is the same problem with strengths in those units squared.
    #[test]
    fn units_do_not_matter(seed in 0u64..1000, unit in 0.01f64..100.0) {
        let rows = rows_of_spectrum(&SPECTRA[0].1, 12);
        let weights = Weights::random(8, CODES, 0.4, seed);
        let plain = Factor::of(rows.as_ref()).unwrap();
        let scaled = Factor::of((&rows * faer::Scale(unit)).as_ref()).unwrap();
        let square = unit * unit;
        for objective in objectives() {
            let other = match objective.clone() {
                Objective::L2 { lambda } => Objective::L2 { lambda: lambda * square },
                Objective::Product { lambda } => Objective::Product { lambda: lambda * square },
                Objective::NonUniformL2 { lambdas } =>
                    Objective::NonUniformL2 { lambdas: lambdas.iter().map(|l| l * square).collect() },
                same => same,
            };
            let before = config(objective).evaluate(&plain, &weights).unwrap();
            let after = config(other).evaluate(&scaled, &weights).unwrap();
            prop_assert!((after.loss / square - before.loss).abs() < 1e-11 * before.loss);
            prop_assert!((after.residual - before.residual).abs() < 1e-11);
            prop_assert!((0.0..=1.0).contains(&before.residual));
        }
    }
}
