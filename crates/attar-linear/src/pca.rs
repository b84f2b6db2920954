//! Principal component analysis.

mod dimension;
mod exact;
mod fitted;
mod randomised;

use faer::{Mat, MatRef};

pub use fitted::{ErrorEstimate, FittedPca};

use crate::real::Real;
use crate::{CovarianceSum, Error};

/// Principal component analysis: the orthogonal directions of largest variance.
///
/// ```
/// use attar_linear::{Components, Pca, Solver};
/// use faer::mat;
///
/// let rows = mat![[0.0, 0.1, 9.0], [1.0, 2.2, 9.1], [2.0, 3.9, 9.0], [4.0, 8.0, 8.9], [5.0, 10.1, 9.0]];
/// let pca = Pca::new(1).fit(rows.as_ref())?;
/// assert_eq!(pca.solver, Solver::Covariance);
/// let codes = pca.transform(rows.as_ref())?;
/// let back = pca.inverse_transform(codes.as_ref())?;
/// assert!((back - &rows).norm_max() < 0.2);
///
/// let by_share = Pca { components: Components::Share(0.95), solver: Solver::Svd }.fit(rows.as_ref())?;
/// assert_eq!(by_share.components.nrows(), 1);
/// # Ok::<(), attar_linear::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pca {
    /// How many components to keep.
    pub components: Components,
    /// How to find them.
    pub solver: Solver,
}

/// How many components to keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Components {
    /// So many, at most the smaller of rows and features.
    Number(usize),
    /// The fewest that together have more than this share of the total variance, between 0 and 1.
    Share(f64),
    /// As many as Minka's approximation to the evidence of probabilistic PCA favours ("Automatic choice of
    /// dimensionality for PCA", NIPS 2000, equation 30), from 1 to features - 1. Needs no fewer rows than features.
    Mle,
}

/// How the directions are found. [`FittedPca::solver`] names the one that was used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Solver {
    /// Chosen by shape and type, and by what the data turn out to be.
    ///
    /// If both rows and features are more than 2048 and the number of components is given and at most a 20th of them:
    /// [`Randomised`](Self::Randomised) with 10 more directions, 7 iterations and seed 0. Otherwise
    /// [`Covariance`](Self::Covariance), or [`Gram`](Self::Gram) where rows are fewer than features, but for two
    /// cases. Rows in `f32` are first tried by [`SingleCovariance`](Self::SingleCovariance), unless the number of
    /// components is by [`Components::Mle`], to which the smallest variances matter. And what was found is not taken
    /// if a component that is kept has so little of the first one's variance that rounding shows in it: less than
    /// 1e-4 of it in single precision, whence the next is `Covariance`; less than 1e-12 by `Covariance` or `Gram`,
    /// whence the next is [`Svd`](Self::Svd).
    Auto,
    /// Eigenvectors of the covariance matrix, products and sums in `f64`. Takes `samples features²` multiplications
    /// and an eigenproblem of size `features`. The condition number is squared: variances below some 1e-15 of the
    /// largest (standard deviations below 3e-8) are rounding error.
    Covariance,
    /// As [`Covariance`](Self::Covariance), with products in `f32` within blocks of 512 rows, each shifted to its
    /// mean, and sums of blocks in `f64`: about twice as fast. Variances below some 1e-7 of the largest are rounding
    /// error. For rows in `f64` it is `Covariance`.
    SingleCovariance,
    /// Eigenvectors of the matrix of products between rows, for fewer rows than features. Takes `samples² features`
    /// multiplications and an eigenproblem of size `samples`; as accurate as [`Covariance`](Self::Covariance).
    Gram,
    /// Singular value decomposition of the centred rows in `f64`, those of tall data brought to a triangle first, block
    /// by block. The condition number is not squared: standard deviations are right to some 1e-15 of the largest.
    /// Takes several times as long as the others.
    Svd,
    /// The randomised method of Halko, Martinsson & Tropp ("Finding structure with randomness", SIAM Review 53, 2011):
    /// a random subspace, `iterations` times multiplied by the covariance and made orthonormal again each time, in
    /// which the components are then found. Takes about `4 samples features (components + oversampling)` times
    /// `iterations + 2` operations and never forms a covariance. Not exact: [`FittedPca::error_estimate`] says how far
    /// off.
    Randomised {
        /// Directions beyond the number of components; 10 is customary.
        oversampling: usize,
        /// Power iterations: 4 to 7 are customary, fewer where variances fall quickly.
        iterations: usize,
        /// Decides the random subspace.
        seed: u64,
    },
}

impl Pca {
    /// That many components, by the solver that suits the data.
    pub fn new(components: usize) -> Self {
        Self { components: Components::Number(components), solver: Solver::Auto }
    }

    /// Fits to `rows`, `[samples, features]`, in `f32` or `f64`.
    ///
    /// # Errors
    /// Fewer than two rows, no features, a value that is not finite, rows that are all the same, values whose squares
    /// are beyond the range of the numbers, a number of components outside `1..=min(samples, features)` or a share
    /// outside 0 to 1; [`Components::Mle`] with fewer rows than features; [`Solver::Randomised`] without a number of
    /// components.
    pub fn fit<T: Real>(&self, rows: MatRef<'_, T>) -> Result<FittedPca, Error> {
        self.components.check(rows.nrows(), rows.ncols())?;
        Ok(FittedPca::new(find(rows, self.components, self.solver)?, rows.nrows()))
    }

    /// Fits to rows that were summed as they streamed past, by [`Solver::Covariance`] whatever `solver` says.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_covariance(&self, sum: &CovarianceSum) -> Result<FittedPca, Error> {
        self.components.check(sum.count(), sum.mean().len())?;
        Ok(FittedPca::new(exact::of_sum(sum, self.components, Solver::Covariance)?, sum.count()))
    }
}

/// What a solver makes of the rows.
struct Found {
    solver: Solver,
    mean: Vec<f64>,
    /// Variances along all directions, or along the kept ones if others are not known; largest first, none negative.
    variances: Vec<f64>,
    total: f64,
    /// `[features, kept]`, orthonormal columns, whichever way they point.
    directions: Mat<f64>,
    /// Directions along which the rows can vary at all; beyond them variances are zero, not unresolved.
    rank_at_most: usize,
    estimate: Option<ErrorEstimate>,
}

impl Found {
    /// Whether all kept variances are well above what rounding makes of nothing.
    fn is_resolved(&self) -> bool {
        let floor = match self.solver {
            Solver::SingleCovariance => 1e-4,
            _ => 1e-12,
        };
        let kept = self.directions.ncols().min(self.rank_at_most).min(self.variances.len());
        self.variances[..kept].iter().all(|&variance| variance >= floor * self.variances[0])
    }
}

fn find<T: Real>(rows: MatRef<'_, T>, components: Components, solver: Solver) -> Result<Found, Error> {
    match solver {
        Solver::Auto => find_automatically(rows, components),
        Solver::Covariance => exact::by_covariance::<T, f64>(rows, components, solver),
        Solver::SingleCovariance if T::SINGLE => exact::by_covariance::<T, f32>(rows, components, solver),
        Solver::SingleCovariance => find(rows, components, Solver::Covariance),
        Solver::Gram => exact::by_gram(rows, components),
        Solver::Svd => exact::by_svd(rows, components),
        Solver::Randomised { oversampling, iterations, seed } => {
            let Components::Number(kept) = components else { return Err(Error::NumberNeeded) };
            randomised::find(rows, kept, oversampling, iterations, seed)
        }
    }
}

/// Tries solvers from the quickest to the most accurate until one resolves what is kept; the last is taken as it is.
fn find_automatically<T: Real>(rows: MatRef<'_, T>, components: Components) -> Result<Found, Error> {
    let (last, quicker) = candidates::<T>(rows.nrows(), rows.ncols(), components);
    for &solver in quicker {
        match find(rows, components, solver) {
            Ok(found) if found.is_resolved() => return Ok(found),
            Err(error @ Error::NonFinite { .. }) => return Err(error),
            _ => {}
        }
    }
    find(rows, components, last)
}

fn candidates<T: Real>(samples: usize, features: usize, components: Components) -> (Solver, &'static [Solver]) {
    const LARGE: usize = 2048;
    let size = samples.min(features);
    match components {
        Components::Number(kept) if size > LARGE && 20 * kept <= size => {
            (Solver::Randomised { oversampling: 10, iterations: 7, seed: 0 }, &[])
        }
        _ if samples < features => (Solver::Svd, &[Solver::Gram]),
        Components::Mle => (Solver::Svd, &[Solver::Covariance]),
        _ if T::SINGLE => (Solver::Svd, &[Solver::SingleCovariance, Solver::Covariance]),
        _ => (Solver::Svd, &[Solver::Covariance]),
    }
}
