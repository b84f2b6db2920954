//! Workers that draw the same augmentation.

use super::Rule;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "repeated-augmentation",
    wrong: "different samples are augmented from the same seed, as when every worker of a loader begins with the same \
            one.",
    matters: "the data is augmented less than it seems, by the number of workers, and the epochs may repeat each \
              other.",
    quantity: "share of seeds drawn for different samples that had been drawn before (last probe `augmentation`).",
    threshold: "0: of 64-bit seeds two are equal by chance once in 2^32 draws.",
    remedy: "draw each sample's seed from the run's seed, the epoch and the sample's number; seed the workers apart.",
    explains: &[],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let Some(probe) = record.probes("augmentation").last() else { return Vec::new() };
    let (Some(seeds), Some(distinct)) = (probe.value("seeds"), probe.value("distinct")) else { return Vec::new() };
    let repeated = 1.0 - distinct / seeds;
    if repeated <= 0.0 {
        return Vec::new();
    }
    let message = format!("{distinct} distinct seeds for {seeds} samples");
    vec![RULE.finding(Gravity::Fault, repeated, 0.0, Place::step(probe.step), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::with_probe;

    fn found(values: &[(&str, f64)]) -> Vec<Finding> {
        check(&with_probe("augmentation", values), &Thresholds::default())
    }

    #[test]
    fn seeds_drawn_twice_are_named() {
        assert_eq!(found(&[("seeds", 64.0), ("distinct", 16.0)])[0].value, 0.75);
    }

    #[test]
    fn distinct_seeds_pass() {
        assert!(found(&[("seeds", 64.0), ("distinct", 64.0)]).is_empty());
    }
}
