//! Autoencoders: objectives, training loop, checkpoints, sweeps, and the judging of their codes.

mod affine;
mod autoencoder;
mod batch;
pub mod certificate;
pub mod checkpoint;
pub mod config;
mod corruption;
mod error;
pub mod evaluate;
mod file;
mod gradient;
mod host;
pub mod judge;
pub mod linear_model;
pub mod model_file;
pub mod mutant;
pub mod nets;
mod optimizer;
pub mod pca;
mod problem;
mod recorder;
mod representation;
mod staged;
mod sweep;

mod train;

pub use autoencoder::{Autoencoder, Layers};
pub use corruption::Corruption;
pub use error::Error;
pub use file::write_atomically;
pub use gradient::Gradient;
pub use optimizer::{Moments, OptimizerState};
pub use problem::{Classified, Problem};
pub use recorder::{Cadence, Progress, Recorder, RunFolder, read_curves};
pub use representation::{Reconstruction, Representation};
pub use staged::{BatchStatistics, Pass, StageOutput, Staged};
pub use sweep::{CourseProbe, Curves, Sweep};
pub use train::{EpochReport, Job, Observer, State, StepReport, train};

#[cfg(test)]
mod tests;
