//! The training loop that every network goes through.

use attar_data::random::{Purpose, permutation, stream};
use attar_data::{Prepared, Split};
use attar_ops::{Buffers, awake};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::Device;

use crate::autoencoder::Autoencoder;
use crate::batch::Batches;
use crate::config::Training;
use crate::optimizer::{OptimizerState, gradient_norm, scale_gradients};
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

/// Where a training stands: all that is needed to go on with the same bits.
#[derive(Clone, Debug)]
pub struct State {
    /// The network, on the job's device.
    pub model: Autoencoder,
    /// The optimizer's running averages.
    pub optimizer: OptimizerState,
    /// Epochs finished.
    pub epoch: usize,
    /// Batches done of the epoch under way.
    pub batches: usize,
    /// Sum of the losses of the samples seen in the epoch under way.
    pub loss_sum: f64,
    /// Loss of the last step; NaN before the first.
    pub last_loss: f64,
}

/// Losses after an epoch, or before the first: summed over features, averaged over samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochReport {
    /// Epochs finished.
    pub epoch: usize,
    /// Steps done.
    pub step: usize,
    /// Average training loss over the epoch's steps, on corrupted inputs; NaN before the first.
    pub train_loss: f64,
    /// Loss on the clean validation split.
    pub validation_loss: f64,
    /// Learning rate of the last step; 0 before the first.
    pub learning_rate: f64,
    /// Accuracy of the job's probe, if it has one.
    pub probe_accuracy: Option<f64>,
}

/// One optimizer step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The epoch it belongs to, from 1.
    pub epoch: usize,
    /// Steps done, this one included.
    pub step: usize,
    /// Loss of the batch before the step.
    pub loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Samples in the batch.
    pub samples: usize,
}

/// Whoever follows a training; an error stops it.
pub trait Observer: Send {
    /// After every optimizer step.
    fn step(&mut self, _report: &StepReport, _state: &State) -> Result<(), Error> {
        Ok(())
    }
    /// Before the first epoch and after each one.
    fn epoch(&mut self, _report: &EpochReport, _state: &State) -> Result<(), Error> {
        Ok(())
    }
}

/// Follows nothing.
impl Observer for () {}

/// Trains from `state` to the last epoch.
///
/// # Errors
/// [`Error::NonFinite`] when the loss stops being a number; whatever the observer returns.
pub fn train(job: &Job, mut state: State, observer: &mut dyn Observer) -> Result<State, Error> {
    let batches = Batches::new(job);
    if state.optimizer.steps == 0 {
        state.report(job, f64::NAN, observer)?;
    }
    let mut buffers = Buffers::default();
    while state.epoch < job.config.epochs {
        let epoch = || epoch(&batches, state, &mut buffers, observer);
        state = if batches.shared { awake(epoch) } else { epoch() }?;
        let train_loss = state.finish_epoch(job.split.train.len());
        state.report(job, train_loss, observer)?;
    }
    Ok(state)
}

/// What is left of the epoch under way.
fn epoch(
    batches: &Batches,
    mut state: State,
    buffers: &mut Buffers<f32>,
    observer: &mut dyn Observer,
) -> Result<State, Error> {
    let (job, config, epoch) = (batches.job(), batches.config(), state.epoch + 1);
    let order = job.order(epoch);
    for rows in order.chunks(config.batch_size).skip(state.batches) {
        let rate = config.schedule.rate(config.learning_rate, state.optimizer.steps, job.steps());
        let loss;
        (state, loss) = step(batches, state, rows, rate, buffers)?;
        let step = state.optimizer.steps;
        let report = StepReport { epoch, step, loss, learning_rate: rate, samples: rows.len() };
        observer.step(&report, &state)?;
    }
    Ok(state)
}

/// One optimizer step on the given rows, and their loss before it.
fn step(
    batches: &Batches,
    mut state: State,
    rows: &[usize],
    learning_rate: f64,
    buffers: &mut Buffers<f32>,
) -> Result<(State, f64), Error> {
    let (loss, gradients) = gradients(batches, &state.model, rows, state.epoch + 1, buffers);
    state.refuse_non_finite(loss, state.optimizer.steps + 1, state.epoch + 1)?;
    let optimizer = &batches.config().optimizer;
    state.model = optimizer.step(&mut state.optimizer, learning_rate, state.model, gradients, buffers);
    state.record(loss, rows.len());
    Ok((state, loss))
}

/// Loss and gradients of one batch, clipped.
fn gradients(
    batches: &Batches,
    model: &Autoencoder,
    rows: &[usize],
    epoch: usize,
    buffers: &mut Buffers<f32>,
) -> (f64, GradientsParams) {
    let (loss, mut gradients) = accumulated(batches, model, rows, epoch, buffers);
    if let Some(largest) = batches.config().clip_norm {
        let norm = gradient_norm(model, &gradients);
        if norm > largest {
            scale_gradients(model, &mut gradients, largest / norm);
        }
    }
    (loss, gradients)
}

/// Loss and gradients of N samples, in `accumulation` micro-batches: each adds its sum over samples
/// divided by N, so that together they are the gradient of the batch's mean loss.
fn accumulated(
    batches: &Batches,
    model: &Autoencoder,
    rows: &[usize],
    epoch: usize,
    buffers: &mut Buffers<f32>,
) -> (f64, GradientsParams) {
    let config = batches.config();
    let mut of_micro_batch = |micro: &[usize]| {
        let batch = batches.read(micro, epoch, buffers);
        let result = batch.gradients(model, 1.0 / rows.len() as f64, config.precision, buffers);
        batch.recycle(buffers);
        result
    };
    if config.accumulation == 1 {
        return of_micro_batch(rows);
    }
    let (mut total, mut accumulator) = (0.0, GradientsAccumulator::new());
    for micro in rows.chunks(rows.len().div_ceil(config.accumulation)) {
        let (loss, gradients) = of_micro_batch(micro);
        accumulator.accumulate(model, gradients);
        total += loss;
    }
    (total, accumulator.grads())
}

impl Job<'_> {
    /// A training before its first step.
    pub fn start(&self) -> State {
        let features = self.data.dataset.features();
        State {
            model: Autoencoder::new(&self.config.architecture, features, self.config.seed, &self.device),
            optimizer: OptimizerState::default(),
            epoch: 0,
            batches: 0,
            loss_sum: 0.0,
            last_loss: f64::NAN,
        }
    }

    /// Optimizer steps of the whole training.
    pub fn steps(&self) -> usize {
        self.config.epochs * self.steps_per_epoch()
    }

    /// Optimizer steps of one epoch; the last may be of a smaller batch.
    pub fn steps_per_epoch(&self) -> usize {
        self.split.train.len().div_ceil(self.config.batch_size)
    }

    /// The training rows in the order of an epoch.
    fn order(&self, epoch: usize) -> Vec<usize> {
        let train = &self.split.train;
        let mut rng = stream(self.config.seed, Purpose::Shuffle, epoch as u64, 0, 0);
        permutation(train.len(), &mut rng).into_iter().map(|place| train[place]).collect()
    }
}

impl State {
    fn refuse_non_finite(&self, loss: f64, step: usize, epoch: usize) -> Result<(), Error> {
        if loss.is_finite() {
            return Ok(());
        }
        Err(Error::NonFinite { loss, step, epoch, last_finite: self.last_loss })
    }

    fn record(&mut self, loss: f64, samples: usize) {
        self.batches += 1;
        self.loss_sum += loss * samples as f64;
        self.last_loss = loss;
    }

    fn finish_epoch(&mut self, samples: usize) -> f64 {
        let loss = self.loss_sum / samples as f64;
        (self.epoch, self.batches, self.loss_sum) = (self.epoch + 1, 0, 0.0);
        loss
    }

    fn report(&self, job: &Job, train_loss: f64, observer: &mut dyn Observer) -> Result<(), Error> {
        let model = &self.model;
        let validation_loss = evaluate::loss(model, job.data, &job.split.validation, &job.device);
        let step = self.optimizer.steps;
        if !job.split.validation.is_empty() {
            // The last step's own damage: no step follows to find it.
            self.refuse_non_finite(validation_loss, step, self.epoch)?;
        }
        let learning_rate = match step {
            0 => 0.0,
            _ => job.config.schedule.rate(job.config.learning_rate, step - 1, job.steps()),
        };
        let probe = job.probe.map(|probe| probe.accuracy(model, job.data, &job.device));
        let report = EpochReport {
            epoch: self.epoch,
            step,
            train_loss,
            validation_loss,
            learning_rate,
            probe_accuracy: probe.transpose()?,
        };
        observer.epoch(&report, self)
    }
}
