//! Linear autoencoders, whose optimum is known in closed form under every objective here, so that a training can be
//! compared with it.
//!
//! The model is `x ↦ W₂ W₁ x` with an encoder `W₁`, `[codes, features]`, and a decoder `W₂`, `[features, codes]`, on
//! centred data. [`LinearAutoencoder`] says what is minimised ([`Objective`]) and in which units ([`Normalisation`]);
//! [`Factor`] is the data. [`LinearAutoencoder::optimum`] is the closed form, [`LinearAutoencoder::train`] gets there
//! step by step, and [`LinearAutoencoder::certify`] measures how far any weights are from it.
//!
//! ```
//! use attar_linear::linear_autoencoder::{
//!     Factor, LinearAutoencoder, Normalisation, Objective, Tolerances, Training, Weights,
//! };
//! use faer::mat;
//!
//! let rows = mat![[2.0, 0.1, 1.0], [-2.1, 0.3, -0.9], [0.2, 1.1, 0.0], [-0.1, -1.5, -0.1]];
//! let factor = Factor::of(rows.as_ref())?;
//! let objective = Objective::L2 { lambda: 0.1 };
//! let config = LinearAutoencoder { codes: 2, objective, normalisation: Normalisation::PerSample };
//! let trained = config.train(&factor, &Weights::random(3, 2, 0.001, 0), &Training::default())?;
//! let optimum = config.optimum(&factor)?;
//! assert!((trained.loss - optimum.loss).abs() < 1e-9);
//!
//! // The rows are not centred, so the model needs biases; with the right ones it is the optimum.
//! let constant = attar_linear::linear_autoencoder::best_constant(&trained.weights, factor.mean())?;
//! let certificate = config.certify(&factor, &trained.weights, Some(&constant), &Tolerances::double())?;
//! assert!(certificate.holds(), "{:?}", certificate.failing());
//! # Ok::<(), attar_linear::Error>(())
//! ```
//!
//! Sources: Bourlard & Kamp (1988), Baldi & Hornik (1989), Kunin, Bloom, Goeva & Seed (2019, arXiv:1901.08168), Bao,
//! Lucas, Sachdeva & Grosse (2020, arXiv:2007.06731). What none of them states is derived where it stands.

mod arithmetic;
mod certificate;
mod checks;
mod evaluation;
mod factor;
mod least_squares;
mod metrics;
mod objective;
mod optimum;
mod problem;
mod saddle;
mod steps;
mod stochastic;
mod torch;
mod train;
mod weights;

pub use certificate::{Certificate, Check, Tolerances};
pub use evaluation::Evaluation;
pub use factor::Factor;
pub use metrics::{
    axis_alignment, condition_number, orthonormality, principal_angles, subspace_distance, transpose_gap,
};
pub use objective::{LinearAutoencoder, Normalisation, Objective};
pub use optimum::{Optimum, recovered_variances};
pub use saddle::CriticalPoint;
pub use stochastic::StochasticGradient;
pub use torch::{TorchOptimizer, TorchRule, WeightDecay, regularised_path, torch_path};
pub use train::{Progress, Solver, Stop, Trained, Training};
pub use weights::{Weights, best_constant, constant_term};
