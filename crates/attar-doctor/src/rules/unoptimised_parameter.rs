//! Parameters that have a gradient and no optimizer.

use super::Rule;
use super::tensor_history::{first_step, histories};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "unoptimised-parameter",
    wrong: "a parameter gets a gradient, but no optimizer was given it.",
    matters: "it stays as initialised, at the full cost of its gradient.",
    quantity: "tensors that the header marks as not optimised and that have a gradient at some recorded step.",
    threshold: "0 tensors: what is frozen on purpose asks for no gradient.",
    remedy: "give it to the optimizer, or exclude it from the gradient (requires_grad = False).",
    explains: &["no-progress"],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let histories = histories(record);
    let ill: Vec<_> = histories.iter().filter(|history| !history.tensor.optimised && history.has_gradient()).collect();
    let Some(first) = ill.first() else { return Vec::new() };
    let message = format!("{} of {} parameters have a gradient but no optimizer", ill.len(), histories.len());
    let place = Place::parameter(&first.tensor.name, first_step(record));
    vec![RULE.finding(Gravity::Fault, ill.len() as f64, 0.0, place, message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, with_norms};

    #[test]
    fn a_parameter_without_optimizer_is_named() {
        let mut record = with_norms(|norms| norms.update[0] = 0.0);
        record.header.tensors[0].optimised = false;
        let finding = &check(&record, &Thresholds::default())[0];
        assert_eq!(finding.place.parameter.as_deref(), Some("a.weight"));
    }

    #[test]
    fn parameters_frozen_on_purpose_pass() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
        let mut record = with_norms(|norms| (norms.gradient[0], norms.update[0]) = (None, 0.0));
        record.header.tensors[0].optimised = false;
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
