//! What one pass over rows says of each column.

use faer::MatRef;
use rayon::prelude::*;

use crate::blocks::{for_each_row, row_blocks};
use crate::real::Real;
use crate::{Error, check};

/// The mean of each column, and whether its values differ.
pub(crate) struct Columns {
    /// In `f64`, rows added in order. Of a column whose values are all the same it is that value, to the bit.
    pub(crate) mean: Vec<f64>,
    pub(crate) varies: Vec<bool>,
}

impl Columns {
    pub(crate) fn of<T: Real>(rows: MatRef<'_, T>) -> Self {
        let mut sums = vec![0.0; rows.ncols()];
        let mut least: Vec<T> = Vec::new();
        let mut most: Vec<T> = Vec::new();
        for_each_row(rows, |i, row| {
            if i == 0 {
                (least, most) = (row.to_vec(), row.to_vec());
            }
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value.into());
            least.iter_mut().zip(row).for_each(|(least, value)| *least = if value < least { *value } else { *least });
            most.iter_mut().zip(row).for_each(|(most, value)| *most = if value > most { *value } else { *most });
        });
        let varies: Vec<bool> = least.iter().zip(&most).map(|(least, most)| least != most).collect();
        let n = rows.nrows() as f64;
        let mean = |j: usize| if varies[j] || !sums[j].is_finite() { sums[j] / n } else { least[j].into() };
        Self { mean: (0..least.len()).map(mean).collect(), varies }
    }
}

/// The mean of each column by fixed blocks in parallel. Refuses a value that is not finite.
pub(crate) fn means<T: Real>(rows: MatRef<'_, T>) -> Result<Vec<f64>, Error> {
    let blocks = row_blocks(rows.nrows());
    let parts: Vec<Vec<f64>> =
        blocks.par_iter().map(|&(start, length)| Columns::of(rows.subrows(start, length)).mean).collect();
    let mut mean = vec![0.0; rows.ncols()];
    let mut seen = 0.0;
    for (part, (_, length)) in parts.iter().zip(blocks) {
        seen += length as f64;
        // By differences, so that a constant column keeps its value to the bit.
        mean.iter_mut().zip(part).for_each(|(mean, part)| *mean += (part - *mean) * length as f64 / seen);
    }
    refuse_infinite(rows, &mean)?;
    Ok(mean)
}

/// The sum of a column is finite unless a value is not, or the values are beyond adding up.
pub(crate) fn refuse_infinite<T: Real>(rows: MatRef<'_, T>, mean: &[f64]) -> Result<(), Error> {
    match mean.iter().find(|mean| !mean.is_finite()) {
        None => Ok(()),
        Some(&sum) => check::finite(rows).and(Err(Error::Range { sum })),
    }
}
