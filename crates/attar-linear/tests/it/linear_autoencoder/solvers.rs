//! Solvers reach the closed form from small random weights, and say why they stopped.

use attar_linear::linear_autoencoder::{
    Factor, LinearAutoencoder, Normalisation, Objective, Solver, StochasticGradient, Stop, Tolerances, Trained,
    Training, Weights, principal_angles,
};
use faer::Mat;

use super::{CODES, SPECTRA, config, factor_of_spectrum, objectives, rows_of_spectrum};

fn start(seed: u64) -> Weights {
    Weights::random(8, CODES, 0.001, seed)
}

fn training(solver: Solver, tolerance: f64) -> Training {
    Training { solver, tolerance, max_iterations: 200_000, record_every: 1000 }
}

/// The figures asked of every solver in `f64`.
fn reached(name: &str, config: &LinearAutoencoder, factor: &Factor, trained: &Trained) {
    let what = || format!("{name}, {:?}, {} iterations", config.objective, trained.iterations);
    let optimum = config.optimum(factor).unwrap();
    let gap = (trained.loss - optimum.loss) / optimum.loss;
    assert!(gap.abs() <= 1e-6, "{}: loss gap {gap:.1e}", what());
    let directions = factor.vectors().subcols(0, CODES);
    let angles = principal_angles(directions, trained.weights.decoder.as_ref()).unwrap();
    let distance = angles.iter().map(|a| a.sin().powi(2)).sum::<f64>() / CODES as f64;
    assert!(distance <= 1e-6, "{}: subspace distance {distance:.1e}", what());
    let certificate = config.certify(factor, &trained.weights, None, &Tolerances::double()).unwrap();
    assert!(certificate.holds(), "{}: {:?}", what(), certificate.failing());
    assert_eq!(trained.stop, Stop::Residual, "{}", what());
    println!("{}: gap {gap:.1e}, distance {distance:.1e}, residual {:.1e}", what(), trained.residual);
}

#[test]
fn alternating_least_squares_reaches_every_optimum() {
    for (name, spectrum) in SPECTRA {
        let factor = factor_of_spectrum(&spectrum, 70);
        for objective in objectives() {
            let slow = matches!(objective, Objective::NonUniformL2 { .. });
            let config = config(objective);
            let solver = training(Solver::AlternatingLeastSquares, if slow { 1e-7 } else { 1e-9 });
            reached(name, &config, &factor, &config.train(&factor, &start(71), &solver).unwrap());
        }
    }
}

/// The third minimisation takes the slowness out of the penalties: a few hundred turns where thousands were needed.
#[test]
fn balanced_least_squares_is_quick_on_every_penalty() {
    for (name, spectrum) in SPECTRA {
        let factor = factor_of_spectrum(&spectrum, 70);
        for objective in objectives() {
            let config = config(objective);
            let settings = Training { max_iterations: 3000, ..Training::default() };
            let trained = config.train(&factor, &start(71), &settings).unwrap();
            reached(name, &config, &factor, &trained);
        }
    }
}

#[test]
fn gradient_descent_reaches_the_optimum() {
    for (name, spectrum) in SPECTRA {
        let factor = factor_of_spectrum(&spectrum, 72);
        for objective in [Objective::Plain, Objective::L2 { lambda: 0.5 }] {
            let config = config(objective);
            let trained = config.train(&factor, &start(73), &training(Solver::GradientDescent, 1e-8)).unwrap();
            reached(name, &config, &factor, &trained);
        }
    }
}

#[test]
fn gradient_descent_and_least_squares_never_rise() {
    for (name, spectrum) in SPECTRA {
        let factor = factor_of_spectrum(&spectrum, 72);
        for objective in objectives() {
            let config = config(objective);
            for solver in [Solver::GradientDescent, Solver::AlternatingLeastSquares, Solver::BalancedLeastSquares] {
                let settings = Training { max_iterations: 500, record_every: 1, ..training(solver, 1e-9) };
                let history = config.train(&factor, &start(73), &settings).unwrap().history;
                let rise = history.windows(2).find(|pair| pair[1].loss > pair[0].loss * (1.0 + 1e-14));
                assert!(rise.is_none(), "{name}, {config:?}, {:?}: {rise:?}", settings.solver);
            }
        }
    }
}

/// What Bao et al. (2020) found: the penalty turns the code slowly, nested dropout more slowly the larger the code is,
/// and the rotation augmented gradient is quick.
#[test]
fn alignment_is_slow_but_with_the_rotation() {
    let spectrum: Vec<f64> = (0..16).map(|i| 10.0 * 0.8f64.powi(i)).collect();
    let factor = factor_of_spectrum(&spectrum, 5);
    let aligned = |codes: usize, objective: Objective, solver: Solver| {
        let config = LinearAutoencoder { codes, objective, normalisation: Normalisation::PerSample };
        let settings = Training { max_iterations: 3000, record_every: 1, ..training(solver, 1e-9) };
        let trained = config.train(&factor, &Weights::random(16, codes, 0.001, 7), &settings).unwrap();
        trained.history.iter().find(|p| p.axis_alignment < 1e-2).map_or(usize::MAX, |p| p.iteration)
    };
    let dropout =
        |k: usize| aligned(k, Objective::NestedDropout { prefixes: vec![1.0 / k as f64; k] }, Solver::GradientDescent);
    let lambdas = vec![0.05, 0.13, 0.2, 0.28];
    let penalty = aligned(4, Objective::NonUniformL2 { lambdas }, Solver::GradientDescent);
    let rotation = aligned(4, Objective::Plain, Solver::RotationAugmented { learning_rate: 0.02 });
    println!("aligned after {:?} by dropout, {penalty} by the penalty, {rotation} by rotation", [2, 4, 8].map(dropout));
    assert!(dropout(2) < dropout(4) && 2 * dropout(4) < dropout(8));
    assert!(10 * rotation < penalty);
}

#[test]
fn adam_comes_near() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 74);
    let config = config(Objective::L2 { lambda: 0.5 });
    let settings = training(Solver::Adam { learning_rate: 1e-3 }, 1e-7);
    let trained = config.train(&factor, &start(75), &settings).unwrap();
    reached("gentle", &config, &factor, &trained);
}

/// The rotation takes the codes to the principal directions, where the gradient alone leaves them as they came: exactly
/// if the penalty makes encoder and decoder equal, nearly if nothing does.
#[test]
fn the_rotation_augmented_gradient_aligns_the_axes() {
    for (name, spectrum) in SPECTRA {
        let factor = factor_of_spectrum(&spectrum, 76);
        for (objective, far) in [(Objective::Plain, 1e-5), (Objective::L2 { lambda: 0.1 }, 1e-7)] {
            let config = config(objective);
            let alignment = |solver: Solver| {
                let settings = Training { max_iterations: 50_000, ..training(solver, 1e-7) };
                let trained = config.train(&factor, &start(77), &settings).unwrap();
                println!("{name}: {:?} after {}, {:?}", trained.stop, trained.iterations, trained.history.last());
                trained.history.last().unwrap().axis_alignment
            };
            let rotated = alignment(Solver::RotationAugmented { learning_rate: 0.2 / spectrum[0] });
            assert!(rotated < far, "{name}, {config:?}: {rotated:.1e}");
            let alone = alignment(Solver::GradientDescent);
            assert!(alone > 1e-2, "{name}, {config:?}: {alone:.1e} without the rotation");
        }
    }
}

#[test]
fn one_sample_at_a_time_finds_the_subspace() {
    let rows = rows_of_spectrum(&SPECTRA[0].1, 78);
    let config = config(Objective::L2 { lambda: 0.5 });
    let settings = StochasticGradient { learning_rate: 0.01, epochs: 300, half_life: 5.0, ..Default::default() };
    let trained = config.train_stochastic(rows.as_ref(), &start(79), &settings).unwrap();
    let last = trained.history.last().unwrap();
    println!("{last:?}");
    assert!(last.subspace_distance < 1e-3, "{last:?}");
    assert_eq!((trained.stop, last.iteration, trained.history.len()), (Stop::Iterations, 300, 301));
    let again = config.train_stochastic(rows.as_ref(), &start(79), &settings).unwrap();
    assert_eq!(trained.weights, again.weights);
}

/// A step on all samples at once is a step of plain gradient descent.
#[test]
fn the_batch_of_all_samples_is_the_gradient() {
    let rows = rows_of_spectrum(&SPECTRA[0].1, 80);
    let factor = Factor::of(rows.as_ref()).unwrap();
    for (objective, normalisation) in objectives()
        .into_iter()
        .zip([Normalisation::Sum, Normalisation::PerSample, Normalisation::PerEntry].into_iter().cycle())
    {
        let config = LinearAutoencoder { codes: CODES, objective, normalisation };
        let weights = Weights::random(8, CODES, 0.3, 81);
        let settings = StochasticGradient { batch_size: 40, learning_rate: 1e-3, epochs: 1, ..Default::default() };
        let moved = config.train_stochastic(rows.as_ref(), &weights, &settings).unwrap().weights;
        let gradient = config.evaluate(&factor, &weights).unwrap().gradient;
        let expected = &weights.decoder - &gradient.decoder * faer::Scale(1e-3);
        assert!((&moved.decoder - &expected).norm_max() < 1e-12);
    }
}

/// As the non-uniform penalty takes only the first direction to be worth a code, the others vanish.
#[test]
fn collapse_is_reached_too() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 88);
    for objective in [Objective::L2 { lambda: 3.5 }, Objective::NonUniformL2 { lambdas: vec![1.0, 4.5, 6.0] }] {
        let config = config(objective);
        let trained = config.train(&factor, &start(89), &Training::default()).unwrap();
        let certificate = config.certify(&factor, &trained.weights, None, &Tolerances::double()).unwrap();
        assert!(certificate.holds(), "{config:?}: {:?}", certificate.failing());
    }
}

/// Directions come up one after another as `λ` falls below their variances.
#[test]
fn a_falling_penalty_brings_up_one_direction_at_a_time() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 82);
    let lambdas = [6.0, 4.5, 3.6, 2.0, 0.5];
    let stages: Vec<Objective> = lambdas.iter().map(|&lambda| Objective::L2 { lambda }).collect();
    for solver in [Solver::AlternatingLeastSquares, Solver::BalancedLeastSquares, Solver::GradientDescent] {
        let settings = training(solver, 1e-7);
        let trained = config(Objective::Plain).continuation(&factor, &stages, &settings, 1e-3, 83).unwrap();
        for ((stage, objective), kept) in trained.iter().zip(&stages).zip([0, 1, 2, 3, 3]) {
            let values = stage.weights.decoder.singular_values().unwrap();
            assert_eq!(values.iter().filter(|&&s| s > 1e-3).count(), kept, "{objective:?}: {values:?}");
            let certificate =
                config(objective.clone()).certify(&factor, &stage.weights, None, &Tolerances::double()).unwrap();
            assert!(certificate.holds(), "{:?}, {objective:?}: {:?}", settings.solver, certificate.failing());
        }
    }
}

#[test]
fn every_rule_can_stop_a_training() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 84);
    let config = config(Objective::Plain);
    let few = Training { max_iterations: 3, ..training(Solver::GradientDescent, 1e-9) };
    let trained = config.train(&factor, &start(85), &few).unwrap();
    assert_eq!((trained.stop, trained.iterations), (Stop::Iterations, 3));
    let steps: Vec<usize> = trained.history.iter().map(|p| p.iteration).collect();
    assert_eq!(steps, [0, 3], "the first and the last");
    let wild = training(Solver::RotationAugmented { learning_rate: 1e6 }, 1e-9);
    let trained = config.train(&factor, &start(85), &wild).unwrap();
    assert_eq!(trained.stop, Stop::NonFinite);
    assert!(trained.loss.is_finite() && trained.weights.decoder.norm_l2().is_finite());
    let optimum = config.optimum(&factor).unwrap().weights;
    assert_eq!(config.train(&factor, &optimum, &few).unwrap().iterations, 0, "there is nothing to do");
}

#[test]
fn settings_are_checked() {
    let factor = factor_of_spectrum(&SPECTRA[0].1, 86);
    let check = |config: LinearAutoencoder, training: Training, message: &str| {
        assert_eq!(config.train(&factor, &start(87), &training).unwrap_err().to_string(), message);
    };
    let (good, plain) = (Training::default(), config(Objective::Plain));
    let with = |objective: Objective| config(objective);
    check(with(Objective::L2 { lambda: 0.0 }), good.clone(), "expected lambda to be above 0 and finite, got 0");
    let falling = Objective::NonUniformL2 { lambdas: vec![1.0, 2.0, 1.5] };
    check(with(falling), good.clone(), "expected lambdas to be above 0 and rising, got 1.5");
    let short = Objective::NestedDropout { prefixes: vec![1.0] };
    check(with(short), good.clone(), "expected 3 prefixes, one per code, got 1");
    let nine = LinearAutoencoder { codes: 9, ..plain.clone() };
    check(nine, good.clone(), "expected codes to be between 1 and the rank of the centred data, got 9");
    let two = LinearAutoencoder { codes: 2, ..plain.clone() };
    check(two, good.clone(), "expected 2 rows of the encoder, one per code, got 3");
    let adam = Training { solver: Solver::Adam { learning_rate: -1.0 }, ..good.clone() };
    check(plain.clone(), adam, "expected learning_rate to be above 0 and finite, got -1");
    check(plain, Training { record_every: 0, ..good }, "expected record_every to be at least 1, got 0");
    let mut rows = Mat::<f64>::zeros(4, 3);
    assert_eq!(Factor::of(rows.as_ref().subrows(0, 1)).unwrap_err().to_string(), "expected at least 2 rows, got 1");
    rows[(2, 1)] = f64::INFINITY;
    let message = "expected finite values, got inf at row 2, column 1";
    assert_eq!(Factor::of(rows.as_ref()).unwrap_err().to_string(), message);
}
