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
pub use tally::Tally;

/// The first seed that is reported.
pub const FIRST_REPORTED: u64 = 2;

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// What it is.
    pub case: &'a Case,
    /// The network.
    pub architecture: Architecture,
    /// Of data, weights, order and masks.
    pub seed: u64,
    /// Whether the case's mistake is planted; else it is the same run with the mistake mended.
    pub planted: bool,
}

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The case.
    pub case: &'static str,
    /// The network.
    pub architecture: Architecture,
    /// The run's.
    pub seed: u64,
    /// The run's.
    pub planted: bool,
    /// Training accuracy at the end, on the digits as they are.
    pub accuracy: f64,
    /// What the doctor finds.
    pub findings: Vec<Finding>,
}

/// The runs of these cases with every architecture and the seeds from 0 on.
pub fn runs<'a>(cases: &[&'a Case], seeds: u64) -> Vec<Run<'a>> {
    let of = |case: &&'a Case| {
        let case = *case;
        let seeds = move |architecture| (0..seeds).map(move |seed| Run { case, architecture, seed, planted: true });
        Architecture::ALL.into_iter().flat_map(seeds)
    };
    cases.iter().flat_map(of).collect()
}

/// Does them, as many at once as there are `threads`; the bits do not depend on how many. `progress` is told after each.
///
/// # Errors
/// [`Error::Config`] for a case that no network can have.
pub fn outcomes(
    runs: &[Run],
    digits: &Digits,
    threads: usize,
    progress: impl Fn(&Outcome) + Sync,
) -> Result<Vec<Outcome>, Error> {
    let order: Vec<usize> = (0..runs.len()).collect();
    on_every_core(threads, &order, |index| {
        let outcome = runs[index].outcome(digits)?;
        progress(&outcome);
        Ok(outcome)
    })
}
