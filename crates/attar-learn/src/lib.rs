//! Autoencoders: objectives, training loop, checkpoints, sweeps, and the judging of their codes.

mod affine;
mod autoencoder;
mod batch;
pub mod certificate;
pub mod checkpoint;
mod classify;
pub mod config;
mod corruption;
pub mod depth;
mod error;
pub mod evaluate;
mod file;
mod gradient;
mod host;
mod job;
mod journal;
pub mod judge;
pub mod linear_model;
pub mod model_file;
pub mod mutant;
pub mod nets;
mod observe;
mod observer;
mod optimizer;
mod parameter;
pub mod pca;
mod probe;
mod problem;
mod recorder;
mod representation;
mod staged;
pub mod suite;
mod sweep;
mod train;

pub use autoencoder::{Autoencoder, Layers};
pub use classify::{Augmentation, Classification, Labelled, Mode, Score, classify};
pub use corruption::Corruption;
pub use error::Error;
pub use file::write_atomically;
pub use gradient::Gradient;
pub use job::{Job, train};
pub use journal::{FIRST_NORMS, Journal, NORMS_EVERY, Watch};
pub use observe::{observe, stage_statistics};
pub use observer::{Call, EpochReport, Observer, StepReport};
pub use optimizer::{Moments, OptimizerState, TensorNorms};
pub use parameter::Parameter;
pub use probe::{ProbeBatch, Target};
pub use problem::{Classified, Problem};
pub use recorder::{Cadence, Progress, Recorder, RunFolder, read_curves};
pub use representation::{Reconstruction, Representation};
pub use staged::{BatchStatistics, Pass, StageOutput, Staged};
pub use sweep::{CourseProbe, Curves, Sweep};
pub use train::State;

#[cfg(test)]
mod tests;
