//! Micro-batches that do not add up to the batch.

use super::Rule;
use crate::accumulation::{Found, judge, measurements, order_faults, tolerance};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "accumulation",
    wrong: "a batch cut into micro-batches does not give the gradient of the whole batch.",
    matters: "the run trains at another learning rate, with other weights per sample or another network than it says, \
              and nothing warns: the mistake of 2024 in several libraries stood for years.",
    quantity: "against g0, the gradient of the mean per-sample loss in one pass (probes `accumulation`, over all \
               splits): s = <g, g0> / <g0, g0>, which is k where the division by k is missing, N where the loss is \
               summed, N / k where it is summed and then divided; 1 - cos, on uneven splits only for a mean of means, \
               on even ones for a loss that is no mean over samples, for clipping and for emptying inside the window; \
               outputs that differ where samples are coupled (probes `coupling` name the stage) or masks are drawn by \
               batch.",
    threshold: "1e-12 in f64; in f32 max(1e-5, 8 sqrt(n) 2^-24) over n summed terms (Ipsen and Zhou 2019); 1 - cos to \
                the square of it, at least 1e-13.",
    remedy: "weigh each micro-batch's mean loss by its share of the batch's samples; clip, step, empty and move the \
             schedule once a window; key masks by sample; use layer or group norm in place of batch norm.",
    explains: &[
        "divergence",
        "oscillation",
        "update-ratio",
        "clipping",
        "dead-units",
        "saturated-units",
        "input-independence",
        "no-progress",
        "non-finite",
    ],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let (splits, couplings) = measurements(record);
    let Some(samples) = splits.iter().map(|split| split.samples).max() else { return Vec::new() };
    let order = order_faults(record);
    let verdict = judge(&splits, &couplings, &order, tolerance(&record.header.dtype, samples));
    // What the order of calls shows has rules of its own.
    verdict.faults.into_iter().filter(|found| !order.contains(&found.fault)).map(finding).collect()
}

fn finding(found: Found) -> Finding {
    let Found { fault, value, threshold, stage, message } = found;
    let finding = RULE.finding(Gravity::Fault, value, threshold, Place { stage, ..Place::default() }, message);
    Finding { remedy: fault.remedy(), ..finding }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, probe};

    fn found(scale: fn(f64) -> f64) -> Vec<Finding> {
        let mut record = healthy();
        for k in [1.0, 2.0, 8.0, 32.0] {
            let values = [
                ("micro_batches", k),
                ("samples", 32.0),
                ("smallest", 32.0 / k),
                ("largest", 32.0 / k),
                ("outputs", 0.0),
                ("error", (scale(k) - 1.0).abs()),
                ("scale", scale(k)),
                ("angle", 0.0),
            ];
            record.events.push(probe("accumulation", &values));
        }
        check(&record, &Thresholds::default())
    }

    #[test]
    fn a_scale_is_named_from_the_record() {
        let findings = found(|k| k);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].value == 32.0 && findings[0].message.contains("division"), "{}", findings[0].message);
    }

    #[test]
    fn an_exact_accumulation_passes() {
        assert!(found(|_| 1.0 + 1e-7).is_empty());
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
    }
}
