//! A loss that is summed over the batch where it should be averaged.

use super::Rule;
use crate::{Finding, Gravity, Place, Probe, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "summed-loss",
    wrong: "the loss is summed over the samples of the batch, not averaged.",
    matters: "the gradient, and with plain descent the step, grows with the batch: a learning rate found at one batch \
              size is wrong at another, and the last, smaller batch counts less.",
    quantity: "the exponent a in loss ~ samples^a, from the loss of the same weights on two sizes (probe \
               `reduction`): 0 for a mean, 1 for a sum; without the probe, whether the first loss is the batch size \
               times that of a network that knows nothing.",
    threshold: "0.7 (TheDeepChecker tests whether the loss doubles with the batch; a contrastive loss grows as ln N, with an \
                exponent up to 0.5), and at most 1.3: more is of samples that differ; without the probe, within a factor \
                of 2.",
    remedy: "average the loss over the samples (reduction=\"mean\"), and scale the learning rate with it.",
    explains: &[
        "initial-loss",
        "divergence",
        "oscillation",
        "update-ratio",
        "non-finite",
        "clipping",
        "accumulation",
        "dead-units",
        "saturated-units",
        "input-independence",
        "no-progress",
        "exploding-gradient",
    ],
    check,
};

const FEWEST_SAMPLES: u64 = 6;
/// No loss grows faster than its sum.
const LARGEST_EXPONENT: f64 = 1.3;

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let exponents: Vec<f64> = record.probes("reduction").filter_map(exponent).collect();
    match exponents.first() {
        Some(&exponent) if (thresholds.summed_loss_exponent..LARGEST_EXPONENT).contains(&exponent) => {
            let message = format!("the loss grows with the number of samples to the power {exponent:.2}");
            let threshold = thresholds.summed_loss_exponent;
            vec![RULE.finding(Gravity::Fault, exponent, threshold, Place::default(), message)]
        }
        Some(_) => Vec::new(),
        None => by_first_loss(record).into_iter().collect(),
    }
}

fn exponent(probe: &Probe) -> Option<f64> {
    let samples = probe.value("large_samples")? / probe.value("small_samples")?;
    let exponent = (probe.value("large")? / probe.value("small")?).ln() / samples.ln();
    exponent.is_finite().then_some(exponent)
}

fn by_first_loss(record: &Record) -> Option<Finding> {
    let times = record.initial_loss()? / record.ignorant_loss()?;
    let header = &record.header;
    let sizes = [header.batch_size, header.batch_size / header.accumulation.max(1)];
    let size = *sizes.iter().find(|size| **size >= FEWEST_SAMPLES && (0.5..2.0).contains(&(times / **size as f64)))?;
    let message = format!("the first loss is {times:.1} times that of a network that knows nothing, at {size} samples");
    Some(RULE.finding(Gravity::Fault, times / size as f64, 1.0, Place::step(1), message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, set_losses, with_probe};

    #[test]
    fn a_sum_is_named_by_probe_or_by_the_first_loss() {
        let values = [("small", 40.0), ("large", 76.0), ("small_samples", 16.0), ("large_samples", 32.0)];
        let finding = &check(&with_probe("reduction", &values), &Thresholds::default())[0];
        assert!((finding.value - 1.9_f64.log2()).abs() < 1e-12);
        let mut record = healthy();
        set_losses(&mut record, std::iter::once(2.5 * 32.0));
        assert_eq!(check(&record, &Thresholds::default()).len(), 1);
    }

    #[test]
    fn a_mean_passes_and_so_does_a_bad_initialisation() {
        let values = [("small", 2.4), ("large", 2.2), ("small_samples", 16.0), ("large_samples", 32.0)];
        assert!(check(&with_probe("reduction", &values), &Thresholds::default()).is_empty());
        let mut record = healthy();
        set_losses(&mut record, std::iter::once(12.0));
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
