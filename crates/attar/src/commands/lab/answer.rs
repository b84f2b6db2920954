//! A question, its answer, and the claims that the answer rests on.

use attar_report::{Block, Claims, Section, Verdict};
use serde::Serialize;

/// One question of the course.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Answer {
    pub(crate) question: String,
    /// Why it must be so.
    pub(crate) derivation: String,
    pub(crate) answer: String,
    pub(crate) claims: Vec<Claim>,
}

/// A sentence with a measured number, a tolerance and a verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Claim {
    pub(crate) sentence: String,
    pub(crate) measured: f64,
    /// What the number must be, in words.
    pub(crate) tolerance: String,
    pub(crate) holds: bool,
}

impl Claim {
    /// Holds when `measured` is within `tolerance` of `expected`.
    pub(crate) fn near(sentence: impl Into<String>, measured: f64, expected: f64, tolerance: f64) -> Self {
        Self {
            sentence: sentence.into(),
            measured,
            tolerance: format!("{} ± {}", shown(expected), shown(tolerance)),
            holds: (measured - expected).abs() <= tolerance,
        }
    }

    /// Holds when `measured` is at least `least`.
    pub(crate) fn at_least(sentence: impl Into<String>, measured: f64, least: f64) -> Self {
        let tolerance = format!("at least {}", shown(least));
        Self { sentence: sentence.into(), measured, tolerance, holds: measured >= least }
    }

    /// Holds when `measured` is at most `most`.
    pub(crate) fn at_most(sentence: impl Into<String>, measured: f64, most: f64) -> Self {
        let tolerance = format!("at most {}", shown(most));
        Self { sentence: sentence.into(), measured, tolerance, holds: measured <= most }
    }
}

impl Answer {
    pub(crate) fn holds(&self) -> bool {
        self.claims.iter().all(|claim| claim.holds)
    }

    /// The answer, taken back where a claim under it fails.
    fn verdict(&self) -> String {
        match self.holds() {
            true => self.answer.clone(),
            false => format!("Not borne out: a claim below fails. What was expected: {}", self.answer),
        }
    }

    /// As text for a terminal.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n\n  Why: {}\n\n  {}\n\n", self.question, self.derivation, self.verdict());
        for claim in &self.claims {
            let verdict = if claim.holds { "holds" } else { "FAILS" };
            let measured = shown(claim.measured);
            text.push_str(&format!("  [{verdict}] {}: {measured} ({})\n", claim.sentence, claim.tolerance));
        }
        text
    }

    /// As a section of a report.
    pub(crate) fn section(&self) -> Section {
        let claims = self.claims.iter().map(|claim| attar_report::Claim {
            sentence: claim.sentence.clone(),
            measured: shown(claim.measured),
            tolerance: claim.tolerance.clone(),
            verdict: if claim.holds { Verdict::Good } else { Verdict::Bad },
        });
        Section {
            title: self.question.clone(),
            text: vec![self.derivation.clone(), self.verdict()],
            blocks: vec![Block::Claims(Claims { title: "Claims".into(), claims: claims.collect() })],
        }
    }
}

/// A number at any size: whole numbers as such, three decimals where they say something, else a power of ten.
pub(crate) fn shown(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value.fract() == 0.0 && size < 1e6 => format!("{value:.0}"),
        0.01..1e6 => format!("{value:.3}"),
        _ if !value.is_finite() => value.to_string(),
        _ => format!("{value:.1e}").replace(".0e", "e"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_can_fail() {
        let check = |claim: Claim, holds: bool| assert_eq!(claim.holds, holds, "{claim:?}");
        check(Claim::near("n", 1.04, 1.0, 0.05), true);
        check(Claim::near("n", 0.94, 1.0, 0.05), false);
        check(Claim::near("n", f64::NAN, 1.0, 0.05), false);
        check(Claim::at_least("l", 2.0, 2.0), true);
        check(Claim::at_least("l", f64::NAN, 2.0), false);
        check(Claim::at_most("m", 2.1, 2.0), false);
    }

    #[test]
    fn numbers_are_shown_at_any_size() {
        let check = |value: f64, text: &str| assert_eq!(shown(value), text);
        check(0.0, "0");
        check(96.0, "96");
        check(-2.5, "-2.500");
        check(0.0512, "0.051");
        check(0.0049, "4.9e-3");
        check(1e-6, "1e-6");
        check(2.24e-13, "2.2e-13");
        check(-31_415_926.5, "-3.1e7");
        check(f64::NAN, "NaN");
        check(f64::INFINITY, "inf");
    }
}
