//! Certificates as tables and as JSON.

use attar_doctor::accumulation::{Coupling, Split, Verdict};
use attar_learn::certificate::{Measured, MeasuredSplit};
use serde_json::{Value, json};

use crate::cli::doctor::{NetArgs, NormName};
use crate::error::CliError;
use crate::output::{print, print_columns};

/// What was measured of one network, and the verdict.
pub(super) struct Certified {
    pub(super) net: NetArgs,
    pub(super) fault: Option<&'static str>,
    pub(super) measured: Measured,
    /// Of ranks: the largest difference between them after each step.
    pub(super) drift: Option<Vec<f64>>,
    pub(super) tolerance: f64,
    pub(super) verdict: Verdict,
}

/// A certificate, and the one under the remedy, where there is something to remedy.
pub(super) struct Report {
    /// `accumulation`.
    pub(super) what: &'static str,
    /// What one part of the batch is called.
    pub(super) part: &'static str,
    pub(super) first: Certified,
    pub(super) remedied: Option<Certified>,
}

impl Report {
    /// An error when the first certificate did not pass.
    pub(super) fn outcome(&self) -> Result<(), CliError> {
        let names = |certified: &Certified| {
            let faults = certified.verdict.faults.iter();
            faults.map(|found| word(&json!(found.fault))).collect::<Vec<_>>().join(", ")
        };
        let left = |again: &&Certified| !again.verdict.passed();
        let still =
            self.remedied.as_ref().filter(left).map(|again| format!("; {}: {}", self.change(again), names(again)));
        match self.first.verdict.passed() {
            true => Ok(()),
            false => Err(CliError::run(format!("not certified: {}{}", names(&self.first), still.unwrap_or_default()))),
        }
    }

    pub(super) fn print(&self) -> Result<(), CliError> {
        self.print_one(&self.first)?;
        let Some(remedied) = &self.remedied else { return Ok(()) };
        print(&format!("\nThe same {}:\n\n", self.change(remedied)))?;
        self.print_one(remedied)
    }

    /// What the second certificate has another way.
    fn change(&self, remedied: &Certified) -> String {
        let [old, new] = [self.first.net.norm, remedied.net.norm];
        match old == new {
            true => "without the mistake".into(),
            false => format!("with {} norm in place of {} norm", value_name(new), value_name(old)),
        }
    }

    fn print_one(&self, certified: &Certified) -> Result<(), CliError> {
        let Self { what, part, .. } = self;
        let Certified { net, fault, measured, drift, tolerance, verdict } = certified;
        let planted = fault.map(|fault| format!(", with {fault} planted")).unwrap_or_default();
        print(&format!(
            "{what}: {} with {} norm in {}{planted}\n(b, k) is k {part} of b samples; tolerance {tolerance:e}\n\n",
            value_name(net.model),
            value_name(net.norm),
            value_name(net.dtype),
        ))?;
        print_columns(&splits(&measured.splits))?;
        print("\n")?;
        print_columns(&couplings(&measured.couplings))?;
        if let Some(drift) = drift {
            let drift: Vec<String> = drift.iter().map(|difference| shown(*difference)).collect();
            print(&format!("\ndifference of the ranks' parameters after each step: {}\n", drift.join(", ")))?;
        }
        print(&format!("\n{}", verdict_text(verdict)))
    }

    pub(super) fn json(&self) -> Value {
        let remedied = self.remedied.as_ref().map(json_of);
        json!({ "certificate": self.what, "result": json_of(&self.first), "remedied": remedied })
    }
}

fn value_name(value: impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('_', " ")
}

fn verdict_text(verdict: &Verdict) -> String {
    if verdict.passed() {
        return "Certified: every split gives what the whole batch gives.\n".into();
    }
    let found = verdict.faults.iter().map(|found| {
        let stage = found.stage.as_ref().map(|stage| format!(" (stage {stage})")).unwrap_or_default();
        let name = word(&json!(found.fault));
        format!("fault: {name}{stage}\n  {}\n  remedy: {}\n", found.message, found.fault.remedy())
    });
    found.collect()
}

fn splits(splits: &[MeasuredSplit]) -> Vec<Vec<String>> {
    let heads = ["(b, k)", "outputs", "loss", "error", "scale", "1 - cos", "update", "buffers", "differs most in"];
    let row = |measured: &MeasuredSplit| {
        let split = &measured.split;
        if let Some(reason) = &split.failure {
            let dashes = std::iter::repeat_n("-".to_owned(), heads.len() - 2);
            return std::iter::once(cut(measured)).chain(dashes).chain([reason.clone()]).collect();
        }
        let optional = |value: Option<f64>| value.map_or("-".into(), shown);
        let worst = measured.worst.as_ref().map_or("-".into(), |(name, error)| format!("{name} {}", shown(*error)));
        vec![
            cut(measured),
            shown(split.outputs),
            optional(split.loss),
            shown(split.error),
            format!("{:.6}", split.scale),
            shown(split.angle),
            optional(split.parameters),
            optional(split.buffers),
            worst,
        ]
    };
    std::iter::once(heads.map(String::from).to_vec()).chain(splits.iter().map(row)).collect()
}

/// `(16, 2)`, or `12/12/8` of uneven parts.
fn cut(measured: &MeasuredSplit) -> String {
    let Split { smallest, largest, micro_batches, .. } = measured.split;
    match smallest == largest {
        true => format!("({largest}, {micro_batches})"),
        false => measured.sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("/"),
    }
}

fn couplings(couplings: &[Coupling]) -> Vec<Vec<String>> {
    let heads = ["stage", "outputs", "|d out_i / d x_j|"].map(String::from).to_vec();
    let row = |stage: &Coupling| vec![stage.stage.clone(), shown(stage.outputs), shown(stage.coupling)];
    std::iter::once(heads).chain(couplings.iter().map(row)).collect()
}

fn shown(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:.1e}") }
}

fn json_of(certified: &Certified) -> Value {
    let Certified { net, fault, measured, drift, tolerance, verdict } = certified;
    let split = |measured: &MeasuredSplit| {
        let split = &measured.split;
        json!({
            "sizes": measured.sizes,
            "failure": split.failure,
            "outputs": split.outputs,
            "loss": split.loss,
            "error": split.error,
            "scale": split.scale,
            "one_less_cosine": split.angle,
            "last_one_less_cosine": split.last_angle,
            "clipped": split.clipped,
            "update": split.parameters,
            "buffers": split.buffers,
            "differs_most": measured.worst.as_ref().map(|(name, error)| json!({ "parameter": name, "error": error })),
        })
    };
    let coupling =
        |stage: &Coupling| json!({ "stage": stage.stage, "outputs": stage.outputs, "coupling": stage.coupling });
    json!({
        "model": value_name(net.model),
        "norm": value_name(net.norm),
        "dtype": value_name(net.dtype),
        "fault": fault,
        "tolerance": tolerance,
        "splits": measured.splits.iter().map(split).collect::<Vec<_>>(),
        "couplings": measured.couplings.iter().map(coupling).collect::<Vec<_>>(),
        "drift": drift,
        "passed": verdict.passed(),
        "faults": verdict.faults,
        "remedies": verdict.faults.iter().map(|found| found.fault.remedy()).collect::<Vec<_>>(),
    })
}

/// Network and loop with what the verdict asks for: a norm of each sample where the batch's couples samples, and the loop
/// as it is, since no norm mends its mistake; otherwise the same network without the mistake.
pub(super) fn remedied<F>(net: NetArgs, fault: Option<F>) -> (NetArgs, Option<F>) {
    match net.norm {
        NormName::Batch => (NetArgs { norm: NormName::Layer, ..net }, fault),
        _ => (net, None),
    }
}
