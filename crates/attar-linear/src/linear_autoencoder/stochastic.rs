//! Stochastic gradient descent, one sample at a time or a few.

use chacha20::ChaCha8Rng;
use faer::{Mat, MatRef};
use rand::SeedableRng;
use rand::seq::SliceRandom;

use super::factor::check_samples;
use super::problem::Problem;
use super::train::Run;
use super::{Factor, LinearAutoencoder, Stop, Trained, Weights};
use crate::{Error, check};

/// Stochastic gradient descent over shuffled samples.
///
/// The step on a batch follows an unbiased estimate of the objective's gradient: the batch's own error, scaled up to
/// all samples under the normalisation, and the whole penalty. With [`super::Normalisation::PerSample`] that is the
/// mean over the batch. The learning rate falls as `rate / (1 + epoch/half_life)`, so that the noise of single samples
/// dies out (Robbins & Monro 1951).
#[derive(Debug, Clone, PartialEq)]
pub struct StochasticGradient {
    /// Samples of one step.
    pub batch_size: usize,
    /// The step size in the first epoch.
    pub learning_rate: f64,
    /// Epochs after which the step size is half of that; infinity keeps it.
    pub half_life: f64,
    /// Ends after this many passes over the samples.
    pub epochs: usize,
    /// Ends where the first-order residual on all samples, looked at after each epoch, is at most this.
    pub tolerance: f64,
    /// Records every so many epochs, the first and the last always.
    pub record_every: usize,
    /// Decides the order of the samples.
    pub seed: u64,
}

impl Default for StochasticGradient {
    /// One sample at a time.
    fn default() -> Self {
        let (learning_rate, half_life) = (1e-2, 10.0);
        Self { batch_size: 1, learning_rate, half_life, epochs: 100, tolerance: 1e-6, record_every: 1, seed: 0 }
    }
}

impl StochasticGradient {
    fn validate(&self) -> Result<(), Error> {
        let Self { learning_rate: rate, half_life, tolerance, .. } = *self;
        check::setting("batch_size", "at least 1", self.batch_size as f64, self.batch_size >= 1)?;
        check::setting("learning_rate", "above 0 and finite", rate, rate > 0.0 && rate.is_finite())?;
        check::setting("half_life", "above 0", half_life, half_life > 0.0)?;
        check::setting("tolerance", "not negative", tolerance, tolerance >= 0.0)?;
        check::setting("record_every", "at least 1", self.record_every as f64, self.record_every >= 1)
    }
}

impl LinearAutoencoder {
    /// Trains from `start` on `rows`, `[samples, features]`, less their mean.
    ///
    /// # Errors
    /// Rows that [`Factor::of`] refuses, a setting outside its range, or weights of other shapes.
    pub fn train_stochastic(
        &self,
        rows: MatRef<'_, f64>,
        start: &Weights,
        training: &StochasticGradient,
    ) -> Result<Trained, Error> {
        training.validate()?;
        check_samples(rows)?;
        let factor = Factor::of(rows)?;
        let problem = Problem::new(self, &factor)?;
        problem.check(start)?;
        let mut rng = ChaCha8Rng::seed_from_u64(training.seed);
        let mut order: Vec<usize> = (0..rows.nrows()).collect();
        let mut run = Run::new(&problem, start.clone());
        loop {
            if let Some(stop) = run.rule(run.evaluation.residual, training.tolerance, training.epochs) {
                return run.ended(stop);
            }
            run.record_every(training.record_every)?;
            order.shuffle(&mut rng);
            let rate = training.learning_rate / (1.0 + run.iterations as f64 / training.half_life);
            let next = epoch(&problem, rows, &order, training.batch_size, rate, run.weights());
            if !run.accept(next) {
                return run.ended(Stop::NonFinite);
            }
        }
    }
}

/// One pass over the samples in this order.
fn epoch(
    problem: &Problem<'_>,
    rows: MatRef<'_, f64>,
    order: &[usize],
    batch_size: usize,
    rate: f64,
    start: &Weights,
) -> Weights {
    let (n, m) = rows.shape();
    let mean = problem.factor.mean();
    let mut weights = start.clone();
    for batch in order.chunks(batch_size) {
        let share = n as f64 / batch.len() as f64;
        let scale = (problem.config.normalisation.scale(n, m) * share).sqrt();
        let root = Mat::from_fn(m, batch.len(), |j, i| scale * (rows[(batch[i], j)] - mean[j]));
        weights = weights.moved(-rate, &problem.terms.gradient(root.as_ref(), &weights));
    }
    weights
}
