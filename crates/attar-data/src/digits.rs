//! The digits that come with the crate: 6,000 of MNIST's, see `data/README.md`.

use crate::idx::Idx;
use crate::{Bytes, Dataset, Error, Labels, Layout, Schema, Values};
use flate2::read::MultiGzDecoder;
use std::path::Path;

const IMAGES: &[u8] = include_bytes!("../data/digits-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("../data/digits-labels-idx1-ubyte.gz");

/// The bundled digits: rows 0..5,000 from MNIST's training files, 5,000..6,000 from its test files.
pub(crate) fn digits() -> Result<Dataset, Error> {
    let read = |name, bytes| Idx::read(Path::new(name), MultiGzDecoder::new(bytes));
    let images = read("bundled digits, images", IMAGES)?;
    let labels = read("bundled digits, labels", LABELS)?;
    let mut dataset = dataset_of("digits", vec![images], vec![labels])?;
    dataset.test_rows = Some(5_000..6_000);
    Ok(dataset)
}

/// A data set of grey digits from IDX arrays of bytes, `[n, height, width]` and `[n]`, joined in order.
pub(crate) fn dataset_of(name: &str, images: Vec<Idx>, labels: Vec<Idx>) -> Result<Dataset, Error> {
    let (height, width) = match images.first().map(|idx| &idx.shape[..]) {
        Some(&[_, height, width]) if height > 0 && width > 0 => (height, width),
        _ => return Err(unexpected(name, "images of shape [n, height, width]")),
    };
    let mut data = Vec::new();
    for idx in images {
        if idx.shape[1..] != [height, width] {
            return Err(unexpected(name, "images of one size"));
        }
        data.extend(idx.into_bytes().map_err(|_| unexpected(name, "pixels of one byte"))?);
    }
    let mut of = Vec::new();
    for idx in labels {
        let classes = idx.into_bytes().map_err(|_| unexpected(name, "labels of one byte"))?;
        of.extend(classes.into_iter().map(u32::from));
    }
    if of.len() * height * width != data.len() {
        return Err(Error::LabelCount { labels: of.len(), rows: data.len() / (height * width) });
    }
    let names: Vec<String> = (0..of.iter().max().map_or(0, |&max| max + 1)).map(|class| class.to_string()).collect();
    let layout = Layout::Image { height, width, channels: 1 };
    Ok(Dataset {
        name: name.to_owned(),
        schema: Schema { class_names: Some(names.clone()), ..Schema::unnamed(layout, "pixel", height * width) },
        values: Values::Bytes(Bytes { features: height * width, data }),
        labels: Some(Labels::Classes { names, of }),
        ids: None,
        test_rows: None,
    })
}

fn unexpected(name: &str, expected: &str) -> Error {
    Error::IdxHeader { path: name.into(), reason: format!("expected {expected}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_stratified_and_small() {
        assert!(IMAGES.len() + LABELS.len() < 1_500_000, "{} bytes", IMAGES.len() + LABELS.len());
        let set = digits().unwrap();
        assert_eq!((set.samples(), set.features()), (6_000, 784));
        let Some(Labels::Classes { names, of }) = &set.labels else { panic!("no classes") };
        assert_eq!(names.len(), 10);
        // Shares of the official files: https://yann.lecun.com/exdb/mnist, 60,000 and 10,000 images.
        let official_train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949];
        let official_test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009];
        for class in 0..10 {
            let count = |rows: &[u32]| rows.iter().filter(|&&c| c == class).count() as f64;
            let share = |official: [u32; 10], scale: f64| f64::from(official[class as usize]) / scale;
            assert!((count(&of[..5_000]) - share(official_train, 12.0)).abs() <= 1.0);
            assert!((count(&of[5_000..]) - share(official_test, 10.0)).abs() <= 1.0);
        }
    }

    #[test]
    fn the_fingerprint_is_that_of_the_first_release() {
        assert_eq!(digits().unwrap().fingerprint(), "3e65bc561b903012ccfee30010fc12b19e95ee1a08a09b5b422b163492919f02");
    }
}
