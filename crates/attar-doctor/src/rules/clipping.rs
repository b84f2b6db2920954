//! Clipping at most steps.

use super::Rule;
use crate::{Clip, Event, Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "clipping",
    wrong: "the gradient is clipped at most steps.",
    matters: "clipping is meant for the rare long gradient; at most steps it is a second learning rate that nobody \
              set, and the gradient's length no longer counts.",
    quantity: "share of calls to clip that found a norm above the limit.",
    threshold: "0.5 (Google's tuning playbook: above half, clip less or lower the rate).",
    remedy: "raise the limit to the 90th percentile of the norms, or lower the learning rate.",
    explains: &[],
    check,
};

const FEWEST: usize = 10;

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let clips: Vec<&Clip> = record.events.iter().filter_map(clip).collect();
    let clipped: Vec<&&Clip> = clips.iter().filter(|clip| clip.norm > clip.limit || clip.norm.is_nan()).collect();
    let share = clipped.len() as f64 / clips.len() as f64;
    let Some(first) = clipped.first().filter(|_| clips.len() >= FEWEST && share > thresholds.clipped_share) else {
        return Vec::new();
    };
    let message = format!("clipped {} times of {} to {}", clipped.len(), clips.len(), first.limit);
    vec![RULE.finding(Gravity::Warning, share, thresholds.clipped_share, Place::step(first.step), message)]
}

fn clip(event: &Event) -> Option<&Clip> {
    match event {
        Event::Clip(clip) => Some(clip),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::loop_of;

    fn found(norm: impl Fn(u64) -> f64) -> Vec<Finding> {
        let mut record = loop_of(&["zero", "backward", "clip", "step"], 1);
        for event in &mut record.events {
            if let Event::Clip(clip) = event {
                clip.norm = norm(clip.step);
            }
        }
        check(&record, &Thresholds::default())
    }

    #[test]
    fn clipping_most_steps_is_named() {
        let finding = &found(|step| if step % 4 == 0 { 0.5 } else { 3.0 })[0];
        assert_eq!((finding.value, finding.place.step), (0.75, Some(1)));
    }

    #[test]
    fn clipping_the_rare_long_gradient_passes() {
        assert!(found(|step| if step % 10 == 0 { 9.0 } else { 0.5 }).is_empty());
    }
}
