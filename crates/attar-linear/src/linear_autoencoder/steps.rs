//! One step of each solver on all the data.

use faer::Mat;

use super::arithmetic::product;
use super::least_squares;
use super::problem::Problem;
use super::{Evaluation, Solver, Weights};
use crate::Error;

/// A solver with what it remembers.
pub(super) enum Stepper {
    Descent,
    Adam { learning_rate: f64, moments: Box<Moments> },
    LeastSquares,
    Balanced,
    Rotation { learning_rate: f64 },
}

impl Stepper {
    pub(super) fn new(solver: &Solver, start: &Weights) -> Self {
        match *solver {
            Solver::GradientDescent => Self::Descent,
            Solver::Adam { learning_rate } => Self::Adam { learning_rate, moments: Box::new(Moments::new(start)) },
            Solver::AlternatingLeastSquares => Self::LeastSquares,
            Solver::BalancedLeastSquares => Self::Balanced,
            Solver::RotationAugmented { learning_rate } => Self::Rotation { learning_rate },
        }
    }

    /// What has to vanish where the solver is at rest.
    pub(super) fn residual(&self, problem: &Problem<'_>, weights: &Weights, evaluation: &Evaluation) -> f64 {
        match self {
            Self::Rotation { .. } => evaluation.residual.max(correlation(&code_covariance(problem, weights))),
            _ => evaluation.residual,
        }
    }

    pub(super) fn step(
        &mut self,
        problem: &Problem<'_>,
        weights: &Weights,
        evaluation: &Evaluation,
    ) -> Result<Weights, Error> {
        let gradient = &evaluation.gradient;
        match self {
            Self::Descent => {
                let direction = gradient.zip(gradient, |g, _| -g);
                let step = first_minimum(problem.along(weights, &direction));
                Ok(weights.moved(step, &direction))
            }
            Self::Adam { learning_rate, moments } => Ok(weights.moved(-*learning_rate, &moments.direction(gradient))),
            Self::LeastSquares => least_squares::step(problem, weights),
            Self::Balanced => least_squares::balanced(problem, least_squares::step(problem, weights)?),
            Self::Rotation { learning_rate } => {
                let turned = turn(&code_covariance(problem, weights), weights);
                Ok(weights.moved(-*learning_rate, gradient).moved(*learning_rate, &turned))
            }
        }
    }
}

/// The first minimum on `t > 0` of a polynomial that falls at 0; 0 where none is found.
///
/// Below the first bracket no term of the slope outweighs a third of that at 0, so no minimum is passed by.
fn first_minimum([_, c1, c2, c3, c4]: [f64; 5]) -> f64 {
    let slope = |t: f64| c1 + t * (2.0 * c2 + t * (3.0 * c3 + t * 4.0 * c4));
    let fall = c1.abs();
    let bounds = [fall / (6.0 * c2.abs()), (fall / (9.0 * c3.abs())).sqrt(), (fall / (12.0 * c4.abs())).cbrt()];
    let mut low = bounds.into_iter().fold(f64::INFINITY, f64::min);
    if !(low.is_finite() && low > 0.0) {
        return 0.0;
    }
    while slope(1.1 * low) < 0.0 && low < f64::MAX / 2.0 {
        low *= 1.1;
    }
    let mut high = 1.1 * low;
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    low
}

/// `W₁ R Rᵀ W₁ᵀ`, the covariance of the codes under the normalisation.
fn code_covariance(problem: &Problem<'_>, weights: &Weights) -> Mat<f64> {
    let codes = product(weights.encoder.as_ref(), problem.root.as_ref());
    product(codes.as_ref(), codes.transpose())
}

/// The off-diagonal share of a covariance, by norms.
fn correlation(covariance: &Mat<f64>) -> f64 {
    let k = covariance.nrows();
    let rest = Mat::from_fn(k, k, |i, j| if i == j { 0.0 } else { covariance[(i, j)] });
    let whole = covariance.norm_l2();
    if whole > 0.0 { rest.norm_l2() / whole } else { 0.0 }
}

/// `(Γ W₁, W₂ Γᵀ)`.
fn turn(covariance: &Mat<f64>, weights: &Weights) -> Weights {
    let k = covariance.nrows();
    let gamma = Mat::from_fn(k, k, |i, j| match i.cmp(&j) {
        std::cmp::Ordering::Less => 0.5 * covariance[(i, j)],
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Greater => -0.5 * covariance[(i, j)],
    });
    let encoder = product(gamma.as_ref(), weights.encoder.as_ref());
    Weights { encoder, decoder: product(weights.decoder.as_ref(), gamma.transpose()) }
}

/// Adam's running averages of the gradient and of its square.
pub(super) struct Moments {
    mean: Weights,
    square: Weights,
    steps: i32,
}

impl Moments {
    const BETA: (f64, f64) = (0.9, 0.999);
    const EPSILON: f64 = 1e-8;

    pub(super) fn new(like: &Weights) -> Self {
        let zero = like.zip(like, |_, _| 0.0);
        Self { mean: zero.clone(), square: zero, steps: 0 }
    }

    /// The averages take the gradient in, and the step per unit of learning rate comes out.
    pub(super) fn direction(&mut self, gradient: &Weights) -> Weights {
        let (b1, b2) = Self::BETA;
        self.steps += 1;
        self.mean = self.mean.zip(gradient, |m, g| b1 * m + (1.0 - b1) * g);
        self.square = self.square.zip(gradient, |v, g| b2 * v + (1.0 - b2) * g * g);
        let (c1, c2) = (1.0 - b1.powi(self.steps), 1.0 - b2.powi(self.steps));
        self.mean.zip(&self.square, |m, v| (m / c1) / ((v / c2).sqrt() + Self::EPSILON))
    }
}
