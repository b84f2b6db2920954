//! Codes that are all the same.

use super::Rule;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "collapsed-codes",
    wrong: "the codes of different inputs are nearly one point, or lie on one line.",
    matters: "a representation that tells nothing apart is useless to whoever builds on it, and the training loss may \
              not show it.",
    quantity: "of the last probe `codes`: deviation of the codes scaled to length 1, times the root of the dimension \
               (1 healthy, 0 collapsed); and the effective rank exp(entropy of the singular values).",
    threshold: "0.1 (lightly's collapse level of 0.9) and 1.5 for four dimensions or more (RankMe, Garrido et al. \
                2023, compares ranks; the number is own).",
    remedy: "keep negatives or a variance term in a contrastive loss, stop the gradient on one side, lower the weight \
             of what pulls codes together.",
    explains: &[],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let Some(probe) = record.probes("codes").last() else { return Vec::new() };
    let dimension = probe.value("dimension").unwrap_or(0.0);
    let judged = [
        (probe.value("spread"), thresholds.code_spread, "spread"),
        (probe.value("rank").filter(|_| dimension >= 4.0), thresholds.code_rank, "effective rank"),
    ];
    let ill = judged.into_iter().filter_map(|(value, limit, words)| value.map(|value| (value, limit, words)));
    let ill = ill.filter(|(value, limit, _)| value.is_nan() || value < limit);
    ill.map(|(value, limit, words)| {
        let message = format!("the codes have {words} {value:.3}, of {dimension} dimensions");
        let place =
            Place { stage: Some(probe.stage.clone()).filter(|stage| !stage.is_empty()), ..Place::step(probe.step) };
        RULE.finding(Gravity::Warning, value, limit, place, message)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::with_probe;

    fn found(values: &[(&str, f64)]) -> Vec<Finding> {
        check(&with_probe("codes", values), &Thresholds::default())
    }

    #[test]
    fn codes_at_one_point_or_on_one_line_are_named() {
        assert_eq!(found(&[("spread", 0.02), ("rank", 5.0), ("dimension", 64.0)]).len(), 1);
        assert_eq!(found(&[("spread", 0.8), ("rank", 1.1), ("dimension", 64.0)]).len(), 1);
    }

    #[test]
    fn codes_that_spread_pass() {
        assert!(found(&[("spread", 0.7), ("rank", 9.0), ("dimension", 64.0)]).is_empty());
        assert!(found(&[("spread", 0.9), ("rank", 1.2), ("dimension", 2.0)]).is_empty());
    }
}
