//! `train` with several latent sizes, objectives or repeats: independent runs over the cores.

use std::path::Path;
use std::time::Instant;

use attar_doctor::{Epoch, Evaluation, Event, Finish, Status, Writer};
use attar_learn::{
    Autoencoder, CourseProbe, Curves, Error, Job, Reconstruction, Representation, RunFolder, Sweep, model_file, pca,
    write_atomically,
};
use attar_report::{Block, KeyValues, Report, Section, Table};
use burn::module::Module;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::cli::Common;
use crate::commands::train::{begin, header, open_to_resume, refuse_other_data};
use crate::error::CliError;
use crate::judging::{DataSummary, Machine, data_summary};
use crate::loaded::{Cell, Loaded};
use crate::machine::this_machine;
use crate::output::{print, print_columns, print_json};
use crate::page::config_pairs;
use crate::sweep_results::{FIGURES, Group, accuracy, validation_losses};
use crate::trained::{Preparation, Trained};

/// The tables of a sweep; `results.json`.
#[derive(Serialize, Deserialize)]
struct SweepResults {
    data: DataSummary,
    groups: Vec<Group>,
    baselines: Vec<Baseline>,
    machine: Machine,
}

/// PCA of one size, or the raw features, where the trained codes are measured too.
#[derive(Serialize, Deserialize)]
struct Baseline {
    name: String,
    size: usize,
    /// Squared error on the validation split, summed over features, averaged over samples.
    validation_loss: f64,
    /// Accuracy of the linear probe, if there is one.
    accuracy: Option<f64>,
}

/// Runs every cell that has not been run, then writes results and report.
pub(crate) fn run(
    loaded: &Loaded,
    cells: &[Cell],
    path: &Path,
    common: &Common,
    resume: bool,
    overwrite: bool,
) -> Result<(), CliError> {
    let started = Instant::now();
    let fingerprint = loaded.data.dataset.fingerprint();
    let folder = if resume { open_to_resume(loaded, path, &fingerprint)? } else { begin(loaded, path, overwrite)? };
    let probe = loaded.course_probe()?;
    let curves = run_cells(loaded, cells, path, probe.as_ref(), &fingerprint)?;
    let results = SweepResults {
        data: data_summary(
            loaded.settings.source.as_deref().unwrap_or_default(),
            &loaded.data,
            &loaded.split,
            fingerprint,
        ),
        groups: group(cells, curves),
        baselines: baselines(loaded, probe.as_ref())?,
        machine: Machine { train_seconds: started.elapsed().as_secs_f64(), ..this_machine() },
    };
    let json = serde_json::to_string_pretty(&results)?;
    write_atomically(&folder.results(), json.as_bytes())?;
    let report = page(&results, &loaded.settings.to_toml()?);
    attar_report::write(&report, folder.report())?;
    if common.json {
        return print_json(&results);
    }
    print_columns(&table_rows(&results))?;
    print(&format!("\n{:.1} s.\nReport: {}\n", results.machine.train_seconds, folder.report().display()))
}

fn cell_folder(path: &Path, cell: &Cell) -> std::path::PathBuf {
    path.join(format!("{}-{}-{}", cell.training.objective.name(), cell.latent, cell.repeat))
}

/// The curves of every cell: those of finished ones read, the others trained.
fn run_cells(
    loaded: &Loaded,
    cells: &[Cell],
    path: &Path,
    probe: Option<&CourseProbe>,
    fingerprint: &str,
) -> Result<Vec<Curves>, CliError> {
    for cell in cells {
        if let Ok(run) = RunFolder::open(&cell_folder(path, cell)) {
            refuse_other_data(&run, fingerprint)?;
        }
    }
    let mut curves: Vec<Option<Curves>> = cells.iter().map(|cell| finished(&cell_folder(path, cell))).collect();
    let open: Vec<usize> = (0..cells.len()).filter(|&cell| curves[cell].is_none()).collect();
    let bar = crate::progress::bar(cells.len(), "trainings");
    bar.set_position((cells.len() - open.len()) as u64);
    let sweep = Sweep {
        data: &loaded.data,
        split: &loaded.split,
        probe,
        threads: rayon::current_num_threads(),
        device: Device::flex(),
    };
    let trainings: Vec<_> = open.iter().map(|&cell| cells[cell].training.clone()).collect();
    let trained = sweep.run(&trainings, |index, curves, model| {
        bar.inc(1);
        let cell = &cells[open[index]];
        let keeping = keep(loaded, cell, &cell_folder(path, cell), curves, model, fingerprint);
        keeping.map_err(|error| Error::Io { path: path.into(), source: std::io::Error::other(error.to_string()) })
    })?;
    bar.finish_and_clear();
    for (cell, trained) in open.into_iter().zip(trained) {
        curves[cell] = Some(trained);
    }
    Ok(curves.into_iter().flatten().collect())
}

/// The curves of a cell that ended, if its folder has them.
fn finished(folder: &Path) -> Option<Curves> {
    let text = std::fs::read(folder.join(CURVES)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// The last file that a cell writes, so that its presence says that all are there.
const CURVES: &str = "curves.json";

/// Writes the folder of one run of the sweep.
fn keep(
    loaded: &Loaded,
    cell: &Cell,
    path: &Path,
    curves: &Curves,
    model: &Autoencoder,
    fingerprint: &str,
) -> Result<(), CliError> {
    if path.exists() {
        std::fs::remove_dir_all(path).map_err(|error| CliError::run(format!("{}: {error}", path.display())))?;
    }
    let folder = RunFolder::create(path, false)?;
    let settings = crate::settings::Settings {
        objective: Some(crate::settings::List(vec![cell.objective])),
        latent: Some(crate::settings::List(vec![cell.latent])),
        repeats: Some(1),
        first_repeat: Some(cell.repeat),
        ..loaded.settings.clone()
    };
    write_atomically(&folder.config(), settings.to_toml()?.as_bytes())?;
    let preparation = Preparation {
        schema: loaded.data.dataset.schema.clone(),
        preprocessing: loaded.data.preprocessing.clone(),
        activation: cell.training.architecture.activation,
    };
    Trained::save_preparation(&folder, &preparation)?;
    let device = Device::flex();
    let job = Job { data: &loaded.data, split: &loaded.split, config: &cell.training, probe: None, device };
    let mut record = Writer::create(folder.record(), &header(&job, &settings, fingerprint, model.num_params()))
        .map_err(Error::from)?;
    for event in events(&job, curves) {
        record.write(&event).map_err(Error::from)?;
    }
    record.sync().map_err(Error::from)?;
    model_file::save(model, [("format".to_owned(), "pt".to_owned())].into(), &folder.model())?;
    let json = serde_json::to_string(curves)?;
    Ok(write_atomically(&path.join(CURVES), json.as_bytes())?)
}

/// The record of a run in epochs.
fn events(job: &Job, curves: &Curves) -> Vec<Event> {
    let per_epoch = job.steps() / job.config.epochs.max(1);
    let mut events = Vec::new();
    for (at, &loss) in curves.validation_losses.iter().enumerate() {
        let (epoch, step) = (at as u64, (at * per_epoch) as u64);
        if let Some(&loss) = at.checked_sub(1).and_then(|before| curves.train_losses.get(before)) {
            let learning_rate = job.config.schedule.rate(job.config.learning_rate, step as usize - 1, job.steps());
            events.push(Event::Epoch(Epoch { epoch, step, loss, learning_rate }));
        }
        let mut evaluation = |split: &str, metric: &str, value: f64| {
            let metrics = [(metric.to_owned(), value)].into_iter().collect();
            events.push(Event::Evaluation(Evaluation { epoch, step, split: split.into(), metrics }));
        };
        evaluation("validation", "loss", loss);
        if let Some(&accuracy) = curves.accuracy.get(at) {
            evaluation("test", "probe_accuracy", accuracy);
        }
    }
    events.push(Event::Finish(Finish { status: Status::Completed, reason: String::new() }));
    events
}

/// The curves of the repeats of each objective and latent size, in the order of the cells.
fn group(cells: &[Cell], curves: Vec<Curves>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (cell, curves) in cells.iter().zip(curves) {
        let objective = cell.training.objective.name();
        match groups.iter_mut().find(|group| group.objective == objective && group.latent == cell.latent) {
            Some(group) => group.repeats.push(curves),
            None => groups.push(Group { objective: objective.into(), latent: cell.latent, repeats: vec![curves] }),
        }
    }
    groups
}

fn baselines(loaded: &Loaded, probe: Option<&CourseProbe>) -> Result<Vec<Baseline>, CliError> {
    let Loaded { data, split, settings } = loaded;
    let accuracy_of =
        |representation: &Representation| probe.map(|probe| probe.accuracy_of(representation, data)).transpose();
    let mut baselines = vec![Baseline {
        name: "raw features".into(),
        size: data.dataset.features(),
        validation_loss: 0.0,
        accuracy: accuracy_of(&Representation::Raw)?,
    }];
    for &latent in settings.latents() {
        let pca = pca::baseline(data, &split.train, latent)?;
        baselines.push(Baseline {
            name: "PCA".into(),
            size: pca.components.nrows(),
            validation_loss: Reconstruction::of_pca(&pca, data, &split.validation)?.iter().sum(),
            accuracy: accuracy_of(&Representation::Pca(&pca))?,
        });
    }
    Ok(baselines)
}

fn table_rows(results: &SweepResults) -> Vec<Vec<String>> {
    let has_probe = results.baselines.iter().any(|baseline| baseline.accuracy.is_some());
    let percent = |value: f64| if value.is_nan() { String::new() } else { format!("{:.1} %", 100.0 * value) };
    let mut head = ["objective", "latent", "validation loss", "min", "max"].map(str::to_owned).to_vec();
    if has_probe {
        head.extend(["probe accuracy", "min", "max", "before training"].map(str::to_owned));
    }
    let mut rows = vec![head];
    for group in &results.groups {
        let (loss, probe) = (group.summary(validation_losses), group.summary(accuracy));
        let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
        let mut row = vec![group.objective.clone(), group.latent.to_string()];
        row.extend([&loss.mean, &loss.min, &loss.max].map(|values| format!("{:.3}", last(values))));
        if has_probe {
            row.extend([&probe.mean, &probe.min, &probe.max].map(|values| percent(last(values))));
            row.push(percent(probe.mean.first().copied().unwrap_or(f64::NAN)));
        }
        rows.push(row);
    }
    for baseline in &results.baselines {
        let loss = format!("{:.3}", baseline.validation_loss);
        let mut row = vec![baseline.name.clone(), baseline.size.to_string(), loss, String::new(), String::new()];
        row.extend(baseline.accuracy.map(percent));
        rows.push(row);
    }
    rows
}

fn page(results: &SweepResults, config: &str) -> Report {
    let groups = &results.groups;
    let has_probe = groups.iter().any(|group| !group.last(accuracy).is_nan());
    let figures = FIGURES.iter().take(if has_probe { 2 } else { 1 });
    let mut blocks: Vec<Block> = figures.map(|figure| Block::Lines(figure.by_objective(groups))).collect();
    let mut rows = table_rows(results);
    let columns = rows.remove(0);
    let caption = "After the last epoch; mean, smallest and largest over repeats. The linear probe is fitted on the \
                   validation split's codes and tested on the test split."
        .to_owned();
    blocks.push(Block::Table(Table { title: "At the end".into(), caption, columns, rows }));
    let pairs = vec![
        ("attar".to_owned(), results.machine.version.clone()),
        ("machine".to_owned(), format!("{}, {} threads", results.machine.processor, results.machine.threads)),
        ("made".to_owned(), results.machine.created.clone()),
        ("time".to_owned(), format!("{:.1} s", results.machine.train_seconds)),
        ("data fingerprint".to_owned(), results.data.fingerprint.clone()),
    ];
    let made = vec![
        Block::KeyValues(KeyValues { title: "Run".into(), pairs }),
        Block::KeyValues(KeyValues { title: "Configuration".into(), pairs: config_pairs(config) }),
    ];
    Report {
        title: format!("A sweep on {}", results.data.source),
        subtitle: format!("{} kinds of training; {} training rows", groups.len(), results.data.train),
        verdict: Vec::new(),
        sections: vec![
            Section { title: "Curves".into(), text: Vec::new(), blocks },
            Section { title: "How it was made".into(), text: Vec::new(), blocks: made },
        ],
    }
}
