//! What can be judged: the learned code and its baselines.

use attar_data::Prepared;
use attar_linear::FittedPca;
use burn::tensor::Device;

use crate::judge::matrix;
use crate::{Autoencoder, Error, evaluate};

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
            Self::Pca(pca) => pca_codes(pca, data, rows),
            Self::Raw => {
                let mut codes = vec![0.0; rows.len() * data.dataset.features()];
                data.read(rows, &mut codes);
                Ok(codes)
            }
        }
    }
}

fn pca_codes(pca: &FittedPca, data: &Prepared, rows: &[usize]) -> Result<Vec<f32>, Error> {
    let features = data.dataset.features();
    let mut codes = Vec::with_capacity(rows.len() * pca.components.nrows());
    for rows in rows.chunks(4096) {
        let mut block = vec![0.0; rows.len() * features];
        data.read(rows, &mut block);
        codes.extend(attar_linear::row_major(pca.transform(matrix(&block, features))?.as_ref()));
    }
    Ok(codes)
}
