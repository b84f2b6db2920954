//! The one error of the crate: what was expected, and what came.

use std::fmt::Debug;

/// Why an attention was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An array has another length than the shape says.
    #[error("expected {expected} {what}, got {found}")]
    Length {
        /// What is counted, in the plural.
        what: &'static str,
        /// The length that the shape gives.
        expected: usize,
        /// The length that came.
        found: usize,
    },
    /// A shape with more elements than can be counted.
    #[error("expected a shape whose elements can be counted, got {0:?}")]
    TooLarge(crate::Shape),
    /// A number of the shape that may not be zero.
    #[error("expected at least one {0}, got none")]
    None(&'static str),
    /// The heads cannot be shared out evenly over the heads of the keys.
    #[error("expected heads in groups of equal size, got {heads} heads for {key_heads} heads of keys")]
    Groups {
        /// Heads of the queries.
        heads: usize,
        /// Heads of keys and values.
        key_heads: usize,
    },
    /// A tensor, a weight, a state or a pass that does not fit the others.
    #[error("expected {expected}, got {found}")]
    Mismatch {
        /// What fits.
        expected: String,
        /// What came.
        found: String,
    },
    /// A parameter of the similarity outside of its range.
    #[error("expected {what}, got {value}")]
    Parameter {
        /// The parameter and its range.
        what: &'static str,
        /// What came.
        value: f64,
    },
    /// A similarity that takes both signs, not asked for as such.
    #[error("a similarity of both signs has denominators that cancel: set `allow_signed` to have it all the same")]
    Signed,
    /// The linear and the recurrent form of a similarity that is no product of finitely many features.
    #[error("{0} has no finite feature map: use the tiled form")]
    NoFeatures(&'static str),
    /// The recurrent form of an attention that is not causal.
    #[error("the recurrent form is causal: set `causal`")]
    NotCausal,
    /// Tokens or a state that do not belong to the state they are given to.
    #[error("expected tokens of the state's shape {expected:?}, got {found:?}")]
    State {
        /// The shape of the state; queries and keys are free, but equal.
        expected: crate::Shape,
        /// The shape of the tokens.
        found: crate::Shape,
    },
}

/// [`Error::Mismatch`] unless both are the same.
pub(crate) fn same<T: PartialEq + Debug>(what: &str, expected: T, found: T) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Mismatch { expected: format!("{what} {expected:?}"), found: format!("{found:?}") })
}
