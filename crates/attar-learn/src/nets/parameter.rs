//! Parameters by name.

use burn::module::Param;
use burn::tensor::Tensor;

/// A parameter of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The stage's name and, after a point, what it is there: `conv1.norm.weight`.
    pub name: String,
    /// The stage that it belongs to.
    pub stage: String,
    /// Lengths of its axes.
    pub shape: Vec<usize>,
}

impl Parameter {
    pub(super) fn of<const D: usize>(stage: &str, what: &str, values: &Param<Tensor<D>>) -> Self {
        Self { name: format!("{stage}.{what}"), stage: stage.into(), shape: values.lazy_shape().to_vec() }
    }
}
