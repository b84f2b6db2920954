//! Sums in a fixed order, over whole arrays.

use rayon::prelude::*;

use crate::Float;

/// Columns that one task sums.
const COLUMNS: usize = 256;
/// Values that are summed in their own precision before they go into an `f64`.
const RUN: usize = 256;
const LANES: usize = 16;

/// The sum of each column of the row-major `[rows, sums.len()]`.
pub fn column_sums<T: Float>(values: &[T], sums: &mut [T]) {
    let columns = sums.len();
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, sums)| {
        let first = block * COLUMNS;
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                sums.fill(T::ZERO);
                for row in values.chunks_exact(columns) {
                    sums.iter_mut().zip(&row[first..]).for_each(|(sum, &value)| *sum += value);
                }
            },
        );
    });
}

/// A sum in fixed lanes, so that it vectorises and its order is the same everywhere.
#[derive(Clone, Copy, Default)]
pub(crate) struct LaneSum([f64; LANES]);

impl LaneSum {
    /// Adds the squares of the values.
    #[inline(always)]
    pub(crate) fn add_squares<T: Float>(&mut self, values: &[T]) {
        for values in values.chunks(RUN) {
            let mut lanes = [T::ZERO; LANES];
            let (chunks, rest) = values.as_chunks::<LANES>();
            for chunk in chunks {
                lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane += value * value);
            }
            lanes.iter_mut().zip(rest).for_each(|(lane, &value)| *lane += value * value);
            self.0.iter_mut().zip(lanes).for_each(|(sum, lane)| *sum += lane.to_f64());
        }
    }

    pub(crate) fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed_each_on_its_own() {
        let values: Vec<f64> = (0..3 * 700).map(|at| (at % 701) as f64).collect();
        let mut sums = vec![f64::NAN; 700];
        column_sums(&values, &mut sums);
        for (column, &sum) in sums.iter().enumerate() {
            let want: f64 = (0..3).map(|row| values[row * 700 + column]).sum();
            assert_eq!(sum, want, "column {column}");
        }
    }

    #[test]
    fn squares_are_all_counted() {
        let values: Vec<f32> = (1..=1000).map(|at| at as f32 / 1000.0).collect();
        let mut sum = LaneSum::default();
        sum.add_squares(&values);
        let want: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
        assert!((sum.total() - want).abs() < 1e-5, "{} for {want}", sum.total());
    }
}
