//! Stages most of whose units are in a bad state: what several rules ask of the statistics of activations.

use super::Rule;
use crate::{Finding, Gravity, Place, Record, StageStatistics};

type Share = fn(&StageStatistics) -> Option<f64>;

/// The worst stage of the last measurement whose share of units in that `state` is above the limit.
pub(super) fn most_of_a_stage(rule: &Rule, record: &Record, limit: f64, share: Share, state: &str) -> Vec<Finding> {
    let Some(last) = record.activations().last() else { return Vec::new() };
    let shares = last.stages.iter().filter_map(|stage| share(stage).map(|share| (share, stage.name.as_str())));
    let ill: Vec<(f64, &str)> = shares.filter(|(share, _)| *share > limit).collect();
    let Some((worst, stage)) = ill.iter().max_by(|a, b| a.0.total_cmp(&b.0)) else { return Vec::new() };
    let (percent, count, all) = (worst * 100.0, ill.len(), last.stages.len());
    let message = format!("{percent:.0} % of the units of {stage} {state}; {count} of {all} stages are so");
    let place = Place::stage(stage, since(record, stage, limit, share));
    vec![rule.finding(Gravity::Warning, *worst, limit, place, message)]
}

/// The first measurement from which on it has been so.
fn since(record: &Record, stage: &str, limit: f64, share: Share) -> u64 {
    let mut since = None;
    for activations in record.activations() {
        let share = activations.stages.iter().find(|found| found.name == stage).and_then(share);
        since = if share.is_some_and(|share| share > limit) { since.or(Some(activations.step)) } else { None };
    }
    since.unwrap_or_default()
}
