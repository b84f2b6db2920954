//! The few-label experiment on MNIST: 200 labels on frozen codes.

use std::path::PathBuf;

use attar_data::{Budget, Labels, Prepared, Preprocessing, ReadOptions, SplitFractions, label_budgets, open, split};
use attar_learn::config::{
    Activation, Architecture, Decay, LossOn, Noise, Objective, Optimizer, Precision, Schedule, Training,
};
use attar_learn::{CourseProbe, Curves, Sweep};
use attar_linear::LinearProbe;
use burn::tensor::Device;
use serde::Serialize;

use super::answer::{Answer, Claim};
use crate::error::CliError;
use crate::sweep_results::{Group, accuracy};

/// Labels that the probe sees.
const LABELS: usize = 200;
/// Trainings of each kind.
const REPEATS: usize = 2;

/// One kind of training and its repeats.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Kind {
    /// As in the submission: `vanilla.[256, 64]`.
    pub(crate) name: String,
    pub(crate) learning_rate: f64,
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) objective: Objective,
    pub(crate) widths: Vec<usize>,
    pub(crate) repeats: Vec<Curves>,
}

impl Kind {
    fn new(objective: Objective, widths: &[usize], learning_rate: f64) -> Self {
        let name = format!("{}.{widths:?}", objective.name());
        let widths = widths.to_vec();
        Self { name, learning_rate, epochs: 5, batch_size: 100, objective, widths, repeats: Vec::new() }
    }

    fn training(&self, seed: u64) -> Training {
        let (latent, hidden) = self.widths.split_last().map_or((1, &[][..]), |(latent, hidden)| (*latent, hidden));
        let hidden = hidden.to_vec();
        Training {
            architecture: Architecture { hidden, latent, decoder_hidden: None, activation: Activation::Relu },
            objective: self.objective.clone(),
            optimizer: Optimizer::Adam { weight_decay: 0.0 },
            learning_rate: self.learning_rate,
            schedule: Schedule { warmup_steps: 0, decay: Decay::Constant },
            clip_norm: None,
            epochs: self.epochs,
            batch_size: self.batch_size,
            accumulation: 1,
            precision: Precision::Full,
            seed,
        }
    }

    /// Mean final accuracy over repeats, in percent.
    fn percent(&self) -> f64 {
        let group = Group { objective: String::new(), latent: 0, repeats: self.repeats.clone() };
        100.0 * group.last(accuracy)
    }

    /// As a group of a sweep, named after the kind.
    pub(crate) fn group(&self) -> Group {
        let latent = self.widths.last().copied().unwrap_or(0);
        Group { objective: self.name.clone(), latent, repeats: self.repeats.clone() }
    }
}

fn kinds() -> Vec<Kind> {
    let denoising = || Objective::Denoising(Noise { gaussian: 0.5, ..Noise::default() });
    let masked = Objective::Masked { probability: 0.25, loss_on: LossOn::All };
    vec![
        Kind::new(Objective::Vanilla, &[20], 1e-4),
        Kind::new(Objective::Vanilla, &[256, 64], 1e-3),
        Kind::new(masked, &[256, 64], 1e-3),
        Kind::new(denoising(), &[256, 64], 1e-3),
        Kind::new(denoising(), &[512, 256, 64], 1e-3),
    ]
}

/// Trains every kind on 54,000 images, and probes the codes of 200 labelled ones of the 6,000 others.
pub(crate) fn run(seed: u64, data_dir: Option<PathBuf>) -> Result<Vec<Kind>, CliError> {
    let dataset = open("mnist", &ReadOptions { data_dir, ..ReadOptions::default() })?;
    let split = split(&dataset, &SplitFractions { train: 0.9, validation: 0.1, test: 0.0 }, seed)?;
    let preprocessing = Preprocessing::fit(&dataset, &split.train, None)?;
    let Some(Labels::Classes { names, of }) = dataset.labels.clone() else {
        return Err(CliError::run("MNIST has no classes"));
    };
    let classes: Vec<u32> = split.validation.iter().map(|&row| of[row]).collect();
    let drawn = label_budgets(&classes, &split.validation, &[Budget::Labels(LABELS)], 1, seed)?;
    let probe = CourseProbe {
        probe: LinearProbe { epochs: 1000, seed, ..LinearProbe::default() },
        fit_rows: drawn.into_iter().flatten().flatten().collect(),
        test_rows: split.test.clone(),
        labels: of,
        classes: names.len(),
    };
    let data = Prepared { dataset, preprocessing };
    let mut kinds = kinds();
    let trainings: Vec<Training> = kinds
        .iter()
        .flat_map(|kind| (0..REPEATS as u64).map(|repeat| kind.training(seed.wrapping_add(repeat))))
        .collect();
    let bar = crate::progress::bar(trainings.len(), "MNIST");
    let threads = rayon::current_num_threads();
    let sweep = Sweep { data: &data, split: &split, probe: Some(&probe), threads, device: Device::flex() };
    let curves = sweep.run(&trainings, |_, _, _| {
        bar.inc(1);
        Ok(())
    })?;
    bar.finish_and_clear();
    for (kind, curves) in kinds.iter_mut().zip(curves.chunks(REPEATS)) {
        kind.repeats = curves.to_vec();
    }
    Ok(kinds)
}

/// The course's questions on the experiment.
pub(crate) fn answers(kinds: &[Kind]) -> Vec<Answer> {
    let percent = |name: &str| kinds.iter().find(|kind| kind.name == name).map_or(f64::NAN, Kind::percent);
    let best = kinds.iter().map(Kind::percent).fold(f64::NEG_INFINITY, f64::max);
    let mut claims: Vec<Claim> = kinds
        .iter()
        .map(|kind| {
            let untrained = 100.0
                * kind.repeats.iter().map(|c| c.accuracy.first().copied().unwrap_or(f64::NAN)).sum::<f64>()
                / kind.repeats.len() as f64;
            let gain = kind.percent() - untrained;
            Claim::at_least(
                format!("{}: points that training adds to the {untrained:.1} % of the untrained encoder", kind.name),
                gain,
                5.0,
            )
        })
        .collect();
    claims.push(Claim::at_least("accuracy of the best kind in percent", best, 79.0));
    let deep = percent("vanilla.[256, 64]") - percent("vanilla.[20]");
    claims.push(Claim::at_least("points that [256, 64] gains over [20], both vanilla", deep, 3.0));
    let noise = percent("denoising.[256, 64]") - percent("vanilla.[256, 64]");
    claims.push(Claim::at_least("points that denoising gains over vanilla, both [256, 64]", noise, 2.0));
    let text = kinds.iter().map(|kind| format!("{} {:.1} %", kind.name, kind.percent())).collect::<Vec<_>>().join(", ");
    vec![Answer {
        question: "With 200 labels on MNIST, which code serves a linear probe best, and why?".into(),
        derivation: "A probe with few labels does well where samples of one class lie together in few directions. \
                     A linear code of 20 keeps large variances, whatever they mean. A deeper encoder can bend, and one \
                     that must undo noise or fill in what is hidden has to use how pixels hang together, so its code \
                     changes little under changes that do not matter."
            .into(),
        answer: format!("Deeper beats linear, and denoising beats vanilla: {text}."),
        claims,
    }]
}
