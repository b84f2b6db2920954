//! A run folder, and the observer that fills it: record, checkpoints, progress.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use attar_doctor::{Event, Header, Position, Reader, Status};

use crate::autoencoder::Autoencoder;
use crate::job::Job;
use crate::journal::Journal;
use crate::observer::{Call, EpochReport, Observer, StepReport};
use crate::train::State;
use crate::{Curves, Error, checkpoint};

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes a new folder; with `overwrite`, in place of what a run left there.
    ///
    /// # Errors
    /// [`Error::RunExists`] when a run is there, without `overwrite`; [`Error::NotARun`] when anything else is.
    pub fn create(path: &Path, overwrite: bool) -> Result<Self, Error> {
        let folder = Self(path.to_owned());
        if folder.holds_something() {
            // Many a folder that is no run has a `config.toml`.
            let is_run = folder.config().exists() && folder.checkpoints().is_dir();
            match (is_run, overwrite) {
                (false, _) => return Err(Error::NotARun { path: path.into() }),
                (true, false) => return Err(Error::RunExists { path: path.into() }),
                (true, true) => std::fs::remove_dir_all(path).map_err(Error::io(path))?,
            }
        }
        std::fs::create_dir_all(folder.checkpoints()).map_err(Error::io(path))?;
        Ok(folder)
    }

    /// Whether there is more than a run killed at its very start leaves: an empty folder of
    /// checkpoints, and a file not yet renamed.
    fn holds_something(&self) -> bool {
        let names = |folder: &Path| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let is_left_over = |name: &String| name == "checkpoints" || name.starts_with(".tmp");
        !names(&self.0).iter().all(is_left_over) || !names(&self.checkpoints()).is_empty()
    }

    /// A folder that a run has left.
    ///
    /// # Errors
    /// [`Error::Malformed`] when there is no configuration in it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let folder = Self(path.to_owned());
        if !folder.config().exists() {
            return Err(Error::Malformed {
                path: path.into(),
                expected: "the folder of a run, with a config.toml".into(),
                got: if path.exists() { "none in it" } else { "no such folder" }.into(),
            });
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Everything that determines the run, resolved.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The run record.
    pub fn record(&self) -> PathBuf {
        self.0.join("run.jsonl")
    }

    /// The folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// The weights of the finished network.
    pub fn model(&self) -> PathBuf {
        self.0.join("model.safetensors")
    }

    /// What is needed to prepare new data: schema and statistics of the training split.
    pub fn preparation(&self) -> PathBuf {
        self.0.join("preparation.json")
    }

    /// The tables behind every figure.
    pub fn results(&self) -> PathBuf {
        self.0.join("results.json")
    }

    /// The page.
    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }
}

/// Called after every step and epoch, to show how far a training is.
pub type Progress<'a> = Box<dyn FnMut(&StepReport, Option<&EpochReport>) + Send + 'a>;

/// When checkpoints are taken; it changes no bit of the weights.
#[derive(Clone, Copy, Debug)]
pub struct Cadence {
    /// Time after which the next step or epoch is followed by a checkpoint.
    pub interval: Duration,
    /// Epochs of the whole training; the last is always followed by one.
    pub epochs: usize,
    /// Steps of an epoch; none is taken between the last and the epoch's evaluation.
    pub steps_per_epoch: usize,
}

/// Writes the record of a run and its checkpoints.
pub struct Recorder<'a> {
    folder: RunFolder,
    journal: Journal,
    last_checkpoint: Instant,
    progress: Progress<'a>,
    last_step: StepReport,
    cadence: Cadence,
}

impl<'a> Recorder<'a> {
    /// Begins the record of a new run; what the network and the data tell is added to the header.
    ///
    /// # Errors
    /// [`Error::Record`] when the file cannot be written.
    pub fn begin(
        folder: &RunFolder,
        header: Header,
        job: &Job,
        state: &State,
        cadence: Cadence,
        progress: Progress<'a>,
    ) -> Result<Self, Error> {
        let header = Header { target_norm: Some(job.target_norm()), ..header };
        let journal = Journal::create(&folder.record(), header, &state.model, job.watch())?;
        Ok(Self::with(folder, journal, cadence, progress))
    }

    /// Goes on with the record of a run from where `state` stands.
    ///
    /// # Errors
    /// [`Error::Record`] when the record is broken or ends before that.
    pub fn resume(
        folder: &RunFolder,
        job: &Job,
        state: &State,
        cadence: Cadence,
        progress: Progress<'a>,
    ) -> Result<Self, Error> {
        Ok(Self::with(folder, Journal::resume(&folder.record(), state, job.watch())?, cadence, progress))
    }

    fn with(folder: &RunFolder, journal: Journal, cadence: Cadence, progress: Progress<'a>) -> Self {
        let last_step = StepReport { epoch: 0, step: 0, loss: f64::NAN, learning_rate: 0.0, samples: 0 };
        Self { folder: folder.clone(), journal, last_checkpoint: Instant::now(), progress, last_step, cadence }
    }

    /// Closes the record with how the run ended.
    ///
    /// # Errors
    /// [`Error::Record`].
    pub fn finish(self, status: Status, reason: String) -> Result<(), Error> {
        self.journal.finish(status, reason)
    }

    fn checkpoint_if_due(&mut self, state: &State) -> Result<(), Error> {
        if self.last_checkpoint.elapsed() < self.cadence.interval {
            return Ok(());
        }
        self.checkpoint(state)
    }

    fn checkpoint(&mut self, state: &State) -> Result<(), Error> {
        // On disk before the checkpoint is, or a loss of power could leave a record that ends before it.
        self.journal.sync()?;
        checkpoint::save(state, &self.folder.checkpoints())?;
        self.last_checkpoint = Instant::now();
        Ok(())
    }
}

impl Observer for Recorder<'_> {
    fn call(&mut self, at: Position, call: Call) -> Result<(), Error> {
        Observer::<Autoencoder>::call(&mut self.journal, at, call)
    }

    fn measures(&self, step: usize) -> bool {
        Observer::<Autoencoder>::measures(&self.journal, step)
    }

    fn step(&mut self, report: &StepReport, state: &State) -> Result<(), Error> {
        self.last_step = *report;
        (self.progress)(report, None);
        // The evaluation that follows an epoch stands at its last step: resumed from between the two,
        // a record that already had it would have it twice.
        if state.batches == self.cadence.steps_per_epoch {
            return Ok(());
        }
        self.checkpoint_if_due(state)
    }

    fn epoch(&mut self, report: &EpochReport, state: &State) -> Result<(), Error> {
        self.journal.epoch(report, state)?;
        (self.progress)(&self.last_step, Some(report));
        match report.epoch {
            0 => Ok(()),
            last if last == self.cadence.epochs => self.checkpoint(state),
            _ => self.checkpoint_if_due(state),
        }
    }

    fn failed(&mut self, at: Position, state: &State) -> Result<(), Error> {
        self.journal.failed(at, state)
    }
}

/// The losses and accuracies that a record holds.
///
/// # Errors
/// [`Error::Record`] when the record is broken.
pub fn read_curves(folder: &RunFolder) -> Result<Curves, Error> {
    let mut curves = Curves::default();
    for event in Reader::open(folder.record())? {
        let Event::Evaluation(evaluation) = event? else { continue };
        let metric = |name: &str| evaluation.metrics.get(name).copied();
        match evaluation.split.as_str() {
            "train" => curves.train_losses.extend(metric("loss")),
            "validation" => curves.validation_losses.extend(metric("loss")),
            _ => curves.accuracy.extend(metric("probe_accuracy")),
        }
    }
    Ok(curves)
}
