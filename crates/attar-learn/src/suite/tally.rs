//! Outcomes counted.

use attar_linear::{Interval, wilson_interval};
use serde::Serialize;

use super::case::Case;
use super::{FIRST_REPORTED, Outcome};

/// Runs of one case or of several, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All.
    pub runs: usize,
    /// With a finding that names the mistake.
    pub named: usize,
    /// Whose first finding does.
    pub first: usize,
    /// With findings, none of which names it; in sound runs these are false alarms.
    pub other: usize,
}

impl Tally {
    /// Of those outcomes that are of `case`.
    pub fn of<'a>(case: &Case, outcomes: impl Iterator<Item = &'a Outcome>) -> Self {
        outcomes.filter(|outcome| outcome.case == case.name).map(|outcome| Self::of_one(case, outcome)).sum()
    }

    fn of_one(case: &Case, outcome: &Outcome) -> Self {
        let names = |finding| case.named_by.iter().any(|named| named.is(finding));
        let is_named = outcome.findings.iter().any(names);
        Self {
            runs: 1,
            named: usize::from(is_named),
            first: usize::from(outcome.findings.first().is_some_and(names)),
            other: usize::from(!is_named && !outcome.findings.is_empty()),
        }
    }

    /// The 95 % interval (Wilson) of the share of `count` among the runs; `None` for no runs.
    pub fn interval(&self, count: usize) -> Option<Interval> {
        wilson_interval(count, self.runs)
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, next| Self {
            runs: sum.runs + next.runs,
            named: sum.named + next.named,
            first: sum.first + next.first,
            other: sum.other + next.other,
        })
    }
}

impl Outcome {
    /// Whether its seed is none of those that thresholds were fixed by.
    pub fn is_reported(&self) -> bool {
        self.seed >= FIRST_REPORTED
    }
}
