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

/// `value` with four significant digits, in powers of ten where it is far from one.
pub(crate) fn shown(value: f64) -> String {
    let exponent = value.abs().log10().floor();
    match exponent {
        _ if value == 0.0 || !value.is_finite() => value.to_string(),
        -3.0..5.0 => format!("{value:.*}", (3.0 - exponent).max(0.0) as usize),
        _ => format!("{value:.3e}"),
    }
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

impl fmt::Display for Finding {
    /// Several lines: what, where, evidence, remedy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, gravity, value, threshold, place, message, remedy, consequence_of, rerun } = self;
        write!(f, "{gravity}: {rule}")?;
        if *place != Place::default() {
            write!(f, " ({place})")?;
        }
        write!(f, "\n  {message}\n  measured {}, threshold {}", shown(*value), shown(*threshold))?;
        match consequence_of {
            Some(cause) => write!(f, "\n  probably a consequence of {cause}")?,
            None => write!(f, "\n  remedy: {remedy}")?,
        }
        rerun.as_ref().map_or(Ok(()), |rerun| write!(f, "\n  trained again: {rerun}"))
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn numbers_are_shown_with_four_digits() {
        let cases = [(0.0, "0"), (2.31987, "2.320"), (-41.5, "-41.50"), (0.00123456, "0.001235"), (15000.0, "15000")];
        for (value, expected) in cases {
            assert_eq!(shown(value), expected);
        }
        assert_eq!([shown(5.6e8), shown(1e-12), shown(f64::NAN)], ["5.600e8", "1.000e-12", "NaN"]);
    }
}
