//! `submission_log.json`, in the course's structure.

use std::collections::BTreeMap;

use attar_learn::Curves;
use serde::Serialize;
use serde_json::{Value, json};

use super::mnist::Kind;
use crate::sweep_results::Group;

/// One experiment: each curve by kind, a list over repeats of lists over epochs.
#[derive(Default, Serialize)]
struct Log {
    train_losses: BTreeMap<String, Vec<Vec<f64>>>,
    valid_losses: BTreeMap<String, Vec<Vec<f64>>>,
    /// In percent.
    accuracy: BTreeMap<String, Vec<Vec<f64>>>,
}

impl Log {
    fn add(&mut self, name: &str, repeats: &[Curves]) {
        let lists = |of: fn(&Curves) -> Vec<f64>| repeats.iter().map(of).collect::<Vec<_>>();
        self.train_losses.insert(name.to_owned(), lists(|curves| curves.train_losses.clone()));
        self.valid_losses.insert(name.to_owned(), lists(|curves| curves.validation_losses.clone()));
        let percent = |curves: &Curves| curves.accuracy.iter().map(|accuracy| 100.0 * accuracy).collect();
        self.accuracy.insert(name.to_owned(), lists(percent));
    }
}

/// The log of the experiments that were run: `train1` the synthetic sweep, `train2` MNIST.
pub(crate) fn log(synthetic: Option<&[Group]>, mnist: Option<&[Kind]>) -> Value {
    let mut parts = serde_json::Map::new();
    if let Some(groups) = synthetic {
        let mut log = Log::default();
        groups.iter().for_each(|group| log.add(&format!("{}.{}", group.objective, group.latent), &group.repeats));
        parts.insert("train1".into(), json!(log));
    }
    if let Some(kinds) = mnist {
        let mut log = Log::default();
        kinds.iter().for_each(|kind| log.add(&kind.name, &kind.repeats));
        let hparams: BTreeMap<&str, Value> = kinds.iter().map(|kind| (kind.name.as_str(), hparams(kind))).collect();
        let mut value = json!(log);
        value["hparams"] = json!(hparams);
        parts.insert("train2".into(), value);
    }
    Value::Object(parts)
}

fn hparams(kind: &Kind) -> Value {
    json!({
        "dims": kind.widths,
        "objective": kind.objective,
        "lr": kind.learning_rate,
        "epochs": kind.epochs,
        "batch_size": kind.batch_size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_the_courses_structure() {
        let curves = Curves { train_losses: vec![2.0], validation_losses: vec![3.0, 1.0], accuracy: vec![0.5, 0.75] };
        let group = Group { objective: "vanilla".into(), latent: 5, repeats: vec![curves.clone(), curves] };
        let log = log(Some(&[group]), None);
        assert_eq!(log["train1"]["train_losses"]["vanilla.5"], json!([[2.0], [2.0]]));
        assert_eq!(log["train1"]["valid_losses"]["vanilla.5"][1], json!([3.0, 1.0]));
        assert_eq!(log["train1"]["accuracy"]["vanilla.5"][0], json!([50.0, 75.0]));
        assert!(log.get("train2").is_none());
    }
}
