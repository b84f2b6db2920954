//! A loss that ends above where it began, or gives back what it gained.

use super::Rule;
use crate::finding::shown;
use crate::statistics::{blocks, median};
use crate::{Event, Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "divergence",
    wrong: "the training loss ends above where it began, or gives back much of what it had gained.",
    matters: "the updates do not descend: the network ends no better than untrained, or worse than it has been.",
    quantity: "medians of the loss over tenths of the run: the last over the loss before training (or over that of a \
               network that knows nothing, where larger); and (last - best) / (before - best).",
    threshold: "1.1 and 0.2; TheDeepChecker (Ben Braiek and Khomh 2022) takes a doubling of the loss, which a \
                classifier that has exploded and come to rest at ln C does not reach.",
    remedy: "lower the learning rate by a factor of 3 to 10 or warm it up; clip the gradient. If stale-gradient was \
             found too, mend that first: it looks the same.",
    explains: &["oscillation", "clipping", "dead-units", "saturated-units", "exploding-gradient"],
    check,
};

const FEWEST_STEPS: usize = 20;

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let losses = record.losses();
    let Some(initial) = record.initial_loss().or(losses.first().copied()) else { return Vec::new() };
    if losses.len() < FEWEST_STEPS || !initial.is_finite() {
        return Vec::new();
    }
    // A sum over no more than chance: the first batch may be an easy one.
    let initial = initial.max(record.ignorant_loss().unwrap_or(initial));
    let levels: Vec<f64> = blocks(&losses, 10).into_iter().map(|block| level(block).unwrap_or(f64::INFINITY)).collect();
    let last = levels.last().copied().unwrap_or(initial);
    let best = levels.iter().copied().fold(f64::INFINITY, f64::min);
    let (rise, lost) = (last / initial, (last - best) / (initial - best));
    let (value, threshold, what) = match () {
        () if rise > thresholds.divergence_rise => (rise, thresholds.divergence_rise, "times the loss before training"),
        () if best < initial && lost > thresholds.divergence_loss => {
            (lost, thresholds.divergence_loss, "of the progress is lost again")
        }
        () => return Vec::new(),
    };
    let [from, through, to, value_shown] = [initial, best, last, value].map(shown);
    let message = format!("the loss goes from {from} to {through} to {to}: {value_shown} {what}{}", fresh(record));
    vec![RULE.finding(Gravity::Fault, value, threshold, Place::step(first_rise(&losses, initial)), message)]
}

/// The median with what is not finite counted as infinite.
fn level(block: &[f64]) -> Option<f64> {
    let finite = block.iter().filter(|loss| loss.is_finite()).count();
    if finite * 2 < block.len() { None } else { median(block) }
}

fn first_rise(losses: &[f64], initial: f64) -> u64 {
    losses.iter().position(|loss| loss.is_nan() || *loss > initial).unwrap_or(losses.len() - 1) as u64 + 1
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
    }

    #[test]
    fn sound_runs_pass() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
        // A spike at the start that is overcome, and noise about a plateau.
        assert!(found((0..40).map(|i| if i == 1 { 30.0 } else { 2.3 * 0.9_f64.powi(i) })).is_empty());
        assert!(found((0..40).map(|i| 0.2 + 0.1 * f64::from(i % 3))).is_empty());
        assert!(found((0..10).map(|_| 2.3)).is_empty());
    }
}
