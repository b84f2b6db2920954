//! The data that the questions are asked of.

use std::path::Path;

use attar_data::{
    Labels, Location, Prepared, Preprocessing, ReadOptions, Split, SplitFractions, catalogue, open, split,
};
use attar_learn::pca::covariance_sum;
use attar_linear::linear_autoencoder::{Factor, LinearAutoencoder, Normalisation, Objective, Weights};
use faer::{Mat, MatRef};

use super::arithmetic::product;
use crate::cli::LinearData;
use crate::error::CliError;

/// Size of the code on data sets: the number of directions of high variance in the synthetic one.
const CODES: usize = 20;

/// Size of the code on the known spectra, their features, and their rows.
pub(super) const FEW_CODES: usize = 5;
const FEATURES: usize = 20;
const SAMPLES: usize = 400;

/// A labelled data set.
pub(super) struct Source {
    pub(super) name: &'static str,
    /// Rows, features and how it was split.
    pub(super) about: String,
    pub(super) subject: Subject,
    pub(super) data: Prepared,
    pub(super) split: Split,
    pub(super) labels: Vec<u32>,
    pub(super) classes: usize,
}

/// Gaussian rows, whitened so that their own covariance has exactly the spectrum asked for.
pub(super) struct Gaussian {
    pub(super) name: &'static str,
    pub(super) subject: Subject,
}

/// Data as a linear autoencoder sees them, and the size of its code.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) factor: Factor,
    pub(super) codes: usize,
}

impl Subject {
    /// A linear autoencoder under an objective. Errors are averaged over rows and summed over features.
    pub(super) fn model(&self, objective: Objective) -> LinearAutoencoder {
        LinearAutoencoder { codes: self.codes, objective, normalisation: Normalisation::PerSample }
    }

    /// `σ²`, largest first.
    pub(super) fn variances(&self) -> Vec<f64> {
        self.factor.variances(Normalisation::PerSample)
    }

    /// Half the smallest variance that is kept: a strength that shrinks every direction and collapses none.
    pub(super) fn medium_lambda(&self) -> f64 {
        0.5 * self.variances()[self.codes - 1]
    }

    /// The principal directions that are kept.
    pub(super) fn principal(&self) -> MatRef<'_, f64> {
        self.factor.vectors().subcols(0, self.codes)
    }

    /// Weights whose rows and columns have a length of about 1.
    pub(super) fn start(&self, seed: u64) -> Weights {
        Weights::random(self.factor.features(), self.codes, 1.0 / (self.factor.features() as f64).sqrt(), seed)
    }

    /// The error of a sum of `features` products, a few times over: a gradient is a chain of them.
    pub(super) fn rounding(&self) -> f64 {
        4.0 * self.factor.features() as f64 * f64::EPSILON
    }
}

/// Spectra with a code of five: variances of twenty features.
pub(super) const SPECTRA: [&str; 3] = ["gentle", "steep", "near-tie"];

/// The variances of a spectrum: falling by a fifth each, by half each, and the first with a sixth variance that is
/// a thousandth below the fifth.
pub(super) fn variances_of(name: &str, features: usize) -> Vec<f64> {
    let fall: f64 = if name == "steep" { 0.5 } else { 0.8 };
    let mut variances: Vec<f64> = (0..features).map(|i| 10.0 * fall.powi(i as i32)).collect();
    if name == "near-tie" {
        variances[FEW_CODES] = 0.999 * variances[FEW_CODES - 1];
    }
    variances
}

impl Gaussian {
    pub(super) fn about(&self) -> String {
        let variances = self.subject.variances();
        let (k, last) = (self.subject.codes, variances.len() - 1);
        format!(
            "{SAMPLES} Gaussian rows of {FEATURES} features with exact variances {:.3}, ..., {:.3} | {:.3}, ..., \
             {:.1e}; code of {k}",
            variances[0],
            variances[k - 1],
            variances[k],
            variances[last]
        )
    }
}

/// The rows of the first spectrum.
pub(super) fn gentle_rows(seed: u64) -> Result<Mat<f64>, CliError> {
    rows_of(&variances_of(SPECTRA[0], FEATURES), SAMPLES, seed)
}

pub(super) fn spectra(seed: u64) -> Result<Vec<Gaussian>, CliError> {
    let gaussian = |name: &'static str| {
        let rows = rows_of(&variances_of(name, FEATURES), SAMPLES, seed)?;
        Ok(Gaussian { name, subject: Subject { factor: Factor::of(rows.as_ref())?, codes: FEW_CODES } })
    };
    SPECTRA.into_iter().map(gaussian).collect()
}

/// Gaussian rows, centred and whitened, then stretched along random directions: `[samples, features]`, with exactly
/// these variances (divisor n).
pub(super) fn rows_of(variances: &[f64], samples: usize, seed: u64) -> Result<Mat<f64>, CliError> {
    let m = variances.len();
    let noise = Weights::random(samples, m, 1.0, seed).decoder;
    let means: Vec<f64> = (0..m).map(|j| noise.col(j).iter().sum::<f64>() / samples as f64).collect();
    let white = orthonormal(Mat::from_fn(samples, m, |i, j| noise[(i, j)] - means[j]).as_ref())?;
    let directions = rotation(m, seed.wrapping_add(1))?;
    let scaled = Mat::from_fn(samples, m, |i, j| white[(i, j)] * (samples as f64 * variances[j]).sqrt());
    Ok(product(scaled.as_ref(), directions.transpose()))
}

/// A random orthogonal matrix.
pub(super) fn rotation(size: usize, seed: u64) -> Result<Mat<f64>, CliError> {
    orthonormal(Weights::random(size, size, 1.0, seed).decoder.as_ref())
}

fn orthonormal(matrix: MatRef<'_, f64>) -> Result<Mat<f64>, CliError> {
    let svd = matrix.thin_svd().map_err(|_| CliError::run("a singular value decomposition did not converge"))?;
    Ok(svd.U().to_owned())
}

impl Source {
    fn open(name: &'static str, seed: u64, data_dir: Option<&Path>) -> Result<Self, CliError> {
        let options = ReadOptions { data_dir: data_dir.map(Path::to_owned), seed, ..ReadOptions::default() };
        let dataset = open(name, &options)?;
        let fractions = match dataset.test_rows {
            Some(_) => SplitFractions { train: 1.0, validation: 0.0, test: 0.0 },
            None => SplitFractions { train: 0.7, validation: 0.2, test: 0.1 },
        };
        let split = split(&dataset, &fractions, seed)?;
        let preprocessing = Preprocessing::fit(&dataset, &split.train, None)?;
        let Some(Labels::Classes { names, of }) = dataset.labels.clone() else {
            return Err(CliError::run(format!("{name} has no classes")));
        };
        let data = Prepared { dataset, preprocessing };
        let factor = Factor::from_covariance(&covariance_sum(&data, &split.train)?)?;
        let about = format!(
            "{} rows of {} features (rank {}), {} to test on; code of {CODES}",
            factor.samples(),
            factor.features(),
            factor.rank(),
            split.test.len()
        );
        let subject = Subject { factor, codes: CODES };
        Ok(Self { name, about, subject, data, split, labels: of, classes: names.len() })
    }

    /// Rows less the mean of the training rows, `[rows, features]`.
    pub(super) fn centred(&self, rows: &[usize]) -> Mat<f64> {
        let features = self.subject.factor.features();
        let mut values = vec![0.0; rows.len() * features];
        self.data.read(rows, &mut values);
        let mean = self.subject.factor.mean();
        Mat::from_fn(rows.len(), features, |i, j| f64::from(values[i * features + j]) - mean[j])
    }
}

/// The course's data, and MNIST where it is found, else the bundled digits; or one of them alone.
pub(super) fn open_all(data: Option<LinearData>, seed: u64, data_dir: Option<&Path>) -> Result<Vec<Source>, CliError> {
    let names = match data {
        Some(LinearData::Synthetic) => vec!["synthetic"],
        Some(LinearData::Digits) => vec!["digits"],
        Some(LinearData::Mnist) => vec!["mnist"],
        None => vec!["synthetic", images(data_dir)],
    };
    names.into_iter().map(|name| Source::open(name, seed, data_dir)).collect()
}

fn images(data_dir: Option<&Path>) -> &'static str {
    let is_here = |entry: &attar_data::Entry| entry.name == "mnist" && matches!(entry.location, Location::Folder(_));
    if catalogue(data_dir).iter().any(is_here) { "mnist" } else { "digits" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_spectrum_asked_for() {
        for name in SPECTRA {
            let variances = variances_of(name, 7);
            let factor = Factor::of(rows_of(&variances, 50, 3).unwrap().as_ref()).unwrap();
            let found = factor.variances(Normalisation::PerSample);
            for (found, expected) in found.iter().zip(&variances) {
                assert!((found / expected - 1.0).abs() < 1e-10, "{name}: {found} {expected}");
            }
        }
    }

    #[test]
    fn the_near_tie_stays_in_order() {
        let variances = variances_of("near-tie", FEATURES);
        assert!(variances.windows(2).all(|pair| pair[0] > pair[1]), "{variances:?}");
    }
}
