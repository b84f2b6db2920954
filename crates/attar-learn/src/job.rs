//! An autoencoder's training: what it is made from, and its batches as the loop asks for them.

use attar_data::{Prepared, Split};
use attar_doctor::Position;
use attar_ops::Buffers;
use burn::tensor::{Device, Tensor, TensorData};

use crate::autoencoder::Autoencoder;
use crate::batch::Batches;
use crate::config::{Descent, LossOn, Objective, Training};
use crate::journal::Watch;
use crate::observer::Observer;
use crate::probe::{ProbeBatch, Target};
use crate::train::{Descended, Evaluation, State, Task, descend};
use crate::{CourseProbe, Error, evaluate};

/// What is trained on what.
#[derive(Debug)]
pub struct Job<'a> {
    /// The data, prepared with statistics of the training split.
    pub data: &'a Prepared,
    /// Rows to train on and to validate on.
    pub split: &'a Split,
    /// Everything else that determines the weights.
    pub config: &'a Training,
    /// The probe to fit at each evaluation, if any; it has no influence on the weights.
    pub probe: Option<&'a CourseProbe>,
    /// Where the tensors live, without autodiff.
    pub device: Device,
}

/// Trains an autoencoder from `state` to the last epoch.
///
/// # Errors
/// [`Error::NonFinite`] when the loss stops being a number; whatever the observer returns.
pub fn train(job: &Job, state: State, observer: &mut dyn Observer) -> Result<State, Error> {
    descend(&Batches::new(job), state, observer)
}

impl Job<'_> {
    /// A training before its first step.
    pub fn start(&self) -> State {
        let features = self.data.dataset.features();
        State::start(Autoencoder::new(&self.config.architecture, features, self.config.seed, &self.device))
    }

    /// Optimizer steps of the whole training.
    pub fn steps(&self) -> usize {
        self.config.epochs * self.steps_per_epoch()
    }

    /// Optimizer steps of one epoch; the last may be of a smaller batch.
    pub fn steps_per_epoch(&self) -> usize {
        self.split.train.len().div_ceil(self.config.batch_size)
    }
}

/// Samples of the batch that the stages are observed on.
const PROBE_SAMPLES: usize = 64;
/// Samples and steps of the probe `one_batch`, and steps of a training of which it is at most a hundredth.
const ONE_BATCH_SAMPLES: usize = 4;
const ONE_BATCH_STEPS: usize = 300;
const ONE_BATCH_FROM: usize = 100 * ONE_BATCH_STEPS;
/// Rows that the mean squared norm of the target is taken over.
const NORM_ROWS: usize = 512;

impl Job<'_> {
    /// What is measured beside the training, on the first training rows as they are.
    pub fn watch(&self) -> Watch {
        let rows = &self.split.train[..self.split.train.len().min(PROBE_SAMPLES)];
        let inputs = self.tensor(rows);
        let batch = ProbeBatch {
            inputs,
            target: Target::Inputs,
            samples: rows.iter().map(|&row| row as u64).collect(),
            seed: self.config.seed,
        };
        // So few that codes of any width can tell them apart.
        let samples = self.config.architecture.narrowest().clamp(2, ONE_BATCH_SAMPLES);
        let steps = if self.steps() < ONE_BATCH_FROM { 0 } else { ONE_BATCH_STEPS };
        Watch { batch, one_batch: (samples, steps), epochs: self.config.epochs }
    }

    fn tensor(&self, rows: &[usize]) -> Tensor<3> {
        let features = self.data.dataset.features();
        let mut values = vec![0.0; rows.len() * features];
        self.data.read(rows, &mut values);
        Tensor::from_data(TensorData::new(values, [rows.len(), 1, features]), &self.device)
    }

    /// The mean squared norm of the training targets, of which a loss on some features counts its share; over
    /// 512 rows at even distances where there are more.
    pub fn target_norm(&self) -> f64 {
        let train = &self.split.train;
        let rows: Vec<usize> = train.iter().step_by(train.len().div_ceil(NORM_ROWS).max(1)).copied().collect();
        let features = self.data.dataset.features();
        let mut row = vec![0.0; features];
        let squares = rows.iter().map(|&sample| {
            self.data.read(&[sample], &mut row);
            row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>()
        });
        let counted = match self.config.objective {
            Objective::Masked { probability, loss_on: LossOn::Hidden } => probability,
            Objective::Masked { probability, loss_on: LossOn::Visible } => 1.0 - probability,
            _ => 1.0,
        };
        counted * squares.sum::<f64>() / rows.len() as f64
    }
}

impl Task for Batches<'_> {
    type Network = Autoencoder;

    fn descent(&self) -> &Descent {
        &self.descent
    }

    fn rows(&self) -> &[usize] {
        &self.job.split.train
    }

    fn shared(&self) -> bool {
        self.shared
    }

    fn pass(
        &self,
        network: &Autoencoder,
        at: Position,
        rows: &[usize],
        scale: f64,
        buffers: &mut Buffers<f32>,
    ) -> Result<Descended, Error> {
        let batch = self.read(rows, at.epoch as usize, buffers);
        let (loss, gradients) = batch.gradients(network, scale, self.job.config.precision, buffers);
        batch.recycle(buffers);
        Ok(Descended { loss, gradients, statistics: Vec::new() })
    }

    fn evaluate(&self, network: &Autoencoder) -> Result<Evaluation, Error> {
        let Job { data, split, probe, device, .. } = self.job;
        let probe = probe.map(|probe| probe.accuracy(network, data, device));
        Ok(Evaluation {
            loss: evaluate::loss(network, data, &split.validation, device),
            accuracy: None,
            probe_accuracy: probe.transpose()?,
            rows: split.validation.len(),
        })
    }
}
