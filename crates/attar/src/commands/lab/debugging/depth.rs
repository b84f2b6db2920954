//! Question 1: two depths. Overfitting, vanishing gradients, or optimisation; and what helps.

use attar_doctor::Thresholds;
use attar_learn::depth::{
    Contrast, Depth, Errors, Family, LONGER, MARGIN, NetSpec, Outcome, Recipe, Signal, Trial, run,
};
use attar_learn::nets::Norm;
use attar_report::Block;

use super::Lab;
use crate::commands::lab::answer::{Answer, Claim};
use crate::commands::lab::figure::table;
use crate::commands::lab::questions::Part;
use crate::depth::words::{Group, groups, least_ratio, percent};
use crate::depth::{Experiment, figures};
use crate::error::CliError;

/// A recipe changed, for so many steps.
type Remedy = fn(&Recipe, usize) -> Recipe;

/// What the deep plain net gets, one at a time, at the first length.
const REMEDIES: [(&str, Remedy); 3] = [
    ("a tenth of the rate", |recipe, _| Recipe { learning_rate: recipe.learning_rate / 10.0, ..recipe.clone() }),
    ("a rate that rises over a quarter of the steps", |recipe, steps| Recipe {
        warmup_steps: steps / 4,
        ..recipe.clone()
    }),
    ("layer norm in place of batch norm", |recipe, _| Recipe { norm: Norm::Layer, ..recipe.clone() }),
];

/// The deep plain net under one remedy, or what else it is compared with.
struct Remedied {
    name: String,
    steps: usize,
    /// Training errors, one for each seed.
    errors: Vec<f64>,
}

impl Remedied {
    fn of(name: impl Into<String>, group: &Group) -> Self {
        Self { name: name.into(), steps: group.steps(), errors: group.errors() }
    }

    fn mean(&self) -> f64 {
        self.errors.iter().sum::<f64>() / self.errors.len() as f64
    }
}

pub(super) fn ask(lab: &Lab) -> Result<Part, CliError> {
    let experiment = &lab.experiment;
    let found = experiment.run(|_| ())?;
    let remedied = remedied(experiment, &found)?;
    let mut figures = figures::all(experiment, &found);
    figures.push(remedies(experiment, &remedied));
    let mut claims = compared(experiment, &found);
    claims.extend(of_gradients(experiment, &found));
    claims.extend(of_remedies(&remedied));
    Ok(Part { answer: answer(experiment, claims), figures })
}

fn deep(experiment: &Experiment, family: Family) -> NetSpec {
    NetSpec { family, depth: experiment.depths[1] }
}

fn group<'a>(found: &'a Depth, net: NetSpec, longer: usize) -> Option<Group<'a>> {
    groups(&found.outcomes).into_iter().find(|group| group.net == net && group.longer == longer)
}

/// The plain net as it is, under each remedy, with more steps, and with shortcuts; errors on the training images.
fn remedied(experiment: &Experiment, found: &Depth) -> Result<Vec<Remedied>, CliError> {
    let plain = deep(experiment, Family::Plain);
    let mut all = Vec::new();
    all.extend(group(found, plain, 1).map(|group| Remedied::of("none", &group)));
    let steps = all.first().map_or(0, |none: &Remedied| none.steps);
    for (name, change) in REMEDIES {
        let recipe = change(&experiment.recipe, steps);
        let trial = |&seed: &u64| Trial { net: plain, seed, longer: 1 };
        let trials: Vec<Trial> = experiment.seeds.iter().map(trial).collect();
        let outcomes = run(&experiment.images, &recipe, &trials, rayon::current_num_threads(), |_: &Outcome| ())?;
        all.extend(groups(&outcomes).iter().map(|group| Remedied::of(name, group)));
    }
    let more = format!("{LONGER} times the steps");
    all.extend(group(found, plain, LONGER).map(|group| Remedied::of(more, &group)));
    let shortcuts = group(found, deep(experiment, Family::Residual), 1);
    all.extend(shortcuts.map(|group| Remedied::of("shortcuts: the residual twin", &group)));
    Ok(all)
}

fn remedies(experiment: &Experiment, remedied: &[Remedied]) -> Block {
    let row = |one: &Remedied| {
        let errors: Vec<String> = one.errors.iter().map(|error| percent(*error)).collect();
        vec![one.name.clone(), one.steps.to_string(), errors.join("  "), percent(one.mean())]
    };
    table(
        &format!("Remedies for plain-{}", experiment.depths[1]),
        "Training errors in training mode, of the same seeds.",
        &["remedy", "steps", "training error by seed, %", "mean"],
        remedied.iter().map(row).collect(),
    )
}

/// What the trainings of both lengths show.
fn compared(experiment: &Experiment, found: &Depth) -> Vec<Claim> {
    let [shallow, deep] = experiment.depths;
    let source = &experiment.source;
    let points = |share: Option<f64>| share.map_or(f64::NAN, |share| 100.0 * share);
    let steps = |contrast: &Contrast| {
        let same = |outcome: &&Outcome| outcome.trial.longer == contrast.longer;
        found.outcomes.iter().find(same).map_or(0, |outcome| outcome.steps)
    };
    let worse = found.verdict.plain.iter().map(|contrast| {
        let low = contrast.interval.map(|interval| interval.low);
        let sentence = format!(
            "{source}: plain-{deep}'s training error less plain-{shallow}'s after {} steps, in points: least of the 95 % \
             interval",
            steps(contrast)
        );
        Claim::at_least(sentence, points(low), 0.0)
    });
    let twin = found.verdict.residual.iter().flat_map(|contrast| {
        let sentence = |what: &str| {
            let steps = steps(contrast);
            format!("{source}: residual-{deep}'s training error less plain-{shallow}'s after {steps} steps, in points: {what}")
        };
        let low = contrast.interval.map(|interval| interval.low);
        [
            Claim::at_most(sentence("mean"), 100.0 * contrast.mean, 100.0 * MARGIN),
            Claim::at_most(sentence("least of the 95 % interval"), points(low), 0.0),
        ]
    });
    let lag = |outcome: &Outcome| {
        let Errors { training, evaluation } = outcome.errors;
        (training - evaluation).abs()
    };
    let net = NetSpec { family: Family::Plain, depth: deep };
    let lag = group(found, net, LONGER).map_or(f64::NAN, |group| group.mean(lag));
    let modes = Claim::at_most(
        format!("{source}: plain-{deep}'s training errors in the two modes differ, in points, on average by"),
        100.0 * lag,
        5.0,
    );
    worse.chain(twin).chain([modes]).collect()
}

/// What the gradients of the deep plain net show.
fn of_gradients(experiment: &Experiment, found: &Depth) -> Vec<Claim> {
    let deep = deep(experiment, Family::Plain);
    let name = deep.name();
    let Some(group) = group(found, deep, 1) else { return Vec::new() };
    let slope = group.mean_signal(0, |signal| signal.gradient_slope);
    let theory = format!("{name} at initialisation: growth of ln |gradient| a layer towards the input");
    let kept =
        format!("{name}, at initialisation and while it trains: |gradient| at the first layer over the last's, least");
    let span = Thresholds::default().vanishing_span;
    vec![Claim::near(theory, slope, Signal::DENSE, 0.1), Claim::at_least(kept, least_ratio(&group), 1.0 / span)]
}

/// That shortcuts do most.
fn of_remedies(remedied: &[Remedied]) -> Vec<Claim> {
    let [none, others @ .., twin] = remedied else { return Vec::new() };
    let best = others.iter().filter(|one| one.steps == none.steps).map(Remedied::mean).fold(f64::INFINITY, f64::min);
    vec![
        Claim::at_least("shortcuts lower the deep net's training error, in points, by", points(none, twin), 10.0),
        Claim::at_least(
            "the best of the other remedies at as many steps leaves the training error higher than shortcuts, in points, by",
            100.0 * (best - twin.mean()),
            0.0,
        ),
    ]
}

fn points(from: &Remedied, to: &Remedied) -> f64 {
    100.0 * (from.mean() - to.mean())
}

fn answer(experiment: &Experiment, claims: Vec<Claim>) -> Answer {
    let [shallow, deep] = experiment.depths;
    Answer {
        question: format!(
            "1. A plain net of {deep} layers does worse than one of {shallow}. Is it overfitting, are its gradients \
             vanishing, or can descent not find what is there? What helps?"
        ),
        derivation: "The deep net can compute what the shallow one does: its other layers need only pass on what they \
                     get. If it overfitted, its error on the training images would be the smaller one: so that error is \
                     what is compared, seed by seed, with the same recipe, and again with four times the steps, lest it \
                     only be slow. If gradients vanished, their norms would fall from layer to layer towards the input: \
                     batch norm in plain layers makes them grow instead, at initialisation by sqrt(pi / (pi - 1)) a \
                     layer in wide dense ones (Yang et al. 2019). So they are measured, at initialisation and while it \
                     trains. A residual twin has the same parameters, and shortcuts that cost none (option A): what it \
                     gains is not capacity."
            .into(),
        answer: format!(
            "It is optimisation. plain-{deep} is worse on its own training images, at both lengths, so it does not \
             overfit; its gradients do not vanish, at initialisation they grow towards the input; and its residual twin, \
             as deep and of as many parameters, is not worse than plain-{shallow}. Shortcuts help most: among what was \
             tried at as many steps, nothing else came near. (On these nets, sizes and steps; what large nets of the \
             paper do is no part of this.)"
        ),
        claims,
    }
}
