//! The full MNIST from its four files.

use crate::idx::Idx;
use crate::{Dataset, Error, digits};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::path::{Path, PathBuf};

/// MNIST: rows 0..60,000 from the training files, 60,000..70,000 from the test files.
pub(crate) fn mnist(data_dir: Option<&Path>) -> Result<Dataset, Error> {
    let folder = data_dir.unwrap_or(Path::new("."));
    let read = |part: &str| {
        let path = find(folder, part);
        let file = File::open(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        Idx::read(&path, MultiGzDecoder::new(file))
    };
    let images = vec![read("train-images-idx3-ubyte")?, read("t10k-images-idx3-ubyte")?];
    let labels = vec![read("train-labels-idx1-ubyte")?, read("t10k-labels-idx1-ubyte")?];
    let train = images[0].shape[0];
    let mut dataset = digits::dataset_of("mnist", images, labels)?;
    dataset.test_rows = Some(train..dataset.samples());
    Ok(dataset)
}

fn find(folder: &Path, part: &str) -> PathBuf {
    let plain = folder.join(format!("{part}.gz"));
    if plain.exists() { plain } else { folder.join(format!("mnist-{part}.gz")) }
}
