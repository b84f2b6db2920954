//! Critical points of the plain loss: their loss, their inertia, and the way down.

use attar_linear::linear_autoencoder::{CriticalPoint, Factor, Normalisation, Objective, Weights};
use faer::{Mat, Side};

use super::{factor_of_spectrum, recoded};

const FEATURES: usize = 4;
const CODES: usize = 2;
const VARIANCES: [f64; FEATURES] = [5.0, 3.0, 2.0, 1.0];

fn plain() -> attar_linear::linear_autoencoder::LinearAutoencoder {
    let normalisation = Normalisation::PerSample;
    attar_linear::linear_autoencoder::LinearAutoencoder { codes: CODES, objective: Objective::Plain, normalisation }
}

/// Every set of at most two of the four directions.
fn index_sets() -> Vec<Vec<usize>> {
    (0..1usize << FEATURES)
        .map(|bits| (0..FEATURES).filter(|i| bits >> i & 1 == 1).collect::<Vec<_>>())
        .filter(|set| set.len() <= CODES)
        .collect()
}

/// The weights as one vector, and back.
fn flat(weights: &Weights) -> Vec<f64> {
    let columns = weights.encoder.col_iter().chain(weights.decoder.col_iter());
    columns.flat_map(|column| column.iter().copied().collect::<Vec<_>>()).collect()
}

fn unflat(values: &[f64]) -> Weights {
    let (encoder, decoder) = values.split_at(FEATURES * CODES);
    Weights {
        encoder: Mat::from_fn(CODES, FEATURES, |i, j| encoder[j * CODES + i]),
        decoder: Mat::from_fn(FEATURES, CODES, |i, j| decoder[j * FEATURES + i]),
    }
}

/// By central differences of the gradient.
fn hessian(factor: &Factor, weights: &Weights) -> Mat<f64> {
    let at = flat(weights);
    let gradient = |i: usize, step: f64| {
        let mut moved = at.clone();
        moved[i] += step;
        flat(&plain().evaluate(factor, &unflat(&moved)).unwrap().gradient)
    };
    let step = 1e-5;
    let columns: Vec<Vec<f64>> = (0..at.len())
        .map(|i| gradient(i, step).iter().zip(gradient(i, -step)).map(|(a, b)| (a - b) / (2.0 * step)).collect())
        .collect();
    Mat::from_fn(at.len(), at.len(), |i, j| 0.5 * (columns[j][i] + columns[i][j]))
}

#[test]
fn the_inertia_is_the_number_of_pairs() {
    let factor = factor_of_spectrum(&VARIANCES, 30);
    let sets = index_sets();
    assert_eq!(sets.len(), 11);
    for set in sets {
        let point = CriticalPoint::of(&factor, CODES, &set, Normalisation::PerSample).unwrap();
        let stretch = Mat::from_fn(CODES, CODES, |i, j| if i == j { 1.0 + i as f64 } else { 0.4 });
        for weights in [point.weights.clone(), recoded(&point.weights, &stretch)] {
            let found = plain().evaluate(&factor, &weights).unwrap();
            assert!(flat(&found.gradient).iter().all(|g| g.abs() < 1e-12), "{set:?} is critical");
            assert!((found.loss - point.loss).abs() < 1e-12, "{set:?}: loss {} and {}", found.loss, point.loss);
            let eigenvalues = hessian(&factor, &weights).self_adjoint_eigenvalues(Side::Lower).unwrap();
            let negative = eigenvalues.iter().filter(|&&v| v < -1e-4).count();
            assert_eq!(negative, point.descending, "{set:?}: {eigenvalues:?}");
        }
    }
}

#[test]
fn there_is_a_way_down_from_all_but_the_minimum() {
    let factor = factor_of_spectrum(&VARIANCES, 31);
    for set in index_sets() {
        let point = CriticalPoint::of(&factor, CODES, &set, Normalisation::PerSample).unwrap();
        let Some(descent) = &point.descent else {
            assert_eq!((set, point.descending), (vec![0, 1], 0));
            continue;
        };
        let along = plain().along(&factor, &point.weights, descent).unwrap();
        assert!(along[1].abs() < 1e-12 && along[2] < -0.5, "{set:?}: {along:?}");
        let weakest = if set.len() < CODES { 0.0 } else { set.iter().map(|&i| VARIANCES[i]).fold(f64::MAX, f64::min) };
        let strongest = (0..FEATURES).find(|j| !set.contains(j)).map(|j| VARIANCES[j]).unwrap();
        let expected = if weakest > 0.0 { weakest - strongest } else { -2.0 * strongest };
        assert!((along[2] - expected).abs() < 1e-12, "{set:?}: curvature {} and {expected}", along[2]);
    }
}

#[test]
fn index_sets_are_checked() {
    let factor = factor_of_spectrum(&VARIANCES, 32);
    let check = |codes: usize, set: &[usize], message: &str| {
        let result = CriticalPoint::of(&factor, codes, set, Normalisation::Sum);
        assert_eq!(result.unwrap_err().to_string(), message);
    };
    check(2, &[0, 1, 2], "expected indices to be at most one per code, got 3");
    check(2, &[1, 1], "expected indices to be different and below the rank, got 1");
    check(2, &[4], "expected indices to be different and below the rank, got 4");
    check(5, &[], "expected codes to be between 1 and the rank of the centred data, got 5");
}
