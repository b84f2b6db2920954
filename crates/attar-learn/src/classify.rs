//! Classification of labelled rows by cross-entropy, of any network with named stages.

use attar_data::random::{Purpose, below, stream};
use attar_data::{Layout, Prepared};
use attar_doctor::Position;
use attar_ops::{Buffers, LabelOutOfRange};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;

use crate::Error;
use crate::config::Descent;
use crate::observer::Observer;
use crate::probe::{ProbeBatch, Target, classification_loss};
use crate::staged::{BatchStatistics, Pass, Staged};
use crate::train::{Descended, Evaluation, State, Task, descend};

/// What is classified: labelled rows of prepared data.
#[derive(Clone, Debug)]
pub struct Labelled<'a> {
    /// The rows.
    pub data: &'a Prepared,
    /// The class of every row of the data.
    pub labels: &'a [u32],
    /// Number of classes.
    pub classes: usize,
    /// Rows to train on.
    pub train: &'a [usize],
    /// Rows to validate on after every epoch; may be none.
    pub validation: &'a [usize],
    /// Where the tensors live, without autodiff.
    pub device: Device,
}

/// Everything that determines the weights of a classifier, given the rows and the network before training.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// How gradients become updates.
    pub descent: Descent,
    /// What is done to images before they are shown in training.
    pub augmentation: Option<Augmentation>,
}

/// Distortions of an image (He et al. 2015, section 4.2), drawn anew for each sample and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Augmentation {
    /// Zeros on each side of an image, out of which a part of its old size is cut.
    pub padding: usize,
    /// Whether half of the images are mirrored, left to right.
    pub flip: bool,
}

/// How a network fares on some rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of rows whose largest output is that of their class.
    pub accuracy: f64,
}

/// In which mode a network is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every row by itself.
    Evaluation,
    /// As it is trained: normalised over batches of so many rows, units dropped out; images as they are.
    Training {
        /// Rows of a batch.
        batch: usize,
    },
}

/// Rows that go through a network at a time in evaluation.
const BLOCK: usize = 128;

/// Trains a classifier from `state` to the last epoch. The network gives `[samples, 1, classes]`.
///
/// # Errors
/// [`Error::Config`] and [`Error::Label`] before the first step, [`Error::NonFinite`] when the loss stops being a
/// number, [`Error::Pass`] where batch norm is shown one value per channel; whatever the observer returns.
pub fn classify<N: Staged>(
    labelled: &Labelled,
    config: &Classification,
    state: State<N>,
    observer: &mut dyn Observer<N>,
) -> Result<State<N>, Error> {
    config.descent.validate()?;
    labelled.validate()?;
    let images = matches!(labelled.data.dataset.schema.layout, Layout::Image { .. });
    if config.augmentation.is_some() && !images {
        let (expected, got) = ("used on images".into(), "rows of another kind".into());
        return Err(Error::Config { key: "augmentation", expected, got });
    }
    descend(&Classifying { labelled, config, network: std::marker::PhantomData }, state, observer)
}

impl Labelled<'_> {
    fn validate(&self) -> Result<(), Error> {
        let samples = self.data.dataset.samples();
        if self.labels.len() != samples || self.train.is_empty() {
            let expected = format!("one for each of {samples} rows, and rows to train on");
            let got = format!("{} and {} rows", self.labels.len(), self.train.len());
            return Err(Error::Config { key: "labels", expected, got });
        }
        let classes = self.classes;
        match self.labels.iter().position(|&label| label as usize >= classes) {
            Some(sample) => Err(LabelOutOfRange { sample, label: i64::from(self.labels[sample]), classes }.into()),
            None => Ok(()),
        }
    }

    /// The given rows and their labels, as what a network is probed on.
    pub fn batch(&self, rows: &[usize], seed: u64) -> ProbeBatch {
        let target = Target::Labels(self.labels_of(rows));
        ProbeBatch { inputs: self.inputs(rows, |_, _| ()), target, samples: keys(rows), seed }
    }

    /// How `network` fares on the given rows; `seed` is the run's.
    ///
    /// # Errors
    /// [`Error::Label`]; [`Error::Pass`] where batch norm is shown one value per channel.
    pub fn score<N: Staged>(&self, network: &N, rows: &[usize], mode: Mode, seed: u64) -> Result<Score, Error> {
        let network = network.valid();
        let block = match mode {
            Mode::Evaluation => BLOCK,
            Mode::Training { batch } => batch.max(1),
        };
        let (mut loss, mut right) = (0.0, 0);
        for rows in rows.chunks(block) {
            let (samples, labels) = (keys(rows), self.labels_of(rows));
            let mut pass = match mode {
                Mode::Evaluation => Pass::evaluation(&samples),
                Mode::Training { .. } => Pass::training(seed, 0, &samples),
            };
            let output = output(&network, self.inputs(rows, |_, _| ()), &mut pass);
            check(pass, 0)?;
            right += correct(&output, &labels);
            loss += classification_loss(output, &labels)?.into_scalar::<f64>() * rows.len() as f64;
        }
        let count = rows.len() as f64;
        Ok(Score { loss: loss / count, accuracy: right as f64 / count })
    }

    fn labels_of(&self, rows: &[usize]) -> Vec<u32> {
        rows.iter().map(|&row| self.labels[row]).collect()
    }

    /// `[rows, pixels, channels]` of images, `[rows, 1, features]` of others; `change` may alter each row before.
    fn inputs(&self, rows: &[usize], change: impl Fn(usize, &mut [f32])) -> Tensor<3> {
        let dataset = &self.data.dataset;
        let mut values = vec![0.0; rows.len() * dataset.features()];
        self.data.read(rows, &mut values);
        for (&row, values) in rows.iter().zip(values.chunks_exact_mut(dataset.features().max(1))) {
            change(row, values);
        }
        let shape = match dataset.schema.layout {
            Layout::Image { height, width, channels } => [rows.len(), height * width, channels],
            _ => [rows.len(), 1, dataset.features()],
        };
        Tensor::from_data(TensorData::new(values, shape), &self.device)
    }
}

/// What masks are keyed by.
fn keys(rows: &[usize]) -> Vec<u64> {
    rows.iter().map(|&row| row as u64).collect()
}

/// The output of the last stage.
fn output<N: Staged>(network: &N, input: Tensor<3>, pass: &mut Pass) -> Tensor<3> {
    network.stages(input.clone(), pass).pop().map_or(input, |stage| stage.values)
}

/// What a pass has left, if its outputs mean something.
fn check(pass: Pass, step: u64) -> Result<Vec<BatchStatistics>, Error> {
    match pass.failure {
        Some(reason) => Err(Error::Pass { reason, step: step as usize }),
        None => Ok(pass.statistics),
    }
}

/// How many rows have the largest output at their label; the first of equals counts.
fn correct(output: &Tensor<3>, labels: &[u32]) -> usize {
    let values: Vec<f32> = output.clone().into_data().iter::<f32>().collect();
    let rows = values.chunks_exact((values.len() / labels.len().max(1)).max(1));
    let largest = |row: &[f32]| (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
    rows.zip(labels).filter(|(row, label)| largest(row) == **label as usize).count()
}

/// The classification of one kind of network, as the loop asks for it.
struct Classifying<'a, N> {
    labelled: &'a Labelled<'a>,
    config: &'a Classification,
    network: std::marker::PhantomData<fn(N)>,
}

impl<N: Staged> Task for Classifying<'_, N> {
    type Network = N;

    fn descent(&self) -> &Descent {
        &self.config.descent
    }

    fn rows(&self) -> &[usize] {
        self.labelled.train
    }

    fn shared(&self) -> bool {
        true
    }

    fn pass(
        &self,
        network: &N,
        at: Position,
        rows: &[usize],
        scale: f64,
        _buffers: &mut Buffers<f32>,
    ) -> Result<Descended, Error> {
        let trained = network.clone().train();
        let inputs = self.labelled.inputs(rows, |row, image| self.augment(at.epoch, row, image));
        let samples = keys(rows);
        let mut pass = Pass::training(self.config.descent.seed, at.step as usize - 1, &samples);
        let output = output(&trained, inputs.autodiff(), &mut pass);
        let statistics = check(pass, at.step)?;
        let mean = classification_loss(output, &self.labelled.labels_of(rows))?;
        let loss = mean.mul_scalar(scale * rows.len() as f64);
        let gradients = GradientsParams::from_grads(loss.backward(), &trained);
        let statistics = statistics.into_iter().map(BatchStatistics::plain).collect();
        Ok(Descended { loss: loss.into_scalar::<f64>(), gradients, statistics })
    }

    fn absorb(&self, network: N, statistics: &[BatchStatistics]) -> N {
        network.absorb(statistics)
    }

    fn evaluate(&self, network: &N) -> Result<Evaluation, Error> {
        let rows = self.labelled.validation;
        let score = self.labelled.score(network, rows, Mode::Evaluation, self.config.descent.seed)?;
        let accuracy = Some(score.accuracy).filter(|_| !rows.is_empty());
        Ok(Evaluation { loss: score.loss, accuracy, probe_accuracy: None, rows: rows.len() })
    }
}

impl<N> Classifying<'_, N> {
    fn augment(&self, epoch: u64, row: usize, image: &mut [f32]) {
        let layout = self.labelled.data.dataset.schema.layout;
        if let (Some(augmentation), Layout::Image { height, width, channels }) = (self.config.augmentation, layout) {
            let mut rng = stream(self.config.descent.seed, Purpose::Corrupt, epoch, 0, row as u64);
            augmentation.apply([height, width, channels], image, &mut rng);
        }
    }
}

impl Augmentation {
    /// Shifts and mirrors an image `[height, width, channels]` in place; outside it is 0.
    fn apply(self, [height, width, channels]: [usize; 3], image: &mut [f32], rng: &mut impl Rng) {
        let mut draw = || below(2 * self.padding as u64 + 1, rng) as usize;
        let (down, right) = (draw(), draw());
        let mirrored = self.flip && below(2, rng) == 1;
        let source = image.to_vec();
        for (y, line) in image.chunks_exact_mut((width * channels).max(1)).enumerate() {
            for (x, pixel) in line.chunks_exact_mut(channels).enumerate() {
                let x = if mirrored { width - 1 - x } else { x };
                let inside = |at: usize, offset: usize, size: usize| {
                    (at + offset).checked_sub(self.padding).filter(|at| *at < size)
                };
                match (inside(y, down, height), inside(x, right, width)) {
                    (Some(y), Some(x)) => pixel.copy_from_slice(&source[(y * width + x) * channels..][..channels]),
                    _ => pixel.fill(0.0),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [4, 3, 2];

    /// What each draw can give, written out: the part at (down, right) of the padded image, mirrored or not.
    fn expected(image: &[f32], padding: usize, down: usize, right: usize, mirrored: bool) -> Vec<f32> {
        let [height, width, channels] = SHAPE;
        let mut padded = vec![vec![[0.0; 2]; width + 2 * padding]; height + 2 * padding];
        for (at, pixel) in image.chunks_exact(channels).enumerate() {
            padded[padding + at / width][padding + at % width] = [pixel[0], pixel[1]];
        }
        let cut = padded[down..down + height].iter().flat_map(|line| {
            let mut line = line[right..right + width].to_vec();
            if mirrored {
                line.reverse();
            }
            line.into_iter().flatten().collect::<Vec<_>>()
        });
        cut.collect()
    }

    #[test]
    fn augmentation_cuts_a_part_of_the_padded_image() {
        let image: Vec<f32> = (1..=24).map(|value| value as f32).collect();
        let augmentation = Augmentation { padding: 1, flip: true };
        let mut seen = std::collections::BTreeSet::new();
        for sample in 0..200 {
            let mut rng = stream(5, Purpose::Corrupt, 1, 0, sample);
            let mut found = image.clone();
            augmentation.apply(SHAPE, &mut found, &mut rng);
            let all = (0..18).map(|draw| (draw / 6, draw / 2 % 3, draw % 2 == 1));
            let mut fitting = all.filter(|&(down, right, m)| expected(&image, 1, down, right, m) == found);
            seen.insert(fitting.next().unwrap());
        }
        assert_eq!(seen.len(), 18);
    }
}
