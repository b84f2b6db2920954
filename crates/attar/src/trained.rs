//! A trained run, opened again: its settings, what its data was, and its network.

use std::path::Path;

use attar_data::{Dataset, Prepared, Preprocessing, ReadOptions, Schema, Unpacking, open_arriving, open_like};
use attar_learn::config::Activation;
use attar_learn::{Autoencoder, RunFolder, model_file, write_atomically};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::cli::{self, Common, Reading};
use crate::error::CliError;
use crate::settings::Settings;

/// What new data must go through before a network sees it; `preparation.json` in a run's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preparation {
    /// What the columns of the training data mean.
    pub(crate) schema: Schema,
    /// Means and deviations of the training rows, and what is done with them.
    pub(crate) preprocessing: Preprocessing,
    /// The function between the layers, which the weights do not tell.
    pub(crate) activation: Activation,
}

/// A trained run.
#[derive(Debug)]
pub(crate) struct Trained {
    /// Where it is.
    pub(crate) folder: RunFolder,
    /// What determined it.
    pub(crate) settings: Settings,
    /// What its data was.
    pub(crate) preparation: Preparation,
    /// The network, for use and not for training.
    pub(crate) model: Autoencoder,
    /// Where the network lives.
    pub(crate) device: Device,
}

/// A trained run whose network has not been read yet.
struct Unloaded {
    folder: RunFolder,
    settings: Settings,
    preparation: Preparation,
}

impl Unloaded {
    fn open(run: &Path) -> Result<Self, CliError> {
        let folder = RunFolder::open(run)?;
        if !folder.model().exists() {
            return Err(without_model(run));
        }
        Ok(Self { settings: Settings::read(&folder.config())?, preparation: read_preparation(&folder)?, folder })
    }

    fn load(self) -> Result<Trained, CliError> {
        let Self { folder, settings, preparation } = self;
        let device = Device::flex();
        let model = model_file::load(&folder.model(), preparation.activation, &device)?;
        let trained = Trained { folder, settings, preparation, model, device };
        trained.refuse_other_widths()?;
        Ok(trained)
    }
}

impl Trained {
    /// Opens a run's folder.
    ///
    /// # Errors
    /// No run there, a sweep (the message lists its runs), a run without a model yet, a damaged file.
    pub(crate) fn open(run: &Path) -> Result<Self, CliError> {
        Unloaded::open(run)?.load()
    }

    /// Opens a run's folder and data as [`Self::read`] does; its rows come while the network is read, and may still be
    /// on their way then: [`Unpacking::finish`] says whether all of them came.
    ///
    /// # Errors
    /// Those of [`Self::open`] and [`Self::read`].
    pub(crate) fn open_with(
        run: &Path,
        data: &str,
        reading: &Reading,
        common: &Common,
    ) -> Result<(Self, Prepared, Unpacking), CliError> {
        let unloaded = Unloaded::open(run)?;
        let options = read_options(&unloaded.settings, reading, common);
        let (dataset, unpacking) = open_arriving(data, &options, &unloaded.preparation.schema)?;
        let trained = unloaded.load()?;
        let data = trained.prepared(dataset);
        Ok((trained, data, unpacking))
    }

    /// Writes `preparation.json` into a run's folder, whole or not at all.
    ///
    /// # Errors
    /// From the disk.
    pub(crate) fn save_preparation(folder: &RunFolder, preparation: &Preparation) -> Result<(), CliError> {
        let text = serde_json::to_vec_pretty(preparation)?;
        Ok(write_atomically(&folder.preparation(), &text)?)
    }

    /// Reads data as the network was taught to see it: the same columns, scaled with the same numbers.
    ///
    /// # Errors
    /// Whatever is wrong with the data; columns other than those of the training data.
    pub(crate) fn read(&self, data: &str, reading: &Reading, common: &Common) -> Result<Prepared, CliError> {
        let dataset = open_like(data, &read_options(&self.settings, reading, common), &self.preparation.schema)?;
        Ok(self.prepared(dataset))
    }

    fn prepared(&self, dataset: Dataset) -> Prepared {
        Prepared { dataset, preprocessing: self.preparation.preprocessing.clone() }
    }

    /// The run's settings, with the folder of known data sets that was typed now.
    pub(crate) fn settings_with(&self, common: &Common) -> Settings {
        let data_dir = common.data_dir.clone().or_else(|| self.settings.data_dir.clone());
        Settings { data_dir, ..self.settings.clone() }
    }

    fn refuse_other_widths(&self) -> Result<(), CliError> {
        let features = self.preparation.schema.columns.len();
        let inputs = self.model.encoder.linear.first().map_or(0, |layer| layer.weight.dims()[0]);
        if inputs == features && self.preparation.preprocessing.mean.len() == features {
            return Ok(());
        }
        let model = self.folder.model();
        Err(CliError::input(format!("{}: expected a network of {features} inputs, got {inputs}", model.display())))
    }
}

fn read_preparation(folder: &RunFolder) -> Result<Preparation, CliError> {
    let path = folder.preparation();
    let wrong = |error: String| CliError::input(format!("{}: {error}", path.display()));
    let text = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))
}

/// How the flags say that data is to be read, or else the settings of the training.
fn read_options(settings: &Settings, reading: &Reading, common: &Common) -> ReadOptions {
    ReadOptions {
        categorical: settings.categorical,
        data_dir: common.data_dir.clone().or_else(|| settings.data_dir.clone()),
        seed: common.seed.unwrap_or(settings.seed()),
        ..cli::read_options(reading, common)
    }
}

/// Says why a folder with a configuration has no model: it is a sweep, or the training has not ended.
fn without_model(run: &Path) -> CliError {
    let runs = trained_below(run);
    match runs.first() {
        Some(first) => CliError::input(format!("{} is a sweep of {} trained runs", run.display(), runs.len()))
            .with_help(format!("name one of them, such as {first}; they are {}", runs.join(", "))),
        None => CliError::input(format!("{} has no model yet: its training has not ended", run.display())).with_help(
            format!("`attar train --config {0}/config.toml --out {0} --resume` goes on with it", run.display()),
        ),
    }
}

/// The runs of a sweep that have a model, in order.
fn trained_below(sweep: &Path) -> Vec<String> {
    let runs = std::fs::read_dir(sweep).into_iter().flatten().flatten().map(|entry| entry.path());
    let trained = runs.filter(|run| RunFolder::open(run).is_ok_and(|run| run.model().exists()));
    let mut names: Vec<String> = trained.map(|run| run.display().to_string()).collect();
    names.sort();
    names
}
