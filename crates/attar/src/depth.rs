//! The experiment on depth: which images, at what size, for how long.

pub(crate) mod figures;
mod jpeg;
mod scale;
pub(crate) mod words;

use std::path::Path;

use attar_data::{Dataset, ReadOptions, open};
use attar_learn::depth::{Depth, Family, Images, NetSpec, Outcome, Recipe, compare};
use attar_learn::nets::Norm;
use attar_learn::{Augmentation, Error};

use crate::error::CliError;

/// Channels of the first layers, and images of a step.
const WIDTH: usize = 4;
const BATCH: usize = 32;
/// Passes over the images at the first length.
const EPOCHS: usize = 4;
/// Images of digits, and of anything harder.
const GREY_SAMPLES: usize = 1_500;
const COLOUR_SAMPLES: usize = 5_000;
/// Above this height images are halved.
const TALLEST: usize = 16;
/// The paper pads images of 32 pixels by 4.
const PADDING: usize = 8;

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) data: String,
    pub(crate) depths: [usize; 2],
    pub(crate) seeds: Vec<u64>,
    pub(crate) width: Option<usize>,
    pub(crate) size: Option<usize>,
    pub(crate) samples: Option<usize>,
    pub(crate) epochs: Option<usize>,
    /// Minutes for all trainings together.
    pub(crate) budget: Option<f64>,
}

/// What is done.
pub(crate) struct Experiment {
    pub(crate) images: Images,
    pub(crate) recipe: Recipe,
    pub(crate) depths: [usize; 2],
    pub(crate) seeds: Vec<u64>,
    /// What the source is called, and whether its images have gone through JPEG.
    pub(crate) source: String,
    pub(crate) is_jpeg: bool,
    /// Seconds that the trainings were expected to take, where that was measured.
    pub(crate) expected: Option<f64>,
}

impl Experiment {
    /// Opens the data and settles what was left open; a budget is held against a measured time.
    pub(crate) fn plan(wanted: &Wanted, options: &ReadOptions) -> Result<Self, CliError> {
        check(wanted)?;
        let (dataset, is_jpeg) = opened(&wanted.data, options)?;
        let mut images = reduced(&dataset, wanted, wanted.samples)?;
        let mut recipe = recipe(&images, wanted);
        for depth in wanted.depths {
            NetSpec { family: Family::Plain, depth }.config(&images, &recipe)?;
        }
        let mut expected = None;
        if let Some(minutes) = wanted.budget {
            let scaled = scale::to_budget(&images, &recipe, wanted, 60.0 * minutes)?;
            if scaled.samples < images.samples() {
                images = reduced(&dataset, wanted, Some(scaled.samples))?;
            }
            recipe.epochs = scaled.epochs;
            expected = Some(scaled.seconds);
        }
        let (depths, seeds, source) = (wanted.depths, wanted.seeds.clone(), dataset.name.clone());
        Ok(Self { images, recipe, depths, seeds, source, is_jpeg, expected })
    }

    /// How many there are: three nets at two lengths from every seed.
    pub(crate) fn trainings(&self) -> usize {
        6 * self.seeds.len()
    }

    /// Trains everything, as many at a time as there are threads; `done` after each training.
    pub(crate) fn run(&self, done: impl Fn(&Outcome) + Sync) -> Result<Depth, Error> {
        compare(&self.images, &self.recipe, self.depths, &self.seeds, rayon::current_num_threads(), done)
    }
}

fn check(wanted: &Wanted) -> Result<(), CliError> {
    let [shallow, deep] = wanted.depths;
    if shallow >= deep {
        return Err(CliError::input(format!(
            "`--depths` must be a shallow net's and a deeper one's, got {shallow},{deep}"
        )));
    }
    match wanted.budget {
        Some(budget) if !(budget > 0.0 && budget.is_finite()) => {
            Err(CliError::input(format!("`--budget` must be a number of minutes above 0, got {budget}")))
        }
        _ => Ok(()),
    }
}

/// The data, and whether its images were stored as JPEG; `cifar10` is the file of its training images in `--data-dir`.
fn opened(data: &str, options: &ReadOptions) -> Result<(Dataset, bool), CliError> {
    if data != "cifar10" {
        return Ok((open(data, options)?, jpeg::holds_jpeg(Path::new(data))));
    }
    let folder = options.data_dir.clone().unwrap_or_else(|| ".".into());
    let path = folder.join("cifar10-train.parquet");
    if !path.is_file() {
        let message = format!("no file {}", path.display());
        let help = "`--data-dir` names the folder with CIFAR-10's training images as Parquet, as the Hugging Face hub has them";
        return Err(CliError::input(message).with_help(help));
    }
    let dataset = open(&path.to_string_lossy(), options)?;
    Ok((Dataset { name: data.into(), ..dataset }, jpeg::holds_jpeg(&path)))
}

fn reduced(dataset: &Dataset, wanted: &Wanted, samples: Option<usize>) -> Result<Images, Error> {
    let (height, channels) = match dataset.schema.layout {
        attar_data::Layout::Image { height, channels, .. } => (height, channels),
        _ => (1, 1),
    };
    let size = wanted.size.unwrap_or(if height > TALLEST { height.div_ceil(2).min(TALLEST) } else { height });
    let samples = samples.unwrap_or(if channels == 1 { GREY_SAMPLES } else { COLOUR_SAMPLES });
    Images::reduced(dataset, size, samples, 0)
}

/// He et al.'s, smaller. Images in colour are padded, cut and mirrored as theirs; grey ones are shown as they are: a digit
/// in a mirror is another sign, and with so few steps nothing is learned by heart that augmentation would have to prevent.
fn recipe(images: &Images, wanted: &Wanted) -> Recipe {
    let [height, _, channels] = images.shape;
    Recipe {
        width: wanted.width.unwrap_or(WIDTH),
        norm: Norm::Batch,
        epochs: wanted.epochs.unwrap_or(EPOCHS),
        batch_size: BATCH,
        learning_rate: 0.1,
        warmup_steps: 0,
        augmentation: (channels == 3).then_some(Augmentation { padding: height / PADDING, flip: true }),
    }
}
