//! Mean and covariance of rows that arrive in parts.

use std::ops::Range;

use faer::{Mat, MatRef};
use pulp::Arch;
use rayon::prelude::*;

use crate::blocks::{centred_columns, row_blocks_of};
use crate::columns::{Columns, refuse_infinite};
use crate::products::LowerProduct;
use crate::real::Real;
use crate::{Error, check};

/// Rows multiplied at a time: few enough to stay in the cache of a core and to leave out the features that happen to
/// be constant among them; enough to make little of adding their products to the sums.
const BLOCK: usize = 512;

/// Most numbers in the products of blocks that wait to be added. With the width it decides how many blocks are handled
/// at a time; the number of threads does not.
const WAITING: usize = 1 << 23;

/// Fewest columns of the scatter matrix to which one thread adds at a time.
const STRIP: usize = 16;

/// The count, mean and scatter matrix of the rows seen so far, to which more rows, or another sum, can be added.
///
/// Parts are combined by the update of Chan, Golub & LeVeque (1979, "Updating formulae and a pairwise algorithm for
/// computing sample variances"), so the result has the accuracy of the two-pass formula and the data is read once.
/// Products and sums are in `f64`, whatever the rows are. The order and the sizes of the parts change the last bits
/// only; the number of threads changes nothing. It takes `4 features²` bytes however many rows there are; adding takes
/// some 50 MB, or `8 features²` bytes if that is more.
///
/// What is summed in several places, or interrupted and taken up again, is stored as [`count`](Self::count),
/// [`mean`](Self::mean) and [`scatter`](Self::scatter) and comes back by [`from_parts`](Self::from_parts).
#[derive(Debug, Clone, PartialEq)]
pub struct CovarianceSum {
    count: usize,
    mean: Vec<f64>,
    /// `Σ (x - mean)(x - mean)ᵀ`, its lower triangle, column after column.
    scatter: Vec<f64>,
}

impl CovarianceSum {
    /// The sum of no rows, for data of `features` columns.
    pub fn new(features: usize) -> Self {
        Self { count: 0, mean: vec![0.0; features], scatter: vec![0.0; triangle(features)] }
    }

    /// A sum that was stored.
    ///
    /// # Errors
    /// A scatter matrix of another size than the mean's, or a value that no rows lead to: one that is not finite, or a
    /// negative sum of squares.
    pub fn from_parts(count: usize, mean: Vec<f64>, scatter: Vec<f64>) -> Result<Self, Error> {
        check::length("values of a scatter matrix", triangle(mean.len()), scatter.len())?;
        for &value in mean.iter().chain(&scatter) {
            check::setting("a stored sum", "finite", value, value.is_finite())?;
        }
        let sum = Self { count, mean, scatter };
        for square in (0..sum.mean.len()).map(|j| sum.column(j)[0]) {
            check::setting("a stored sum of squares", "at least 0", square, square >= 0.0)?;
        }
        Ok(sum)
    }

    /// Rows seen so far.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The mean of each feature; zeros where no row was seen.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The lower triangle of `Σ (x - mean)(x - mean)ᵀ`, column after column, each from the diagonal down:
    /// `features (features + 1) / 2` values.
    pub fn scatter(&self) -> &[f64] {
        &self.scatter
    }

    /// Adds `rows`, `[samples, features]`.
    ///
    /// # Errors
    /// Another number of features, a value that is not finite, or values beyond adding up; the sum is then as it was.
    pub fn add<T: Real>(&mut self, rows: MatRef<'_, T>) -> Result<(), Error> {
        self.add_products::<T, f64>(rows)
    }

    /// As [`add`](Self::add), with products in `P` within a block; blocks are added in `f64` all the same.
    pub(crate) fn add_products<T: Real, P: Real>(&mut self, rows: MatRef<'_, T>) -> Result<(), Error> {
        check::features(rows, self.mean.len())?;
        let blocks = row_blocks_of(rows.nrows(), BLOCK);
        let waves: Vec<_> = blocks.chunks((WAITING / self.scatter.len().max(1)).clamp(1, 16)).collect();
        // A single wave is refused before anything is added; several have to be taken back.
        let before = if waves.len() > 1 { Some(self.clone()) } else { None };
        for wave in waves {
            let parts = wave.par_iter().map(|&(start, length)| Part::of(rows.subrows(start, length)));
            match parts.collect::<Result<Vec<_>, _>>() {
                Ok(parts) => self.combine::<P>(&parts),
                Err(error) => {
                    if let Some(before) = before {
                        *self = before;
                    }
                    // The first bad value of all rows, not the one that some block met.
                    return check::finite(rows).and(Err(error));
                }
            }
        }
        Ok(())
    }

    /// Adds what another sum has seen.
    ///
    /// # Errors
    /// Another number of features.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let (expected, found) = (self.mean.len(), other.mean.len());
        if expected != found {
            return Err(Error::Features { expected, found });
        }
        let step = self.advance(other.count, &other.mean);
        for (j, column) in self.columns_mut().into_iter().enumerate() {
            step.add_to(j, column);
            column.iter_mut().zip(other.column(j)).for_each(|(sum, value)| *sum += value);
        }
        Ok(())
    }

    /// The covariance matrix, `[features, features]`, divided by n-1.
    ///
    /// # Errors
    /// Fewer than two rows.
    pub fn covariance(&self) -> Result<Mat<f64>, Error> {
        let all: Vec<usize> = (0..self.mean.len()).collect();
        let mut covariance = self.lower_covariance(&all)?;
        for j in 0..all.len() {
            (j + 1..all.len()).for_each(|i| covariance[(j, i)] = covariance[(i, j)]);
        }
        Ok(covariance)
    }

    /// The lower triangle of the covariance of some features, which are named in order; zeros above it.
    pub(crate) fn lower_covariance(&self, features: &[usize]) -> Result<Mat<f64>, Error> {
        if self.count < 2 {
            return Err(Error::TooFewRows { rows: self.count, needed: 2 });
        }
        let scale = 1.0 / (self.count - 1) as f64;
        let mut lower = Mat::zeros(features.len(), features.len());
        for (to, &j) in features.iter().enumerate() {
            let column = self.column(j);
            let below = features[to..].iter().map(|i| scale * column[i - j]);
            lower.col_as_slice_mut(to)[to..].iter_mut().zip(below).for_each(|(out, value)| *out = value);
        }
        Ok(lower)
    }

    /// The features that are not the same in every row.
    pub(crate) fn varying(&self) -> Vec<usize> {
        (0..self.mean.len()).filter(|&j| self.column(j)[0] != 0.0).collect()
    }

    fn column(&self, column: usize) -> &[f64] {
        let d = self.mean.len();
        let start = triangle(d) - triangle(d - column);
        &self.scatter[start..start + d - column]
    }

    fn columns_mut(&mut self) -> Vec<&mut [f64]> {
        let mut rest = &mut self.scatter[..];
        let mut columns = Vec::with_capacity(self.mean.len());
        for length in (1..=self.mean.len()).rev() {
            let (column, others) = rest.split_at_mut(length);
            columns.push(column);
            rest = others;
        }
        columns
    }

    fn combine<P: Real>(&mut self, parts: &[Part<P>]) {
        let steps: Vec<Step> = parts.iter().map(|part| self.advance(part.rows, &part.mean)).collect();
        let columns = self.columns_mut().into_par_iter().enumerate().with_min_len(STRIP);
        let arch = Arch::new();
        columns.for_each(|(j, column)| {
            arch.dispatch(|| {
                for (part, step) in parts.iter().zip(&steps) {
                    step.add_to(j, column);
                    part.add_to(j, column);
                }
            });
        });
    }

    /// Moves count and mean on by `count` rows of the given mean, and says what that means for the scatter matrix.
    fn advance(&mut self, count: usize, mean: &[f64]) -> Step {
        let difference: Vec<f64> = mean.iter().zip(&self.mean).map(|(theirs, mine)| theirs - mine).collect();
        if count == 0 {
            return Step { difference, weight: 0.0 };
        }
        let (a, b) = (self.count as f64, count as f64);
        for (mean, d) in self.mean.iter_mut().zip(&difference) {
            *mean += d * b / (a + b);
        }
        self.count += count;
        Step { difference, weight: a * b / (a + b) }
    }
}

/// The values in one triangle of a square matrix, its diagonal included.
fn triangle(size: usize) -> usize {
    size * (size + 1) / 2
}

/// What two means that differ add to the scatter matrix: `weight · difference differenceᵀ`.
struct Step {
    difference: Vec<f64>,
    weight: f64,
}

impl Step {
    #[inline(always)]
    fn add_to(&self, j: usize, column: &mut [f64]) {
        let scale = self.weight * self.difference[j];
        if scale != 0.0 {
            column.iter_mut().zip(&self.difference[j..]).for_each(|(sum, difference)| *sum += scale * difference);
        }
    }
}

/// The sums of one block of rows. Features that are constant within it take no part in its products.
struct Part<P> {
    rows: usize,
    mean: Vec<f64>,
    varying: Vec<usize>,
    product: LowerProduct<P>,
}

impl<P: Real> Part<P> {
    fn of<T: Real>(rows: MatRef<'_, T>) -> Result<Self, Error> {
        let Columns { mean, varies } = Columns::of(rows);
        refuse_infinite(rows, &mean)?;
        let varying: Vec<usize> = (0..varies.len()).filter(|&j| varies[j]).collect();
        let runs: Vec<Range<usize>> =
            varying.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[0] + run.len()).collect();
        let product = LowerProduct::of(centred_columns::<T, P>(rows, &mean, &runs).transpose());
        Ok(Self { rows: rows.nrows(), mean, varying, product })
    }

    #[inline(always)]
    fn add_to(&self, j: usize, column: &mut [f64]) {
        if let Ok(place) = self.varying.binary_search(&j) {
            for (i, value) in self.varying[place..].iter().zip(self.product.column(place)) {
                column[i - j] += value;
            }
        }
    }
}
