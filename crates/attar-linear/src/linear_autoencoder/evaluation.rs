//! Loss, gradient and first-order residual at given weights, and the loss along a line.

use super::problem::Problem;
use super::{Factor, LinearAutoencoder, Weights};
use crate::Error;

/// What an objective says of given weights.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The objective: `reconstruction + penalty`.
    pub loss: f64,
    /// The squared error under the normalisation; under nested dropout its weighted sum over the prefixes.
    pub reconstruction: f64,
    /// The rest.
    pub penalty: f64,
    /// The gradient of `loss`, each weight's in its own shape.
    pub gradient: Weights,
    /// The first-order residual: the norm of the gradient over the norms of the parts it is the sum of (data term,
    /// target term, penalty), so between 0 and 1 and the same in all units. The larger of encoder's and decoder's, each
    /// by its own parts: where the scale of the code is free, the parts of one may dwarf those of the other. For the L2
    /// objectives the penalty on weights of norm 1 counts among the parts, so that weights that rightly vanish have a
    /// residual that vanishes.
    pub residual: f64,
}

impl LinearAutoencoder {
    /// Evaluates the objective at `weights` on the data of `factor`.
    ///
    /// # Errors
    /// A setting outside its range, or weights of other shapes.
    pub fn evaluate(&self, factor: &Factor, weights: &Weights) -> Result<Evaluation, Error> {
        let problem = Problem::new(self, factor)?;
        problem.check(weights)?;
        Ok(problem.evaluate(weights))
    }

    /// The coefficients `c` of the loss along a line: `loss(weights + t · direction) = Σ cᵢ tⁱ`, exactly.
    ///
    /// Every objective is a polynomial of degree 4 along a line, as the map `W₂W₁` is one of degree 2. `c[1]` is the
    /// slope and `2 c[2]` the curvature along the direction, free of the cancellation of finite differences.
    ///
    /// # Errors
    /// A setting outside its range, or weights of other shapes.
    pub fn along(&self, factor: &Factor, weights: &Weights, direction: &Weights) -> Result<[f64; 5], Error> {
        let problem = Problem::new(self, factor)?;
        problem.check(weights)?;
        problem.check(direction)?;
        Ok(problem.along(weights, direction))
    }
}
