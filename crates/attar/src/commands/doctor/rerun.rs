//! A run of ours again, with the learning rate that its findings ask for.

use std::path::Path;

use attar_doctor::{Finding, Record, Thresholds, diagnose};
use attar_learn::RunFolder;

use crate::cli::Common;
use crate::commands::train;
use crate::error::CliError;
use crate::loaded::Loaded;
use crate::settings::Settings;

/// Trains the run in `folder` again, into the folder `again`, and writes what that showed into the findings whose remedy
/// is another learning rate; whether there was such a finding.
///
/// # Errors
/// A folder that no run of ours has left; data that is no longer what it was made from; something else in `again`.
pub(super) fn rerun(
    folder: &Path,
    again: &Path,
    common: &Common,
    record: &Record,
    findings: &mut [Finding],
) -> Result<bool, CliError> {
    let folder = RunFolder::open(folder)?;
    let settings = Settings::read(&folder.config())?;
    let asked = findings.iter().find_map(factor);
    let (Some(factor_asked), Some(before)) = (asked, settings.learning_rate) else { return Ok(false) };
    let after = before * factor_asked;
    let data_dir = common.data_dir.clone().or_else(|| settings.data_dir.clone());
    let out = Some(again.to_owned());
    let loaded = Loaded::open(&Settings { learning_rate: Some(after), out, data_dir, ..settings })?;
    train::refuse_other_data(&folder, &loaded.data.dataset.fingerprint())?;
    let failure = train::again(&loaded, again)?;
    let mended = Record::read(RunFolder::open(again)?.record()).map_err(|error| CliError::run(error.to_string()))?;
    let left = diagnose(&mended, &Thresholds::default());
    for finding in findings.iter_mut().filter(|finding| factor(finding) == asked) {
        let is_left = left.iter().any(|other| other.rule == finding.rule);
        let judged = if is_left { "it is found again" } else { "it is not found" };
        let others = left.iter().filter(|other| other.rule != finding.rule).count();
        let ended = match &failure {
            Some(failure) => failure.clone(),
            None => format!("the last loss is {} and was {}", last_loss(&mended), last_loss(record)),
        };
        finding.rerun = Some(format!(
            "with a learning rate of {after} and not {before} {judged}, and {others} others are; {ended}"
        ));
    }
    Ok(true)
}

/// By how much the remedy of a finding multiplies the learning rate, where that is the remedy.
fn factor(finding: &Finding) -> Option<f64> {
    match finding.rule {
        _ if finding.consequence_of.is_some() => None,
        "divergence" | "oscillation" | "non-finite" => Some(0.1),
        "update-ratio" if finding.value > finding.threshold => Some(0.1),
        "update-ratio" => Some(10.0),
        _ => None,
    }
}

fn last_loss(record: &Record) -> String {
    record.losses().last().map_or_else(|| "none".to_owned(), |loss| format!("{loss:.4}"))
}
