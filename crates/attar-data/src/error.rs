//! Everything that can be wrong with data, each with its place.

use std::path::PathBuf;

/// What went wrong. Rows of text files are lines of the file, counted from 1; other rows are counted from 0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A gzip stream ends early or is damaged.
    #[error("{}: the gzip stream is truncated or damaged ({source})", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        source: std::io::Error,
    },
    /// An IDX file's size is not what its header says.
    #[error("{}: the IDX header promises {promised} bytes of data, the file holds {held}", path.display())]
    IdxSize {
        /// The file.
        path: PathBuf,
        /// Bytes that follow the header according to it.
        promised: u128,
        /// Bytes that follow the header, counted up to one more than promised.
        held: u64,
    },
    /// An IDX header that makes no sense.
    #[error("{}: not a usable IDX header: {reason}", path.display())]
    IdxHeader {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There are no rows or no features.
    #[error("{}: no data: {samples} rows of {features} features", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// Rows found.
        samples: usize,
        /// Features found.
        features: usize,
    },
    /// There are not as many labels as rows.
    #[error("{labels} labels for {rows} rows")]
    LabelCount {
        /// Labels found.
        labels: usize,
        /// Rows found.
        rows: usize,
    },
    /// A synthetic set that cannot be drawn.
    #[error("cannot draw a synthetic set: {reason}")]
    Synthetic {
        /// What is wrong.
        reason: String,
    },
    /// Shares of a split that do not add up.
    #[error("the shares of training, validation and test rows must add up to 1, got {train}, {validation}, {test}")]
    Fractions {
        /// Share of the training rows.
        train: f64,
        /// Share of the validation rows.
        validation: f64,
        /// Share of the test rows.
        test: f64,
    },
    /// A part of a split would have no rows.
    #[error("no row is left for the {part} part: the data has only {samples} rows")]
    EmptyPart {
        /// `training`, `validation` or `test`.
        part: &'static str,
        /// Rows of the data set.
        samples: usize,
    },
    /// Classes outnumber the rows.
    #[error("fewer training rows than classes: {rows} rows for {classes} classes")]
    FewerRowsThanClasses {
        /// Training rows.
        rows: usize,
        /// Classes.
        classes: usize,
    },
    /// Only one class, which no probe can learn from.
    #[error("all {rows} rows are of one class, `{class}`; a probe needs at least two")]
    OneClass {
        /// The class.
        class: String,
        /// Rows looked at.
        rows: usize,
    },
    /// A label budget that is neither `all` nor a positive number.
    #[error("a label budget is `all` or a number of at least 1, got `{text}`")]
    Budget {
        /// What came.
        text: String,
    },
    /// A label budget above the number of labelled rows.
    #[error("a label budget of {budget} is more than the {rows} labelled rows")]
    BudgetTooLarge {
        /// Labels asked for.
        budget: usize,
        /// Labelled rows.
        rows: usize,
    },
}
