//! The certificate on a small network: what passes, what does not, and each planted mistake by its name.

use attar_doctor::accumulation::{Fault, Verdict, judge, order_faults, tolerance};
use burn::tensor::DType;

use super::staged_net::{Kind, Small, points};
use crate::certificate::{Measured, splits};
use crate::config::{Decay, Descent, Optimizer, Schedule};
use crate::mutant::{Plan, Planted, measure, train};
use crate::{Classified, Staged};

pub(super) const SAMPLES: usize = 32;
/// Three batches of sixteen and one of six, two micro-batches, which fill no window.
pub(super) const TRAINED: usize = 54;

pub(super) fn plan() -> Plan {
    let descent = Descent {
        optimizer: Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 },
        learning_rate: 0.05,
        schedule: Schedule { warmup_steps: 0, decay: Decay::Cosine },
        clip_norm: Some(0.05),
        epochs: 2,
        batch_size: 16,
        accumulation: 4,
        seed: 3,
    };
    Plan { descent, norms_every: 1, fresh_every: 2, probes: false }
}

/// The certificate's measurements and verdict on a batch of `problem`, with `planted` in the loop.
pub(super) fn certify<N: Staged>(
    network: &N,
    problem: &Classified,
    planted: Option<Planted>,
    dtype: DType,
) -> (Measured, Verdict) {
    let plan = plan();
    let samples: Vec<u64> = (0..SAMPLES as u64).collect();
    let measured = measure(network, problem, &plan, planted, &samples, &splits(SAMPLES));
    let order = order_faults(&train(network.clone(), problem, &plan, planted).1);
    let name = if dtype == DType::F64 { "f64" } else { "f32" };
    let verdict = judge(&measured.splits(), &measured.couplings, &order, tolerance(name, SAMPLES as u64));
    (measured, verdict)
}

pub(super) fn named(verdict: &Verdict) -> Vec<Fault> {
    verdict.faults.iter().map(|found| found.fault).collect()
}

fn small(network: &Small, planted: Option<Planted>, dtype: DType) -> (Measured, Verdict) {
    certify(network, &points(TRAINED, dtype), planted, dtype)
}

#[test]
fn what_does_not_couple_samples_passes_in_both_precisions() {
    for norm in [Kind::None, Kind::Layer] {
        for dtype in [DType::F64, DType::F32] {
            let (_, verdict) = small(&Small::new(norm, 0.3, dtype), None, dtype);
            assert!(verdict.passed(), "{norm:?} {dtype:?}: {:?}", verdict.faults);
        }
    }
}

#[test]
fn batch_norm_fails_wherever_the_batch_is_cut() {
    let network = Small::new(Kind::Batch, 0.0, DType::F64);
    let (measured, verdict) = small(&network, None, DType::F64);
    for split in &measured.splits {
        let whole = split.sizes == [SAMPLES];
        let alone = split.sizes == [1; SAMPLES];
        assert_eq!(split.split.failure.is_some(), alone, "{:?}", split.sizes);
        assert_eq!(split.split.outputs <= 1e-12, whole, "{:?}", split.sizes);
        assert_eq!(split.split.buffers.is_some_and(|buffers| buffers <= 1e-12), whole, "{:?}", split.sizes);
    }
    assert_eq!(named(&verdict), [Fault::Uncomputable, Fault::Coupled]);
    assert_eq!(verdict.faults[1].stage.as_deref(), Some("norm"));
    assert_eq!(measured.couplings[0].coupling, 0.0);
}

#[test]
fn each_planted_mistake_is_named_and_no_other() {
    let network = Small::new(Kind::Layer, 0.3, DType::F64);
    for planted in Planted::ALL {
        let Some(fault) = planted.fault() else { continue };
        let (_, verdict) = small(&network, Some(planted), DType::F64);
        assert_eq!(named(&verdict), [fault], "{planted:?}: {:#?}", verdict.faults);
    }
}

#[test]
fn the_splits_of_32_are_those_of_the_certificate() {
    let sizes: Vec<Vec<usize>> = [32, 16, 8, 4, 2, 1].iter().map(|size| vec![*size; 32 / size]).collect();
    assert_eq!(splits(32), [sizes, vec![vec![12, 12, 8]]].concat());
    assert_eq!(splits(1), [[1]]);
}
