//! No false alarms, and every planted error caught by name.

use attar_linear::linear_autoencoder::{
    Certificate, Factor, LinearAutoencoder, Objective, Tolerances, Weights, best_constant, constant_term,
};
use faer::Mat;

use super::objectives::naive_loss;
use super::{CODES, SPECTRA, config, factor_of_spectrum, objectives, recoded, rotation, rows_of_spectrum};

fn certify(config: &LinearAutoencoder, factor: &Factor, weights: &Weights) -> Certificate {
    config.certify(factor, weights, None, &Tolerances::double()).unwrap()
}

/// The optimum in whatever code the objective leaves open.
fn healthy(config: &LinearAutoencoder, factor: &Factor, seed: u64) -> Weights {
    let weights = config.optimum(factor).unwrap().weights;
    let turn = rotation(CODES, seed);
    let scales = |scales: [f64; CODES]| Mat::from_fn(CODES, CODES, |i, j| if i == j { scales[i] } else { 0.0 });
    match config.objective {
        Objective::Plain | Objective::Product { .. } => recoded(&weights, &(turn * scales([0.5, 1.0, 3.0]))),
        Objective::L2 { .. } => recoded(&weights, &turn),
        Objective::NonUniformL2 { .. } => recoded(&weights, &scales([-1.0, 1.0, -1.0])),
        Objective::NestedDropout { .. } => recoded(&weights, &scales([-0.5, 1.0, 3.0])),
    }
}

#[test]
fn the_optimum_is_certified_on_every_spectrum() {
    for (name, spectrum) in SPECTRA {
        let factor = factor_of_spectrum(&spectrum, 50);
        for objective in objectives() {
            let config = config(objective);
            let certificate = certify(&config, &factor, &healthy(&config, &factor, 51));
            assert!(certificate.holds(), "{name}, {config:?}: {:#?}", certificate.checks);
        }
    }
}

/// Each planted error, on every spectrum and under every objective it concerns, with a check that must name it.
fn caught(objective: &Objective, plant: impl Fn(&Factor, &Weights) -> Weights, name: &str) {
    for (spectrum, variances) in SPECTRA {
        let factor = factor_of_spectrum(&variances, 52);
        let config = config(objective.clone());
        let ill = plant(&factor, &healthy(&config, &factor, 53));
        let certificate = certify(&config, &factor, &ill);
        assert!(certificate.failing().contains(&name), "{spectrum}, {config:?}: {:?}", certificate.failing());
    }
}

#[test]
fn a_scaled_decoder_is_caught() {
    let scaled = |_: &Factor, weights: &Weights| Weights {
        decoder: &weights.decoder * faer::Scale(1.01),
        encoder: weights.encoder.clone(),
    };
    for objective in objectives() {
        caught(&objective, scaled, "residual");
        caught(&objective, scaled, "map singular values");
    }
    caught(&Objective::L2 { lambda: 0.5 }, scaled, "decoder singular values");
    caught(&Objective::L2 { lambda: 0.5 }, scaled, "transpose gap");
    caught(&Objective::L2 { lambda: 0.5 }, scaled, "orthonormality");
}

/// The critical point on the first two directions and the fourth: its residual is 0, so only the optimum tells.
#[test]
fn a_swapped_component_is_caught() {
    for (name, variances) in SPECTRA {
        let factor = factor_of_spectrum(&variances, 54);
        for objective in objectives() {
            let config = config(objective);
            let mut weights = config.optimum(&factor).unwrap().weights;
            let size = weights.decoder.col(CODES - 1).norm_l2();
            for i in 0..8 {
                weights.decoder[(i, CODES - 1)] = size * factor.vectors()[(i, CODES)];
                weights.encoder[(CODES - 1, i)] = weights.decoder[(i, CODES - 1)];
            }
            let certificate = certify(&config, &factor, &weights);
            for check in ["loss gap", "captured variance", "subspace"] {
                assert!(certificate.failing().contains(&check), "{name}, {config:?}: {:#?}", certificate.checks);
            }
            if config.objective == Objective::Plain {
                assert!(!certificate.failing().contains(&"residual"), "it is a saddle");
            }
        }
    }
}

#[test]
fn turned_axes_are_caught_where_they_matter() {
    let turned = |_: &Factor, weights: &Weights| recoded(weights, &rotation(CODES, 55));
    for objective in &objectives()[3..] {
        caught(objective, turned, "axis alignment");
        caught(objective, turned, "loss gap");
    }
}

#[test]
fn a_wrong_lambda_is_caught() {
    for (name, variances) in SPECTRA {
        let factor = factor_of_spectrum(&variances, 56);
        for wrong in [0.45, 0.55, 0.5 * 8.0, 0.5 / 8.0] {
            let weights = config(Objective::L2 { lambda: wrong }).optimum(&factor).unwrap().weights;
            let failing = certify(&config(Objective::L2 { lambda: 0.5 }), &factor, &weights).failing();
            let named = ["residual", "loss gap", "decoder singular values", "map singular values"];
            assert!(named.iter().all(|n| failing.contains(n)), "{name}, λ = {wrong}: {failing:?}");
        }
    }
}

#[test]
fn uncentred_data_is_caught_and_biases_absorb_it() {
    for (name, variances) in SPECTRA {
        let centred = rows_of_spectrum(&variances, 57);
        let rows = Mat::from_fn(centred.nrows(), 8, |i, j| centred[(i, j)] + 0.3 * (j as f64 - 2.0));
        let factor = Factor::of(rows.as_ref()).unwrap();
        for objective in objectives() {
            let config = config(objective);
            let weights = healthy(&config, &factor, 58);
            let failing = certify(&config, &factor, &weights).failing();
            assert_eq!(failing, ["centred", "loss gap"], "{name}, {config:?}");

            let constant = best_constant(&weights, factor.mean()).unwrap();
            let with =
                |constant: &[f64]| config.certify(&factor, &weights, Some(constant), &Tolerances::double()).unwrap();
            assert!(with(&constant).holds(), "{name}, {config:?}: {:?}", with(&constant).failing());
            let halved: Vec<f64> = constant.iter().map(|c| 0.5 * c).collect();
            assert_eq!(with(&halved).failing(), ["constant term", "loss gap"], "{name}, {config:?}");
        }
    }
}

/// What a model without biases learns from uncentred rows: the directions about the origin.
#[test]
fn a_model_trained_on_uncentred_data_is_caught() {
    let centred = rows_of_spectrum(&SPECTRA[0].1, 59);
    let rows = Mat::from_fn(centred.nrows(), 8, |i, j| centred[(i, j)] + 0.8 * (j as f64 - 2.0));
    let directions = rows.transpose().to_owned().thin_svd().unwrap().U().subcols(0, CODES).to_owned();
    let weights = Weights { encoder: directions.transpose().to_owned(), decoder: directions };
    let factor = Factor::of(rows.as_ref()).unwrap();
    let failing = certify(&config(Objective::Plain), &factor, &weights).failing();
    assert!(failing.contains(&"centred") && failing.contains(&"subspace"), "{failing:?}");
}

#[test]
fn the_constant_term_is_that_of_the_layers() {
    let weights = Weights::random(5, 2, 1.0, 60);
    let (b1, b2) = ([0.3, -1.0], [0.1, 0.2, 0.3, 0.4, 0.5]);
    let x = [1.0, -2.0, 0.5, 3.0, 0.0];
    let apply = |matrix: &Mat<f64>, x: &[f64]| -> Vec<f64> {
        (0..matrix.nrows()).map(|i| (0..x.len()).map(|j| matrix[(i, j)] * x[j]).sum()).collect()
    };
    let hidden: Vec<f64> = apply(&weights.encoder, &x).iter().zip(b1).map(|(h, b)| h + b).collect();
    let layered: Vec<f64> = apply(&weights.decoder, &hidden).iter().zip(b2).map(|(y, b)| y + b).collect();
    let constant = constant_term(&weights, &b1, &b2).unwrap();
    let affine = apply(&weights.map(), &x).into_iter().zip(constant).map(|(y, c)| y + c);
    crate::support::assert_close("output", affine, &layered, 1e-14);
}

/// The loss and the variance behind the two gaps, on raw rows and weights that are nowhere near, by their definitions.
#[test]
fn the_gaps_are_those_of_the_definitions() {
    let centred = rows_of_spectrum(&SPECTRA[0].1, 67);
    let rows = Mat::from_fn(centred.nrows(), 8, |i, j| centred[(i, j)] + 0.3 * (j as f64 - 2.0));
    let factor = Factor::of(rows.as_ref()).unwrap();
    let weights = Weights::random(8, CODES, 0.4, 68);
    let measured = |config: &LinearAutoencoder, constant: Option<&[f64]>, name: &str| {
        let certificate = config.certify(&factor, &weights, constant, &Tolerances::double()).unwrap();
        certificate.check(name).unwrap().measured
    };
    let gap = |config: &LinearAutoencoder, loss: f64| loss / config.optimum(&factor).unwrap().loss - 1.0;
    for objective in objectives() {
        let config = config(objective);
        let expected = gap(&config, naive_loss(&config, &rows, &weights));
        assert!((measured(&config, None, "loss gap") - expected).abs() < 1e-12 * expected, "{config:?}");
    }
    let plain = config(Objective::Plain);
    let constant: Vec<f64> = (0..8).map(|j| 0.1 * j as f64).collect();
    let error = Mat::from_fn(rows.nrows(), 8, |i, j| rows[(i, j)] - constant[j]) - &rows * weights.map().transpose();
    let expected = gap(&plain, error.squared_norm_l2() / rows.nrows() as f64);
    assert!((measured(&plain, Some(&constant), "loss gap") - expected).abs() < 1e-12 * expected);

    let basis = weights.decoder.thin_svd().unwrap().U().to_owned();
    let caught = (&centred * basis).squared_norm_l2() / rows.nrows() as f64;
    let most: f64 = SPECTRA[0].1[..CODES].iter().sum();
    assert!((measured(&plain, None, "captured variance") - (1.0 - caught / most)).abs() < 1e-13);
}

#[test]
fn collapsed_directions_are_certified() {
    for (lambda, kept) in [(3.5, 2), (4.5, 1), (6.0, 0)] {
        let factor = factor_of_spectrum(&SPECTRA[0].1, 61);
        let config = config(Objective::L2 { lambda });
        let weights = healthy(&config, &factor, 62);
        let certificate = certify(&config, &factor, &weights);
        assert!(certificate.holds(), "{kept} kept: {:#?}", certificate.checks);
        let mut ill = weights;
        ill.decoder[(0, 0)] += 0.01;
        assert!(certify(&config, &factor, &ill).failing().contains(&"decoder singular values"));
    }
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_measured() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 63);
    let config = config(Objective::Plain);
    let mut weights = config.optimum(&factor).unwrap().weights;
    let transposed = Weights { encoder: weights.decoder.clone(), decoder: weights.encoder.clone() };
    let certificate = certify(&config, &factor, &transposed);
    assert_eq!((certificate.failing(), certificate.checks.len()), (vec!["shapes"], 1));
    let short = config.certify(&factor, &weights, Some(&[0.0; 3]), &Tolerances::double()).unwrap();
    assert_eq!(short.failing(), ["shapes"]);
    weights.decoder[(2, 1)] = f64::NAN;
    let certificate = certify(&config, &factor, &weights);
    assert_eq!((certificate.failing(), certificate.checks.len()), (vec!["finite"], 2));
}

#[test]
fn rounding_to_single_precision_does_no_harm() {
    let single =
        |matrix: &Mat<f64>| Mat::from_fn(matrix.nrows(), matrix.ncols(), |i, j| f64::from(matrix[(i, j)] as f32));
    for (name, variances) in SPECTRA {
        let factor = factor_of_spectrum(&variances, 64);
        for objective in objectives() {
            let config = config(objective);
            let weights = healthy(&config, &factor, 65);
            let rounded = Weights { encoder: single(&weights.encoder), decoder: single(&weights.decoder) };
            let certificate = config.certify(&factor, &rounded, None, &Tolerances::single()).unwrap();
            assert!(certificate.holds(), "{name}, {config:?}: {:#?}", certificate.checks);
        }
    }
}

#[test]
fn weights_that_overflow_are_refused() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 69);
    let config = config(Objective::Plain);
    let huge = Weights::random(8, CODES, 1e300, 70);
    let refused = config.certify(&factor, &huge, None, &Tolerances::double());
    assert_eq!(refused.unwrap_err().to_string(), "the singular value decomposition failed on a matrix of size 8");
}

/// Where two variances are equal, either direction is as good, and the certificate says that it cannot tell.
#[test]
fn a_tie_is_said_to_be_one() {
    let mut variances = SPECTRA[2].1;
    variances[CODES] = variances[CODES - 1];
    let factor = factor_of_spectrum(&variances, 66);
    let config = config(Objective::Plain);
    let mut weights = config.optimum(&factor).unwrap().weights;
    for i in 0..8 {
        weights.decoder[(i, CODES - 1)] = factor.vectors()[(i, CODES)];
        weights.encoder[(CODES - 1, i)] = weights.decoder[(i, CODES - 1)];
    }
    let certificate = certify(&config, &factor, &weights);
    assert!(certificate.holds(), "{:?}", certificate.failing());
    let subspace = certificate.check("subspace").unwrap();
    assert!(subspace.tolerance.is_none() && subspace.sentence.contains("tie"), "{subspace:?}");
}
