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
    /// The interval reaches both zero and [`MARGIN`], or there is none.
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
        let error = |net, seed| {
            let same = |outcome: &&Outcome| outcome.trial.net == net && outcome.trial.longer == longer;
            let outcome = outcomes.iter().filter(same).find(|outcome| outcome.trial.seed == seed)?;
            Some(outcome.errors.training)
        };
        let of_net = outcomes.iter().filter(|outcome| outcome.trial.net == net && outcome.trial.longer == longer);
        let differences: Vec<f64> =
            of_net.filter_map(|outcome| Some(outcome.errors.training - error(other, outcome.trial.seed)?)).collect();
        let mean = mean_interval(&differences);
        let interval = mean.and_then(|mean| mean.interval);
        let mean = mean.map_or(f64::NAN, |mean| mean.mean);
        Self { net, longer, mean, interval, judgement: judgement(interval), differences }
    }
}

fn judgement(interval: Option<Interval>) -> Judgement {
    match interval {
        Some(Interval { low, .. }) if low > 0.0 => Judgement::Worse,
        Some(Interval { high, .. }) if high < MARGIN => Judgement::NotWorse,
        _ => Judgement::Undecided,
    }
}
