//! The verdict on data parallelism: do R ranks with a shard each train as one does with the whole batch?
//!
//! The gradient that all ranks step with is measured as for accumulation, with a shard for a micro-batch: s = R, the
//! division by the ranks is missing; an angle on uneven shards only, a mean of means; outputs that differ, batch norm
//! whose statistics are not synchronised. What is left is whether the ranks stay equal.

use crate::accumulation::{self, Coupling, Fault, Found, Split, Verdict};

/// Reads `splits` and `couplings` as [`accumulation::judge`] does, and `drift`: after each step, the largest difference
/// of a parameter between two ranks, which must be exactly zero.
pub fn judge(splits: &[Split], couplings: &[Coupling], drift: &[f64], tolerance: f64) -> Verdict {
    let mut verdict = accumulation::judge(splits, couplings, &[], tolerance);
    // NaN is no equality.
    if let Some(step) = drift.iter().position(|difference| *difference != 0.0) {
        let (value, threshold) = (drift[step], 0.0);
        let message = format!("the ranks' parameters differ by {value:.1e} after step {}", step + 1);
        verdict.faults.push(Found { fault: Fault::RanksDrift, value, threshold, stage: None, message });
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four even ranks and three uneven ones.
    fn splits(change: impl Fn(&mut Split)) -> Vec<Split> {
        let split = |micro_batches, smallest, largest| {
            let mut split = Split { micro_batches, samples: 32, smallest, largest, scale: 1.0, ..Split::default() };
            change(&mut split);
            split
        };
        vec![split(4, 8, 8), split(3, 8, 12)]
    }

    fn faults(splits: &[Split], couplings: &[Coupling], drift: &[f64]) -> Vec<Fault> {
        judge(splits, couplings, drift, 1e-12).faults.iter().map(|found| found.fault).collect()
    }

    #[test]
    fn each_mistake_is_named() {
        let summed = splits(|split| (split.scale, split.error) = (split.micro_batches as f64, 3.0));
        assert_eq!(faults(&summed, &[], &[]), [Fault::NoDivision]);
        let uneven = |split: &Split| if split.smallest == split.largest { 0.0 } else { 0.02 };
        let means = splits(|split| (split.angle, split.error) = (uneven(split), uneven(split)));
        assert_eq!(faults(&means, &[], &[]), [Fault::MeanOfMeans]);
        let norm = splits(|split| (split.outputs, split.angle, split.error) = (0.5, 0.1, 0.4));
        let coupling = Coupling { stage: "norm".into(), outputs: 0.5, coupling: 0.2 };
        assert_eq!(faults(&norm, &[coupling], &[]), [Fault::Coupled]);
        assert_eq!(faults(&splits(|_| ()), &[], &[0.0, 0.0, 1e-9]), [Fault::RanksDrift]);
    }

    #[test]
    fn ranks_that_agree_pass() {
        assert!(judge(&splits(|_| ()), &[], &[0.0; 5], 1e-12).passed());
    }
}
