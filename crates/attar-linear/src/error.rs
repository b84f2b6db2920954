//! The one error of the crate: what was expected, what came, and where.

/// Why a fit, a prediction or a score was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The matrix has too few rows for what was asked.
    #[error("expected at least {needed} rows, got {rows}")]
    TooFewRows {
        /// Rows that came.
        rows: usize,
        /// Rows that are needed.
        needed: usize,
    },
    /// The matrix has no columns.
    #[error("expected at least one feature, got none")]
    NoFeatures,
    /// The matrix has another number of features than the fitted model.
    #[error("expected {expected} features, got {found}")]
    Features {
        /// Features the model was fitted on.
        expected: usize,
        /// Features that came.
        found: usize,
    },
    /// NaN or an infinity.
    #[error("expected finite values, got {value} at row {row}, column {column}")]
    NonFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value itself.
        value: f64,
    },
    /// A regression target that is NaN or infinite.
    #[error("expected finite targets, got {value} at row {row}")]
    Target {
        /// Row, from 0.
        row: usize,
        /// The value itself.
        value: f64,
    },
    /// Two lists that belong together differ in length.
    #[error("expected {expected} {what}, got {found}")]
    Length {
        /// What is counted, in the plural.
        what: &'static str,
        /// The length that was expected.
        expected: usize,
        /// The length that came.
        found: usize,
    },
    /// A label that names no class.
    #[error("expected labels below {classes}, got {label} at row {row}")]
    Label {
        /// Row, from 0.
        row: usize,
        /// The label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// Every row carries the same label.
    #[error("expected at least two classes among the labels, got only class {class}")]
    OneClass {
        /// The only class there is.
        class: u32,
    },
    /// There cannot be one example of each class.
    #[error("expected at least one row per class: {rows} rows for {classes} classes")]
    FewerRowsThanClasses {
        /// Rows that came.
        rows: usize,
        /// Number of classes.
        classes: usize,
    },
    /// More principal components than the data has directions.
    #[error("expected between 1 and {most} components (the smaller of rows and features), got {asked}")]
    Components {
        /// Components asked for.
        asked: usize,
        /// The most there can be.
        most: usize,
    },
    /// Every row is the same, so there is no direction to find.
    #[error("expected rows that differ, got {rows} rows that are all the same")]
    NoVariance {
        /// Rows that came.
        rows: usize,
    },
    /// Squares of the values cannot be added in floating-point numbers, or vanish in them.
    #[error("expected values whose squares are within the range of the numbers, got a sum of {sum:e}")]
    Range {
        /// The sum of the squares, after centring.
        sum: f64,
    },
    /// How many components to keep follows from the variances along all directions, and the solver sees only some.
    #[error("expected a number of components: the randomised solver sees only some of the variances")]
    NumberNeeded,
    /// A component without variance cannot be scaled to variance 1.
    #[error("expected components with variance to whiten, got none along component {component}")]
    Unvaried {
        /// The first such component, from 0.
        component: usize,
    },
    /// A setting outside its range.
    #[error("expected {name} to be {expected}, got {value}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// Its range, in words.
        expected: &'static str,
        /// The value that came.
        value: f64,
    },
    /// A matrix decomposition failed to converge or met a singular matrix.
    #[error("the {what} failed on a matrix of size {size}")]
    Decomposition {
        /// Which decomposition.
        what: &'static str,
        /// Rows of the square matrix.
        size: usize,
    },
}
