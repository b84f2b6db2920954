//! The loop without a mistake is a sound loop; with one, the record says what it did.

use attar_doctor::{Event, Record, Thresholds, diagnose};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::DType;

use super::certificate::{TRAINED, plan};
use super::staged_net::{Kind, Small, points};
use crate::config::Descent;
use crate::gradient::{entries, parameters};
use crate::mutant::{Plan, Planted, train};
use crate::optimizer::{OptimizerState, gradient_norm, scale_gradients};
use crate::{Pass, Problem, Staged};

/// One pass over each whole batch: no buffers, no micro-batches.
fn plain(mut network: Small, problem: &impl Problem, plan: &Descent) -> Small {
    let mut state = OptimizerState::default();
    let steps = plan.epochs * problem.samples().div_ceil(plan.batch_size);
    for epoch in 1..=plan.epochs {
        for batch in crate::mutant::order(problem.samples(), plan, epoch).chunks(plan.batch_size) {
            let trained = network.clone().train();
            let mut pass = Pass::training(plan.seed, state.steps, batch);
            let output = trained.stages(problem.input(batch), &mut pass).pop().unwrap().values;
            let loss = problem.losses(output, batch).mean();
            let mut gradients = GradientsParams::from_grads(loss.backward(), &trained);
            let norm = gradient_norm(&network, &gradients);
            if let Some(limit) = plan.clip_norm.filter(|limit| norm > *limit) {
                scale_gradients(&network, &mut gradients, limit / norm);
            }
            let rate = plan.schedule.rate(plan.learning_rate, state.steps, steps);
            network = plan.optimizer.step(&mut state, rate, network, gradients, &mut Default::default());
        }
    }
    network
}

fn difference(a: &Small, b: &Small) -> f64 {
    let flat = |network: &Small| parameters(network).iter().flat_map(|v| entries(&v.entries)).collect::<Vec<f64>>();
    flat(a).iter().zip(flat(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn without_a_mistake_the_weights_are_those_of_a_plain_training() {
    for clip in [None, Some(0.05)] {
        let (problem, mut plan) = (points(TRAINED, DType::F64), plan());
        plan.descent.clip_norm = clip;
        let start = Small::new(Kind::Layer, 0.3, DType::F64);
        let expected = plain(start.clone(), &problem, &plan.descent);
        let (found, _) = train(start.clone(), &problem, &plan, None);
        assert!(difference(&found, &start) > 1e-3);
        assert!(difference(&found, &expected) < 1e-13, "{:e}", difference(&found, &expected));
    }
}

fn record(planted: Option<Planted>) -> Record {
    train(Small::new(Kind::Layer, 0.3, DType::F32), &points(TRAINED, DType::F32), &plan(), planted).1
}

#[test]
fn stale_buffers_are_confirmed_by_a_fresh_pass() {
    let values = |planted, name: &str| -> Vec<f64> {
        record(planted).probes("stale").filter_map(|probe| probe.value(name)).collect()
    };
    let buffers = |planted| -> Vec<f64> {
        let record = record(planted);
        let buffer = |event: &Event| if let Event::Backward(backward) = event { backward.buffer } else { None };
        record.events.iter().filter_map(buffer).collect()
    };
    assert!(buffers(None).iter().all(|buffer| *buffer == 0.0) && buffers(None).len() == 8);
    assert!(buffers(Some(Planted::NoZeroGrad))[1..].iter().all(|buffer| *buffer > 0.0));
    assert!(values(None, "r").iter().all(|r| *r < 1e-6) && values(None, "r").len() == 4);
    let planted = Some(Planted::NoZeroGrad);
    assert!(values(planted, "r").iter().all(|r| *r > 0.1), "{:?}", values(planted, "r"));
    assert!(values(planted, "q").iter().all(|q| *q < 1e-5), "{:?}", values(planted, "q"));
}

#[test]
fn fresh_passes_fall_on_all_places_of_any_period() {
    for every in [1, 2, 10, 21] {
        let plan = Plan { fresh_every: every, ..plan() };
        let fresh: Vec<usize> = (0..3000).filter(|steps| plan.has_fresh_pass(*steps)).collect();
        assert_eq!(fresh.len(), 3000_usize.div_ceil(every));
        let places =
            |period: usize| fresh.iter().map(|steps| steps % period).collect::<std::collections::BTreeSet<_>>();
        assert!([2, 5, 10, 21].iter().all(|period| places(*period).len() == *period), "{every}");
    }
    assert!(!Plan { fresh_every: 0, ..plan() }.has_fresh_pass(0));
}

/// A run long enough to be judged, with all that is recorded.
fn watched(planted: Option<Planted>) -> Record {
    let mut plan = plan();
    plan.descent = Descent { epochs: 20, clip_norm: None, ..plan.descent };
    plan.probes = true;
    train(Small::new(Kind::Layer, 0.1, DType::F32), &points(120, DType::F32), &plan, planted).1
}

#[test]
fn a_sound_run_has_no_findings_and_all_is_probed() {
    let record = watched(None);
    assert_eq!(diagnose(&record, &Thresholds::default()), []);
    let count = |kind: &str| record.probes(kind).count();
    let kinds = ["one_batch", "reduction", "input", "train_eval", "augmentation", "accumulation", "coupling"];
    assert_eq!(kinds.map(count), [1, 1, 1, 1, 1, 3, 4]);
    assert_eq!(record.activations().count(), 21);
    assert!(record.activations().all(|of| of.stages.iter().all(|stage| stage.gradient.is_some())));
}

#[test]
fn probes_show_the_loop_s_own_loss_and_inputs() {
    let value =
        |planted, kind: &str, name: &str| watched(planted).probes(kind).next().and_then(|p| p.value(name)).unwrap();
    let ratio = |planted| value(planted, "reduction", "large") / value(planted, "reduction", "small");
    assert!((0.7..1.4).contains(&ratio(None)) && (1.4..2.8).contains(&ratio(Some(Planted::SummedLoss))));
    assert!(value(None, "input", "variation") > 0.1);
    assert_eq!(value(Some(Planted::ZeroedInput), "input", "variation"), 0.0);
    assert!(value(None, "one_batch", "last") < 0.1 * value(None, "one_batch", "first"));
    assert_eq!(value(None, "augmentation", "seeds"), value(None, "augmentation", "distinct"));
    assert_eq!(value(Some(Planted::RepeatedSeed), "augmentation", "distinct"), 1.0);
    assert!(value(None, "train_eval", "train") != value(None, "train_eval", "eval"));
}

/// The first finding that nothing else explains.
fn first(planted: Option<Planted>) -> Option<String> {
    let findings = diagnose(&record(planted), &Thresholds::default());
    findings
        .into_iter()
        .find(|finding| finding.consequence_of.is_none())
        .map(|finding| format!("{}: {}", finding.rule, finding.message))
}

#[test]
fn where_zero_grad_sits_is_read_from_the_record() {
    let check = |planted, rule: &str, seat: &str| {
        let found = first(Some(planted)).unwrap_or_default();
        assert!(found.starts_with(rule) && found.contains(seat), "{planted:?}: {found}");
    };
    check(Planted::NoZeroGrad, "stale-gradient", "never called");
    check(Planted::ZeroGradOnceAnEpoch, "stale-gradient", "called once an epoch");
    check(Planted::ZeroGradBeforeStep, "zeroed-gradient", "the last backward pass and the step");
    check(Planted::ZeroGradInside, "zeroed-gradient", "two backward passes");
    check(Planted::StepInside, "window-step", "");
    check(Planted::DroppedWindow, "window-drop", "is lost");
    check(Planted::WithoutParameter, "unoptimised-parameter", "");
}
