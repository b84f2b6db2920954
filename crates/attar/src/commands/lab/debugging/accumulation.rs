//! Question 2: when may a batch be cut into micro-batches?

use attar_doctor::accumulation::{Fault, Verdict, judge, tolerance};
use attar_learn::Classified;
use attar_learn::certificate::{Measured, MeasuredSplit, splits};
use attar_learn::config::{Activation, Decay, Descent, Optimizer, Schedule};
use attar_learn::mutant::{Plan, measure};
use attar_learn::nets::{Kind, Net, NetConfig, Norm};
use attar_report::Block;
use burn::tensor::{DType, Device};

use super::{Lab, note};
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::table;
use crate::commands::lab::questions::Part;
use crate::error::CliError;

/// Samples of the batch.
const BATCH: usize = 32;
/// Half the convolutions of a group, and channels of the first.
const SIZE: (usize, usize) = (1, 4);

/// A residual net of one norm, under every split.
struct Certified {
    norm: &'static str,
    measured: Measured,
    verdict: Verdict,
}

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let images = &lab.experiment.images;
    let problem = images.classified(BATCH, DType::F64);
    let certify = |(name, norm): (&'static str, Norm)| -> Result<Certified, CliError> {
        let (n, width) = SIZE;
        let config = NetConfig {
            kind: Kind::Residual { n, width },
            norm,
            activation: Activation::Relu,
            dropout: 0.0,
            input: images.shape,
            classes: images.classes,
        };
        let network = Net::new(&config, lab.seed, DType::F64, &Device::flex())?;
        Ok(certified(name, &network, &problem, lab.seed))
    };
    let all = [("batch norm", Norm::Batch), ("layer norm", Norm::Layer)].map(certify);
    let [batch, layer] = all;
    let (batch, layer) = (batch?, layer?);
    let figures =
        note(lab).into_iter().chain([of_splits(&batch), of_splits(&layer), of_stages(&batch, &layer)]).collect();
    Ok(Part { answer: answer(claims(&batch, &layer)), figures })
}

fn certified(norm: &'static str, network: &Net, problem: &Classified, seed: u64) -> Certified {
    let samples: Vec<u64> = (0..problem.labels.len() as u64).collect();
    let measured = measure(network, problem, &plan(seed), None, &samples, &splits(samples.len()));
    let verdict = judge(&measured.splits(), &measured.couplings, &[], tolerance("f64", BATCH as u64));
    Certified { norm, measured, verdict }
}

/// Of the loop whose windows are measured; nothing is trained.
fn plan(seed: u64) -> Plan {
    let descent = Descent {
        optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
        learning_rate: 0.1,
        schedule: Schedule { warmup_steps: 0, decay: Decay::Constant },
        clip_norm: None,
        epochs: 1,
        batch_size: BATCH,
        accumulation: 1,
        seed,
    };
    Plan { descent, norms_every: 0, fresh_every: 0, probes: false, held_out: 0 }
}

fn cut(split: &MeasuredSplit) -> String {
    match split.split.smallest == split.split.largest {
        true => format!("({}, {})", split.split.largest, split.sizes.len()),
        false => split.sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("/"),
    }
}

fn of_splits(certified: &Certified) -> Block {
    let row = |measured: &MeasuredSplit| {
        let split = &measured.split;
        let buffers = split.buffers.map_or("-".into(), shown);
        let numbers = [split.outputs, split.loss.unwrap_or(f64::NAN), split.error, split.scale, split.angle];
        [vec![cut(measured)], numbers.map(shown).to_vec(), vec![buffers]].concat()
    };
    table(
        &format!("A residual net with {}", certified.norm),
        "(b, k): k micro-batches of b samples against all 32 at once, in double precision. Relative differences of outputs \
         and loss; |g - g0| / |g0|, s and 1 - cos of the gradient; running statistics.",
        &["(b, k)", "outputs", "loss", "gradient", "s", "1 - cos", "running statistics"],
        certified.measured.splits.iter().map(row).collect(),
    )
}

fn of_stages(batch: &Certified, layer: &Certified) -> Block {
    let rows = batch.measured.couplings.iter().zip(&layer.measured.couplings);
    let row = rows.map(|(batch, layer)| vec![batch.stage.clone(), shown(batch.coupling), shown(layer.coupling)]);
    table(
        "Which stage couples the samples",
        "|d out_i / d x_j| of another sample over that of the same one, from the input on.",
        &["stage", "with batch norm", "with layer norm"],
        row.collect(),
    )
}

fn claims(batch: &Certified, layer: &Certified) -> Vec<Claim> {
    let cut_ones = |certified: &Certified| -> Vec<f64> {
        let is_cut = |split: &&MeasuredSplit| split.sizes.len() > 1;
        certified.measured.splits.iter().filter(is_cut).map(|split| split.split.error).collect()
    };
    let most = |values: Vec<f64>| values.into_iter().fold(0.0, f64::max);
    let least = |values: Vec<f64>| values.into_iter().fold(f64::INFINITY, f64::min);
    let first_norm = batch.measured.couplings.iter().position(|stage| stage.stage.ends_with(".norm")).unwrap_or(0);
    let coupling = |certified: &Certified, place: Option<usize>| {
        place.and_then(|place| certified.measured.couplings.get(place)).map_or(f64::NAN, |stage| stage.coupling)
    };
    let named = batch.verdict.faults.iter().find(|found| found.fault == Fault::Coupled);
    let stage = named.and_then(|found| found.stage.clone()).unwrap_or_else(|| "none".into());
    let named = usize::from(batch.measured.couplings.get(first_norm).is_some_and(|first| first.stage == stage));
    vec![
        Claim::at_most("layer norm: |g - g0| / |g0|, most over the splits", most(cut_ones(layer)), 1e-12),
        Claim::near("layer norm: mistakes named", layer.verdict.faults.len() as f64, 0.0, 0.0),
        Claim::at_least("batch norm: |g - g0| / |g0|, least over the splits", least(cut_ones(batch)), 1e-3),
        Claim::near(format!("batch norm: stages named as what couples samples ({stage})"), named as f64, 1.0, 0.0),
        Claim::at_most(
            "the convolution before it: |d out_i / d x_j|, relative",
            coupling(batch, first_norm.checked_sub(1)),
            1e-12,
        ),
        Claim::at_least("the first batch norm: |d out_i / d x_j|, relative", coupling(batch, Some(first_norm)), 1e-4),
        Claim::at_most(
            "layer norm: |d out_i / d x_j|, relative, most over the stages",
            most(layer.measured.couplings.iter().map(|stage| stage.coupling).collect()),
            1e-12,
        ),
    ]
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "2. A batch of 32 does not fit: may a residual net be trained on k micro-batches of b, with the \
                   gradients added up?"
            .into(),
        derivation:
            "The gradient of a mean over samples is the mean of the samples' gradients, so micro-batches of n_k \
                     samples, each weighed n_k / N, give the same gradient, however the batch is cut, if the loss of a \
                     sample depends on that sample alone. Layer norm takes mean and variance over the channels and \
                     positions of one sample: it does. Batch norm takes them over the batch: the output for one sample \
                     depends on which others are there, and in a micro-batch others are."
                .into(),
        answer:
            "With layer norm it may: every cut gives the same gradient up to rounding, uneven ones too. With batch \
                 norm it may not: each micro-batch is normalised by its own mean and variance, so outputs, loss and \
                 gradient are those of another function, from the first batch norm on, and running statistics move k \
                 times in place of once. No factor mends it; layer or group norm does."
                .into(),
        claims,
    }
}
