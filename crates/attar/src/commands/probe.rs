//! `probe`: judge the codes of a run, on its own data or on other.

use std::path::Path;

use attar_data::split;
use attar_learn::Autoencoder;
use burn::tensor::Device;

use crate::cli::{Common, Reading};
use crate::commands::train;
use crate::error::CliError;
use crate::judging::{Subject, judge_subject};
use crate::loaded::{Cell, Loaded};
use crate::output::{print, print_columns, print_json};
use crate::summary::score_rows;
use crate::trained::Trained;

/// Prints the scores of the run's code and of its baselines; nothing is written.
///
/// Other data is split anew, and its training part gives the baselines; the network and its preparation stay.
pub(crate) fn run(run: &Path, data: Option<&str>, common: &Common) -> Result<(), CliError> {
    let trained = Trained::open(run)?;
    let settings = trained.settings_with(common);
    let (prepared, split, settings) = match data {
        None => {
            let loaded = Loaded::open(&settings)?;
            train::refuse_other_data(&trained.folder, &loaded.data.dataset.fingerprint())?;
            (loaded.data, loaded.split, loaded.settings)
        }
        Some(source) => {
            let reading = Reading {
                label_column: settings.label_column.clone(),
                id_column: settings.id_column.clone(),
                header: settings.header,
                impute: settings.impute,
            };
            let prepared = trained.read(source, &reading, common)?;
            let split = split(&prepared.dataset, &settings.fractions(&prepared.dataset), settings.seed())?;
            (prepared, split, settings)
        }
    };
    let loaded = Loaded { settings, data: prepared, split };
    let cells = loaded.cells()?;
    let [Cell { training, .. }] = cells.as_slice() else {
        return Err(CliError::input(format!("{} is a sweep; name one of its runs", run.display())));
    };
    let Loaded { settings, data: prepared, split } = &loaded;
    let features = prepared.dataset.features();
    let untrained = Autoencoder::new(&training.architecture, features, training.seed, &Device::flex());
    let judging = settings.judging()?;
    let course_probe = loaded.course_probe()?;
    let subject = Subject {
        data: prepared,
        split,
        model: &trained.model,
        untrained: &untrained,
        judging: &judging,
        course_probe: course_probe.as_ref(),
    };
    let judgement = judge_subject(&subject)?;
    if common.json {
        return print_json(&(&judgement.scores, &judgement.verdict));
    }
    print_columns(&score_rows(&judgement.scores))?;
    print(&format!("\n{}", judgement.verdict.iter().map(|s| format!("{}\n", s.text)).collect::<String>()))
}
