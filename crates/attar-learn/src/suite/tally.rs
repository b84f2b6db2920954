//! Outcomes counted: recall of each fault, false alarms.

use attar_linear::{Interval, wilson_interval};

use super::case::{Case, Named};
use super::Outcome;

/// Runs with a mistake, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All.
    pub runs: usize,
    /// With a finding that names the mistake.
    pub named: usize,
    /// Whose first finding does.
    pub first: usize,
    /// With findings, none of which names it.
    pub other: usize,
}

/// One kind of mistake.
#[derive(Clone, Debug)]
pub struct Recall {
    /// The case.
    pub case: &'static Case,
    /// What became of its runs.
    pub tally: Tally,
}

/// Sound runs, counted.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    /// All.
    pub runs: usize,
    /// Those with findings.
    pub alarmed: Vec<Outcome>,
}

/// What became of the runs with a mistake, case by case.
pub fn recall(outcomes: &[Outcome], cases: &[&'static Case]) -> Vec<Recall> {
    let of = |case: &&'static Case| {
        let mut tally = Tally::default();
        let runs = outcomes.iter().filter(|outcome| outcome.case == case.name);
        runs.for_each(|outcome| tally.add(outcome, case.named_by));
        Recall { case, tally }
    };
    cases.iter().map(of).collect()
}

/// What became of the sound runs.
pub fn alarms(outcomes: &[Outcome]) -> Alarms {
    let alarmed = outcomes.iter().filter(|outcome| !outcome.findings.is_empty()).cloned().collect();
    Alarms { runs: outcomes.len(), alarmed }
}

impl Alarms {
    /// The share of runs with findings, and its 95 % interval (Wilson).
    pub fn interval(&self) -> Option<Interval> {
        wilson_interval(self.alarmed.len(), self.runs)
    }
}

impl Tally {
    /// The share of runs whose mistake is named, and its 95 % interval (Wilson).
    pub fn interval(&self) -> Option<Interval> {
        wilson_interval(self.named, self.runs)
    }

    /// Of several kinds together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            named: self.named + other.named,
            first: self.first + other.first,
            other: self.other + other.other,
        }
    }

    fn add(&mut self, outcome: &Outcome, named_by: &[Named]) {
        let names = |finding| named_by.iter().any(|named| named.is(finding));
        let named = outcome.findings.iter().any(names);
        self.runs += 1;
        self.named += usize::from(named);
        self.first += usize::from(outcome.findings.first().is_some_and(names));
        self.other += usize::from(!named && !outcome.findings.is_empty());
    }
}
