//! Iterative solvers: one loop, of which a solver is a step.

use super::metrics::{axis_alignment, subspace_distance};
use super::problem::Problem;
use super::steps::Stepper;
use super::weights::first;
use super::{Evaluation, Factor, LinearAutoencoder, Objective, Weights};
use crate::{Error, check};

/// How an iterative solver moves, on all the data at once. [`super::StochasticGradient`] sees samples in turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Solver {
    /// Steepest descent with an exact line search: the loss along a line is a polynomial of degree 4, so its first
    /// minimum is found whatever the scale of the data, and the loss never rises.
    GradientDescent,
    /// Adam (Kingma & Ba 2015, algorithm 1) with `β = (0.9, 0.999)` and `ε = 1e-8`.
    Adam {
        /// The step size. It stays, so the weights end within about this much of a minimum.
        learning_rate: f64,
    },
    /// Exact minimisation over the decoder and over the encoder in turn. Each is a linear system, with the penalty too.
    AlternatingLeastSquares,
    /// The same, with a third exact minimisation in each turn: over the code's basis, with the map as it is. The map's
    /// singular value decomposition `L diag(s) Vᵀ` gives `W₂ = L diag(√s)` and `W₁ = diag(√s) Vᵀ`.
    ///
    /// Under the L2 objectives that removes the slowest part, as the map hardly says how a code is to be scaled and
    /// turned. It is the minimum: with `λ₀ = 0`, `Σᵢ λᵢ (‖aᵢ‖² + ‖bᵢ‖²)` is the sum over `j` of `λⱼ - λⱼ₋₁` times the
    /// squares from `j` on, which are at least twice the nuclear norm of what the first `j - 1` codes leave of the map,
    /// so at least `2 Σ_{i≥j} sᵢ` (derived here). Without a penalty it costs nothing. Under nested dropout, whose codes
    /// have an order, the basis stays.
    BalancedLeastSquares,
    /// The rotation augmented gradient of Bao et al. (2020), as in their `utils/train.py`: beside a gradient step the
    /// code is turned by `Γ = (½) (upper - lower triangle of the code's covariance W₁XXᵀW₁ᵀ/n)`, which leaves the map
    /// as it is to first order. It takes the codes of [`Objective::Plain`] to the principal directions, but only as far
    /// as `W₁ = W₂ᵀ`, which the plain loss does not ask for: steps of finite size leave a difference. Those of
    /// [`Objective::L2`] it takes there exactly.
    RotationAugmented {
        /// The step size, for both parts. Stable below about `1/(2σ₁²)`.
        learning_rate: f64,
    },
}

/// When an iterative solver ends and what it keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// How it moves.
    pub solver: Solver,
    /// Ends where the first-order residual ([`Evaluation::residual`]) is at most this. With
    /// [`Solver::RotationAugmented`], the code's correlation (off-diagonal share of its covariance) must be too.
    pub tolerance: f64,
    /// Ends after this many steps.
    pub max_iterations: usize,
    /// Records every so many steps, the first and the last always.
    pub record_every: usize,
}

impl Default for Training {
    /// Balanced least squares to a residual of 1e-9.
    fn default() -> Self {
        let solver = Solver::BalancedLeastSquares;
        Self { solver, tolerance: 1e-9, max_iterations: 100_000, record_every: 1000 }
    }
}

/// Which rule ended a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The residual reached the tolerance.
    Residual,
    /// The limit of iterations.
    Iterations,
    /// The loss is no longer finite: the learning rate is too large. The weights are those of the last finite step.
    NonFinite,
}

/// Where a training stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Steps done; epochs with [`super::StochasticGradient`].
    pub iteration: usize,
    /// The objective.
    pub loss: f64,
    /// The first-order residual.
    pub residual: f64,
    /// See [`subspace_distance`]: of the decoder's columns from the first principal directions.
    pub subspace_distance: f64,
    /// See [`axis_alignment`]: of the decoder's columns with the first principal directions.
    pub axis_alignment: f64,
}

/// What a training came to.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The weights.
    pub weights: Weights,
    /// Why it ended.
    pub stop: Stop,
    /// Steps done; epochs with [`super::StochasticGradient`].
    pub iterations: usize,
    /// The objective at the weights.
    pub loss: f64,
    /// The first-order residual there.
    pub residual: f64,
    /// The way there.
    pub history: Vec<Progress>,
}

impl Training {
    fn validate(&self) -> Result<(), Error> {
        let tolerance = self.tolerance;
        check::setting("tolerance", "not negative", tolerance, tolerance >= 0.0)?;
        check::setting("record_every", "at least 1", self.record_every as f64, self.record_every >= 1)?;
        match self.solver {
            Solver::Adam { learning_rate: rate } | Solver::RotationAugmented { learning_rate: rate } => {
                check::setting("learning_rate", "above 0 and finite", rate, rate > 0.0 && rate.is_finite())
            }
            _ => Ok(()),
        }
    }
}

impl LinearAutoencoder {
    /// Trains from `start` on the data of `factor`.
    ///
    /// # Errors
    /// A setting outside its range, weights of other shapes, or a least-squares system that is singular.
    pub fn train(&self, factor: &Factor, start: &Weights, training: &Training) -> Result<Trained, Error> {
        training.validate()?;
        let problem = Problem::new(self, factor)?;
        problem.check(start)?;
        let mut stepper = Stepper::new(&training.solver, start);
        let mut run = Run::new(&problem, start.clone());
        loop {
            let residual = stepper.residual(&problem, run.weights(), &run.evaluation);
            if let Some(stop) = run.rule(residual, training.tolerance, training.max_iterations) {
                return run.ended(stop);
            }
            run.record_every(training.record_every)?;
            let next = stepper.step(&problem, run.weights(), &run.evaluation)?;
            if !run.accept(next) {
                return run.ended(Stop::NonFinite);
            }
        }
    }

    /// Trains on a sequence of objectives, each from where the one before ended: for instance `λ` from above, so that
    /// directions come up one after another. Gives one result per objective; [`Self::objective`] itself is not used.
    ///
    /// Before each, normal noise of `deviation` (`seed` decides it) is added to the weights, as a direction that a
    /// larger penalty has collapsed to nothing is a saddle of a smaller one and would stay so.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn continuation(
        &self,
        factor: &Factor,
        objectives: &[Objective],
        training: &Training,
        deviation: f64,
        seed: u64,
    ) -> Result<Vec<Trained>, Error> {
        let noise =
            |stage: usize| Weights::random(factor.features(), self.codes, deviation, seed.wrapping_add(stage as u64));
        let mut weights = Weights::random(factor.features(), self.codes, 0.0, seed);
        let mut results = Vec::with_capacity(objectives.len());
        for (stage, objective) in objectives.iter().enumerate() {
            let config = Self { objective: objective.clone(), ..self.clone() };
            let trained = config.train(factor, &weights.moved(1.0, &noise(stage)), training)?;
            weights = trained.weights.clone();
            results.push(trained);
        }
        Ok(results)
    }
}

/// A training under way.
pub(super) struct Run<'a> {
    problem: &'a Problem<'a>,
    weights: Weights,
    pub(super) evaluation: Evaluation,
    pub(super) iterations: usize,
    history: Vec<Progress>,
}

impl<'a> Run<'a> {
    pub(super) fn new(problem: &'a Problem<'a>, weights: Weights) -> Self {
        Self { evaluation: problem.evaluate(&weights), problem, weights, iterations: 0, history: Vec::new() }
    }

    pub(super) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Takes the next weights if their loss is finite.
    pub(super) fn accept(&mut self, weights: Weights) -> bool {
        let evaluation = self.problem.evaluate(&weights);
        let finite = evaluation.loss.is_finite() && evaluation.residual.is_finite();
        if finite {
            (self.weights, self.evaluation) = (weights, evaluation);
            self.iterations += 1;
        }
        finite
    }

    pub(super) fn rule(&self, residual: f64, tolerance: f64, limit: usize) -> Option<Stop> {
        if !self.evaluation.loss.is_finite() {
            Some(Stop::NonFinite)
        } else if residual <= tolerance {
            Some(Stop::Residual)
        } else {
            (self.iterations >= limit).then_some(Stop::Iterations)
        }
    }

    pub(super) fn record_every(&mut self, steps: usize) -> Result<(), Error> {
        if self.iterations.is_multiple_of(steps) { self.record() } else { Ok(()) }
    }

    fn record(&mut self) -> Result<(), Error> {
        let directions = first(self.problem.factor.vectors(), self.problem.config.codes);
        let decoder = self.weights.decoder.as_ref();
        self.history.push(Progress {
            iteration: self.iterations,
            loss: self.evaluation.loss,
            residual: self.evaluation.residual,
            subspace_distance: subspace_distance(directions, decoder)?,
            axis_alignment: axis_alignment(directions, decoder)?,
        });
        Ok(())
    }

    pub(super) fn ended(mut self, stop: Stop) -> Result<Trained, Error> {
        if self.history.last().is_none_or(|last| last.iteration < self.iterations) {
            self.record()?;
        }
        let Evaluation { loss, residual, .. } = self.evaluation;
        Ok(Trained { weights: self.weights, stop, iterations: self.iterations, loss, residual, history: self.history })
    }
}
