//! Principal components from a random subspace: Halko, Martinsson & Tropp (2011).

use std::f64::consts::PI;

use chacha20::ChaCha8Rng;
use faer::{Mat, MatRef};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::{ErrorEstimate, Found, Solver};
use crate::Error;
use crate::blocks::{BLOCK, centred, row_blocks};
use crate::columns::means;
use crate::products::product;
use crate::real::Real;
use crate::spectral::{eigen, orthonormal};

/// Random vectors of the error estimate: it fails with probability 10 to the power of minus this.
const TRIALS: usize = 10;

/// Blocks of rows multiplied before their results are added, so that these do not fill the memory.
const BLOCKS_AT_ONCE: usize = 16;

/// With `X` the centred rows, the basis is made of `(XᵀX)^(iterations + 1) Ω` for a random `Ω`: their algorithm 4.4 for
/// `Xᵀ`. Within its span the components are found by Rayleigh and Ritz.
pub(super) fn find<T: Real>(
    rows: MatRef<'_, T>,
    kept: usize,
    oversampling: usize,
    iterations: usize,
    seed: u64,
) -> Result<Found, Error> {
    let (n, d) = rows.shape();
    let mean = means(rows)?;
    let scatter = Scatter { rows, mean: &mean };
    let squares = scatter.squares();
    super::exact::check_range(squares, n, false)?;
    let width = kept.saturating_add(oversampling).min(n).min(d);
    let mut basis = normal(d, width, seed, 0);
    for _ in 0..=iterations {
        basis = orthonormal(scatter.times(basis.as_ref()));
    }
    let (image, trials) = scatter.times_and_trials(basis.as_ref(), seed);
    let eigen = eigen(product(basis.transpose(), image.as_ref()))?;
    let vectors = eigen.vectors(kept);
    let directions = product(basis.as_ref(), vectors.as_ref());
    let images = product(image.as_ref(), vectors.as_ref());
    let freedom = (n - 1) as f64;
    Ok(Found {
        solver: Solver::Randomised { oversampling, iterations, seed },
        variances: eigen.values[..kept].iter().map(|value| value.max(0.0) / freedom).collect(),
        total: squares / freedom,
        rank_at_most: kept,
        estimate: Some(ErrorEstimate {
            residuals: lengths(images - scaled(directions.as_ref(), &eigen.values), freedom),
            left_out: left_out(directions.as_ref(), trials.as_ref(), freedom),
        }),
        directions,
        mean,
    })
}

/// The bound on standard deviations outside of the directions, of what random combinations of rows have there.
fn left_out(directions: MatRef<'_, f64>, trials: MatRef<'_, f64>, freedom: f64) -> f64 {
    let inside = product(directions, product(directions.transpose(), trials).as_ref());
    let longest = lengths(trials - inside, freedom.sqrt()).into_iter().fold(0.0, f64::max);
    10.0 * (2.0 / PI).sqrt() * longest
}

fn lengths(columns: Mat<f64>, unit: f64) -> Vec<f64> {
    columns.col_iter().map(|column| column.norm_l2() / unit).collect()
}

fn scaled(columns: MatRef<'_, f64>, factors: &[f64]) -> Mat<f64> {
    Mat::from_fn(columns.nrows(), columns.ncols(), |i, j| columns[(i, j)] * factors[j])
}

/// Independent numbers of mean 0 and variance 1; `stream` keeps the draws of one seed apart.
fn normal(rows: usize, columns: usize, seed: u64, stream: u64) -> Mat<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    Mat::from_fn(rows, columns, |_, _| StandardNormal.sample(&mut rng))
}

/// `XᵀX` for the centred rows `X`, never formed.
struct Scatter<'a, T> {
    rows: MatRef<'a, T>,
    mean: &'a [f64],
}

impl<T: Real> Scatter<'_, T> {
    /// `XᵀX right`.
    fn times(&self, right: MatRef<'_, f64>) -> Mat<f64> {
        self.sum(right.ncols(), |_, block| product(block.transpose(), product(block, right).as_ref()))
    }

    /// `XᵀX right`, and `XᵀΩ` for random `Ω`, `[samples, TRIALS]`, in one pass.
    fn times_and_trials(&self, right: MatRef<'_, f64>, seed: u64) -> (Mat<f64>, Mat<f64>) {
        let width = right.ncols();
        let both = self.sum(width + TRIALS, |place, block| {
            let image = product(block, right);
            let random = normal(block.nrows(), TRIALS, seed, place as u64 + 1);
            let left = Mat::from_fn(block.nrows(), width + TRIALS, |i, j| {
                if j < width { image[(i, j)] } else { random[(i, j - width)] }
            });
            product(block.transpose(), left.as_ref())
        });
        (both.subcols(0, width).to_owned(), both.subcols(width, TRIALS).to_owned())
    }

    /// The sum of squares of the centred rows.
    fn squares(&self) -> f64 {
        let blocks = row_blocks(self.rows.nrows());
        let square = |&(start, length): &(usize, usize)| {
            let block = centred(self.rows.subrows(start, length), self.mean);
            block.squared_norm_l2()
        };
        blocks.par_iter().map(square).collect::<Vec<_>>().iter().sum()
    }

    /// Adds what `map` makes of each centred block of rows, `[features, columns]`, in the order of the blocks.
    fn sum(&self, columns: usize, map: impl Fn(usize, MatRef<'_, f64>) -> Mat<f64> + Sync) -> Mat<f64> {
        let mut sum = Mat::zeros(self.rows.ncols(), columns);
        let part = |&(start, length): &(usize, usize)| {
            let block = centred(self.rows.subrows(start, length), self.mean);
            map(start / BLOCK, block.as_ref())
        };
        for blocks in row_blocks(self.rows.nrows()).chunks(BLOCKS_AT_ONCE) {
            blocks.par_iter().map(part).collect::<Vec<_>>().iter().for_each(|part| sum += part);
        }
        sum
    }
}
