//! Runs with one mistake each, and the findings that name it.

use attar_doctor::accumulation::Fault;
use attar_ops::Activation;

use super::case::Named::{Accumulation, By, Saying};
use super::case::{ACCUMULATED, COSINE, Case, Named, Setting, USUAL};
use crate::config::Optimizer;
use crate::mutant::Planted;
use crate::nets::Norm;

const fn mutant(name: &'static str, planted: Planted, setting: Setting, named_by: &'static [Named]) -> Case {
    Case { name, setting, planted: Some(planted), named_by }
}

const ADAM: Setting = Setting { optimizer: Optimizer::Adam { weight_decay: 0.0 }, learning_rate: 3e-3, ..USUAL };

/// The findings that say to lower the learning rate.
const TOO_FAST: &[Named] = &[By("divergence"), By("oscillation"), By("non-finite"), Saying("update-ratio", "by more")];

/// Each with the findings that name it.
pub static MUTANTS: [Case; 31] = [
    mutant("no-division", Planted::NoDivision, ACCUMULATED, &[Accumulation(Fault::NoDivision)]),
    mutant("summed-loss", Planted::SummedLoss, USUAL, &[By("summed-loss")]),
    mutant(
        "summed-then-divided",
        Planted::SummedThenDivided,
        ACCUMULATED,
        &[By("summed-loss"), Accumulation(Fault::SummedThenDivided)],
    ),
    mutant("mean-of-means", Planted::MeanOfMeans, ACCUMULATED, &[Accumulation(Fault::MeanOfMeans)]),
    mutant("dropped-window", Planted::DroppedWindow, ACCUMULATED, &[By("window-drop")]),
    mutant(
        "schedule-inside",
        Planted::ScheduleInside,
        Setting { schedule: COSINE, ..ACCUMULATED },
        &[By("window-schedule")],
    ),
    mutant("clip-inside", Planted::ClipInside, Setting { clip_norm: Some(1.0), ..ACCUMULATED }, &[By("window-clip")]),
    mutant(
        "dropout-by-batch",
        Planted::DropoutByBatch,
        Setting { dropout: 0.3, ..ACCUMULATED },
        &[Accumulation(Fault::MasksByBatch)],
    ),
    mutant("contrastive", Planted::Contrastive, ACCUMULATED, &[Accumulation(Fault::NotPerSample)]),
    mutant("step-inside", Planted::StepInside, ACCUMULATED, &[By("window-step")]),
    mutant("zero-grad-inside", Planted::ZeroGradInside, ACCUMULATED, &[By("zeroed-gradient")]),
    Case {
        name: "batch-norm-accumulated",
        setting: Setting { norm: Some(Norm::Batch), ..ACCUMULATED },
        planted: None,
        named_by: &[Accumulation(Fault::Coupled)],
    },
    mutant("no-zero-grad", Planted::NoZeroGrad, USUAL, &[By("stale-gradient")]),
    mutant(
        "no-zero-grad-low-rate",
        Planted::NoZeroGrad,
        Setting { learning_rate: 5e-4, ..USUAL },
        &[By("stale-gradient")],
    ),
    mutant("no-zero-grad-adam", Planted::NoZeroGrad, ADAM, &[By("stale-gradient")]),
    mutant("zero-grad-once-an-epoch", Planted::ZeroGradOnceAnEpoch, USUAL, &[By("stale-gradient")]),
    mutant("zero-grad-before-step", Planted::ZeroGradBeforeStep, USUAL, &[By("zeroed-gradient")]),
    mutant(
        "evaluation-mode",
        Planted::EvaluationMode,
        Setting { norm: Some(Norm::Batch), ..USUAL },
        &[By("evaluation-mode")],
    ),
    mutant("without-parameter", Planted::WithoutParameter, USUAL, &[By("unoptimised-parameter")]),
    mutant("detached-branch", Planted::DetachedBranch, USUAL, &[By("unused-parameter")]),
    mutant("zero-initial", Planted::ZeroInitial, USUAL, &[By("unused-parameter"), By("dead-units")]),
    mutant("large-initial", Planted::LargeInitial, USUAL, &[By("initial-loss"), By("exploding-gradient")]),
    mutant(
        "large-initial-tanh",
        Planted::LargeInitial,
        Setting { activation: Activation::Tanh, ..USUAL },
        &[By("saturated-units")],
    ),
    mutant("large-rate", Planted::LargeRate, USUAL, TOO_FAST),
    mutant("large-rate-adam", Planted::LargeRate, ADAM, TOO_FAST),
    mutant("small-rate", Planted::SmallRate, USUAL, &[Saying("update-ratio", "by less")]),
    mutant(
        "permuted-targets",
        Planted::PermutedTargets,
        USUAL,
        &[By("input-independence"), By("no-progress"), By("no-generalisation")],
    ),
    mutant("zeroed-input", Planted::ZeroedInput, USUAL, &[By("input-independence")]),
    mutant("tiny-clip", Planted::TinyClip, USUAL, &[By("clipping")]),
    mutant("repeated-seed", Planted::RepeatedSeed, Setting { dropout: 0.3, ..USUAL }, &[By("repeated-augmentation")]),
    mutant("non-finite-row", Planted::NonFiniteRow, USUAL, &[By("non-finite")]),
];
