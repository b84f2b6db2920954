//! Two convolutions with a shortcut around them (He et al. 2015, section 3.2).

use attar_ops::burn::residual_sum;
use attar_ops::{Activation, Shortcut};
use burn::module::Module;
use burn::tensor::Tensor;

use super::unit::Unit;
use super::walk::Walk;

/// `activation(branch(x) + shortcut(x))`.
#[derive(Module, Debug)]
pub(super) struct ResidualBlock {
    pub(super) first: Unit,
    /// Without an activation of its own.
    pub(super) second: Unit,
    #[module(skip)]
    name: String,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    shortcut: Shortcut,
}

impl ResidualBlock {
    /// Of two units, beside which the shortcut goes.
    pub(super) fn new(name: String, activation: Activation, shortcut: Shortcut, [first, second]: [Unit; 2]) -> Self {
        Self { first, second: second.before_sum(), name, activation, shortcut }
    }

    pub(super) fn forward(&self, input: Tensor<3>, walk: &mut Walk) -> Tensor<3> {
        let branch = self.second.forward(self.first.forward(input.clone(), walk), walk);
        let sum = residual_sum(branch, input, self.shortcut, self.activation);
        walk.stage(&self.name, self.activation, sum)
    }
}
