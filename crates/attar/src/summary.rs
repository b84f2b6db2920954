//! The end of a run: judge, write results and report, print the summary.

use std::time::Instant;

use attar_learn::config::Training;
use attar_learn::judge::Scores;
use attar_learn::{Autoencoder, RunFolder, read_curves, write_atomically};
use burn::module::Module;
use burn::tensor::Device;

use crate::error::CliError;
use crate::judging::{Machine, NetworkSummary, Results, Subject, data_summary, judge_subject, score};
use crate::loaded::Loaded;
use crate::machine::this_machine;
use crate::output::{print, print_columns, print_json};
use crate::page;
use crate::progress::spinner;

/// Judges the trained network and writes `results.json` and `report.html`.
pub(crate) fn finish(
    loaded: &Loaded,
    training: &Training,
    model: &Autoencoder,
    folder: &RunFolder,
    fingerprint: String,
    train_seconds: Option<f64>,
) -> Result<Results, CliError> {
    let started = Instant::now();
    let Loaded { settings, data, split } = loaded;
    let features = data.dataset.features();
    let untrained = Autoencoder::new(&training.architecture, features, training.seed, &Device::flex());
    let judging = settings.judging()?;
    let course_probe = loaded.course_probe()?;
    let subject =
        Subject { data, split, model, untrained: &untrained, judging: &judging, course_probe: course_probe.as_ref() };
    let spinner = spinner("judging");
    let judgement = judge_subject(&subject)?;
    spinner.finish_and_clear();
    let results = Results {
        name: folder.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        data: data_summary(settings.source.as_deref().unwrap_or_default(), data, split, fingerprint),
        network: network_summary(training, model, features),
        curves: read_curves(folder)?,
        reconstruction: judgement.reconstruction,
        code: judgement.code,
        scores: judgement.scores,
        verdict: judgement.verdict,
        pca_spectrum: judgement.pca.spectrum.clone().unwrap_or_default(),
        notes: settings.note.clone().unwrap_or_default(),
        machine: Machine {
            train_seconds: train_seconds.or_else(|| earlier_seconds(folder)).unwrap_or(0.0),
            judge_seconds: started.elapsed().as_secs_f64(),
            ..this_machine()
        },
    };
    let json = serde_json::to_string_pretty(&results)?;
    write_atomically(&folder.results(), json.as_bytes())?;
    let report = page::single(&results, &subject, &judgement.pca, training, &settings.to_toml()?)?;
    attar_report::write(&report, folder.report())?;
    Ok(results)
}

/// How long the training took, as an earlier judging wrote it down.
fn earlier_seconds(folder: &RunFolder) -> Option<f64> {
    let results: Results = serde_json::from_slice(&std::fs::read(folder.results()).ok()?).ok()?;
    Some(results.machine.train_seconds)
}

fn network_summary(training: &Training, model: &Autoencoder, features: usize) -> NetworkSummary {
    let architecture = &training.architecture;
    let mut widths = architecture.encoder_widths(features);
    widths.extend_from_slice(&architecture.decoder_widths(features)[1..]);
    NetworkSummary {
        objective: training.objective.name().to_owned(),
        widths,
        latent: architecture.latent,
        parameters: model.num_params(),
    }
}

/// Prints the summary, or the results as JSON.
pub(crate) fn show(results: &Results, folder: &RunFolder, json: bool) -> Result<(), CliError> {
    if json {
        return print_json(results);
    }
    print_columns(&score_rows(&results.scores))?;
    let verdict: String = results.verdict.iter().map(|sentence| format!("{}\n", sentence.text)).collect();
    let Machine { train_seconds, judge_seconds, .. } = results.machine;
    print(&format!(
        "\n{verdict}\nTrained in {train_seconds:.1} s, judged in {judge_seconds:.1} s.\nReport: {}\n",
        folder.report().display()
    ))
}

/// The table of scores: a row for each representation, a column for each budget and probe.
pub(crate) fn score_rows(scores: &[Scores]) -> Vec<Vec<String>> {
    let Some(first) = scores.first() else { return Vec::new() };
    let numeric = first.is_numeric();
    let head = ["representation", "size"].map(str::to_owned);
    let budgets = first.budgets.iter().map(|budget| match budget.all {
        true => format!("all {} labels", budget.labels),
        false => format!("{} labels", budget.labels),
    });
    let probes = first.other_probes.iter().map(|probe| probe.probe.clone());
    let mut rows = vec![head.into_iter().chain(budgets).chain(probes).collect::<Vec<_>>()];
    for row in scores {
        let cells = row.budgets.iter().map(|budget| with_interval(budget.mean, budget.interval, numeric));
        let others = row.other_probes.iter().map(|probe| score(probe.score, numeric));
        rows.push([row.representation.clone(), row.size.to_string()].into_iter().chain(cells).chain(others).collect());
    }
    rows
}

/// A score with half the width of its interval.
fn with_interval(value: f64, interval: Option<(f64, f64)>, numeric: bool) -> String {
    match interval {
        Some((low, high)) if numeric => format!("{} ± {:.3}", score(value, true), (high - low) / 2.0),
        Some((low, high)) => format!("{:.1} ± {:.1} %", 100.0 * value, 50.0 * (high - low)),
        None => score(value, numeric),
    }
}
