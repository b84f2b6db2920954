//! The certificate on a small network: what passes, what does not, and each planted mistake by its name.

use attar_doctor::accumulation::{Fault, Verdict, judge, measurements, order_faults, tolerance};
use attar_doctor::{Event, Header, Record};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};

use super::staged_net::{Kind, Small, points};
use crate::certificate::{Measured, splits};
use crate::config::{Decay, Descent, Optimizer, Schedule};
use crate::mutant::{Plan, Planted, measure, train};
use crate::{Classified, Pass, Problem, Staged};

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
    Plan { descent, norms_every: 1, fresh_every: 2, probes: false, held_out: 0 }
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

/// The numbers behind the names: k, N and N / k, and what weighing three means alike does to the gradient.
#[test]
fn what_is_measured_is_what_was_planted() {
    let network = Small::new(Kind::Layer, 0.3, DType::F64);
    let of = |planted| small(&network, planted, DType::F64).0.splits;
    let scales = |planted, expected: fn(f64) -> f64| {
        for measured in of(Some(planted)) {
            let (k, scale) = (measured.sizes.len() as f64, measured.split.scale);
            assert!((scale - expected(k)).abs() < 1e-10, "{planted:?} {k}: {scale}");
            assert!((measured.split.error - (expected(k) - 1.0)).abs() < 1e-10);
            assert!((measured.split.parameters.unwrap() - (expected(k) - 1.0)).abs() < 1e-10);
        }
    };
    scales(Planted::NoDivision, |k| k);
    scales(Planted::SummedLoss, |_| 32.0);
    scales(Planted::SummedThenDivided, |k| 32.0 / k);
    let problem = points(TRAINED, DType::F64);
    let mean = |samples: std::ops::Range<u64>| mean_gradient(&network, &problem, &samples.collect::<Vec<_>>());
    let (whole, parts) = (mean(0..32), [mean(0..12), mean(12..24), mean(24..32)]);
    let found: Vec<f64> = (0..whole.len()).map(|at| parts.iter().map(|part| part[at]).sum::<f64>() / 3.0).collect();
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let gap = square(&mut found.iter().zip(&whole).map(|(a, b)| a - b)).sqrt();
    let [length, length_0] = [&found, &whole].map(|values| square(&mut values.iter().copied()).sqrt());
    let product: f64 = found.iter().zip(&whole).map(|(a, b)| a * b).sum();
    let measured = &of(Some(Planted::MeanOfMeans))[6].split;
    assert!((measured.error - gap / length_0).abs() < 1e-12, "{}", measured.error);
    assert!((measured.scale - product / (length_0 * length_0)).abs() < 1e-12, "{}", measured.scale);
    assert!((measured.angle - (1.0 - product / (length * length_0))).abs() < 1e-12, "{}", measured.angle);
    assert!(measured.error > 0.01 && measured.outputs < 1e-15);
    // A contrastive loss of one sample has no gradient; in one piece it is what it is.
    let contrastive = of(Some(Planted::Contrastive));
    assert!(contrastive[0].split.error < 1e-12 && (contrastive[5].split.error - 1.0).abs() < 1e-12);
}

/// The gradient of the mean loss of some samples, entry after entry.
fn mean_gradient(network: &Small, problem: &Classified, samples: &[u64]) -> Vec<f64> {
    let trained = network.clone().train();
    let mut pass = Pass::training(plan().descent.seed, 0, samples);
    let output = trained.stages(problem.input(samples), &mut pass).pop().unwrap().values;
    let gradients = GradientsParams::from_grads(problem.losses(output, samples).mean().backward(), &trained);
    struct Entries<'a>(&'a GradientsParams, Vec<f64>);
    impl ModuleVisitor for Entries<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.1.extend(self.0.get::<D>(parameter.id).unwrap().into_data().iter::<f64>());
        }
    }
    let mut entries = Entries(&gradients, Vec::new());
    network.visit(&mut entries);
    entries.1
}

/// The judge sees the loss, in the record too.
#[test]
fn the_reported_loss_is_measured() {
    let (measured, _) = small(&Small::new(Kind::Layer, 0.3, DType::F64), None, DType::F64);
    assert!(measured.splits.iter().all(|split| split.split.loss.unwrap() < 1e-12));
    let mut record = Record { header: Header { dtype: "f64".into(), ..Header::default() }, events: Vec::new() };
    let of = |record: &Record| judge(&measurements(record).0, &[], &[], 1e-12);
    let mut probes = measured.probes(0, 0);
    record.events = probes.iter().cloned().map(Event::Probe).collect();
    assert!(of(&record).passed());
    probes[2].values.insert("loss".into(), 3.0);
    record.events = probes.into_iter().map(Event::Probe).collect();
    assert_eq!(named(&of(&record)), [Fault::Unexplained]);
}

#[test]
fn the_splits_of_32_are_those_of_the_certificate() {
    let sizes: Vec<Vec<usize>> = [32, 16, 8, 4, 2, 1].iter().map(|size| vec![*size; 32 / size]).collect();
    assert_eq!(splits(32), [sizes, vec![vec![12, 12, 8]]].concat());
    assert_eq!(splits(1), [[1]]);
}
