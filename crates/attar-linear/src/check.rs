//! What every `fit` asks of its input before it computes anything.

use faer::MatRef;

use crate::Error;
use crate::real::Real;

/// Refuses a matrix with no features, fewer than `needed` rows, or a value that is not finite.
pub(crate) fn samples<T: Real>(rows: MatRef<'_, T>, needed: usize) -> Result<(), Error> {
    if rows.ncols() == 0 {
        return Err(Error::NoFeatures);
    }
    if rows.nrows() < needed {
        return Err(Error::TooFewRows { rows: rows.nrows(), needed });
    }
    finite(rows)
}

/// Refuses the first NaN or infinity, in row order.
pub(crate) fn finite<T: Real>(rows: MatRef<'_, T>) -> Result<(), Error> {
    for row in 0..rows.nrows() {
        let values = rows.row(row);
        let all_finite = match values.try_as_row_major() {
            Some(slice) => slice.as_slice().iter().fold(true, |ok, &v| ok & is_finite(v)),
            None => values.iter().all(|&v| is_finite(v)),
        };
        if !all_finite {
            return Err(first_non_finite(rows, row));
        }
    }
    Ok(())
}

fn first_non_finite<T: Real>(rows: MatRef<'_, T>, row: usize) -> Error {
    let column = (0..rows.ncols()).find(|&j| !is_finite(rows[(row, j)])).unwrap_or(0);
    Error::NonFinite { row, column, value: rows[(row, column)].into() }
}

fn is_finite<T: Real>(value: T) -> bool {
    value.into().is_finite()
}

/// Refuses the first target that is not finite.
pub(crate) fn finite_targets(targets: &[f64]) -> Result<(), Error> {
    match targets.iter().position(|t| !t.is_finite()) {
        Some(row) => Err(Error::Target { row, value: targets[row] }),
        None => Ok(()),
    }
}

/// Refuses a matrix of another width than the model's.
pub(crate) fn features<T: Real>(rows: MatRef<'_, T>, expected: usize) -> Result<(), Error> {
    if rows.ncols() == expected { Ok(()) } else { Err(Error::Features { expected, found: rows.ncols() }) }
}

/// Refuses two lists of different lengths.
pub(crate) fn length(what: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found { Ok(()) } else { Err(Error::Length { what, expected, found }) }
}

/// Refuses a setting for which `ok` is false.
pub(crate) fn setting(name: &'static str, expected: &'static str, value: f64, ok: bool) -> Result<(), Error> {
    if ok { Ok(()) } else { Err(Error::Setting { name, expected, value }) }
}

/// Checks codes and their labels together and returns how many rows each class has.
pub(crate) fn labelled(codes: MatRef<'_, f32>, labels: &[u32], classes: usize) -> Result<Vec<usize>, Error> {
    length("labels, one per row", codes.nrows(), labels.len())?;
    samples(codes, 1)?;
    if labels.len() < classes {
        return Err(Error::FewerRowsThanClasses { rows: labels.len(), classes });
    }
    let mut counts = vec![0; classes];
    for (row, &label) in labels.iter().enumerate() {
        let count = counts.get_mut(label as usize).ok_or(Error::Label { row, label, classes })?;
        *count += 1;
    }
    if counts.iter().filter(|&&n| n > 0).count() < 2 {
        return Err(Error::OneClass { class: labels[0] });
    }
    Ok(counts)
}
