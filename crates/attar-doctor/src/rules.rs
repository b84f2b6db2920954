//! The rules: what each looks for, and all of them over one record.

use std::fmt;

use crate::{Finding, Gravity, Place, Record, Thresholds};

mod accumulation;
mod clipping;
mod collapsed_codes;
mod dead_units;
mod divergence;
mod evaluation_mode;
mod exploding_gradient;
mod failed_run;
#[cfg(test)]
mod fixture;
mod frozen_parameter;
mod gradient_slope;
mod initial_loss;
mod input_independence;
mod no_generalisation;
mod no_progress;
mod non_finite;
mod not_reproducible;
mod one_batch;
mod oscillation;
mod repeated_augmentation;
mod saturated_units;
mod share_of_units;
mod stale_gradient;
mod summed_loss;
mod tensor_history;
mod train_eval_gap;
mod unoptimised_parameter;
mod unused_parameter;
mod update_ratio;
mod vanishing_gradient;
mod window_clip;
mod window_drop;
mod window_schedule;
mod window_step;
mod zeroed_gradient;

/// One thing that goes wrong, and how it is told.
#[derive(Debug)]
pub struct Rule {
    /// `stale-gradient`.
    pub name: &'static str,
    /// What is wrong.
    pub wrong: &'static str,
    /// Why it matters.
    pub matters: &'static str,
    /// What is measured.
    pub quantity: &'static str,
    /// What it is held against by default, and where that number is from.
    pub threshold: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// The rules whose findings may be no more than consequences of this one.
    pub explains: &'static [&'static str],
    check: fn(&Record, &Thresholds) -> Vec<Finding>,
}

impl Rule {
    /// What this rule alone finds.
    pub fn check(&self, record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
        (self.check)(record, thresholds)
    }

    fn finding(&self, gravity: Gravity, value: f64, threshold: f64, place: Place, message: String) -> Finding {
        let (rule, remedy) = (self.name, self.remedy);
        Finding { rule, gravity, value, threshold, place, message, remedy, consequence_of: None, rerun: None }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, wrong, matters, quantity, threshold, remedy, .. } = self;
        writeln!(f, "{name}\n\nWhat is wrong: {wrong}\nWhy it matters: {matters}\nMeasured: {quantity}")?;
        write!(f, "Threshold: {threshold}\nRemedy: {remedy}")
    }
}

/// All rules.
pub static RULES: [&Rule; 31] = [
    &stale_gradient::RULE,
    &zeroed_gradient::RULE,
    &accumulation::RULE,
    &summed_loss::RULE,
    &window_step::RULE,
    &window_drop::RULE,
    &window_schedule::RULE,
    &window_clip::RULE,
    &unoptimised_parameter::RULE,
    &frozen_parameter::RULE,
    &unused_parameter::RULE,
    &evaluation_mode::RULE,
    &non_finite::RULE,
    &divergence::RULE,
    &oscillation::RULE,
    &no_progress::RULE,
    &no_generalisation::RULE,
    &update_ratio::RULE,
    &exploding_gradient::RULE,
    &vanishing_gradient::RULE,
    &dead_units::RULE,
    &saturated_units::RULE,
    &initial_loss::RULE,
    &clipping::RULE,
    &train_eval_gap::RULE,
    &one_batch::RULE,
    &input_independence::RULE,
    &collapsed_codes::RULE,
    &repeated_augmentation::RULE,
    &not_reproducible::RULE,
    &failed_run::RULE,
];

/// What all rules find in `record`: causes before their consequences, then the graver first.
///
/// An empty list says that no rule objects, not that the run is right: what was not recorded was not judged.
pub fn diagnose(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule.check(record, thresholds)).collect();
    let found: Vec<&str> = findings.iter().map(|finding| finding.rule).collect();
    let causes: Vec<&Rule> = RULES.iter().copied().filter(|rule| found.contains(&rule.name)).collect();
    for finding in &mut findings {
        let cause = causes.iter().find(|cause| cause.explains.contains(&finding.rule));
        finding.consequence_of = cause.map(|cause| cause.name);
    }
    findings.sort_by_key(|finding| (finding.consequence_of.is_some(), std::cmp::Reverse(finding.gravity)));
    findings
}

/// The rule called `name`: its text is what `Display` shows.
pub fn explain(name: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_and_what_they_explain_exists() {
        for (i, rule) in RULES.iter().enumerate() {
            assert!(RULES[..i].iter().all(|other| other.name != rule.name), "{}", rule.name);
            assert!(rule.explains.iter().all(|name| explain(name).is_some()), "{}", rule.name);
            let text = rule.to_string();
            assert!(text.contains(rule.wrong) && text.contains(rule.remedy));
        }
        assert!(explain("stale").is_none());
    }

    #[test]
    fn no_rule_explains_what_explains_it() {
        for rule in RULES {
            let explained = rule.explains.iter().filter_map(|name| explain(name));
            assert!(explained.clone().all(|other| !other.explains.contains(&rule.name)), "{}", rule.name);
        }
    }

    #[test]
    fn a_plain_record_has_no_findings() {
        assert_eq!(diagnose(&fixture::healthy(), &Thresholds::default()), []);
        assert_eq!(diagnose(&Record::default(), &Thresholds::default()), []);
    }

    #[test]
    fn causes_stand_before_consequences() {
        let mut record = fixture::stale();
        let losses = (0..40).map(|i| 2.3 * 1.2_f64.powi(i));
        fixture::set_losses(&mut record, losses);
        let findings = diagnose(&record, &Thresholds::default());
        let rules: Vec<_> = findings.iter().map(|f| (f.rule, f.consequence_of)).collect();
        assert_eq!(rules[0], ("stale-gradient", None));
        assert!(rules.contains(&("divergence", Some("stale-gradient"))), "{rules:?}");
    }
}
