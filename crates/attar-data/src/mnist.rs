//! The full MNIST from its four files: under the data folder, in the cache, or fetched.

use crate::fetch::{MNIST_FILES, MNIST_MIRRORS, fetch_mnist};
use crate::{Dataset, Error, cache_folder, digits, idx};
use std::path::{Path, PathBuf};

/// MNIST: rows 0..60,000 from the training files, 60,000..70,000 from the test files.
pub(crate) fn mnist(data_dir: Option<&Path>) -> Result<Dataset, Error> {
    mnist_from(data_dir, &cache_folder().join("mnist"), &MNIST_MIRRORS)
}

fn mnist_from(data_dir: Option<&Path>, cache: &Path, mirrors: &[&str]) -> Result<Dataset, Error> {
    if let Some(folder) = places(data_dir, cache).find(|folder| is_mnist(folder)) {
        return read_folder(&folder);
    }
    fetch_mnist(mirrors, cache, &mut |_, _, _| {})?;
    read_folder(cache)
}

/// Where the four files are looked for.
fn places(data_dir: Option<&Path>, cache: &Path) -> impl Iterator<Item = PathBuf> {
    let nearby = data_dir.map(|folder| [folder.to_owned(), folder.join("mnist")]);
    nearby.into_iter().flatten().chain([cache.to_owned()])
}

/// Where `mnist` would be read from without fetching.
pub(crate) fn local_folder(data_dir: Option<&Path>) -> Option<PathBuf> {
    places(data_dir, &cache_folder().join("mnist")).find(|folder| is_mnist(folder))
}

/// Whether a folder holds the four files.
pub(crate) fn is_mnist(folder: &Path) -> bool {
    MNIST_FILES.iter().all(|file| find(folder, file.name).is_some())
}

/// Reads the four files of a folder.
pub(crate) fn read_folder(folder: &Path) -> Result<Dataset, Error> {
    let read = |name: &str| {
        let path = find(folder, name).unwrap_or_else(|| folder.join(name));
        let gzip = path.extension().is_some_and(|ending| ending == "gz");
        idx::open(&path, gzip)
    };
    let [train_images, train_labels, test_images, test_labels] = MNIST_FILES.map(|file| file.name);
    let images = vec![read(train_images)?, read(test_images)?];
    let labels = vec![read(train_labels)?, read(test_labels)?];
    let train = images[0].shape[0];
    let mut dataset = digits::dataset_of("mnist", images, labels)?;
    dataset.test_rows = Some(train..dataset.samples());
    Ok(dataset)
}

/// The file under its official name, with `mnist-` before it, or unpacked.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let unpacked = name.trim_end_matches(".gz");
    let names = [name.to_owned(), format!("mnist-{name}"), unpacked.to_owned(), unpacked.replace("-idx", ".idx")];
    names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Labels, Values};

    #[test]
    fn without_a_network_the_error_says_where_the_files_belong() {
        let cache = tempfile::tempdir().unwrap();
        // The port of discarded data: nothing listens there.
        let error = mnist_from(None, cache.path(), &["http://127.0.0.1:9"]).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::NoMnist { .. }));
        assert!(message.contains("train-images-idx3-ubyte.gz"), "{message}");
        assert!(message.contains(&cache.path().display().to_string()), "{message}");
        assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_four_files_are_found_and_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        if !is_mnist(&folder) {
            eprintln!("skipped: no MNIST in {}", folder.display());
            return;
        }
        let set = mnist_from(Some(&folder), Path::new("/nonexistent"), &[]).unwrap();
        assert_eq!((set.samples(), set.features(), set.test_rows.clone()), (70_000, 784, Some(60_000..70_000)));
        for file in MNIST_FILES {
            assert_eq!(crate::fetch::unpacked_sha256(&find(&folder, file.name).unwrap()).unwrap(), file.sha256);
        }
    }

    /// Each part of the bundled digits is found, label and pixels, in the same order in its official file.
    #[test]
    fn the_bundled_digits_are_those_of_the_official_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        if !is_mnist(&folder) {
            eprintln!("skipped: no MNIST in {}", folder.display());
            return;
        }
        let (all, few) = (read_folder(&folder).unwrap(), digits::digits().unwrap());
        let row = |set: &Dataset, row: usize| {
            let (Values::Bytes(pixels), Some(Labels::Classes { of, .. })) = (&set.values, &set.labels) else {
                panic!()
            };
            (pixels.data[row * 784..][..784].to_vec(), of[row])
        };
        for (mut official, drawn) in [(0..60_000, 0..5_000), (60_000..70_000, 5_000..6_000)] {
            for digit in drawn {
                let wanted = row(&few, digit);
                assert!(official.any(|candidate| row(&all, candidate) == wanted), "digit {digit}");
            }
        }
    }
}
