//! The closed forms: critical, least, and what is read back from them.

use attar_linear::linear_autoencoder::{LinearAutoencoder, Normalisation, Objective, Weights, recovered_variances};
use faer::Mat;

use super::{CODES, SPECTRA, config, factor_of_spectrum, objectives};
use crate::support::assert_close;

#[test]
fn the_closed_form_is_critical_and_has_the_loss_it_says() {
    for (name, spectrum) in SPECTRA {
        let factor = factor_of_spectrum(&spectrum, 20);
        for normalisation in [Normalisation::Sum, Normalisation::PerSample, Normalisation::PerEntry] {
            for objective in objectives() {
                let config = LinearAutoencoder { codes: CODES, objective, normalisation };
                let optimum = config.optimum(&factor).unwrap();
                let found = config.evaluate(&factor, &optimum.weights).unwrap();
                assert!(found.residual < 1e-13, "{name}, {config:?}: residual {}", found.residual);
                let gap = (found.loss - optimum.loss).abs() / optimum.loss;
                assert!(gap < 1e-12, "{name}, {config:?}: gap {gap}");
            }
        }
    }
}

#[test]
fn no_other_weights_are_better() {
    for (name, spectrum) in SPECTRA {
        let factor = factor_of_spectrum(&spectrum, 21);
        for objective in objectives() {
            let config = config(objective);
            let optimum = config.optimum(&factor).unwrap();
            for seed in 0..40 {
                let size = 10f64.powi(-(seed as i32 % 5));
                let direction = Weights::random(8, CODES, size, seed);
                let along = config.along(&factor, &optimum.weights, &direction).unwrap();
                let change: f64 = along[1..].iter().sum();
                assert!(change >= -1e-13 * optimum.loss, "{name}, {config:?}: {change} at size {size}");
            }
        }
    }
}

#[test]
fn strong_penalties_collapse_directions() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 22);
    let kept = |objective: Objective| {
        let optimum = config(objective).optimum(&factor).unwrap();
        (optimum.kept, optimum.loss, optimum.map_singular_values)
    };
    let (count, loss, values) = kept(Objective::L2 { lambda: 3.5 });
    assert_eq!(count, 2);
    assert_close("values", values, &[1.0 - 3.5 / 5.0, 1.0 - 3.5 / 4.0, 0.0], 1e-12);
    assert!((loss - (2.0 * 3.5 - 3.5f64.powi(2) / 5.0 + 2.0 * 3.5 - 3.5f64.powi(2) / 4.0 + 11.6)).abs() < 1e-12);
    let (count, loss, _) = kept(Objective::L2 { lambda: 5.0001 });
    assert_eq!(count, 0);
    assert!((loss - 20.6).abs() < 1e-12, "all of the variance is left");
    assert_eq!(kept(Objective::NonUniformL2 { lambdas: vec![1.0, 4.5, 6.0] }).0, 1);
    let (count, _, values) = kept(Objective::Product { lambda: 50.0 });
    assert_eq!(count, CODES, "the product penalty collapses none");
    assert_close("shares", values, &[5.0 / 55.0, 4.0 / 54.0, 3.2 / 53.2], 1e-12);
}

/// The optimal singular value of one direction by a search, for what the table of the documentation claims.
#[test]
fn each_direction_is_shrunk_as_a_search_finds() {
    let (variance, lambda) = (4.0, 1.0);
    let least = |loss: &dyn Fn(f64) -> f64| {
        let values = (0..=100_000).map(|i| f64::from(i) / 100_000.0);
        values.min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap()
    };
    let error = |q: f64| (1.0 - q).powi(2) * variance;
    assert!((least(&|q| error(q) + 2.0 * lambda * q) - (1.0 - lambda / variance)).abs() < 1e-5);
    assert!((least(&|q| error(q) + lambda * q * q) - variance / (variance + lambda)).abs() < 1e-5);
}

#[test]
fn the_spectrum_is_read_from_the_decoder() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 23);
    let lambda = 3.5;
    let config = config(Objective::L2 { lambda });
    let decoder = config.optimum(&factor).unwrap().weights.decoder * super::rotation(CODES, 24);
    let found = recovered_variances(decoder.as_ref(), lambda).unwrap();
    assert_close("variances", found.iter().flatten().copied(), &[5.0, 4.0], 1e-10);
    assert_eq!(found[2], None, "of a collapsed direction only an upper bound is known");
    assert_eq!(recovered_variances(Mat::<f64>::identity(4, 2).as_ref(), lambda).unwrap(), [None, None]);
}
