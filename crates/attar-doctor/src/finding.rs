//! What a rule has found.

use std::fmt;

use serde::Serialize;

use crate::number;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// Training may still work, but this is where to look.
    Warning,
    /// The run does not compute what it is meant to.
    Fault,
}

/// Where it was found; empty where it holds of the whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The header's name of a stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The header's name of a tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// The first optimizer step at which it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
}

impl Place {
    pub(crate) fn step(step: u64) -> Self {
        Self { step: Some(step), ..Self::default() }
    }

    pub(crate) fn stage(stage: &str, step: u64) -> Self {
        Self { stage: Some(stage.to_owned()), ..Self::step(step) }
    }

    pub(crate) fn parameter(parameter: &str, step: u64) -> Self {
        Self { parameter: Some(parameter.to_owned()), ..Self::step(step) }
    }
}

/// One finding, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// How grave it is.
    pub gravity: Gravity,
    /// The measured number; the rule says of what.
    #[serde(with = "number")]
    pub value: f64,
    /// What it was held against.
    #[serde(with = "number")]
    pub threshold: f64,
    /// Where.
    pub place: Place,
    /// In a sentence.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
    /// The rule of a graver finding that explains this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consequence_of: Option<&'static str>,
    /// What a run with the remedy showed, where the caller made one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun: Option<String>,
}

impl fmt::Display for Gravity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Fault => "fault",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.stage.as_ref().map(|stage| format!("stage {stage}")),
            self.parameter.as_ref().map(|parameter| format!("parameter {parameter}")),
            self.step.map(|step| format!("step {step}")),
        ];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}
