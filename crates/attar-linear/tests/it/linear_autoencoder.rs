//! Linear autoencoders: every closed form against an independent computation, and every planted error caught.

mod certificate;
mod metrics;
mod objectives;
mod optimum;
mod saddles;
mod solvers;
mod torch;

use attar_linear::linear_autoencoder::{Factor, LinearAutoencoder, Normalisation, Objective, Weights};
use faer::Mat;

/// Variances per sample of eight features; the code has three dimensions.
pub(crate) const SPECTRA: [(&str, [f64; 8]); 3] = [
    ("gentle", [5.0, 4.0, 3.2, 2.5, 2.0, 1.6, 1.3, 1.0]),
    ("steep", [100.0, 20.0, 4.0, 0.8, 0.16, 0.03, 0.006, 0.001]),
    ("near-tie", [6.0, 4.0, 2.01, 2.0, 1.0, 0.8, 0.5, 0.2]),
];

pub(crate) const CODES: usize = 3;

const SAMPLES: usize = 40;

/// Centred rows whose covariance (divisor n) has exactly these eigenvalues, in random directions.
pub(crate) fn rows_of_spectrum(variances: &[f64], seed: u64) -> Mat<f64> {
    let m = variances.len();
    let draw = |rows: usize, seed: u64| Weights::random(rows, m, 1.0, seed).decoder;
    let noise = draw(SAMPLES, seed);
    let means: Vec<f64> = (0..m).map(|j| noise.col(j).sum() / SAMPLES as f64).collect();
    let centred = Mat::from_fn(SAMPLES, m, |i, j| noise[(i, j)] - means[j]);
    let left = centred.thin_svd().unwrap().U().to_owned();
    let directions = draw(m, seed + 1000).thin_svd().unwrap().U().to_owned();
    let scaled = Mat::from_fn(SAMPLES, m, |i, j| left[(i, j)] * (SAMPLES as f64 * variances[j]).sqrt());
    scaled * directions.transpose()
}

pub(crate) fn factor_of_spectrum(variances: &[f64], seed: u64) -> Factor {
    Factor::of(rows_of_spectrum(variances, seed).as_ref()).unwrap()
}

pub(crate) fn config(objective: Objective) -> LinearAutoencoder {
    LinearAutoencoder { codes: CODES, objective, normalisation: Normalisation::PerSample }
}

/// One of each objective, strong enough to matter on every spectrum and not to collapse a kept direction.
pub(crate) fn objectives() -> [Objective; 5] {
    [
        Objective::Plain,
        Objective::L2 { lambda: 0.5 },
        Objective::Product { lambda: 0.5 },
        Objective::NonUniformL2 { lambdas: vec![0.1, 0.6, 1.6] },
        Objective::NestedDropout { prefixes: vec![0.3, 0.2, 0.5] },
    ]
}

/// The same map by a code that a matrix has been applied to.
pub(crate) fn recoded(weights: &Weights, by: &Mat<f64>) -> Weights {
    let inverse = by.full_piv_lu();
    let inverse = faer::prelude::Solve::solve(&inverse, Mat::<f64>::identity(by.nrows(), by.nrows()));
    Weights { encoder: by * &weights.encoder, decoder: &weights.decoder * inverse }
}

/// A random orthogonal matrix, turned well away from the identity.
pub(crate) fn rotation(size: usize, seed: u64) -> Mat<f64> {
    Weights::random(size, size, 1.0, seed).decoder.thin_svd().unwrap().U().to_owned()
}
