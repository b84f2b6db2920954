//! A training loop as its users write it, with gradient buffers that stay until they are emptied, and mistakes to plant.
//!
//! Every call is made in order and recorded, so that what finds the mistakes can be shown to. Without one the weights
//! are those of any sound loop. The window that trains is the window that the certificate measures.

use attar_data::random::{Purpose, permutation, stream};
use attar_doctor::Record;

use crate::certificate::{Measured, Subject, accumulation};
use crate::config::Descent;
use crate::{Problem, Staged};

mod altered;
mod journal;
mod planted;
mod probes;
mod steps;

use altered::{Altered, altered_network, altered_plan};
pub use planted::Planted;
use steps::Loop;

/// Everything that determines such a training beside network and problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How gradients become updates.
    pub descent: Descent,
    /// Steps from one record of the sizes to the next.
    pub norms_every: usize,
    /// Steps, on average, from one fresh backward pass to the next; 0 for none.
    pub fresh_every: usize,
    /// Whether to probe: one-batch overfitting, reduction, accumulation, dependence on the input, the two modes; and the
    /// stages after every epoch.
    pub probes: bool,
    /// How many samples, the last ones, no step is taken on: their loss is recorded after every epoch.
    pub held_out: usize,
}

/// Trains `network` (without autodiff) as `plan` says, with the mistake that is planted, if any; also leaves the record
/// of it. A loss that is not finite ends the run.
pub fn train<N: Staged, P: Problem>(network: N, problem: &P, plan: &Plan, planted: Option<Planted>) -> (N, Record) {
    let plan = altered_plan(plan, planted);
    let mut run = Loop::new(altered_network(network, planted), problem, &plan, planted);
    run.begin();
    for epoch in 1..=plan.descent.epochs {
        run.begin_epoch(epoch);
        for batch in order(plan.trained(problem), &plan.descent, epoch).chunks(plan.descent.batch_size.max(1)) {
            run.batch(batch);
            if run.has_failed() {
                return run.finish();
            }
        }
        run.end_epoch();
    }
    run.finish()
}

impl Plan {
    /// Whether a fresh backward pass follows after so many steps: one within each `fresh_every`, at places that keep no
    /// period, so that no period of the loop hides from them.
    pub(crate) fn has_fresh_pass(&self, steps: usize) -> bool {
        let (every, golden) = (self.fresh_every.max(1), (5.0_f64.sqrt() - 1.0) / 2.0);
        let place = ((steps / every + 1) as f64 * golden).fract();
        self.fresh_every > 0 && steps % every == (every as f64 * place) as usize
    }

    /// How many samples steps are taken on: the first ones.
    pub(crate) fn trained(&self, problem: &impl Problem) -> usize {
        problem.samples().saturating_sub(self.held_out)
    }
}

/// The accumulation certificate of this loop for one batch of `samples`, cut as each of `splits` says.
pub fn measure<N: Staged, P: Problem>(
    network: &N,
    problem: &P,
    plan: &Plan,
    planted: Option<Planted>,
    samples: &[u64],
    splits: &[Vec<usize>],
) -> Measured {
    // The mistake may be one of the loss itself.
    let subject = Subject {
        network,
        problem: &Altered::new(problem, planted, plan.descent.seed),
        samples,
        seed: plan.descent.seed,
        clip: plan.descent.clip_norm,
    };
    accumulation(&subject, splits, |network, parts| {
        let mut run = Loop::new(network.clone(), problem, plan, planted);
        run.keep_stages();
        run.window(parts);
        run.into_window()
    })
}

/// The samples in the order of an epoch.
pub(crate) fn order(samples: usize, descent: &Descent, epoch: usize) -> Vec<u64> {
    let mut rng = stream(descent.seed, Purpose::Shuffle, epoch as u64, 0, 0);
    permutation(samples, &mut rng).into_iter().map(|sample| sample as u64).collect()
}
