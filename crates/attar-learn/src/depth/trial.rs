//! One training of one net, and what is seen of it.

use burn::tensor::{DType, Device};

use super::{Images, NetSpec, Recipe, Signal};
use crate::nets::Net;
use crate::{EpochReport, Error, Labelled, Mode, Observer, ProbeBatch, State, StepReport, classify};

/// Images whose signals and gradients are measured.
const PROBE: usize = 128;

/// One training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which net.
    pub net: NetSpec,
    /// Of the initial weights, the order of the images and what is done to them.
    pub seed: u64,
    /// How many times the steps of the first length.
    pub longer: usize,
}

/// Shares of the training images that are taken for another class, after training, as they are (not augmented).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// With the statistics of batches of the size trained with, as in training: what descent has brought about.
    pub training: f64,
    /// With running statistics, each image by itself.
    pub evaluation: f64,
}

/// What one training came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Which.
    pub trial: Trial,
    /// Optimizer steps.
    pub steps: usize,
    /// Those of a net that guesses, if the loss stopped being a number.
    pub errors: Errors,
    /// The step at which it did.
    pub diverged: Option<usize>,
    /// Mean loss of each epoch, on what the net was shown.
    pub losses: Vec<f64>,
    /// The training error of a net that takes every image for one of the most frequent class.
    pub guessing: f64,
    /// After each of [`measured_at`] that the training reached.
    pub signals: Vec<Signal>,
}

/// The steps before signals are measured: none, a tenth of `steps`, half of them and all. Few steps have fewer places.
pub fn measured_at(steps: usize) -> Vec<usize> {
    let mut all = vec![0, steps.div_ceil(10), steps.div_ceil(2), steps];
    all.dedup();
    all
}

impl Trial {
    /// Trains on `device`.
    ///
    /// # Errors
    /// As [`super::compare`].
    pub fn run(self, images: &Images, recipe: &Recipe, device: &Device) -> Result<Outcome, Error> {
        let Self { net, seed, longer } = self;
        let labelled = images.labelled(device);
        let training = recipe.classification(net.depth, longer, seed, images.samples());
        let network = Net::new(&net.config(images, recipe)?, seed, DType::F32, device)?;
        let steps = training.descent.steps(images.samples());
        let probe: Vec<usize> = labelled.train.iter().copied().take(PROBE).collect();
        let mut seen = Seen {
            trial: self,
            probe: labelled.batch(&probe, seed),
            at: measured_at(steps),
            losses: Vec::new(),
            signals: Vec::new(),
        };
        seen.measure(&network, 0)?;
        let guessing = guessing(images);
        let (errors, diverged) = match classify(&labelled, &training, State::start(network), &mut seen) {
            Ok(state) => (errors(&labelled, &state.model, recipe, seed)?, None),
            Err(Error::NonFinite { step, .. }) => (Errors { training: guessing, evaluation: guessing }, Some(step)),
            Err(error) => return Err(error),
        };
        Ok(Outcome { trial: self, steps, errors, diverged, losses: seen.losses, guessing, signals: seen.signals })
    }
}

fn errors(labelled: &Labelled, network: &Net, recipe: &Recipe, seed: u64) -> Result<Errors, Error> {
    let error = |mode| labelled.score(network, labelled.train, mode, seed).map(|score| 1.0 - score.accuracy);
    Ok(Errors { training: error(Mode::Training { batch: recipe.batch_size })?, evaluation: error(Mode::Evaluation)? })
}

/// The error of a net that takes every image for one of the most frequent class.
fn guessing(images: &Images) -> f64 {
    let mut counts = vec![0_usize; images.classes];
    images.labels.iter().for_each(|&label| counts[label as usize] += 1);
    let most = counts.into_iter().max().unwrap_or(0);
    1.0 - most as f64 / images.samples() as f64
}

/// Measures on the way.
struct Seen {
    trial: Trial,
    probe: ProbeBatch,
    at: Vec<usize>,
    losses: Vec<f64>,
    signals: Vec<Signal>,
}

impl Seen {
    fn measure(&mut self, network: &Net, step: usize) -> Result<(), Error> {
        self.signals.push(Signal::measure(network, self.trial.net.family, &self.probe, step)?);
        Ok(())
    }
}

impl Observer<Net> for Seen {
    fn step(&mut self, report: &StepReport, state: &State<Net>) -> Result<(), Error> {
        if self.at.contains(&report.step) { self.measure(&state.model, report.step) } else { Ok(()) }
    }

    fn epoch(&mut self, report: &EpochReport, _state: &State<Net>) -> Result<(), Error> {
        self.losses.extend((report.epoch > 0).then_some(report.train_loss));
        Ok(())
    }
}
