//! Question 3: a loop that calls `zero_grad` once, before it begins.

use attar_doctor::{Event, Finding, Record, Thresholds, diagnose};
use attar_learn::Classified;
use attar_learn::config::{Activation, Decay, Descent, Optimizer, Schedule};
use attar_learn::mutant::{Plan, Planted, train};
use attar_learn::nets::{Kind, Net, NetConfig, Norm};
use attar_report::{Axis, Block, Dash, Series};
use burn::tensor::{DType, Device};

use super::{Lab, note};
use crate::commands::lab::answer::{Answer, Claim, shown};
use crate::commands::lab::figure::{line, lines, panel, table};
use crate::commands::lab::questions::Part;
use crate::error::CliError;

const IMAGES: usize = 512;
const HIDDEN: usize = 32;
const BATCH: usize = 32;
const EPOCHS: usize = 12;
/// That a sound loop trains well at; one at which it does not; one so small that the mistake does not show.
const RATE: f64 = 0.1;
const HIGH_RATE: f64 = 1.0;
const LOW_RATE: f64 = 1e-3;
/// Steps from one fresh backward pass to the next.
const FRESH_EVERY: usize = 8;
/// What of a gradient is rounding, relative.
const ROUNDING: f64 = 1e-3;

/// One training and what its record says.
struct Loop {
    name: &'static str,
    losses: Vec<f64>,
    findings: Vec<Finding>,
    /// The largest |buffer - fresh| / |fresh| and |buffer - buffer before - fresh| / |fresh| after the first step.
    residues: [f64; 2],
}

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let images = &lab.experiment.images;
    let problem = images.classified(IMAGES, DType::F32);
    let config = NetConfig {
        kind: Kind::Mlp { hidden: vec![HIDDEN] },
        norm: Norm::None,
        activation: Activation::Relu,
        dropout: 0.0,
        input: images.shape,
        classes: images.classes,
    };
    let network = Net::new(&config, lab.seed, DType::F32, &Device::flex())?;
    let run = |(name, rate, planted)| Loop::run(name, network.clone(), &problem, &plan(lab.seed, rate), planted);
    let never = Some(Planted::NoZeroGrad);
    let loops = [
        ("zero_grad once, before the loop", RATE, never),
        ("zero_grad before every backward pass", RATE, None),
        ("the same at a high rate", HIGH_RATE, None),
        ("zero_grad once, at a low rate", LOW_RATE, never),
        ("zero_grad at the start of each epoch", RATE, Some(Planted::ZeroGradOnceAnEpoch)),
    ]
    .map(run);
    let figures = note(lab).into_iter().chain([curves(&loops), findings(&loops)]).collect();
    Ok(Part { answer: answer(claims(&loops)), figures })
}

fn plan(seed: u64, learning_rate: f64) -> Plan {
    let descent = Descent {
        optimizer: Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0 },
        learning_rate,
        schedule: Schedule { warmup_steps: 0, decay: Decay::Constant },
        clip_norm: None,
        epochs: EPOCHS,
        batch_size: BATCH,
        accumulation: 1,
        seed,
    };
    Plan { descent, norms_every: 10, fresh_every: FRESH_EVERY, probes: false, held_out: 0 }
}

impl Loop {
    fn run(name: &'static str, network: Net, problem: &Classified, plan: &Plan, planted: Option<Planted>) -> Self {
        let (_, record) = train(network, problem, plan, planted);
        let losses = record.events.iter().filter_map(|event| match event {
            Event::Step(step) => Some(step.loss),
            _ => None,
        });
        let losses = losses.collect();
        Self { name, losses, findings: diagnose(&record, &Thresholds::default()), residues: residues(&record) }
    }

    /// How many findings are of gradients that were not emptied.
    fn stale(&self) -> f64 {
        self.findings.iter().filter(|finding| finding.rule == "stale-gradient").count() as f64
    }

    fn first(&self) -> f64 {
        self.losses.first().copied().unwrap_or(f64::NAN)
    }

    /// The mean loss of the last epoch; infinite where the loss stopped being a number.
    fn last(&self) -> f64 {
        let epoch = IMAGES.div_ceil(BATCH).min(self.losses.len());
        let mean = self.losses[self.losses.len() - epoch..].iter().sum::<f64>() / epoch as f64;
        if mean.is_finite() { mean } else { f64::INFINITY }
    }
}

fn residues(record: &Record) -> [f64; 2] {
    let probes = record.events.iter().filter_map(|event| match event {
        Event::Probe(probe) if probe.kind == "stale" => Some(["r", "q"].map(|name| probe.values.get(name).copied())),
        _ => None,
    });
    let most =
        |most: [f64; 2], values: [Option<f64>; 2]| [0, 1].map(|place| most[place].max(values[place].unwrap_or(0.0)));
    probes.fold([0.0; 2], most)
}

fn curves(loops: &[Loop]) -> Block {
    let curve = |(place, of): (usize, &Loop)| -> Series {
        let finite = of.losses.iter().enumerate().filter(|(_, loss)| loss.is_finite() && **loss > 0.0);
        let points: Vec<(f64, f64)> = finite.map(|(step, loss)| ((step + 1) as f64, *loss)).collect();
        line(of.name, place, if of.stale() > 0.0 { Dash::Dashed } else { Dash::Solid }, &points)
    };
    lines(
        "The same net in five loops",
        "Loss of each batch before its step. Dashed: loops in which the buffers were found not to be empty.",
        [Axis::linear("step"), Axis::log("loss")],
        vec![panel("", loops.iter().enumerate().map(curve).collect())],
    )
}

fn findings(loops: &[Loop]) -> Block {
    let row = |of: &Loop| {
        let named: Vec<String> =
            of.findings.iter().map(|finding| format!("{}: {}", finding.rule, finding.message)).collect();
        let named = if named.is_empty() { "nothing".into() } else { named.join("; ") };
        vec![of.name.into(), shown(of.last()), shown(of.residues[0]), shown(of.residues[1]), named]
    };
    table(
        "What the records say",
        "r: what the buffer holds at the first backward pass after a step beside the fresh gradient, over the fresh \
         gradient; q: what is left of that without the buffer before. The largest of all that were measured.",
        &["loop", "loss of the last epoch", "r", "q", "found"],
        loops.iter().map(row).collect(),
    )
}

fn claims(loops: &[Loop; 5]) -> Vec<Claim> {
    let [once, sound, high, low, epochs] = loops;
    let found = |of: &Loop| format!("{}: findings of stale gradients", of.name);
    let some = |of: &Loop| Claim::at_least(found(of), of.stale(), 1.0);
    let none = |of: &Loop| Claim::near(found(of), of.stale(), 0.0, 0.0);
    let stale = |of: &Loop| Claim::at_least(format!("{}: r", of.name), of.residues[0], 0.1);
    let explained = |of: &Loop| Claim::at_most(format!("{}: q", of.name), of.residues[1], ROUNDING);
    let fresh = |of: &Loop| Claim::at_most(format!("{}: r", of.name), of.residues[0], ROUNDING);
    let fell = |of: &Loop| format!("{}: loss of the last epoch over the first loss", of.name);
    vec![
        some(once),
        stale(once),
        explained(once),
        Claim::at_least(
            "loss of the last epoch, zero_grad once over zero_grad each time",
            once.last() / sound.last(),
            2.0,
        ),
        none(sound),
        fresh(sound),
        Claim::at_most(fell(sound), sound.last() / sound.first(), 0.5),
        Claim::at_least(fell(high), high.last() / high.first(), 2.0),
        none(high),
        fresh(high),
        Claim::at_most(fell(low), low.last() / low.first(), 0.5),
        some(low),
        some(epochs),
    ]
}

fn answer(claims: Vec<Claim>) -> Answer {
    Answer {
        question: "3. A loop calls zero_grad once, before it begins. What happens, how is it told from a learning rate that \
                   is too high, and what does the corrected loop do?"
            .into(),
        derivation: "backward() adds to the gradient buffers. If nothing empties them, step t descends the sum of all \
                     gradients so far: on a quadratic with curvature c and rate h the error follows z^2 - (2 - h c) z + 1 = \
                     0, whose roots have modulus 1, so that it swings for ever; with momentum it grows at every rate, \
                     slowly at small ones. A rate that is too high swings and grows as well. So the curve is no evidence: \
                     the buffer is. At the first backward pass after a step it must be empty before, and equal the fresh \
                     gradient of that batch after; if it holds what it held plus the fresh gradient, nobody emptied it."
            .into(),
        answer: "The loop descends stale gradients. Its record shows it at any rate, also at one so low that its loss falls \
                 and looks sound. Training at a rate that is too high looks as bad, and its record has empty buffers: the \
                 finding does not go by the curve. With zero_grad before each backward pass the same net trains."
            .into(),
        claims,
    }
}
