//! What can be judged: the learned code and its baselines.

use attar_data::Prepared;
use attar_linear::FittedPca;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{Autoencoder, Error, evaluate, pca};

/// A way from rows to codes, fixed before any label is seen.
#[derive(Debug)]
pub enum Representation<'a> {
    /// The code of a trained network.
    Learned(&'a Autoencoder, Device),
    /// The code of the same network before training.
    Random(&'a Autoencoder, Device),
    /// The scores of principal components.
    Pca(&'a FittedPca),
    /// The prepared features themselves.
    Raw,
}

impl Representation<'_> {
    /// The name in results and figures.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Learned(..) => "learned code",
            Self::Random(..) => "random encoder",
            Self::Pca(_) => "PCA",
            Self::Raw => "raw features",
        }
    }

    /// Numbers per sample.
    pub fn size(&self, data: &Prepared) -> usize {
        match self {
            Self::Learned(model, _) | Self::Random(model, _) => model.latent(),
            Self::Pca(pca) => pca.components.nrows(),
            Self::Raw => data.dataset.features(),
        }
    }

    /// The codes of the given rows, row-major `[rows, size]`.
    ///
    /// # Errors
    /// As [`FittedPca::transform`].
    pub fn codes(&self, data: &Prepared, rows: &[usize]) -> Result<Vec<f32>, Error> {
        match self {
            Self::Learned(model, device) | Self::Random(model, device) => {
                Ok(evaluate::codes(model, data, rows, device))
            }
            Self::Pca(pca) => pca::codes(pca, data, rows),
            Self::Raw => {
                let mut codes = vec![0.0; rows.len() * data.dataset.features()];
                data.read(rows, &mut codes);
                Ok(codes)
            }
        }
    }
}

/// Held-out reconstruction: squared error of each feature, averaged over rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reconstruction {
    /// Of the network.
    pub learned: Vec<f64>,
    /// Of the principal components of the same number.
    pub pca: Vec<f64>,
    /// Of the training mean alone: what a code that says nothing reaches.
    pub mean: Vec<f64>,
}

impl Reconstruction {
    /// Measures all three on the given rows.
    ///
    /// # Errors
    /// As [`FittedPca::transform`].
    pub fn of(
        model: &Autoencoder,
        pca: &FittedPca,
        data: &Prepared,
        rows: &[usize],
        device: &Device,
    ) -> Result<Self, Error> {
        let mean: Vec<f32> = pca.mean.iter().map(|&mean| mean as f32).collect();
        let repeated = |clean: &[f32]| Ok(mean.iter().copied().cycle().take(clean.len()).collect());
        Ok(Self {
            learned: evaluate::feature_errors(model, data, rows, device),
            pca: Self::of_pca(pca, data, rows)?,
            mean: feature_errors(data, rows, repeated)?,
        })
    }

    /// Squared error of each feature's reconstruction from principal components, averaged over rows.
    ///
    /// # Errors
    /// As [`FittedPca::transform`].
    pub fn of_pca(pca: &FittedPca, data: &Prepared, rows: &[usize]) -> Result<Vec<f64>, Error> {
        feature_errors(data, rows, |clean| pca::forward(pca, clean))
    }
}

fn feature_errors(
    data: &Prepared,
    rows: &[usize],
    reconstruct: impl Fn(&[f32]) -> Result<Vec<f32>, Error>,
) -> Result<Vec<f64>, Error> {
    let features = data.dataset.features();
    let mut errors = vec![0.0; features];
    for rows in rows.chunks(BLOCK) {
        let mut clean = vec![0.0; rows.len() * features];
        data.read(rows, &mut clean);
        for (at, (clean, output)) in clean.iter().zip(reconstruct(&clean)?).enumerate() {
            errors[at % features] += f64::from(output - clean).powi(2);
        }
    }
    Ok(errors.iter().map(|error| error / rows.len() as f64).collect())
}

/// Rows that are read at a time.
const BLOCK: usize = 4096;
