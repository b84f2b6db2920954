//! Missing values in arrays: found, refused or dropped. Tables settle theirs while they are read.

use crate::npy::Mapped;
use crate::{Dataset, Error, Impute, Labels, Values};
use std::path::Path;

/// Refuses or drops the rows of a mapped or in-memory array that hold a NaN, and refuses infinite values.
///
/// One pass over the data, a row at a time. Arrays of whole numbers are not looked at.
pub(crate) fn settle_missing(mut dataset: Dataset, path: &Path, impute: Option<Impute>) -> Result<Dataset, Error> {
    let looked_at = match &dataset.values {
        Values::Memory(_) => true,
        Values::Mapped(mapped) => mapped.is_float(),
        Values::Bytes(_) | Values::Arriving(_) => false,
    };
    if !looked_at {
        return Ok(dataset);
    }
    let incomplete = incomplete_rows(&dataset, path, impute)?;
    dataset.schema.impute = impute;
    if impute == Some(Impute::Drop) && !incomplete.is_empty() {
        drop_rows(&mut dataset, &incomplete);
    }
    match dataset.samples() {
        0 => Err(Error::Empty { path: path.to_owned(), samples: 0, features: dataset.features() }),
        _ => Ok(dataset),
    }
}

/// The rows that hold a NaN, which is an error unless something is done about it; an infinite value always is.
fn incomplete_rows(dataset: &Dataset, path: &Path, impute: Option<Impute>) -> Result<Vec<usize>, Error> {
    let mut incomplete = Vec::new();
    let mut values = vec![0.0_f32; dataset.features()];
    for row in 0..dataset.samples() {
        dataset.values.read(&[row], &mut values);
        // Without an early exit, so that it is done in vectors.
        if values.iter().fold(true, |all, value| all & value.is_finite()) {
            continue;
        }
        let name = |column: usize| dataset.schema.columns[column].to_string();
        if let Some(column) = values.iter().position(|value| value.is_infinite()) {
            return Err(Error::NotFinite { path: path.to_owned(), row: row as u64, column: name(column) });
        }
        match (values.iter().position(|value| value.is_nan()), impute) {
            (Some(column), None) => {
                return Err(Error::MissingValue { path: path.to_owned(), row: row as u64, column: name(column) });
            }
            _ => incomplete.push(row),
        }
    }
    Ok(incomplete)
}

/// `dropped` is in ascending order.
fn drop_rows(dataset: &mut Dataset, dropped: &[usize]) {
    let kept: Vec<usize> = (0..dataset.samples()).filter(|row| dropped.binary_search(row).is_err()).collect();
    if let Some(test) = &mut dataset.test_rows {
        let before = |row: usize| dropped.partition_point(|&gone| gone < row);
        *test = test.start - before(test.start)..test.end - before(test.end);
    }
    match &mut dataset.labels {
        Some(Labels::Classes { of, .. }) => keep(of, &kept),
        Some(Labels::Numbers(numbers)) => keep(numbers, &kept),
        None => {}
    }
    if let Some(ids) = &mut dataset.ids {
        keep(ids, &kept);
    }
    match &mut dataset.values {
        Values::Memory(matrix) => {
            let features = matrix.features;
            for (to, &from) in kept.iter().enumerate() {
                matrix.data.copy_within(from * features..(from + 1) * features, to * features);
            }
            matrix.data.truncate(kept.len() * features);
        }
        Values::Mapped(mapped) => Mapped::keep(mapped, kept),
        Values::Bytes(_) | Values::Arriving(_) => {}
    }
}

fn keep<T: Clone>(items: &mut Vec<T>, kept: &[usize]) {
    *items = kept.iter().map(|&row| items[row].clone()).collect();
}
