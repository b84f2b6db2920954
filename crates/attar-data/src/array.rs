//! Arrays without column names: what their shape means, and the data sets made of them.

use crate::labels::labels_of_numbers;
use crate::{Bytes, Dataset, Error, Layout, Matrix, Schema, Values};
use std::path::Path;

/// A schema names every feature, so a header must not promise any number of them.
const MOST_FEATURES: usize = 1 << 22;

/// Refuses more features than are supported.
pub(crate) fn check_features(path: &Path, features: usize) -> Result<(), Error> {
    match features > MOST_FEATURES {
        true => Err(Error::TooManyFeatures { path: path.to_owned(), features, limit: MOST_FEATURES }),
        false => Ok(()),
    }
}

/// Rows, features and layout of an array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) samples: usize,
    pub(crate) features: usize,
    pub(crate) layout: Layout,
}

impl Shape {
    /// The first dimension counts samples. Bytes of shape `[n, height, width]` or `[n, height, width, 1 or 3]` are
    /// images, channels last; everything else is vectors, one dimension being one feature each.
    pub(crate) fn of(path: &Path, shape: &[usize], bytes: bool) -> Result<Self, Error> {
        let (samples, inner) = shape.split_first().map_or((0, shape), |(first, rest)| (*first, rest));
        let features = inner.iter().try_fold(1_usize, |product, &size| product.checked_mul(size)).unwrap_or(usize::MAX);
        if samples == 0 || features == 0 {
            return Err(Error::Empty { path: path.to_owned(), samples, features });
        }
        check_features(path, features)?;
        let layout = match *inner {
            [height, width] | [1, height, width] if bytes => Layout::Image { height, width, channels: 1 },
            [height, width, channels @ (1 | 3)] if bytes => Layout::Image { height, width, channels },
            _ => Layout::Vectors,
        };
        Ok(Shape { samples, features, layout })
    }

    pub(crate) fn is_image(self) -> bool {
        matches!(self.layout, Layout::Image { .. })
    }

    /// A data set with this shape's schema and no labels.
    pub(crate) fn dataset(self, name: String, values: Values) -> Dataset {
        let prefix = if self.is_image() { "pixel" } else { "feature" };
        let schema = Schema::unnamed(self.layout, prefix, self.features);
        Dataset { name, schema, values, labels: None, ids: None, test_rows: None }
    }

    /// Bytes as pixels if this is an image, else as numbers.
    pub(crate) fn values_of_bytes(self, data: Vec<u8>) -> Values {
        match self.is_image() {
            true => Values::Bytes(Bytes { features: self.features, data }),
            false => self.values_of_numbers(data.into_iter().map(f64::from)),
        }
    }

    /// Numbers in memory.
    pub(crate) fn values_of_numbers(self, numbers: impl Iterator<Item = f64>) -> Values {
        Values::Memory(Matrix { features: self.features, data: numbers.map(|number| number as f32).collect() })
    }
}

/// Gives a data set its labels, one number a row.
pub(crate) fn attach_labels(mut dataset: Dataset, path: &Path, numbers: Vec<f64>) -> Result<Dataset, Error> {
    if numbers.len() != dataset.samples() {
        return Err(Error::LabelCount { labels: numbers.len(), rows: dataset.samples() });
    }
    if let Some(row) = numbers.iter().position(|number| !number.is_finite()) {
        return Err(Error::NotFinite { path: path.to_owned(), row: row as u64, column: "labels".to_owned() });
    }
    let labels = labels_of_numbers(numbers);
    dataset.schema.class_names = labels.names().map(<[String]>::to_vec);
    dataset.labels = Some(labels);
    Ok(dataset)
}
