//! What can go wrong while learning.

use std::path::PathBuf;

/// An error of this crate; the message says what was expected and what came.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key of the configuration has a value that no training can have.
    #[error("`{key}` must be {expected}, got {got}")]
    Config {
        /// The key, as in files and flags.
        key: &'static str,
        /// What it may be.
        expected: String,
        /// What it was.
        got: String,
    },
    /// The loss stopped being a number.
    #[error("the loss became {loss} at step {step} (epoch {epoch}); its last finite value was {last_finite}")]
    NonFinite {
        /// The loss of the step.
        loss: f64,
        /// The optimizer step, from 1.
        step: usize,
        /// The epoch, from 1.
        epoch: usize,
        /// The last finite loss before, or NaN when there was none.
        last_finite: f64,
    },
    /// One training of a sweep failed.
    #[error("the {objective} training of latent size {latent} with seed {seed}: {source}")]
    OneOfSweep {
        /// Its objective.
        objective: &'static str,
        /// Its latent size.
        latent: usize,
        /// Its seed.
        seed: u64,
        /// What happened to it.
        source: Box<Self>,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name promises.
    #[error("{path}: expected {expected}, got {got}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: String,
        /// What it holds.
        got: String,
    },
    /// A run folder is there already.
    #[error("the run folder {path} exists already")]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// A folder holds something that no run left.
    #[error("the folder {path} holds something that is no run, and is left alone")]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A run cannot be continued because it is another run.
    #[error("{path} belongs to another run: {what} is {found} there and {wanted} here")]
    OtherRun {
        /// The run folder.
        path: PathBuf,
        /// What differs.
        what: String,
        /// The value stored.
        found: String,
        /// The value asked for.
        wanted: String,
    },
    /// From reading data.
    #[error(transparent)]
    Data(#[from] attar_data::Error),
    /// From PCA or a probe.
    #[error(transparent)]
    Linear(#[from] attar_linear::Error),
    /// A pass through a network whose outputs mean nothing.
    #[error("{reason}, at step {step}")]
    Pass {
        /// Why.
        reason: String,
        /// The optimizer step, from 1; 0 outside a training.
        step: usize,
    },
    /// A label names none of the classes.
    #[error(transparent)]
    Label(#[from] attar_ops::LabelOutOfRange),
    /// From the run record.
    #[error(transparent)]
    Record(#[from] attar_doctor::Error),
}

impl Error {
    /// Names the file or folder of an input/output error.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }

    /// Whether the user's input is at fault, rather than the run.
    pub fn is_input(&self) -> bool {
        if let Self::OneOfSweep { source, .. } = self {
            return source.is_input();
        }
        let broken_code = matches!(self, Self::Linear(attar_linear::Error::NonFinite { .. }));
        !broken_code && !matches!(self, Self::NonFinite { .. } | Self::Io { .. } | Self::Record(_))
    }
}
