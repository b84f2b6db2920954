//! Parameters that have a gradient and do not move.

use super::Rule;
use super::tensor_history::{first_step, histories, rates};
use crate::{Finding, Gravity, Place, Record, Thresholds};

pub(super) static RULE: Rule = Rule {
    name: "frozen-parameter",
    wrong: "the optimizer holds a parameter that has a gradient, and its steps do not change it.",
    matters: "the network trains around it; the optimizer may hold a copy made before the model was moved or wrapped.",
    quantity: "tensors the optimizer was given, with an update of exactly zero at every recorded step, although at \
               one the learning rate times the gradient was more than 1e-6 of the weights.",
    threshold: "0 tensors; 1e-6 is ten times what f32 rounds away (AWS Debugger UnchangedTensor asks the same of \
                three steps).",
    remedy: "give the optimizer the model's own parameters, after it is moved or wrapped, and a learning rate above \
             zero for every group.",
    explains: &["no-progress", "update-ratio"],
    check,
};

fn check(record: &Record, _: &Thresholds) -> Vec<Finding> {
    let histories = histories(record);
    let rates = rates(record);
    let ill: Vec<_> = histories
        .iter()
        .filter(|history| history.tensor.optimised && !history.moves() && history.should_move(&rates))
        .collect();
    let Some(first) = ill.first() else { return Vec::new() };
    let message = format!("{} of {} parameters have a gradient but never change", ill.len(), histories.len());
    let place = Place::parameter(&first.tensor.name, first_step(record));
    vec![RULE.finding(Gravity::Fault, ill.len() as f64, 0.0, place, message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::fixture::{healthy, with_norms};

    #[test]
    fn a_parameter_that_stands_still_is_named() {
        let finding = &check(&with_norms(|norms| norms.update[2] = 0.0), &Thresholds::default())[0];
        assert_eq!(finding.place.parameter.as_deref(), Some("b.weight"));
    }

    #[test]
    fn moving_parameters_pass() {
        assert!(check(&healthy(), &Thresholds::default()).is_empty());
        // Still for a warm-up of one step, or without a gradient, which is another rule's.
        let record = with_norms(|norms| norms.update[2] *= f64::from(norms.step > 1));
        assert!(check(&record, &Thresholds::default()).is_empty());
        let record = with_norms(|norms| (norms.gradient[2], norms.update[2]) = (None, 0.0));
        assert!(check(&record, &Thresholds::default()).is_empty());
        // A gradient so small that it is rounded away.
        let record = with_norms(|norms| (norms.gradient[2], norms.update[2]) = (Some(1e-8), 0.0));
        assert!(check(&record, &Thresholds::default()).is_empty());
    }
}
