//! Batch normalisation and its gradients (Ioffe & Szegedy 2015, algorithm 1): each column over all rows.

use rayon::prelude::*;

use crate::Float;
use crate::columns::{Columns, repeat, squared_deviations, sums};
use crate::pages::zeros;
use crate::reduce::rows_of_a_block;

/// What a batch norm is computed with; all of one value for each column.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a, T> {
    /// Is subtracted.
    pub mean: &'a [T],
    /// Its root, with `epsilon`, divides.
    pub variance: &'a [T],
    /// Multiplies what comes of it.
    pub gamma: &'a [T],
    /// Is added then.
    pub beta: &'a [T],
    /// So that nothing is divided by 0.
    pub epsilon: f64,
    /// Whether the rectifier follows.
    pub rectified: bool,
}

/// The gradients of a normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct NormGradient<T> {
    /// Of the input, laid out as that.
    pub input: Vec<T>,
    /// Of the scale of each column.
    pub gamma: Vec<T>,
    /// Of the shift of each column.
    pub beta: Vec<T>,
}

/// Mean and variance of each column of the row-major `[rows, columns]`, dividing by the rows: in two passes. Of no rows,
/// they are not numbers.
pub fn column_moments<T: Float>(values: &[T], columns: usize) -> [Vec<T>; 2] {
    let block = rows_of_a_block(columns) * columns.max(1);
    let rows = values.len().checked_div(columns).unwrap_or(0) as f64;
    let average = |parts: Vec<Vec<f64>>| added(parts, columns).into_iter().map(|sum| T::from_f64(sum / rows)).collect();
    let mean: Vec<T> = average(values.par_chunks(block).map(|values| sums(values, columns)).collect());
    let mut means = Vec::new();
    repeat(&mut means, columns, block, |column| mean[column]);
    let squares = values.par_chunks(block).map(|values| squared_deviations(values, columns, &means));
    let variance = average(squares.collect());
    [mean, variance]
}

/// The parts' values together, column by column.
pub(crate) fn added(parts: Vec<Vec<f64>>, columns: usize) -> Vec<f64> {
    let mut total = vec![0.0; columns];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, value)| *total += value);
    }
    total
}

impl<T: Float> BatchNorm<'_, T> {
    /// `gamma (values - mean) / sqrt(variance + epsilon) + beta`, rectified or not, for the row-major `[rows, columns]`.
    ///
    /// # Panics
    /// If there are not as many of everything as of means.
    pub fn forward(&self, values: &[T]) -> Vec<T> {
        let (columns, block) = self.columns();
        let mut out = zeros(values.len());
        let blocks = out.par_chunks_mut(block).zip(values.par_chunks(block));
        blocks.for_each(|(out, values)| columns.normalise(values, out));
        out
    }

    /// The gradients from that of the output. If `moving`, mean and variance are those of the values, and the gradient
    /// goes through them too; else they are constants.
    ///
    /// # Panics
    /// As [`Self::forward`]; if there are not as many gradients as values.
    pub fn backward(&self, values: &[T], of_output: &[T], moving: bool) -> NormGradient<T> {
        assert_eq!(of_output.len(), values.len(), "gradients for the values");
        let (columns, block) = self.columns();
        let count = self.mean.len();
        let parts = values.par_chunks(block).zip(of_output.par_chunks(block));
        let parts: Vec<_> = parts.map(|(values, of_output)| columns.gradient_sums(values, of_output, count)).collect();
        let (shifts, alongs) = parts.into_iter().map(|[shift, along]| (shift, along)).unzip();
        let sums = [added(shifts, count), added(alongs, count)];
        let rows = values.len().checked_div(count).unwrap_or(0) as f64;
        let averages = sums.each_ref().map(|sums| {
            let average = |column: usize| T::from_f64(self.gamma[column].to_f64() * sums[column] / rows);
            let mut averages = Vec::new();
            repeat(&mut averages, count, block, |column| if moving { average(column) } else { T::ZERO });
            averages
        });
        let mut of_input = zeros(values.len());
        let blocks = of_input.par_chunks_mut(block).zip(values.par_chunks(block).zip(of_output.par_chunks(block)));
        blocks.for_each(|(out, (values, of_output))| {
            columns.backward(values, of_output, averages.each_ref().map(Vec::as_slice), out);
        });
        let [beta, gamma] = sums.map(|sums| sums.into_iter().map(T::from_f64).collect());
        NormGradient { input: of_input, gamma, beta }
    }

    /// What the passes need, and the values of a block.
    fn columns(&self) -> (Columns<T>, usize) {
        let count = self.mean.len();
        assert_eq!([self.variance, self.gamma, self.beta].map(<[T]>::len), [count; 3], "values for {count} columns");
        let rows = rows_of_a_block(count);
        let mut columns = Columns { rectified: self.rectified, ..Columns::default() };
        let scale = |column: usize| T::from_f64(1.0 / (self.variance[column].to_f64() + self.epsilon).sqrt());
        repeat(&mut columns.mean, count, rows, |column| self.mean[column]);
        repeat(&mut columns.scale, count, rows, scale);
        repeat(&mut columns.gamma, count, rows, |column| self.gamma[column]);
        repeat(&mut columns.beta, count, rows, |column| self.beta[column]);
        (columns, rows * count.max(1))
    }
}
