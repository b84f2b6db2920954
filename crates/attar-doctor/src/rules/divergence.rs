//! A loss that ends above where it began, or gives back what it gained.

use super::Rule;
use crate::finding::shown;
use crate::statistics::{blocks, median, standard_error};
use crate::{Event, Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "divergence",
    wrong: "the training loss ends above where it began, or gives back much of what it had gained.",
    matters: "the updates do not descend: the network ends no better than untrained, or worse than it has been.",
    quantity: "of losses above zero, as ratios of others say nothing: medians over tenths of the run: the last over the loss before training (or over that of a \
               network that knows nothing, where larger); the largest single loss over the same, unless the run ends \
               a tenth below it; and (last - best) / (before - best), where more than a tenth of the first loss was \
               gained, and the loss of it is beyond three standard errors.",
    threshold: "1.1, 2 and 0.2; TheDeepChecker (Ben Braiek and Khomh 2022) takes a doubling of the loss, which a \
                classifier that has exploded and come to rest at ln C shows for a few steps only; the others are own.",
    remedy: "lower the learning rate by a factor of 3 to 10 or warm it up; clip the gradient. If stale-gradient was \
             found too, mend that first: it looks the same.",
    explains: &[
        "oscillation",
        "clipping",
        "dead-units",
        "saturated-units",
        "exploding-gradient",
        "no-progress",
        "input-independence",
    ],
    check,
};

const FEWEST_STEPS: usize = 20;

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let Some(course) = Course::of(record) else { return Vec::new() };
    let Course { initial, peak, best, last, noise, .. } = course;
    let (rise, lost) = (last / initial, (last - best) / (initial - best));
    let comes_back = last < UNLEARNT * initial;
    let (value, threshold, what) = match () {
        () if rise > thresholds.divergence_rise => (rise, thresholds.divergence_rise, "times the loss before training"),
        () if peak > thresholds.divergence_peak * initial && !comes_back => {
            (peak / initial, thresholds.divergence_peak, "times the loss before training at its peak")
        }
        () if last - best > UNLEARNT.mul_add(-initial, initial).max(3.0 * noise)
            && lost > thresholds.divergence_loss =>
        {
            (lost, thresholds.divergence_loss, "of the progress is lost again")
        }
        () => return Vec::new(),
    };
    let [from, through, to, value_shown] = [initial, best, last, value].map(shown);
    let message = format!("the loss goes from {from} to {through} to {to}: {value_shown} {what}{}", fresh(record));
    vec![RULE.finding(Gravity::Fault, value, threshold, Place::step(course.first_rise), message)]
}

/// Less than a tenth of the first loss is no progress, and no loss of it.
const UNLEARNT: f64 = 0.9;

/// Levels of the loss over the run.
struct Course {
    /// Before training, or that of a network that knows nothing: the first batch may be an easy one.
    initial: f64,
    /// The largest single loss.
    peak: f64,
    best: f64,
    last: f64,
    /// Standard error of the difference of two levels.
    noise: f64,
    first_rise: u64,
}

impl Course {
    fn of(record: &Record) -> Option<Self> {
        let losses = record.losses();
        let first = record.initial_loss().or(losses.first().copied()).filter(|loss| loss.is_finite())?;
        let initial = first.max(record.ignorant_loss().unwrap_or(first));
        if losses.len() < FEWEST_STEPS {
            return None;
        }
        let levels: Vec<f64> = blocks(&losses, 10).into_iter().map(level).collect();
        if initial <= 0.0 || losses.iter().any(|loss| *loss < 0.0) {
            return None;
        }
        let errors: Vec<f64> = blocks(&losses, 10).into_iter().map(standard_error).collect();
        let rises = |loss: &f64| loss.is_nan() || *loss > initial;
        Some(Self {
            initial,
            peak: losses.iter().copied().fold(initial, f64::max),
            best: levels.iter().copied().fold(f64::INFINITY, f64::min),
            last: levels.last().copied()?,
            noise: 2.0_f64.sqrt() * median(&errors).unwrap_or_default(),
            first_rise: losses.iter().position(rises).map_or(record.steps().count() as u64, |i| i as u64 + 1),
        })
    }
}

/// The median; infinite where more than half is not finite.
fn level(block: &[f64]) -> f64 {
    let finite = block.iter().filter(|loss| loss.is_finite()).count();
    if finite * 2 < block.len() { f64::INFINITY } else { median(block).unwrap_or(f64::INFINITY) }
}

/// That the gradients were fresh, where the record can say so.
fn fresh(record: &Record) -> &'static str {
    let mut buffers = record.events.iter().filter_map(|event| match event {
        Event::Backward(backward) if backward.step > 1 => backward.buffer,
        _ => None,
    });
    match (record.header.accumulation, buffers.next()) {
        (1, Some(0.0)) if buffers.all(|buffer| buffer == 0.0) => {
            "; the buffers were empty before every backward pass, so the gradients are not stale"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, set_losses};

    fn found(losses: impl Iterator<Item = f64>) -> Vec<Finding> {
        let mut record = healthy();
        set_losses(&mut record, losses);
        check(&record, &Thresholds::default())
    }

    #[test]
    fn ill_runs_are_named() {
        let finding = &found((0..40).map(|i| 2.3 * 1.1_f64.powi(i)))[0];
        assert!(finding.value > 10.0 && finding.message.contains("not stale"), "{}", finding.message);
        // Falls to 0.37, ends at 1.3: two fifths of the progress, by medians, are gone.
        let finding = &found((0..40).map(|i| if i < 30 { 2.3 - f64::from(i) / 15.0 } else { 1.3 }))[0];
        assert!((0.35..0.45).contains(&finding.value), "{}", finding.value);
        assert_eq!(found((0..40).map(|i| if i < 5 { 2.3 } else { f64::NAN })).len(), 1);
        let finding = &found((0..40).map(|i| if i == 1 { 50.0 } else { 2.3 }))[0];
        assert!((finding.value - 50.0 / 10.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn sound_runs_pass() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
        // A loss that stands still is another rule's.
        assert!(found((0..40).map(|i| 2.31 + 0.1 * f64::from(i % 3))).is_empty());
        // A spike at the start that is overcome, and noise about a plateau.
        assert!(found((0..40).map(|i| if i == 1 { 30.0 } else { 2.3 * 0.9_f64.powi(i) })).is_empty());
        assert!(found((0..40).map(|i| 0.2 + 0.1 * f64::from(i % 3))).is_empty());
        // A short run of small batches, whose losses scatter more than they fall.
        assert!(found((0..20).map(|i| 2.3 - 0.06 * f64::from(i) + f64::from(i % 2))).is_empty());
        assert!(found((0..10).map(|_| 2.3)).is_empty());
        // A likelihood or a similarity, which falls below zero.
        assert!(found((0..40).map(|i| -0.1 - 0.02 * f64::from(i))).is_empty());
        assert!(found((0..40).map(|i| 0.5 - 0.1 * f64::from(i))).is_empty());
    }
}
