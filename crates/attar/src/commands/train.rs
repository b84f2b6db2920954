//! `train`: learn, judge, report.

use std::path::Path;
use std::time::Instant;

use attar_doctor::{Choice, Header, Status};
use attar_learn::config::{Decay, Optimizer, Precision, Training};
use attar_learn::{
    Autoencoder, Cadence, Error, Job, Progress, Recorder, RunFolder, State, checkpoint, model_file, train,
    write_atomically,
};
use burn::module::Module;
use burn::tensor::Device;

use crate::cli::Common;
use crate::commands::sweep;
use crate::error::CliError;
use crate::judging::Results;
use crate::loaded::{Cell, Loaded};
use crate::machine::now;
use crate::settings::Settings;
use crate::summary::{finish, show};
use crate::trained::{Preparation, Trained};

/// Trains what the settings ask for: one network, or a sweep.
pub(crate) fn run(settings: Settings, common: &Common, resume: bool, overwrite: bool) -> Result<(), CliError> {
    let loaded = Loaded::open(&settings)?;
    let cells = loaded.cells()?;
    let path = loaded.settings.run_folder();
    match cells.as_slice() {
        [cell] => single(&loaded, cell, &path, common, resume, overwrite),
        cells => sweep::run(&loaded, cells, &path, common, resume, overwrite),
    }
}

fn single(
    loaded: &Loaded,
    cell: &Cell,
    path: &Path,
    common: &Common,
    resume: bool,
    overwrite: bool,
) -> Result<(), CliError> {
    let fingerprint = loaded.data.dataset.fingerprint();
    let folder = if resume { open_to_resume(loaded, path, &fingerprint)? } else { begin(loaded, path, overwrite)? };
    show(&learn(loaded, cell, &folder, fingerprint, resume)?, &folder, common.json)
}

/// Trains one network into a new folder and prints nothing; the reason where the training failed.
pub(crate) fn again(loaded: &Loaded, path: &Path) -> Result<Option<String>, CliError> {
    let cells = loaded.cells()?;
    let [cell] = cells.as_slice() else {
        return Err(CliError::input("the run is a sweep; name one of its runs"));
    };
    let folder = begin(loaded, path, false)?;
    let learnt = learn(loaded, cell, &folder, loaded.data.dataset.fingerprint(), false);
    Ok(learnt.err().map(|error| error.to_string()))
}

/// Trains, judges and leaves everything in the run's folder.
fn learn(
    loaded: &Loaded,
    cell: &Cell,
    folder: &RunFolder,
    fingerprint: String,
    resume: bool,
) -> Result<Results, CliError> {
    let probe = loaded.course_probe()?;
    let job = Job {
        data: &loaded.data,
        split: &loaded.split,
        config: &cell.training,
        probe: probe.as_ref(),
        device: Device::flex(),
    };
    let started = Instant::now();
    let model = train_recorded(&job, folder, &loaded.settings, &fingerprint, resume)?;
    model_file::save(&model, [("format".to_owned(), "pt".to_owned())].into(), &folder.model())?;
    finish(loaded, &cell.training, &model, folder, fingerprint, Some(started.elapsed().as_secs_f64()))
}

/// A new folder with everything that determines the run.
pub(crate) fn begin(loaded: &Loaded, path: &Path, overwrite: bool) -> Result<RunFolder, CliError> {
    let folder = RunFolder::create(path, overwrite)?;
    write_atomically(&folder.config(), loaded.settings.to_toml()?.as_bytes())?;
    Ok(folder)
}

/// The folder of an interrupted run, if it is this one.
pub(crate) fn open_to_resume(loaded: &Loaded, path: &Path, fingerprint: &str) -> Result<RunFolder, CliError> {
    let folder = RunFolder::open(path)?;
    let stored = Settings::read(&folder.config())?;
    if let Some((what, wanted, found)) = loaded.settings.difference(&stored)? {
        return Err(Error::OtherRun { path: path.into(), what: format!("`{what}`"), found, wanted }.into());
    }
    refuse_other_data(&folder, fingerprint)?;
    Ok(folder)
}

/// Refuses data that is not what the run was made from.
pub(crate) fn refuse_other_data(folder: &RunFolder, fingerprint: &str) -> Result<(), CliError> {
    match recorded_fingerprint(folder) {
        Some(found) if found != fingerprint => {
            let (path, what, wanted) = (folder.path().into(), "the data's fingerprint".into(), fingerprint.to_owned());
            Err(Error::OtherRun { path, what, found, wanted }.into())
        }
        _ => Ok(()),
    }
}

/// The fingerprint in the record's header, if the run came as far as writing one.
fn recorded_fingerprint(folder: &RunFolder) -> Option<String> {
    let mut reader = attar_doctor::Reader::open(folder.record()).ok()?;
    match reader.next()?.ok()? {
        attar_doctor::Event::Header(header) => Some(header.data_fingerprint),
        _ => None,
    }
}

fn train_recorded(
    job: &Job,
    folder: &RunFolder,
    settings: &Settings,
    fingerprint: &str,
    resume: bool,
) -> Result<Autoencoder, CliError> {
    let preparation = Preparation {
        schema: job.data.dataset.schema.clone(),
        preprocessing: job.data.preprocessing.clone(),
        activation: job.config.architecture.activation,
    };
    Trained::save_preparation(folder, &preparation)?;
    let found = if resume { newest_checkpoint(job, folder)? } else { None };
    let bar = crate::progress::bar(job.steps(), "training");
    bar.set_position(found.as_ref().map_or(0, |state| state.optimizer.steps as u64));
    bar.reset_eta();
    let progress: Progress = Box::new(|step, _| bar.set_position(step.step as u64));
    let cadence = Cadence {
        interval: settings.checkpoint_interval()?,
        epochs: job.config.epochs,
        steps_per_epoch: job.steps_per_epoch(),
    };
    let (mut recorder, state) = match found {
        Some(state) => (Recorder::resume(folder, job, &state, cadence, progress)?, state),
        None => {
            let state = job.start();
            let header = header(job, settings, fingerprint, state.model.num_params());
            (Recorder::begin(folder, header, job, &state, cadence, progress)?, state)
        }
    };
    let result = train(job, state, &mut recorder);
    let (status, reason) = match &result {
        Ok(_) => (Status::Completed, String::new()),
        Err(error) => (Status::Failed, error.to_string()),
    };
    recorder.finish(status, reason)?;
    bar.finish_and_clear();
    Ok(result?.model.valid())
}

/// Where the interrupted run stands; damaged checkpoints are passed over with a warning.
fn newest_checkpoint(job: &Job, folder: &RunFolder) -> Result<Option<State>, CliError> {
    let activation = job.config.architecture.activation;
    let (state, damaged) = checkpoint::load_newest(&folder.checkpoints(), activation, &job.device)?;
    for error in damaged {
        eprintln!("warning: a checkpoint is passed over: {error}");
    }
    if state.is_none() && folder.record().exists() {
        eprintln!("warning: no whole checkpoint yet; the training starts again");
        std::fs::remove_file(folder.record()).map_err(|error| CliError::run(error.to_string()))?;
    }
    Ok(state)
}

pub(crate) fn header(job: &Job, settings: &Settings, fingerprint: &str, parameters: usize) -> Header {
    let Training { optimizer, schedule, batch_size, accumulation, precision, seed, .. } = job.config;
    let warmup = ("warmup_steps", schedule.warmup_steps as f64);
    let decay = match schedule.decay {
        Decay::Constant => "constant",
        Decay::Cosine => "cosine",
        Decay::Step => "step",
    };
    Header {
        framework: concat!("attar ", env!("CARGO_PKG_VERSION")).into(),
        created: now(),
        seed: *seed,
        optimizer: optimizer_choice(optimizer),
        schedule: Choice::new(decay, [warmup]),
        batch_size: *batch_size as u64,
        accumulation: *accumulation as u64,
        dtype: match precision {
            Precision::Full => "f32".into(),
            Precision::Bf16 => "bf16".into(),
        },
        parameters: parameters as u64,
        data_fingerprint: fingerprint.to_owned(),
        notes: settings.note.clone().unwrap_or_default(),
        ..Header::default()
    }
}

fn optimizer_choice(optimizer: &Optimizer) -> Choice {
    match *optimizer {
        Optimizer::Sgd { momentum, weight_decay } => {
            Choice::new("sgd", [("momentum", momentum), ("weight_decay", weight_decay)])
        }
        Optimizer::Adam { weight_decay } => Choice::new("adam", [("weight_decay", weight_decay)]),
        Optimizer::AdamW { weight_decay } => Choice::new("adamw", [("weight_decay", weight_decay)]),
    }
}
