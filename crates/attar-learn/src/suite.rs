//! How often the doctor is right: runs with one mistake each, and as many sound ones with unusual settings.
//!
//! Small classifiers of digits train with the loop of [`crate::mutant`]; each run is judged by its record alone. Seeds
//! below [`FIRST_REPORTED`] are those that thresholds may be fixed by; what is reported is of the others.

use attar_doctor::Finding;
use serde::Serialize;

use crate::Error;
use crate::sweep::on_every_core;

mod case;
mod digits;
mod mutants;
mod run;
mod sound;
mod tally;

pub use case::{Architecture, Case, Named, Setting, Size};
pub use digits::Digits;
pub use mutants::MUTANTS;
pub use sound::SOUND;
pub use tally::{Alarms, Recall, Tally, alarms, recall};

/// The first seed that is reported.
pub const FIRST_REPORTED: u64 = 2;

/// What became of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The case.
    pub case: &'static str,
    /// The network.
    pub architecture: Architecture,
    /// Of data, weights, order and masks.
    pub seed: u64,
    /// Training accuracy at the end.
    pub accuracy: f64,
    /// What the doctor finds.
    pub findings: Vec<Finding>,
}

/// Runs the cases with every architecture and the seeds from 0 on, as many at once as there are `threads`; the bits do
/// not depend on how many. `progress` is told after each run.
///
/// # Errors
/// [`Error::Config`] for a case that no network can have.
pub fn run_all(
    cases: &[&'static Case],
    seeds: u64,
    digits: &Digits,
    threads: usize,
    progress: impl Fn(&Outcome) + Sync,
) -> Result<Vec<Outcome>, Error> {
    let seeds = || 0..seeds;
    let of = |case| Architecture::ALL.into_iter().flat_map(move |kind| seeds().map(move |seed| (case, kind, seed)));
    let runs: Vec<(&'static Case, Architecture, u64)> = cases.iter().flat_map(|case| of(*case)).collect();
    let order: Vec<usize> = (0..runs.len()).collect();
    on_every_core(threads, &order, |index| {
        let (case, architecture, seed) = runs[index];
        let outcome = run::run(case, architecture, seed, digits)?;
        progress(&outcome);
        Ok(outcome)
    })
}
