//! A network that learns its samples and nothing that holds of others.

use super::Rule;
use crate::finding::shown;
use crate::statistics::{blocks, median};
use crate::{Event, Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "no-generalisation",
    wrong: "the training loss falls, but on held-out samples the network is never better than one that knows nothing.",
    matters: "it learns its samples by heart. A network of some size learns any labels so, random ones too, and neither \
              the training loss nor one batch shows it.",
    quantity: "of a classifier: 1 - the smallest loss of an `evaluation` on a split other than `train`, over ln C; where \
               the training loss has fallen by more than the threshold.",
    threshold: "0.05, over two evaluations or more (own; Zhang et al. 2017, \"Understanding deep learning requires \
                rethinking generalization\": random labels are fitted, and tested at chance).",
    remedy: "see whether labels belong to inputs, in training and in evaluation, and whether both are prepared alike; \
             then whether there are samples enough.",
    explains: &["train-eval-gap"],
    check,
};

const FEWEST: usize = 2;

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let losses = record.losses();
    let last = blocks(&losses, 10).pop().and_then(median);
    let ignorant = record.ignorant_loss().filter(|_| record.header.classes.is_some());
    let (Some(last), Some(ignorant)) = (last, ignorant) else { return Vec::new() };
    let held_out: Vec<(f64, u64)> = record.events.iter().filter_map(held_out).collect();
    let best = held_out.iter().map(|(loss, _)| *loss).fold(f64::INFINITY, f64::min);
    let gain = 1.0 - best / ignorant;
    let learns = 1.0 - last / ignorant > thresholds.generalisation;
    let Some((_, step)) = held_out.last().filter(|_| held_out.len() >= FEWEST && learns) else { return Vec::new() };
    if gain >= thresholds.generalisation {
        return Vec::new();
    }
    let [last, best, ignorant] = [last, best, ignorant].map(shown);
    let message = format!(
        "the training loss falls to {last}; on held-out samples the loss is never below {best}, and {ignorant} without \
         any knowledge"
    );
    vec![RULE.finding(Gravity::Warning, gain, thresholds.generalisation, Place::step(*step), message)]
}

/// The loss of an evaluation on samples that are not trained on, and the step after which it was made.
fn held_out(event: &Event) -> Option<(f64, u64)> {
    match event {
        Event::Evaluation(evaluation) if evaluation.split != "train" && evaluation.step > 0 => {
            Some((*evaluation.metrics.get("loss")?, evaluation.step))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Evaluation;
    use crate::rules::fixture::{healthy, set_losses};

    fn found(split: &str, losses: [f64; 3]) -> Vec<Finding> {
        check(&evaluated(split, losses), &Thresholds::default())
    }

    fn evaluated(split: &str, losses: [f64; 3]) -> Record {
        let mut record = healthy();
        for (loss, step) in losses.into_iter().zip([20, 30, 40]) {
            let metrics = [("loss".to_owned(), loss)].into();
            record.events.push(Event::Evaluation(Evaluation { epoch: 1, step, split: split.into(), metrics }));
        }
        record
    }

    #[test]
    fn what_is_learnt_by_heart_alone_is_named() {
        let finding = &found("validation", [2.31, 2.4, 3.9])[0];
        assert!((finding.value - (1.0 - 2.31 / 10.0_f64.ln())).abs() < 1e-12 && finding.place.step == Some(40));
    }

    #[test]
    fn what_holds_of_others_passes_and_so_does_what_cannot_be_judged() {
        // Better for a while, and overconfident later.
        assert!(found("validation", [1.9, 2.4, 3.9]).is_empty());
        assert!(found("train", [2.31, 2.4, 3.9]).is_empty());
        let mut record = evaluated("validation", [2.31, 2.4, 3.9]);
        record.header.classes = None;
        assert!(check(&record, &Thresholds::default()).is_empty());
        // Nothing is learnt at all, which is another rule's.
        let mut record = evaluated("validation", [2.31, 2.3, 2.3]);
        set_losses(&mut record, std::iter::repeat(2.3));
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
