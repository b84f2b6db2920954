//! What was found, as a table and in sentences.

use attar_doctor::Thresholds;
use attar_learn::depth::{
    Contrast, Depth, Finding, Judgement, LONGER, MARGIN, NetSpec, Outcome, Signal, Trial, measured_at,
};
use attar_linear::{Interval, mean_interval};

use super::Experiment;

/// The trainings of one net at one length.
pub(crate) struct Group<'a> {
    pub(crate) net: NetSpec,
    pub(crate) longer: usize,
    pub(crate) outcomes: Vec<&'a Outcome>,
}

/// The outcomes by net and length, in their order.
pub(crate) fn groups(outcomes: &[Outcome]) -> Vec<Group<'_>> {
    let same = |a: &Outcome, b: &Outcome| (a.trial.net, a.trial.longer) == (b.trial.net, b.trial.longer);
    outcomes.chunk_by(same).map(Group::new).collect()
}

impl<'a> Group<'a> {
    fn new(outcomes: &'a [Outcome]) -> Self {
        let Trial { net, longer, .. } = outcomes[0].trial;
        Self { net, longer, outcomes: outcomes.iter().collect() }
    }

    pub(crate) fn steps(&self) -> usize {
        self.outcomes.first().map_or(0, |outcome| outcome.steps)
    }

    /// Training errors in training mode, one for each seed.
    pub(crate) fn errors(&self) -> Vec<f64> {
        self.outcomes.iter().map(|outcome| outcome.errors.training).collect()
    }

    pub(crate) fn mean(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        self.outcomes.iter().map(|outcome| of(outcome)).sum::<f64>() / self.outcomes.len() as f64
    }

    /// The mean of something of the signals that were measured after `step` steps, over the seeds that got there.
    pub(crate) fn mean_signal(&self, step: usize, of: impl Fn(&Signal) -> f64) -> f64 {
        let signals = self.outcomes.iter().flat_map(|outcome| &outcome.signals).filter(|signal| signal.step == step);
        let values: Vec<f64> = signals.map(of).collect();
        values.iter().sum::<f64>() / values.len() as f64
    }
}

/// The heads of [`table`].
pub(crate) const COLUMNS: [&str; 7] =
    ["net", "steps", "training error by seed, %", "mean", "95 % interval", "evaluation mode", "diverged"];

/// Net, steps, training errors, mean and interval.
pub(crate) fn table(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let row = |group: &Group| {
        let errors = group.errors();
        let interval = mean_interval(&errors).and_then(|mean| mean.interval);
        let diverged = group.outcomes.iter().filter(|outcome| outcome.diverged.is_some()).count();
        vec![
            group.net.name(),
            group.steps().to_string(),
            errors.iter().map(|error| percent(*error)).collect::<Vec<_>>().join("  "),
            percent(group.mean(|outcome| outcome.errors.training)),
            interval.map_or("-".into(), |Interval { low, high }| format!("{} to {}", percent(low), percent(high))),
            percent(group.mean(|outcome| outcome.errors.evaluation)),
            diverged.to_string(),
        ]
    };
    groups(outcomes).iter().map(row).collect()
}

/// The heads of [`signals`].
pub(crate) const SIGNAL_COLUMNS: [&str; 6] =
    ["net", "of steps", "after", "variance slope", "gradient slope", "first over last"];

/// Signals and gradients on their way, means over the seeds.
pub(crate) fn signals(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let row = |group: &Group, step: usize| {
        vec![
            group.net.name(),
            group.steps().to_string(),
            step.to_string(),
            format!("{:+.3}", group.mean_signal(step, |signal| signal.variance_slope)),
            format!("{:+.3}", group.mean_signal(step, |signal| signal.gradient_slope)),
            times(group.mean_signal(step, |signal| signal.ratio.ln()).exp()),
        ]
    };
    let rows = |group: &Group| measured_at(group.steps()).into_iter().map(|step| row(group, step)).collect::<Vec<_>>();
    groups(outcomes).iter().flat_map(rows).collect()
}

/// What was found, in a sentence each; the first is the verdict.
pub(crate) fn findings(experiment: &Experiment, found: &Depth) -> Vec<String> {
    let verdict = &found.verdict;
    let [shallow, deep] = experiment.depths;
    let plain = both(&found.outcomes, &verdict.plain);
    let first = match verdict.finding {
        Finding::Degradation => {
            format!(
                "Degradation: plain-{deep} fits its training images worse than plain-{shallow} at both lengths: {plain}."
            )
        }
        Finding::SlowStart => format!(
            "A slow start, no degradation: plain-{deep} is worse than plain-{shallow} at first and not with {LONGER} \
             times the steps: {plain}."
        ),
        Finding::None => format!(
            "No degradation: plain-{deep} is not worse than plain-{shallow} by {} points or more: {plain}.",
            percent(MARGIN)
        ),
        Finding::Undecided if verdict.plain.iter().any(|contrast| !contrast.learned) => format!(
            "Undecided between plain-{deep} and plain-{shallow}, which is not seen to do better than guessing: {plain}. More \
             steps, images or seeds may show that it learns."
        ),
        Finding::Undecided => format!(
            "Undecided between plain-{deep} and plain-{shallow}: {plain}. More seeds or more steps narrow the intervals."
        ),
    };
    let residual = both(&found.outcomes, &verdict.residual);
    let second = format!("Its residual twin, with the same parameters, against plain-{shallow}: {residual}.");
    vec![first, second, gradients(found, deep)]
}

/// Differences at both lengths.
fn both(outcomes: &[Outcome], contrasts: &[Contrast; 2]) -> String {
    let one = |contrast: &Contrast| {
        let of = |outcome: &&Outcome| outcome.trial.longer == contrast.longer;
        let steps = outcomes.iter().find(of).map_or(0, |outcome| outcome.steps);
        let word = match contrast.judgement {
            Judgement::Worse => "worse",
            Judgement::NotWorse => "not worse",
            Judgement::Undecided if contrast.mean < 0.0 => "better on average, undecided",
            Judgement::Undecided => "undecided",
        };
        format!("{} after {steps} steps, {word}", difference(contrast))
    };
    contrasts.each_ref().map(one).join("; ")
}

/// `+33.5 points (20.1 to 46.9)`.
pub(crate) fn difference(contrast: &Contrast) -> String {
    let interval = match contrast.interval {
        Some(Interval { low, high }) => format!("{} to {}", percent(low), percent(high)),
        None => "one seed, no interval".into(),
    };
    format!("{:+.1} points ({interval})", 100.0 * contrast.mean)
}

/// What the gradients of the deep plain net show, at initialisation and while it trains.
fn gradients(found: &Depth, deep: usize) -> String {
    let groups = groups(&found.outcomes);
    let Some(group) = groups.iter().find(|group| group.net.name() == format!("plain-{deep}")) else {
        return String::new();
    };
    let slope = |step: usize| group.mean_signal(step, |signal| signal.gradient_slope).exp();
    let ratio = |step: usize| group.mean_signal(step, |signal| signal.ratio.ln()).exp();
    let (half, limit) = (group.steps().div_ceil(2), 1.0 / Thresholds::default().vanishing_span);
    let says = match least_ratio(group) {
        least if least.is_nan() => "are not all numbers",
        least if least > limit => "do not vanish",
        _ => "vanish",
    };
    format!(
        "The gradients of plain-{deep} {says}: from layer to layer towards the input their norm changes by a factor of \
         {:.3} at initialisation ({:.3} for wide dense layers with batch norm, Yang et al. 2019) and of {:.3} after half of \
         the steps; the first layer's is {} times the last's at initialisation and {} times after half of the steps \
         (vanishing would be less than {limit:.0e}, AutoTrainer).",
        slope(0),
        Signal::DENSE.exp(),
        slope(half),
        times(ratio(0)),
        times(ratio(half)),
    )
}

/// The gradient's norm at the first layer over the last's, the least of all seeds and times; NaN where one is.
pub(crate) fn least_ratio(group: &Group) -> f64 {
    let signals = group.outcomes.iter().flat_map(|outcome| &outcome.signals);
    let least = |least: f64, ratio: f64| if ratio < least || ratio.is_nan() { ratio } else { least };
    signals.map(|signal| signal.ratio).fold(f64::INFINITY, least)
}

/// How this differs from the paper, and how it was measured.
pub(crate) fn conditions(experiment: &Experiment) -> Vec<String> {
    let Experiment { images, recipe, source, is_jpeg, expected, .. } = experiment;
    let [height, width, _] = images.shape;
    let [tall, wide, _] = images.original;
    let steps = recipe.epochs * images.samples().div_ceil(recipe.batch_size);
    let mut all = vec![format!(
        "Scaled from He et al. 2015 (50,000 images of 32 x 32, width 16, batches of 128, 64,000 steps): {} of {} images \
         of {source}, {height} x {width} pixels of {tall} x {wide}, width {}, batches of {}, {steps} and {} steps.",
        images.samples(),
        images.available,
        recipe.width,
        recipe.batch_size,
        LONGER * steps,
    )];
    all.push(format!(
        "Descent with momentum 0.9, weight decay 1e-4, rate {} divided by 10 after half and after three quarters of the \
         steps; {}; per-pixel mean subtracted.",
        recipe.learning_rate,
        augmentation(experiment),
    ));
    all.push(
        "Training error: all training images as they are. That in training mode (statistics of batches) decides; in \
         evaluation mode running statistics are used, which may lag behind."
            .into(),
    );
    all.extend(
        is_jpeg.then(|| "The source stores its images as JPEG: figures are of images with its artefacts.".into()),
    );
    all.extend(
        expected
            .map(|seconds| format!("Scaled to the budget by a measured time: {:.1} minutes expected.", seconds / 60.0)),
    );
    all
}

fn augmentation(experiment: &Experiment) -> String {
    match experiment.recipe.augmentation {
        None => "images as they are, not augmented (a mirrored digit would be another sign)".into(),
        Some(augmentation) => format!("images padded by {}, cut at random and mirrored", augmentation.padding),
    }
}

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// A factor at any size.
fn times(factor: f64) -> String {
    if (0.01..1e3).contains(&factor) { format!("{factor:.2}") } else { format!("{factor:.1e}") }
}
