//! The verdict on depth against intervals by hand, and what the nets that are compared have in common.

use attar_data::{ReadOptions, open};
use attar_linear::Interval;
use burn::tensor::{DType, Device};

use crate::Staged;
use crate::depth::{
    Errors, Family, Finding, Images, Judgement, LONGER, NetSpec, Outcome, Recipe, Signal, Trial, judge,
};
use crate::nets::{Net, Norm};

const PLAIN: [NetSpec; 2] = [NetSpec { family: Family::Plain, depth: 8 }, NetSpec { family: Family::Plain, depth: 14 }];
const TWIN: NetSpec = NetSpec { family: Family::Residual, depth: 14 };

/// Outcomes of both lengths: the shallow net errs by a tenth, the deep ones by so much more.
fn outcomes(plain: [&[f64]; 2], residual: [&[f64]; 2]) -> Vec<Outcome> {
    let outcome = |net, longer, seed: usize, training: f64| Outcome {
        trial: Trial { net, seed: seed as u64, longer },
        steps: 10 * longer,
        errors: Errors { training, evaluation: f64::NAN },
        diverged: None,
        losses: Vec::new(),
        guessing: 0.9,
        signals: Vec::new(),
    };
    let mut all = Vec::new();
    for (place, longer) in [1, LONGER].into_iter().enumerate() {
        for (net, more) in [(PLAIN[1], plain[place]), (TWIN, residual[place])] {
            all.extend(more.iter().enumerate().map(|(seed, more)| outcome(net, longer, seed, 0.1 + more)));
        }
        all.extend((0..3).rev().map(|seed| outcome(PLAIN[0], longer, seed, 0.1)));
    }
    all
}

#[test]
fn the_verdict_goes_by_both_lengths() {
    let check = |plain: [&[f64]; 2], expected| {
        let found = judge(&outcomes(plain, [&[0.0; 3]; 2]), [8, 14]);
        assert_eq!(found.finding, expected, "{plain:?}");
    };
    let (worse, same, wide): (&[f64], &[f64], &[f64]) = (&[0.3, 0.31, 0.32], &[0.001, -0.001, 0.0], &[0.1, 0.2, 0.3]);
    check([worse, worse], Finding::Degradation);
    check([worse, same], Finding::SlowStart);
    check([same, same], Finding::None);
    check([worse, wide], Finding::Undecided);
    check([same, worse], Finding::Undecided);
    check([&[0.3], &[0.3]], Finding::Undecided);
}

#[test]
fn intervals_are_of_paired_differences() {
    let found = judge(&outcomes([&[0.1, 0.2, 0.3], &[0.0; 3]], [&[-0.2, -0.1, -0.3], &[0.001, -0.001, 0.0]]), [8, 14]);
    // Student's t with two degrees of freedom is 4.30265; the deviation 0.1.
    let half = 4.302_65 * 0.1 / 3.0_f64.sqrt();
    for (contrast, mean, judgement) in
        [(&found.plain[0], 0.2, Judgement::Undecided), (&found.residual[0], -0.2, Judgement::Undecided)]
    {
        let Some(Interval { low, high }) = contrast.interval else { panic!("no interval") };
        assert!((contrast.mean - mean).abs() < 1e-12 && contrast.judgement == judgement, "{contrast:?}");
        assert!((low - (mean - half)).abs() < 1e-6 && (high - (mean + half)).abs() < 1e-6);
    }
    assert_eq!(found.residual[1].judgement, Judgement::NotWorse);
}

/// Beside a net that has not learned, or without scatter, nothing is decided; a net that errs nowhere is not worse.
#[test]
fn guessing_and_no_scatter_decide_nothing() {
    let check = |outcomes: &[Outcome], expected| assert_eq!(judge(outcomes, [8, 14]).finding, expected);
    let mut same = outcomes([&[0.001, -0.001, 0.0]; 2], [&[0.0; 3]; 2]);
    check(&same, Finding::None);
    same.iter_mut().for_each(|outcome| outcome.guessing = 0.1);
    check(&same, Finding::Undecided);
    assert!(!judge(&same, [8, 14]).plain[0].learned);
    check(&outcomes([&[-0.025; 3]; 2], [&[0.0; 3]; 2]), Finding::Undecided);
    check(&outcomes([&[-0.1; 3]; 2], [&[0.0; 3]; 2]), Finding::None);
}

fn images() -> Images {
    Images::reduced(&open("digits", &ReadOptions::default()).unwrap(), 8, 64, 0).unwrap()
}

fn recipe() -> Recipe {
    Recipe {
        width: 3,
        norm: Norm::Batch,
        epochs: 1,
        batch_size: 32,
        learning_rate: 0.1,
        warmup_steps: 0,
        augmentation: None,
    }
}

/// And so their trainings differ by the shortcuts alone.
#[test]
fn twins_begin_with_the_same_parameters() {
    let (images, device) = (images(), Device::flex());
    let net = |spec: NetSpec| {
        let net = Net::new(&spec.config(&images, &recipe()).unwrap(), 7, DType::F32, &device).unwrap();
        let shapes = net.parameters();
        let values = crate::gradient::parameters(&net);
        (shapes, values.iter().map(|value| crate::gradient::entries(&value.entries)).collect::<Vec<_>>())
    };
    assert_eq!(net(PLAIN[1]), net(TWIN));
    assert!(NetSpec { depth: 15, ..TWIN }.config(&images, &recipe()).is_err());
}

/// Batch norm in plain layers makes gradients grow towards the input, and shortcuts make them grow less.
#[test]
fn gradients_grow_towards_the_input_of_a_plain_net() {
    let images = images();
    let (device, recipe) = (Device::flex(), Recipe { width: 8, ..recipe() });
    let slope = |family| {
        let spec = NetSpec { family, depth: 56 };
        let net = Net::new(&spec.config(&images, &recipe).unwrap(), 1, DType::F32, &device).unwrap();
        let batch = images.labelled(&device).batch(&(0..64).collect::<Vec<_>>(), 1);
        let signal = Signal::measure(&net, family, &batch, 0).unwrap();
        assert_eq!(signal.layers.last().map(|layer| layer.layer), Some(55));
        signal.gradient_slope
    };
    let (plain, residual) = (slope(Family::Plain), slope(Family::Residual));
    assert!((plain - Signal::DENSE).abs() < 0.1 && residual < 0.8 * plain, "{plain}, {residual}");
}
