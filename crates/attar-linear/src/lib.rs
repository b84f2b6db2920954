//! Everything with a closed form or a convex optimum: PCA, linear autoencoders, probes on frozen codes, and their
//! scores.
//!
//! This crate works on matrices alone; it knows nothing of networks, files, data sets or reports. Codes come in as
//! `MatRef<'_, f32>` of shape `[samples, features]`, for PCA in `f64` too; a row-major slice is viewed as one, without a
//! copy, by `MatRef::from_row_major_slice`. Every algorithm is a plain-data configuration whose `fit` validates its input
//! and returns a fitted type: [`Pca`] gives [`FittedPca`]. [`linear_autoencoder`] is a module of its own and computes in
//! `f64` throughout: its subject is how near a training came.
//!
//! ```
//! use attar_linear::{LogisticRegression, Pca};
//! use faer::MatRef;
//!
//! let values = [0.0, 0.1, 1.0, 5.0, 5.2, 1.1, 0.2, 0.0, 0.9, 5.1, 4.9, 1.0];
//! let rows = MatRef::from_row_major_slice(&values, 4, 3);
//! let codes = Pca::new(2).fit(rows)?.transform(rows)?;
//! let probe = LogisticRegression::default().fit(codes.as_ref(), &[0, 1, 0, 1], 2)?;
//! assert_eq!(probe.accuracy(codes.as_ref(), &[0, 1, 0, 1])?, 1.0);
//! # Ok::<(), attar_linear::Error>(())
//! ```
//!
//! The same input and seed give the same bits at any number of threads: work is split into fixed blocks and sums are
//! taken in a fixed order.

mod basis;
mod blocks;
mod check;
mod columns;
mod covariance;
mod error;
mod exponential;
mod folds;
mod health;
mod interval;
pub mod linear_autoencoder;
mod linear_probe;
mod logistic;
mod logits;
mod neighbours;
mod pca;
mod products;
mod real;
mod ridge;
mod scores;
mod spectral;
mod strength;

pub use blocks::row_major;
pub use covariance::CovarianceSum;
pub use error::Error;
pub use health::{CodeHealth, effective_rank};
pub use interval::{Interval, MeanInterval, mean_interval, student_quantile, wilson_interval};
pub use linear_probe::{AffineCodes, FittedLinearProbe, LinearProbe};
pub use logistic::{FALLBACK_L2, FEWEST_LABELS, FittedLogisticRegression, LogisticRegression};
pub use neighbours::{FittedKNearest, KNearest};
pub use pca::{Components, ErrorEstimate, FittedPca, Pca, Solver};
pub use real::Real;
pub use ridge::{FittedRidge, Ridge};
pub use scores::{accuracy, r_squared};
pub use strength::{L2, StrengthScore};
