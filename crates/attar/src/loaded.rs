//! The data of a run, opened, split and prepared, with the settings completed for it.

use attar_data::{Budget, Dataset, Labels, Prepared, Preprocessing, Split, open, split};
use attar_learn::CourseProbe;
use attar_learn::config::Training;
use attar_linear::LinearProbe;

use crate::error::CliError;
use crate::settings::{ObjectiveName, Settings};

/// All that a training needs.
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    pub(crate) data: Prepared,
    pub(crate) split: Split,
}

/// One training of a run, and what tells it from the others.
#[derive(PartialEq)]
pub(crate) struct Cell {
    pub(crate) objective: ObjectiveName,
    pub(crate) latent: usize,
    pub(crate) repeat: usize,
    pub(crate) training: Training,
}

impl Loaded {
    /// Opens, splits and prepares the data that the settings name.
    pub(crate) fn open(settings: &Settings) -> Result<Self, CliError> {
        let source = settings.source.as_deref().ok_or_else(|| {
            CliError::input("nothing to learn from").with_help("`attar train digits`, or the path of your data")
        })?;
        let dataset = open(source, &settings.read_options())?;
        let settings = settings.complete(&dataset)?;
        let split = split(&dataset, &settings.fractions(&dataset), settings.seed())?;
        let preprocessing = Preprocessing::fit(&dataset, &split.train, settings.scaling)?;
        if let Some(labels) = &dataset.labels {
            labels.check_for_probe(&split.train)?;
        }
        refuse_small_parts(&split)?;
        refuse_wide_data(&dataset)?;
        refuse_single_numbers(&dataset, &settings)?;
        Ok(Self { settings, data: Prepared { dataset, preprocessing }, split })
    }

    /// Every training of the run, once: repeats within latent sizes within objectives.
    pub(crate) fn cells(&self) -> Result<Vec<Cell>, CliError> {
        let mut cells = Vec::new();
        for &objective in self.settings.objectives() {
            for &latent in self.settings.latents() {
                let first = self.settings.first_repeat.unwrap_or(0);
                for repeat in first..first.saturating_add(self.settings.repeats()) {
                    let training = self.settings.training(objective, latent, repeat, self.split.train.len())?;
                    let cell = Cell { objective, latent, repeat, training };
                    if !cells.contains(&cell) {
                        cells.push(cell);
                    }
                }
            }
        }
        if cells.is_empty() {
            return Err(CliError::input("`latent` and `objective` must each have at least one entry"));
        }
        Ok(cells)
    }

    /// The course's probe on the validation split's codes, where the labels are classes that it can learn.
    pub(crate) fn course_probe(&self) -> Result<Option<CourseProbe>, CliError> {
        let judging = self.settings.judging()?;
        let Some(labels) = &self.data.dataset.labels else { return Ok(None) };
        let Labels::Classes { names, of } = labels else { return Ok(None) };
        let rows = &self.split.validation;
        if judging.probe_epochs == 0 || rows.len() < names.len() || labels.check_for_probe(rows).is_err() {
            return Ok(None);
        }
        Ok(Some(CourseProbe {
            probe: LinearProbe { epochs: judging.probe_epochs, seed: judging.seed, ..LinearProbe::default() },
            fit_rows: rows.clone(),
            test_rows: self.split.test.clone(),
            labels: of.clone(),
            classes: names.len(),
        }))
    }
}

/// A loss needs a row, a variance two: refused before the training and not after it.
fn refuse_small_parts(split: &Split) -> Result<(), CliError> {
    let parts = [("training", &split.train, 2), ("validation", &split.validation, 1), ("test", &split.test, 2)];
    match parts.into_iter().find(|(_, rows, least)| rows.len() < *least) {
        Some((part, rows, least)) => {
            Err(CliError::input(format!("the {part} part must have at least {least} rows, got {}", rows.len()))
                .with_help("`--train-fraction`, `--validation-fraction` and `--test-fraction` set the shares"))
        }
        None => Ok(()),
    }
}

/// Features up to which PCA is a baseline: its covariance is features by features, 2 GiB at this many.
const MOST_FEATURES: usize = 16_384;

fn refuse_wide_data(dataset: &Dataset) -> Result<(), CliError> {
    let features = dataset.features();
    if features <= MOST_FEATURES {
        return Ok(());
    }
    let message = format!("expected at most {MOST_FEATURES} features, got {features}");
    Err(CliError::input(message).with_help(
        "the PCA that the code is compared with keeps a number for each pair of features: make the images smaller",
    ))
}

/// One number says nothing of how numbers vary, so that no probe can be fitted on it.
fn refuse_single_numbers(dataset: &Dataset, settings: &Settings) -> Result<(), CliError> {
    let single = settings.judging()?.budgets.contains(&Budget::Labels(1));
    match dataset.labels {
        Some(Labels::Numbers(_)) if single => {
            Err(CliError::input("`label-budget` must be at least 2 where labels are numbers, got 1"))
        }
        _ => Ok(()),
    }
}
