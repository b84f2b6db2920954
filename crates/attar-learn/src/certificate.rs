//! The accumulation certificate, measured: does a batch cut into micro-batches give what the whole batch gives?
//!
//! What is measured here is judged by [`attar_doctor::accumulation::judge`].

use attar_doctor::Probe;
use attar_doctor::accumulation::{Coupling, Split};

use crate::gradient::{Gradient, Value, entries, parameters};
use crate::{BatchStatistics, Pass, Problem, StageOutput, Staged};

mod coupling;
pub mod ranks;

/// What a training loop leaves just before it clips and steps.
#[derive(Clone, Debug)]
pub struct Window<N> {
    /// The stages of each micro-batch, in their order, without autodiff.
    pub stages: Vec<Vec<StageOutput>>,
    /// The loss as the loop reports it.
    pub loss: f64,
    /// The gradient buffers.
    pub gradient: Gradient,
    /// The network as it is then: running statistics have moved, parameters should not have.
    pub network: N,
    /// Why this means nothing, if it does not.
    pub failure: Option<String>,
}

/// One batch and how it is looked at.
#[derive(Debug)]
pub struct Subject<'a, N, P> {
    /// Without autodiff.
    pub network: &'a N,
    /// What it learns.
    pub problem: &'a P,
    /// The samples of the batch.
    pub samples: &'a [u64],
    /// Of the run: masks are drawn by it.
    pub seed: u64,
    /// The norm to which the loop clips, if it does.
    pub clip: Option<f64>,
}

/// Everything the verdict goes by.
#[derive(Clone, Debug)]
pub struct Measured {
    /// One for each way to cut the batch.
    pub splits: Vec<MeasuredSplit>,
    /// Each stage in turn.
    pub couplings: Vec<Coupling>,
}

/// One way to cut the batch.
#[derive(Clone, Debug)]
pub struct MeasuredSplit {
    /// Samples of each micro-batch.
    pub sizes: Vec<usize>,
    /// What is judged.
    pub split: Split,
    /// The parameter whose gradient differs most, and by how much of |g0|.
    pub worst: Option<(String, f64)>,
}

impl Measured {
    /// The splits as the verdict takes them.
    pub fn splits(&self) -> Vec<Split> {
        self.splits.iter().map(|measured| measured.split.clone()).collect()
    }

    /// The same as probes of a record, after so many epochs and steps.
    pub fn probes(&self, epoch: u64, step: u64) -> Vec<Probe> {
        let named = |(name, value): (&str, f64)| (name.to_owned(), value);
        let splits = self.splits.iter().map(|measured| Probe {
            epoch,
            step,
            kind: "accumulation".into(),
            stage: String::new(),
            values: numbers(&measured.split).into_iter().map(named).collect(),
        });
        let couplings = self.couplings.iter().map(|coupling| Probe {
            epoch,
            step,
            kind: "coupling".into(),
            stage: coupling.stage.clone(),
            values: [("outputs", coupling.outputs), ("coupling", coupling.coupling)].map(named).into(),
        });
        splits.chain(couplings).collect()
    }
}

fn numbers(split: &Split) -> Vec<(&'static str, f64)> {
    let counts = [
        ("micro_batches", split.micro_batches as f64),
        ("samples", split.samples as f64),
        ("smallest", split.smallest as f64),
        ("largest", split.largest as f64),
        ("outputs", split.outputs),
        ("error", split.error),
        ("scale", split.scale),
        ("angle", split.angle),
    ];
    let optional = [
        ("last_angle", split.last_angle),
        ("clipped", split.clipped),
        ("loss", split.loss),
        ("parameters", split.parameters),
        ("buffers", split.buffers),
    ];
    let there = optional.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
    counts.into_iter().chain(there).collect()
}

/// The splits of the certificate: every power of two that divides the batch, and three unequal parts (12, 12 and 8 of
/// 32).
pub fn splits(samples: usize) -> Vec<Vec<usize>> {
    let powers = (0..usize::BITS).map(|power| 1_usize << power).take_while(|parts| *parts <= samples);
    let even = powers.filter(|parts| samples.is_multiple_of(*parts)).map(|parts| vec![samples / parts; parts]);
    let most = (3 * samples).div_ceil(8);
    let uneven = vec![most, most, samples.saturating_sub(2 * most)];
    even.chain((uneven[2] > 0 && uneven[2] != most).then_some(uneven)).collect()
}

/// Measures what `window` does with one batch, cut as each of `splits` says, against the gradient g0 of the mean loss of
/// the same samples in one pass.
///
/// `window` is the loop of whoever trains, from empty buffers to before the step; it gets the network and the
/// micro-batches, and changes nothing.
pub fn accumulation<N: Staged, P: Problem>(
    subject: &Subject<'_, N, P>,
    splits: &[Vec<usize>],
    window: impl Fn(&N, &[&[u64]]) -> Window<N>,
) -> Measured {
    let whole = subject.pass(subject.samples);
    let mut cut_stages = None;
    let mut measure = |sizes: &Vec<usize>| {
        let parts = parts(subject.samples, sizes);
        let found = window(subject.network, &parts);
        let measured = subject.compare(sizes, &parts, &found, &whole);
        if parts.len() > 1 && measured.split.failure.is_none() && cut_stages.is_none() {
            cut_stages = Some(joined(&found.stages));
        }
        measured
    };
    let splits = splits.iter().map(&mut measure).collect();
    let couplings = coupling::couplings(subject, &joined(&whole.stages), &cut_stages.unwrap_or_default());
    Measured { splits, couplings }
}

/// The batch in consecutive parts of these sizes.
fn parts<'s>(samples: &'s [u64], sizes: &[usize]) -> Vec<&'s [u64]> {
    let mut rest = samples;
    let cut = |size: &usize| {
        let (part, after) = rest.split_at((*size).min(rest.len()));
        rest = after;
        part
    };
    sizes.iter().map(cut).collect()
}

impl<N: Staged, P: Problem> Subject<'_, N, P> {
    /// One pass over some samples: the gradient of their mean loss.
    fn pass(&self, samples: &[u64]) -> Window<N> {
        let network = self.network.clone().train();
        let mut pass = Pass::training(self.seed, 0, samples);
        let stages = network.stages(self.problem.input(samples), &mut pass);
        let Some(last) = stages.last() else { return Window::empty(self.network.clone()) };
        let loss = self.problem.losses(last.values.clone(), samples).mean();
        let reported = loss.clone().into_scalar::<f64>();
        Window {
            gradient: Gradient::of(&network, loss),
            stages: vec![without_autodiff(stages)],
            loss: reported,
            network: self.network.clone().absorb(&pass.statistics),
            failure: pass.failure,
        }
    }

    fn compare(&self, sizes: &[usize], parts: &[&[u64]], found: &Window<N>, whole: &Window<N>) -> MeasuredSplit {
        let counts = Split {
            micro_batches: sizes.len() as u64,
            samples: self.samples.len() as u64,
            smallest: sizes.iter().copied().min().unwrap_or(0) as u64,
            largest: sizes.iter().copied().max().unwrap_or(0) as u64,
            ..Split::default()
        };
        if let Some(reason) = found.failure.as_ref().or(whole.failure.as_ref()) {
            let nan = f64::NAN;
            let (outputs, error, scale, angle) = (nan, nan, nan, nan);
            let split = Split { outputs, error, scale, angle, failure: Some(reason.clone()), ..counts };
            return MeasuredSplit { sizes: sizes.into(), split, worst: None };
        }
        let tensors = parameters(self.network);
        let flat = |gradient: &Gradient| gradient.entries(&tensors).concat();
        let (g, g0) = (flat(&found.gradient), flat(&whole.gradient));
        let last = parts.last().map(|part| flat(&self.pass(part).gradient));
        let split = Split {
            outputs: output_difference(&joined(&found.stages), &joined(&whole.stages)),
            error: distance(&g, &g0),
            scale: dot(&g, &g0) / dot(&g0, &g0),
            angle: angle(&g, &g0),
            last_angle: last.map(|last| angle(&g, &last)),
            clipped: self.clip.and_then(|limit| self.clipped(parts, limit, &g, &flat)),
            loss: Some(((found.loss - whole.loss) / whole.loss).abs()),
            parameters: Some(update_difference(&tensors, found, whole)),
            buffers: statistics_difference(&found.network.statistics(), &whole.network.statistics()),
            ..counts
        };
        MeasuredSplit { sizes: sizes.into(), split, worst: worst(&tensors, found, whole) }
    }

    /// The distance of `g` to what clipping inside the window gives: the mean of clipped micro-gradients, or buffers
    /// that are clipped after every backward pass but the last; the smaller of the two. `None` where nothing is clipped.
    fn clipped(&self, parts: &[&[u64]], limit: f64, g: &[f64], flat: &dyn Fn(&Gradient) -> Vec<f64>) -> Option<f64> {
        let (mut mean, mut buffer, mut longest) = (Gradient::default(), Gradient::default(), 0.0_f64);
        for part in parts {
            let share = part.len() as f64 / self.samples.len() as f64;
            longest = longest.max(buffer.norm());
            buffer = buffer.clipped(limit);
            let own = self.pass(part).gradient;
            longest = longest.max(own.norm());
            mean.add(&own.clipped(limit).scaled(share));
            buffer.add(&own.scaled(share));
        }
        let nearest = || distance(g, &flat(&mean)).min(distance(g, &flat(&buffer)));
        (longest > limit).then(nearest)
    }
}

impl<N> Window<N> {
    fn empty(network: N) -> Self {
        let failure = Some("the network has no stages".into());
        Self { stages: Vec::new(), loss: f64::NAN, gradient: Gradient::default(), network, failure }
    }
}

pub(crate) fn without_autodiff(stages: Vec<StageOutput>) -> Vec<StageOutput> {
    let plain = |stage: StageOutput| StageOutput { values: stage.values.without_autodiff(), ..stage };
    stages.into_iter().map(plain).collect()
}

/// The entries of each stage by name, all micro-batches after one another.
fn joined(stages: &[Vec<StageOutput>]) -> Vec<(String, Vec<f64>)> {
    let Some(first) = stages.first() else { return Vec::new() };
    let join = |(place, stage): (usize, &StageOutput)| {
        let parts = stages.iter().filter_map(|part| part.get(place));
        (stage.name.clone(), parts.flat_map(|part| entries(&part.values)).collect())
    };
    first.iter().enumerate().map(join).collect()
}

fn output_difference(found: &[(String, Vec<f64>)], whole: &[(String, Vec<f64>)]) -> f64 {
    let last = |stages: &[(String, Vec<f64>)]| stages.last().map(|(_, values)| values.clone()).unwrap_or_default();
    largest_difference(&last(found), &last(whole))
}

/// The largest difference over the largest entry.
fn largest_difference(found: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    // A maximum that does not pass over NaN.
    let worst = differences.fold(0.0, |worst: f64, next| if next > worst || next.is_nan() { next } else { worst });
    worst / largest
}

/// The relative difference of the changes that a plain step of rate 1 makes, from where the network was to where the
/// loop leaves it.
fn update_difference<N: Staged>(start: &[Value], found: &Window<N>, whole: &Window<N>) -> f64 {
    let step = |window: &Window<N>| {
        let after = parameters(&window.network).into_iter().flat_map(|value| entries(&value.entries));
        after.zip(window.gradient.entries(start).concat()).map(|(value, g)| value - g).collect::<Vec<f64>>()
    };
    let before: Vec<f64> = start.iter().flat_map(|value| entries(&value.entries)).collect();
    let update = |after: Vec<f64>| after.iter().zip(&before).map(|(after, before)| after - before).collect::<Vec<_>>();
    distance(&update(step(found)), &update(step(whole)))
}

fn statistics_difference(found: &[BatchStatistics], whole: &[BatchStatistics]) -> Option<f64> {
    let flat = |statistics: &[BatchStatistics]| -> Vec<f64> {
        statistics.iter().flat_map(|of| [entries(&of.mean), entries(&of.variance)].concat()).collect()
    };
    (!whole.is_empty()).then(|| distance(&flat(found), &flat(whole)))
}

fn worst<N>(tensors: &[Value], found: &Window<N>, whole: &Window<N>) -> Option<(String, f64)> {
    let (g, g0) = (found.gradient.entries(tensors), whole.gradient.entries(tensors));
    let length = norm(&g0.concat());
    let of_one = |((tensor, g), g0): ((&Value, &Vec<f64>), &Vec<f64>)| (tensor.name.clone(), gap(g, g0) / length);
    tensors.iter().zip(&g).zip(&g0).map(of_one).max_by(|a, b| a.1.total_cmp(&b.1))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn gap(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// |a - b| / |b|.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    gap(a, b) / norm(b)
}

/// 1 - cos without cancellation, half the squared distance of the two directions; 1 where one is no direction.
fn angle(a: &[f64], b: &[f64]) -> f64 {
    let (length_a, length_b) = (norm(a), norm(b));
    if length_a == 0.0 || length_b == 0.0 {
        return 1.0;
    }
    a.iter().zip(b).map(|(a, b)| (a / length_a - b / length_b).powi(2)).sum::<f64>() / 2.0
}
