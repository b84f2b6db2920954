//! `doctor`: what is wrong with a training run, from its record alone.

use std::path::Path;

use attar_doctor::{Event, RULES, Record, Thresholds, diagnose, explain};
use serde_json::json;

use crate::cli::Common;
use crate::cli::doctor::{CertificateCommand, DoctorArgs};
use crate::error::CliError;
use crate::output::{print, print_json};

mod accumulation;
mod depth;
mod mutants;
mod ranks;
mod rerun;
mod shown;
mod subject;

/// Prints the findings, what a rule is about, or a certificate; an error when there are findings.
pub(crate) fn run(args: &DoctorArgs, common: &Common) -> Result<(), CliError> {
    match (&args.certificate, &args.explain, &args.run) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(CliError::input("a certificate examines no record")),
        (Some(CertificateCommand::Accumulation(args)), ..) => accumulation::run(args, common),
        (Some(CertificateCommand::Ranks(args)), ..) => ranks::run(args, common),
        (Some(CertificateCommand::Mutants(args)), ..) => mutants::run(args, common),
        (Some(CertificateCommand::Depth(args)), ..) => depth::run(args, common),
        (None, Some(name), _) => explained(name),
        (None, None, Some(run)) => examine(run, args.rerun.as_deref(), common),
        (None, None, None) => {
            Err(CliError::input("no run to examine").with_help("`attar doctor RUN`, or --explain RULE"))
        }
    }
}

fn explained(name: &str) -> Result<(), CliError> {
    let unknown = || {
        let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
        CliError::input(format!("no rule `{name}`")).with_help(format!("the rules are {}", names.join(", ")))
    };
    print(&format!("{}\n", explain(name).ok_or_else(unknown)?))
}

fn examine(run: &Path, again: Option<&Path>, common: &Common) -> Result<(), CliError> {
    let path = if run.is_dir() { run.join("run.jsonl") } else { run.to_owned() };
    let record = Record::read(&path).map_err(|error| CliError::input(error.to_string()))?;
    let mut findings = diagnose(&record, &Thresholds::default());
    if let Some(again) = again
        && !rerun::rerun(run, again, common, &record, &mut findings)?
    {
        eprintln!("note: no finding asks for another learning rate, so nothing was trained again");
    }
    match common.json {
        true => print_json(&json!({ "record": path, "holds": holds(&record), "findings": findings }))?,
        false => {
            let texts: Vec<String> = findings.iter().map(|finding| format!("{finding}\n\n")).collect();
            print(&format!("{}{}\n", texts.concat(), summary(&record, findings.len())))?;
        }
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err(CliError::run("1 finding")),
        count => Err(CliError::run(format!("{count} findings"))),
    }
}

/// How many events there are that rules go by.
fn holds(record: &Record) -> [(&'static str, usize); 5] {
    let count = |of: fn(&Event) -> bool| record.events.iter().filter(|event| of(event)).count();
    [
        ("steps", count(|event| matches!(event, Event::Step(_)))),
        ("backward passes", count(|event| matches!(event, Event::Backward(_)))),
        ("norms of parameters", count(|event| matches!(event, Event::Norms(_)))),
        ("statistics of activations", count(|event| matches!(event, Event::Activations(_)))),
        ("probes", count(|event| matches!(event, Event::Probe(_)))),
    ]
}

/// What the verdict rests on, because a record that holds little shows little.
fn summary(record: &Record, findings: usize) -> String {
    let holds = holds(record);
    let list = |there: bool| {
        let kinds = holds.iter().filter(|(_, count)| (*count > 0) == there);
        let texts = kinds.map(|(kind, count)| if there { format!("{count} {kind}") } else { format!("no {kind}") });
        texts.collect::<Vec<_>>().join(", ")
    };
    let verdict = if findings == 0 { "Nothing found" } else { "That is what shows" };
    let held = [list(true), list(false)].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    format!("{verdict} in a record of {held}.")
}
