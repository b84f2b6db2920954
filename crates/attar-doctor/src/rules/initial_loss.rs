//! The loss before training against that of a network that knows nothing.

use super::Rule;
use crate::finding::shown;
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "initial-loss",
    wrong: "the loss before training is not that of a network that knows nothing.",
    matters: "far above, the initialisation is confidently wrong and the first steps are spent on unlearning it; far \
              below, the answer leaks into the input, or the loss is not the one that was meant.",
    quantity: "loss of the first step (with tiny batches: of the first 32 samples) over ln C for C classes, over the \
               mean squared norm of the target for squared error; less 1.",
    threshold: "1 above (TheDeepChecker's pre-check, Ben Braiek and Khomh 2022, and Karpathy's recipe, 2019), 0.5 \
                below (own: no batch of untrained guesses is that lucky).",
    remedy: "initialise the last layer smaller (zero is sound there), normalise the inputs, and check the reduction \
             of the loss and what the input contains.",
    explains: &["update-ratio", "no-progress"],
    check,
};

fn check(record: &Record, thresholds: &Thresholds) -> Vec<Finding> {
    let (Some(initial), Some(ignorant)) = (record.initial_loss(), record.ignorant_loss()) else { return Vec::new() };
    let excess = initial / ignorant - 1.0;
    let threshold = match excess {
        excess if excess > thresholds.initial_loss_excess => thresholds.initial_loss_excess,
        excess if -excess > thresholds.initial_loss_shortfall => -thresholds.initial_loss_shortfall,
        _ => return Vec::new(),
    };
    let message =
        format!("the first loss is {}, that of a network that knows nothing {}", shown(initial), shown(ignorant));
    vec![RULE.finding(Gravity::Warning, excess, threshold, Place::step(1), message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, set_losses};

    fn found(first: f64, change: impl Fn(&mut Record)) -> Vec<Finding> {
        let mut record = healthy();
        set_losses(&mut record, std::iter::once(first));
        change(&mut record);
        check(&record, &Thresholds::default())
    }

    #[test]
    fn a_first_loss_far_off_is_named() {
        assert!((found(11.5, |_| ())[0].value - (11.5 / 10.0_f64.ln() - 1.0)).abs() < 1e-12);
        assert!(found(0.3, |_| ())[0].value < -0.5);
        let autoencoder = |r: &mut Record| (r.header.classes, r.header.target_norm) = (None, Some(50.0));
        assert_eq!(found(120.0, autoencoder).len(), 1);
        assert!(found(52.0, autoencoder).is_empty());
    }

    #[test]
    fn ln_c_passes_and_so_does_what_cannot_be_judged() {
        assert!(found(2.4, |_| ()).is_empty());
        assert!(found(11.5, |record| record.header.classes = None).is_empty());
        // One sample may be hard; the first 32 are not all.
        assert!(found(11.5, |record| record.header.batch_size = 1).is_empty());
    }
}
