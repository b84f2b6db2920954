//! Parameters that the loss does not reach.

use super::Rule;
use super::tensor_history::{first_step, histories};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "unused-parameter",
    wrong: "the optimizer holds a parameter whose gradient is absent or exactly zero at every recorded step.",
    matters: "it is not part of what computes the loss: a forgotten branch, a detached tensor, a stage that is all \
              dead.",
    quantity: "tensors the optimizer was given without any gradient other than zero.",
    threshold: "0 tensors, over at least three recorded steps (branches that begin at zero have no gradient at the \
                first).",
    remedy: "remove the parameter, or mend the path: look for detach, no_grad, a branch never called, and dead units \
             after it.",
    explains: &["frozen-parameter", "no-progress", "one-batch", "input-independence"],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let histories = histories(record);
    let ill: Vec<_> = histories.iter().filter(|history| history.tensor.optimised && !history.has_gradient()).collect();
    let Some(first) = ill.first() else { return Vec::new() };
    let message = format!("{} of {} parameters never have a gradient", ill.len(), histories.len());
    let place = Place::parameter(&first.tensor.name, first_step(record));
    vec![RULE.finding(Gravity::Fault, ill.len() as f64, 0.0, place, message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, with_norms};

    #[test]
    fn a_parameter_without_gradient_is_named() {
        for nothing in [None, Some(0.0)] {
            let finding = &check(&with_norms(|norms| norms.gradient[1] = nothing), &Thresholds::default())[0];
            assert_eq!(finding.place.parameter.as_deref(), Some("a.bias"));
        }
    }

    #[test]
    fn parameters_with_a_gradient_pass() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
        // A branch that begins at zero, and an expert that is rarely asked.
        let record = with_norms(|norms| norms.gradient[1] = Some(f64::from(norms.step > 1)));
        assert!(check(&record, &Thresholds::default()).is_empty());
        let record = with_norms(|norms| norms.gradient[1] = (norms.step == 17).then_some(0.1));
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
