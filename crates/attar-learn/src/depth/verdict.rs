//! Whether depth hurts, from the training errors of several seeds.

use attar_linear::{Interval, mean_interval};
use serde::Serialize;

use super::{Family, LONGER, NetSpec, Outcome};

/// A difference of training errors that no one would mind: two images in a hundred.
pub const MARGIN: f64 = 0.02;

/// What the differences say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// The interval is above zero.
    Worse,
    /// The interval reaches zero and stays below [`MARGIN`].
    NotWorse,
    /// The interval reaches both zero and [`MARGIN`], there is none or its width is zero, or the shallow net guesses.
    Undecided,
}

/// A net beside the shallow plain one, at one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// Which net.
    pub net: NetSpec,
    /// How many times the steps of the first length.
    pub longer: usize,
    /// Its training error minus the shallow net's, for each seed.
    pub differences: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// At 95 %, by Student's t over the seeds; `None` for one seed.
    pub interval: Option<Interval>,
    /// Whether the shallow net does better than guessing, at 95 %; where it does not, nothing follows.
    pub learned: bool,
    /// What this says.
    pub judgement: Judgement,
}

/// The answer for the deep plain net.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Worse at both lengths.
    Degradation,
    /// Worse at the first length, not at the longer.
    SlowStart,
    /// Not worse at either.
    None,
    /// Anything else.
    Undecided,
}

/// The verdict on depth.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Of the deep plain net.
    pub finding: Finding,
    /// The deep plain net, at the first length and at the longer.
    pub plain: [Contrast; 2],
    /// Its residual twin.
    pub residual: [Contrast; 2],
}

/// Judges outcomes of both lengths by their training errors in training mode: the verdict is on what descent brings
/// about, and running statistics that lag behind are no fault of depth.
pub fn judge(outcomes: &[Outcome], [shallow, deep]: [usize; 2]) -> Verdict {
    let contrasts = |family| {
        let net = NetSpec { family, depth: deep };
        let shallow = NetSpec { family: Family::Plain, depth: shallow };
        [1, LONGER].map(|longer| Contrast::of(outcomes, net, shallow, longer))
    };
    let (plain, residual) = (contrasts(Family::Plain), contrasts(Family::Residual));
    let finding = match plain.each_ref().map(|contrast| contrast.judgement) {
        [Judgement::Worse, Judgement::Worse] => Finding::Degradation,
        [Judgement::Worse, Judgement::NotWorse] => Finding::SlowStart,
        [Judgement::NotWorse, Judgement::NotWorse] => Finding::None,
        _ => Finding::Undecided,
    };
    Verdict { finding, plain, residual }
}

impl Contrast {
    /// Compares `net` with `other`, seed by seed.
    pub fn of(outcomes: &[Outcome], net: NetSpec, other: NetSpec, longer: usize) -> Self {
        let pairs = pairs(outcomes, net, other, longer);
        let differences: Vec<f64> =
            pairs.iter().map(|[own, other]| own.errors.training - other.errors.training).collect();
        let mean = mean_interval(&differences);
        let interval = mean.and_then(|mean| mean.interval);
        let mean = mean.map_or(f64::NAN, |mean| mean.mean);
        let learned = learned(&pairs);
        let judgement = match interval {
            // Errors of few images come in few values, and their scatter may be none by chance.
            Some(Interval { low, high }) if !learned || (high - low < 1e-9 && !errs_nowhere(&pairs)) => {
                Judgement::Undecided
            }
            Some(Interval { low, .. }) if low > 0.0 => Judgement::Worse,
            Some(Interval { high, .. }) if high < MARGIN => Judgement::NotWorse,
            _ => Judgement::Undecided,
        };
        Self { net, longer, mean, interval, learned, judgement, differences }
    }
}

/// The outcomes of two nets from the same seeds.
fn pairs(outcomes: &[Outcome], net: NetSpec, other: NetSpec, longer: usize) -> Vec<[&Outcome; 2]> {
    let of = |net| {
        let same = move |outcome: &&Outcome| outcome.trial.net == net && outcome.trial.longer == longer;
        outcomes.iter().filter(same)
    };
    let twin = |own: &Outcome| of(other).find(|outcome| outcome.trial.seed == own.trial.seed);
    of(net).filter_map(|own| Some([own, twin(own)?])).collect()
}

/// Whether the second of each pair does better than guessing, at 95 % where there are several.
fn learned(pairs: &[[&Outcome; 2]]) -> bool {
    let gains: Vec<f64> = pairs.iter().map(|[_, other]| other.guessing - other.errors.training).collect();
    mean_interval(&gains).is_some_and(|gain| gain.interval.map_or(gain.mean, |interval| interval.low) > 0.0)
}

fn errs_nowhere(pairs: &[[&Outcome; 2]]) -> bool {
    pairs.iter().all(|[own, _]| own.errors.training == 0.0)
}
