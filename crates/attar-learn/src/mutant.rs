//! A training loop as its users write it, with gradient buffers that stay until they are emptied, and mistakes to plant.
//!
//! Every call is made in order and recorded, so that what finds the mistakes can be shown to. Without one the weights
//! are those of any sound loop. The window that trains is the window that the certificate measures.

use attar_data::random::{Purpose, permutation, stream};
use attar_doctor::Record;

use crate::certificate::Window;
use crate::config::{Optimizer, Schedule};
use crate::{Problem, Staged};

mod altered;
mod journal;
mod planted;
mod steps;

pub use planted::Planted;
use steps::Loop;

/// Everything that determines such a training beside network and problem.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Samples per optimizer step.
    pub batch_size: usize,
    /// Micro-batches that a batch is processed in.
    pub micro_batches: usize,
    /// Passes over the samples.
    pub epochs: usize,
    /// What takes the steps.
    pub optimizer: Optimizer,
    /// Its full rate.
    pub learning_rate: f64,
    /// How the rate changes.
    pub schedule: Schedule,
    /// The norm above which gradients are scaled down.
    pub clip: Option<f64>,
    /// Of order and masks.
    pub seed: u64,
    /// Steps from one record of the sizes to the next.
    pub norms_every: usize,
    /// Steps from one fresh backward pass to the next; 0 for none.
    pub fresh_every: usize,
}

/// Trains `network` (without autodiff) as `plan` says, with the mistake that is planted, if any; also leaves the record
/// of it. A loss that is not finite ends the run.
pub fn train<N: Staged, T: Problem>(network: N, problem: &T, plan: &Plan, planted: Option<Planted>) -> (N, Record) {
    let mut run = Loop::new(network, problem, plan, planted);
    run.begin();
    for epoch in 1..=plan.epochs {
        run.begin_epoch(epoch);
        for batch in order(problem.samples(), plan, epoch).chunks(plan.batch_size.max(1)) {
            run.batch(batch);
            if run.has_failed() {
                return run.finish();
            }
        }
        run.end_epoch();
    }
    run.finish()
}

/// What the loop leaves of one batch in `parts`, from empty buffers to before it clips and steps: the window that
/// [`crate::certificate::accumulation`] takes.
pub fn window<N: Staged, T: Problem>(
    network: &N,
    problem: &T,
    plan: &Plan,
    planted: Option<Planted>,
    parts: &[&[u64]],
) -> Window<N> {
    let mut run = Loop::new(network.clone(), problem, plan, planted);
    run.keep_stages();
    run.window(parts);
    run.into_window()
}

/// The samples in the order of an epoch.
pub(crate) fn order(samples: usize, plan: &Plan, epoch: usize) -> Vec<u64> {
    let mut rng = stream(plan.seed, Purpose::Shuffle, epoch as u64, 0, 0);
    permutation(samples, &mut rng).into_iter().map(|sample| sample as u64).collect()
}
