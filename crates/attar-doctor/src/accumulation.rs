//! The verdict on gradient accumulation: does a batch cut into micro-batches train as the whole batch does?
//!
//! Whoever measures cuts one batch several ways and compares with g0, the gradient of the mean per-sample loss in one
//! pass. Scale and angle over all splits together are a fingerprint of the mistake.

use serde::Serialize;

use crate::{Probe, Record, Thresholds, explain};

/// One way to cut the batch, and how far what it gives is from the whole batch's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Split {
    /// k.
    pub micro_batches: u64,
    /// N, in all micro-batches together.
    pub samples: u64,
    /// Samples of the smallest micro-batch.
    pub smallest: u64,
    /// Samples of the largest micro-batch.
    pub largest: u64,
    /// Largest difference of the outputs over the largest output.
    pub outputs: f64,
    /// |g - g0| / |g0|.
    pub error: f64,
    /// s = <g, g0> / <g0, g0>.
    pub scale: f64,
    /// 1 - cos(g, g0).
    pub angle: f64,
    /// 1 - cos of g and the last micro-batch's own gradient.
    pub last_angle: Option<f64>,
    /// Relative distance of g to the mean of the clipped micro-gradients, or to buffers clipped after each, whichever is
    /// nearer; `None` where nothing was clipped.
    pub clipped: Option<f64>,
    /// Relative difference of the loss that the loop reports.
    pub loss: Option<f64>,
    /// Relative difference of the update that a plain step of descent makes.
    pub parameters: Option<f64>,
    /// Relative difference of the running statistics.
    pub buffers: Option<f64>,
    /// Why it could not be computed, as with batch norm over one value.
    pub failure: Option<String>,
}

/// A stage of the network, from the input on, under one of the splits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coupling {
    /// As the caller names it.
    pub stage: String,
    /// Largest difference of its output between the split and the whole batch, over the largest output.
    pub outputs: f64,
    /// Largest |d out_i / d x_j|, i != j, over the largest with i = j; measured in training mode.
    pub coupling: f64,
}

/// A mistake, by its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A split cannot be computed at all.
    Uncomputable,
    /// The samples of a batch see each other: batch norm.
    Coupled,
    /// Masks are drawn by batch, not by sample: dropout.
    MasksByBatch,
    /// The sum over micro-batches is not divided by k: s = k.
    NoDivision,
    /// The loss is summed: s = N.
    SummedLoss,
    /// The loss is summed, then divided by k: s = N / k.
    SummedThenDivided,
    /// Micro-batches of different size weigh the same.
    MeanOfMeans,
    /// The loss of a batch is no mean of per-sample losses: contrastive.
    NotPerSample,
    /// The buffers are emptied inside the window: only the last micro-batch counts.
    ZeroedInside,
    /// Clipped before accumulation ends.
    ClippedInside,
    /// The optimizer steps inside the window.
    StepInside,
    /// Micro-batches that no step uses.
    DroppedWindow,
    /// The schedule moves with every micro-batch.
    ScheduleInside,
    /// Data-parallel ranks whose parameters do not stay equal.
    RanksDrift,
    /// Gradient, update, running statistics or reported loss differ in a way that no mistake above explains.
    Unexplained,
}

impl Fault {
    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Uncomputable => "use larger micro-batches, or layer or group norm in place of batch norm",
            Self::Coupled => "use layer or group norm in place of batch norm, or freeze its statistics",
            Self::MasksByBatch => "key the masks of dropout by sample, not by the order of calls",
            Self::NoDivision => "divide each micro-batch's mean loss by the number of micro-batches",
            Self::SummedLoss => "average the loss over the samples of the whole batch",
            Self::SummedThenDivided => "divide by the samples of the whole batch, not by the number of micro-batches",
            Self::MeanOfMeans => "weigh each micro-batch's mean loss by its share of the batch's samples",
            Self::NotPerSample => "gather the outputs of the whole batch before the loss (GradCache)",
            Self::ZeroedInside => "empty the buffers once a window, before its first backward pass",
            Self::ClippedInside => "clip once, after the last backward pass of the window",
            Self::StepInside => "step after the last backward pass of the window only",
            Self::DroppedWindow => "step at the end of an epoch too, weighing by the samples that are there",
            Self::ScheduleInside => "move the schedule once, after the optimizer's step",
            Self::RanksDrift => "start all ranks from the same weights and let each step with the same gradient",
            Self::Unexplained => "compare the gradients tensor by tensor, and how the loss is added up",
        }
    }
}

/// A fault with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// Which.
    pub fault: Fault,
    /// The number that tells.
    #[serde(with = "crate::number")]
    pub value: f64,
    /// What it was held against.
    #[serde(with = "crate::number")]
    pub threshold: f64,
    /// The stage, for [`Fault::Coupled`] and [`Fault::MasksByBatch`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// In a sentence.
    pub message: String,
}

/// The certificate's verdict: passed when no fault is named.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// All that fit.
    pub faults: Vec<Found>,
}

impl Verdict {
    /// Whether every split gives what the whole batch gives.
    pub fn passed(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether `fault` is among those named.
    pub fn names(&self, fault: Fault) -> bool {
        self.faults.iter().any(|found| found.fault == fault)
    }
}

/// The largest relative difference that rounding explains: 1e-12 for `f64`; otherwise `max(1e-5, 8 sqrt(n) u)` over `n`
/// summed terms, with u = 2^-24 for `f32` and 2^-8 for `bf16`.
pub fn tolerance(dtype: &str, terms: u64) -> f64 {
    let rounding = |unit: f64| (8.0 * (terms as f64).sqrt() * unit).max(1e-5);
    match dtype {
        "f64" => 1e-12,
        "bf16" => rounding(2.0_f64.powi(-8)),
        "f16" => rounding(2.0_f64.powi(-11)),
        _ => rounding(2.0_f64.powi(-24)),
    }
}

/// Reads the fingerprint of all `splits` together; `couplings` from the input on, empty where not measured; `order` as
/// [`order_faults`] finds it in the calls of the loop. All faults that fit are named, those of the order last.
pub fn judge(splits: &[Split], couplings: &[Coupling], order: &[Fault], tolerance: f64) -> Verdict {
    let mut judge = Judge { tolerance, couplings, order, faults: Vec::new() };
    let computed = judge.uncomputable(splits);
    let (same, different): (Vec<&Split>, Vec<&Split>) =
        computed.into_iter().partition(|split| split.outputs <= tolerance);
    judge.outputs(&different);
    let rest = judge.clipped(&same);
    let rest = judge.zeroed(&rest);
    judge.scale(&rest);
    judge.angle(&rest);
    judge.update(&same);
    judge.order();
    Verdict { faults: judge.faults }
}

struct Judge<'a> {
    tolerance: f64,
    couplings: &'a [Coupling],
    order: &'a [Fault],
    faults: Vec<Found>,
}

impl Judge<'_> {
    fn name(&mut self, fault: Fault, value: f64, threshold: f64, message: String) {
        self.faults.push(Found { fault, value, threshold, stage: None, message });
    }

    /// 1 - cos of two vectors that differ by `tolerance` is half its square, but never less than rounding in `f64`.
    fn angle_tolerance(&self) -> f64 {
        (self.tolerance * self.tolerance).max(1e-13)
    }

    /// Half the digits: a small loss is a difference of large outputs, whose rounding it has in full.
    fn loss_tolerance(&self) -> f64 {
        self.tolerance.sqrt()
    }

    fn is_bent(&self, split: &Split) -> bool {
        split.angle > self.angle_tolerance()
    }

    /// Names what could not be computed, and returns the rest.
    fn uncomputable<'s>(&mut self, splits: &'s [Split]) -> Vec<&'s Split> {
        let (computed, failed): (Vec<_>, Vec<_>) = splits.iter().partition(|split| reason(split).is_none());
        if let Some(first) = failed.first() {
            let message = format!("{}: {}", shown(first), reason(first).unwrap_or_default());
            self.name(Fault::Uncomputable, failed.len() as f64, 0.0, message);
        }
        computed
    }

    fn outputs(&mut self, different: &[&Split]) {
        let Some(worst) = different.iter().max_by(|a, b| a.outputs.total_cmp(&b.outputs)) else { return };
        let (coupled, differing) = (
            self.couplings.iter().position(|stage| stage.coupling > self.tolerance),
            self.couplings.iter().position(|stage| stage.outputs > self.tolerance),
        );
        let before = |a: Option<usize>, b: Option<usize>| a.is_some_and(|a| b.is_none_or(|b| a < b));
        if let Some(stage) = coupled {
            let Coupling { stage, coupling, .. } = &self.couplings[stage];
            let message = format!(
                "the samples of a batch see each other from stage {stage} on: |d out_i / d x_j| = {coupling:.1e}"
            );
            self.at_stage(Fault::Coupled, *coupling, stage.clone(), message);
        }
        if before(differing, coupled) && !self.order.contains(&Fault::StepInside) {
            let Coupling { stage, outputs, .. } = &self.couplings[differing.unwrap_or_default()];
            let message = format!(
                "the outputs differ from stage {stage} on, where no sample sees another: its masks go by batch"
            );
            self.at_stage(Fault::MasksByBatch, *outputs, stage.clone(), message);
        }
        if coupled.is_none() && differing.is_none() && !self.order.contains(&Fault::StepInside) {
            let (what, fault) = match self.couplings.is_empty() {
                true => ("samples that see each other, or masks drawn by batch; no stage was measured", Fault::Coupled),
                false => ("no stage couples the samples: masks drawn by batch", Fault::MasksByBatch),
            };
            self.name(fault, worst.outputs, self.tolerance, format!("{}: the outputs differ: {what}", shown(worst)));
        }
    }

    fn at_stage(&mut self, fault: Fault, value: f64, stage: String, message: String) {
        self.faults.push(Found { fault, value, threshold: self.tolerance, stage: Some(stage), message });
    }

    /// Names clipping inside the window, and returns the splits it does not explain.
    fn clipped<'s>(&mut self, splits: &[&'s Split]) -> Vec<&'s Split> {
        let fits = |split: &&&Split| {
            split.error > self.tolerance && split.clipped.is_some_and(|distance| distance <= self.tolerance)
        };
        let (explained, rest): (Vec<_>, Vec<_>) = splits.iter().copied().partition(|split| fits(&split));
        if let Some(first) = explained.first() {
            let message = format!("{}: the gradient is the mean of clipped micro-gradients", shown(first));
            self.name(Fault::ClippedInside, first.clipped.unwrap_or_default(), self.tolerance, message);
        }
        rest
    }

    /// Names emptying inside the window, and returns the splits it does not explain.
    fn zeroed<'s>(&mut self, splits: &[&'s Split]) -> Vec<&'s Split> {
        let limit = self.angle_tolerance();
        let fits = |split: &Split| {
            split.micro_batches > 1 && self.is_bent(split) && split.last_angle.is_some_and(|angle| angle <= limit)
        };
        let (explained, rest): (Vec<_>, Vec<_>) = splits.iter().copied().partition(|split| fits(split));
        if let Some(first) = explained.first() {
            let message = format!("{}: the gradient is that of the last micro-batch alone", shown(first));
            self.name(Fault::ZeroedInside, first.last_angle.unwrap_or_default(), limit, message);
        }
        rest
    }

    fn scale(&mut self, splits: &[&Split]) {
        let straight: Vec<&Split> = splits.iter().copied().filter(|split| !self.is_bent(split)).collect();
        let worst = |splits: &[&Split]| splits.iter().map(|s| (s.scale - 1.0).abs()).fold(0.0, f64::max);
        if worst(&straight) <= self.tolerance {
            return;
        }
        let mut fitting = 0;
        for (fault, expected, words) in SCALES {
            // Without the division by k, uneven micro-batches weigh wrongly too: only even ones have s = k.
            let judged = straight.iter().filter(|split| fault != Fault::NoDivision || split.smallest == split.largest);
            let tells: Vec<&&Split> = judged.filter(|split| split.samples > 0).collect();
            let fits = |split: &&&&Split| (split.scale / expected(split) - 1.0).abs() <= SCALE_TOLERANCE;
            if tells.iter().any(|split| expected(split) != 1.0) && tells.iter().filter(fits).count() == tells.len() {
                let most = tells.iter().map(|split| split.scale).fold(0.0, f64::max);
                self.name(fault, most, 1.0, format!("for every split the scale of the gradient is {words}"));
                fitting += 1;
            }
        }
        if fitting == 0 {
            let scales: Vec<String> = straight.iter().map(|s| format!("{} {:.4}", shown(s), s.scale)).collect();
            let message = format!("the scale of the gradient fits no known mistake: {}", scales.join(", "));
            self.name(Fault::Unexplained, worst(&straight), self.tolerance, message);
        }
    }

    fn angle(&mut self, splits: &[&Split]) {
        let limit = self.angle_tolerance();
        let bent = splits.iter().copied().filter(|split| self.is_bent(split));
        let (even, uneven): (Vec<_>, Vec<_>) = bent.partition(|split| split.smallest == split.largest);
        if let Some(split) = even.first() {
            let message =
                format!("{}: equal outputs, but another direction: the loss is no mean over samples", shown(split));
            self.name(Fault::NotPerSample, split.angle, limit, message);
        } else if let Some(split) = uneven.first() {
            let message = format!("{}: another direction on uneven splits only: wrong weights", shown(split));
            self.name(Fault::MeanOfMeans, split.angle, limit, message);
        }
    }

    /// Names updates, running statistics and reported losses that differ although the gradients do not.
    fn update(&mut self, splits: &[&Split]) {
        if !self.faults.is_empty() || !self.order.is_empty() {
            return;
        }
        let worst = |of: fn(&Split) -> Option<f64>| splits.iter().filter_map(|split| of(split)).fold(0.0, f64::max);
        let differences = [
            ("the gradient differs", worst(|split| Some(split.error)), self.tolerance),
            ("equal gradients, but another update", worst(|split| split.parameters), self.tolerance),
            ("equal gradients, but other running statistics", worst(|split| split.buffers), self.tolerance),
            ("equal gradients, but the loop reports another loss", worst(|split| split.loss), self.loss_tolerance()),
        ];
        if let Some((what, worst, limit)) = differences.into_iter().find(|(_, worst, limit)| worst > limit) {
            self.name(Fault::Unexplained, worst, limit, format!("{what}: {worst:.1e}"));
        }
    }

    fn order(&mut self) {
        for fault in self.order {
            if !self.faults.iter().any(|found| found.fault == *fault) {
                self.name(*fault, 1.0, 0.0, "read from the order of calls".into());
            }
        }
    }
}

/// The mistakes that change the scale alone: what s is then.
type Scale = (Fault, fn(&Split) -> f64, &'static str);
const SCALES: [Scale; 3] = [
    (
        Fault::NoDivision,
        |split| split.micro_batches as f64,
        "k: the division by the number of micro-batches is missing",
    ),
    (Fault::SummedLoss, |split| split.samples as f64, "N: the loss is summed over samples"),
    (
        Fault::SummedThenDivided,
        |split| split.samples as f64 / split.micro_batches as f64,
        "N / k: the loss is summed over samples, then divided by the number of micro-batches",
    ),
];

/// The hypotheses differ by whole factors; the measured s is far closer where one holds.
const SCALE_TOLERANCE: f64 = 1e-2;

fn reason(split: &Split) -> Option<String> {
    let numbers = [split.outputs, split.error, split.scale, split.angle];
    let finite = numbers.iter().all(|number| number.is_finite());
    split.failure.clone().or_else(|| (!finite).then(|| "what it gives is not finite".into()))
}

fn shown(split: &Split) -> String {
    let Split { micro_batches, smallest, largest, .. } = split;
    match smallest == largest {
        true => format!("{micro_batches} of {largest}"),
        false => format!("{micro_batches} of {smallest} to {largest}"),
    }
}

/// The faults that the order of calls in `record` shows.
pub fn order_faults(record: &Record) -> Vec<Fault> {
    const RULES: [(&str, Fault); 5] = [
        ("window-step", Fault::StepInside),
        ("window-drop", Fault::DroppedWindow),
        ("window-schedule", Fault::ScheduleInside),
        ("window-clip", Fault::ClippedInside),
        ("zeroed-gradient", Fault::ZeroedInside),
    ];
    let finds = |name: &str| explain(name).is_some_and(|rule| !rule.check(record, &Thresholds::default()).is_empty());
    RULES.into_iter().filter(|(name, _)| finds(name)).map(|(_, fault)| fault).collect()
}

/// The splits and couplings that a record's probes hold, as [`judge`] takes them.
pub fn measurements(record: &Record) -> (Vec<Split>, Vec<Coupling>) {
    let couplings = record.probes("coupling").map(|probe| Coupling {
        stage: probe.stage.clone(),
        outputs: probe.value("outputs").unwrap_or(0.0),
        coupling: probe.value("coupling").unwrap_or(0.0),
    });
    (record.probes("accumulation").map(split).collect(), couplings.collect())
}

fn split(probe: &Probe) -> Split {
    let count = |name| probe.value(name).unwrap_or(0.0) as u64;
    let number = |name| probe.value(name).unwrap_or(f64::NAN);
    Split {
        micro_batches: count("micro_batches"),
        samples: count("samples"),
        smallest: count("smallest"),
        largest: count("largest"),
        outputs: probe.value("outputs").unwrap_or(0.0),
        error: number("error"),
        scale: number("scale"),
        angle: number("angle"),
        last_angle: probe.value("last_angle"),
        clipped: probe.value("clipped"),
        loss: probe.value("loss"),
        parameters: probe.value("parameters"),
        buffers: probe.value("buffers"),
        failure: None,
    }
}
