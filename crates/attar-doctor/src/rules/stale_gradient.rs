//! Gradients of earlier batches left in the buffers.

use super::Rule;
use crate::windows::{Call, Window, ordered_windows, windows};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "stale-gradient",
    wrong: "a step descends the sum of this batch's gradient and those of earlier batches, because the buffers were \
            not emptied after the step before: zero_grad is missing, or sits where it runs too seldom.",
    matters: "the sum of all past gradients is a force that no longer knows where the weights are: plain descent \
              circles the minimum for ever, momentum diverges at every learning rate. At a small one the curve looks \
              healthy, at a larger one it looks like a learning rate that is too high; so the curve is no evidence.",
    quantity: "the norm of the gradient buffers just before the first backward pass after a step, which must be zero; \
               where a fresh backward was recorded (probe `stale`), r = |after - fresh| / |fresh| and q = |after - \
               before - fresh| / |fresh|: stale when r is not zero and q is. A pass with r zero acquits only where its \
               own buffer was not empty. Where zero_grad sits is read from the order of calls.",
    threshold: "0 for the norm, which emptying makes exactly zero; 1e-2 for r and q, between rounding (1e-7 of the \
                buffers' size) and a whole stale gradient (about 1).",
    remedy: "call optimizer.zero_grad() before the first backward pass of every step.",
    explains: &[
        "divergence",
        "oscillation",
        "update-ratio",
        "non-finite",
        "exploding-gradient",
        "clipping",
        "dead-units",
        "saturated-units",
        "accumulation",
        "input-independence",
        "no-progress",
    ],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let evidence = Evidence::of(record, thresholds.stale_difference);
    evidence.finding(record).into_iter().collect()
}

/// What the record says of the buffers at the first backward pass after a step.
struct Evidence {
    /// Windows judged by a recorded norm, and those whose buffers were not empty.
    judged: usize,
    full: Vec<u64>,
    /// Windows that no `zero_grad` began, where the order is known.
    unzeroed: Vec<u64>,
    probes: Probes,
}

/// Fresh backward passes: how many show a stale gradient, a buffer that something else changed, a clean one.
#[derive(Default)]
struct Probes {
    stale: Vec<(u64, f64, f64)>,
    altered: Vec<(u64, f64, f64)>,
    /// Steps; one whose numbers are not finite says nothing.
    clean: Vec<u64>,
}

impl Probes {
    fn of(record: &Record, tolerance: f64) -> Self {
        let mut probes = Self::default();
        for probe in record.probes("stale") {
            let (Some(r), Some(q)) = (probe.value("r"), probe.value("q")) else { continue };
            match (r > tolerance, q > tolerance) {
                _ if !r.is_finite() || !q.is_finite() => {}
                (true, false) => probes.stale.push((probe.step, r, q)),
                (true, true) => probes.altered.push((probe.step, r, q)),
                (false, _) => probes.clean.push(probe.step),
            }
        }
        probes
    }
}

/// The windows that follow a step: the only ones whose buffers must be empty at their first backward pass.
fn after_a_step(windows: &[Window]) -> impl Iterator<Item = &Window> {
    windows.windows(2).filter(|pair| pair[0].closed && pair[1].passes() > 0).map(|pair| &pair[1])
}

impl Evidence {
    fn of(record: &Record, tolerance: f64) -> Self {
        let all = windows(record);
        let buffer = |window: &Window| window.backwards().next().and_then(|backward| backward.buffer);
        let is_zero = |call: &Call| *call == Call::ZeroGrad;
        let measured = || after_a_step(&all).filter_map(|window| buffer(window).map(|norm| (window.step, norm)));
        // NaN is not empty either.
        let full = measured().filter(|(_, norm)| *norm != 0.0).map(|(step, _)| step).collect();
        // Emptied after the last pass of the window before, it is empty too.
        let pairs = all.windows(2).filter(|pair| record.header.order && pair[0].closed && pair[1].passes() > 0);
        let unzeroed = pairs.filter(|pair| !pair[1].before_first(is_zero) && !pair[0].after_last(is_zero));
        let unzeroed = unzeroed.map(|pair| pair[1].step).collect();
        Self { judged: measured().count(), full, unzeroed, probes: Probes::of(record, tolerance) }
    }

    fn finding(&self, record: &Record) -> Option<Finding> {
        let Probes { stale, altered, clean } = &self.probes;
        if let Some(&(step, r, q)) = stale.first() {
            let confirmed = format!("a fresh backward pass at step {step} confirms it: r = {r:.3}, q = {q:.1e}");
            return Some(self.stale(record, &confirmed, step));
        }
        if let Some(&(step, r, q)) = altered.first() {
            let message = format!(
                "the gradient the step uses differs from this batch's own by {r:.3} and stale buffers do not explain \
                 it (q = {q:.3}): something else changes the buffers"
            );
            return Some(RULE.finding(Gravity::Warning, r, 0.0, Place::step(step), message));
        }
        if let Some(&step) = self.full.first() {
            // A step that was found empty says nothing of those that were not.
            let acquitted = clean.iter().any(|step| self.full.contains(step));
            return (!acquitted).then(|| self.stale(record, "no fresh backward pass was recorded to confirm it", step));
        }
        let step = *self.unzeroed.first().filter(|_| self.judged == 0 && clean.is_empty())?;
        let message = format!("zero_grad is {}; no norm of the buffers was recorded", self.seat(record));
        Some(RULE.finding(Gravity::Warning, self.unzeroed.len() as f64, 0.0, Place::step(step), message))
    }

    fn stale(&self, record: &Record, confirmation: &str, step: u64) -> Finding {
        let share = if self.judged == 0 { 1.0 } else { self.full.len() as f64 / self.judged as f64 };
        let first = self.full.first().copied().unwrap_or(step);
        let message = format!(
            "the buffers still hold earlier gradients at the first backward pass of {:.0} % of the steps; \
             {confirmation}; zero_grad is {}",
            share * 100.0,
            self.seat(record)
        );
        RULE.finding(Gravity::Fault, share, 0.0, Place::step(first), message)
    }

    /// Where `zero_grad` sits, in words that follow "is".
    fn seat(&self, record: &Record) -> &'static str {
        let all = ordered_windows(record);
        let is_zero = |call: &Call| *call == Call::ZeroGrad;
        let zeroed: Vec<&Window> = all.iter().filter(|window| window.calls.iter().any(is_zero)).collect();
        let begins_epoch = |window: &&Window| {
            all.iter().find(|other| other.epoch == window.epoch).is_some_and(|first| first.step == window.step)
        };
        match zeroed.as_slice() {
            _ if !record.header.order => "not recorded",
            [] => "never called",
            [once] if all.first() == Some(*once) => "called once, before the loop",
            several if several.iter().all(begins_epoch) => "called once an epoch",
            _ => "called after some steps only",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, loop_of, probe, stale, with_probe};
    use crate::{Event, Position};

    fn found(record: &Record) -> Vec<Finding> {
        check(record, &Thresholds::default())
    }

    #[test]
    fn a_loop_that_never_empties_is_named() {
        let finding = &found(&stale())[0];
        assert_eq!((finding.gravity, finding.place.step), (Gravity::Fault, Some(2)));
        assert!(finding.message.contains("100 %") && finding.message.ends_with("never called"), "{}", finding.message);
    }

    #[test]
    fn emptying_at_the_start_of_an_epoch_is_named() {
        let mut record = stale();
        let first = record.events.iter().position(|e| matches!(e, Event::Backward(b) if b.step == 21));
        record.events.insert(first.unwrap(), Event::ZeroGrad(Position { epoch: 2, step: 21 }));
        record.events.insert(0, Event::ZeroGrad(Position { epoch: 1, step: 1 }));
        let message = &found(&record)[0].message;
        assert!(message.ends_with("called once an epoch"), "{message}");
        record.events.retain(|e| !matches!(e, Event::ZeroGrad(place) if place.epoch == 2));
        let message = &found(&record)[0].message;
        assert!(message.ends_with("called once, before the loop"), "{message}");
    }

    #[test]
    fn a_fresh_backward_confirms_or_finds_another_cause() {
        let values = |r, q| [("buffer", 2.0), ("fresh", 0.4), ("r", r), ("q", q)];
        assert!(found(&with_probe("stale", &values(1e-7, 1e-7))).is_empty());
        let finding = &found(&with_probe("stale", &values(5.0, 1e-6)))[0];
        assert!(finding.gravity == Gravity::Fault && finding.message.contains("r = 5.000, q = 1.0e-6"));
        let finding = &found(&with_probe("stale", &values(5.0, 0.4)))[0];
        assert!(finding.gravity == Gravity::Warning && finding.message.contains("something else"));
        let mut record = stale();
        record.events.push(probe("stale", &values(1e-9, 0.3)));
        assert!(found(&record).is_empty(), "what is left in the buffers does not reach the gradient");
    }

    /// `zero_grad` once an epoch, and fresh passes only where the buffers are empty; or ones that are not numbers.
    #[test]
    fn what_says_nothing_acquits_nobody() {
        let clean = [("buffer", 0.0), ("fresh", 0.4), ("r", 1e-8), ("q", 1e-8)];
        for values in [clean, clean.map(|(name, _)| (name, f64::NAN))] {
            let mut record = stale();
            for event in &mut record.events {
                if let Event::Backward(backward) = event
                    && backward.step == 21
                {
                    backward.buffer = Some(0.0);
                }
            }
            let Event::Probe(mut fresh) = probe("stale", &values) else { unreachable!() };
            fresh.step = 21;
            record.events.push(Event::Probe(fresh));
            assert_eq!(found(&record).first().map(|finding| finding.gravity), Some(Gravity::Fault));
        }
    }

    #[test]
    fn sound_orders_pass() {
        assert!(found(&healthy()).is_empty());
        // Emptied after the step, and legal accumulation, whose buffer is full inside the window only.
        assert!(found(&loop_of(&["backward", "step", "zero"], 1)).is_empty());
        let mut record = loop_of(&["zero", "backward", "backward", "step"], 2);
        let mut second = false;
        for event in &mut record.events {
            if let Event::Backward(backward) = event {
                backward.buffer = second.then_some(0.3).or(Some(0.0));
                second = !second;
            }
        }
        assert!(found(&record).is_empty());
    }

    #[test]
    fn order_alone_is_a_warning() {
        let mut record = stale();
        for event in &mut record.events {
            if let Event::Backward(backward) = event {
                backward.buffer = None;
            }
        }
        assert_eq!(found(&record)[0].gravity, Gravity::Warning);
        record.header.order = false;
        assert!(found(&record).is_empty());
    }
}
