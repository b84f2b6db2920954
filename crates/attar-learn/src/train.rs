//! The training loop that every network goes through.

use attar_data::random::{Purpose, permutation, stream};
use attar_doctor::Position;
use attar_ops::{Buffers, awake};
use burn::module::Module;
use burn::optim::{GradientsAccumulator, GradientsParams};

use crate::Error;
use crate::autoencoder::Autoencoder;
use crate::config::Descent;
use crate::observer::{Call, EpochReport, Observer, StepReport};
use crate::optimizer::{OptimizerState, gradient_norm, scale_gradients};
use crate::staged::BatchStatistics;

/// What a network learns, from which rows.
pub(crate) trait Task: Sync {
    /// What is trained.
    type Network: Module;

    /// How its gradients become updates.
    fn descent(&self) -> &Descent;

    /// The rows to train on.
    fn rows(&self) -> &[usize];

    /// Whether a step is long enough to be worth sharing among threads.
    fn shared(&self) -> bool;

    /// One pass in training mode over a micro-batch: the sum of its samples' losses times `scale`, and its gradients.
    fn pass(
        &self,
        network: &Self::Network,
        at: Position,
        rows: &[usize],
        scale: f64,
        buffers: &mut Buffers<f32>,
    ) -> Result<Descended, Error>;

    /// The network with what the pass has left in it.
    fn absorb(&self, network: Self::Network, _statistics: &[BatchStatistics]) -> Self::Network {
        network
    }

    /// How the network fares on rows that it is not trained on.
    fn evaluate(&self, network: &Self::Network) -> Result<Evaluation, Error>;
}

/// What a pass over one micro-batch leaves.
pub(crate) struct Descended {
    pub(crate) loss: f64,
    pub(crate) gradients: GradientsParams,
    pub(crate) statistics: Vec<BatchStatistics>,
}

/// How a network fares on rows that it is not trained on; a loss that is not finite ends the training.
pub(crate) struct Evaluation {
    /// NaN where there are no rows.
    pub(crate) loss: f64,
    pub(crate) accuracy: Option<f64>,
    pub(crate) probe_accuracy: Option<f64>,
    pub(crate) rows: usize,
}

/// Where a training stands: all that is needed to go on with the same bits.
#[derive(Clone, Debug)]
pub struct State<N = Autoencoder> {
    /// The network, on the task's device.
    pub model: N,
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

/// Trains from `state` to the last epoch.
///
/// # Errors
/// [`Error::NonFinite`] when the loss stops being a number; whatever task and observer return.
pub(crate) fn descend<T: Task>(
    task: &T,
    mut state: State<T::Network>,
    observer: &mut dyn Observer<T::Network>,
) -> Result<State<T::Network>, Error> {
    let mut training = Loop { task, observer, buffers: Buffers::default() };
    if state.optimizer.steps == 0 {
        training.report(&state, f64::NAN)?;
    }
    while state.epoch < task.descent().epochs {
        let epoch = || training.epoch(state);
        state = if task.shared() { awake(epoch) } else { epoch() }?;
        let train_loss = state.finish_epoch(task.rows().len());
        training.report(&state, train_loss)?;
    }
    Ok(state)
}

struct Loop<'a, T: Task> {
    task: &'a T,
    observer: &'a mut dyn Observer<T::Network>,
    buffers: Buffers<f32>,
}

impl<T: Task> Loop<'_, T> {
    /// What is left of the epoch under way.
    fn epoch(&mut self, mut state: State<T::Network>) -> Result<State<T::Network>, Error> {
        let descent = self.task.descent();
        let order = descent.order(self.task.rows(), state.epoch + 1);
        for rows in order.chunks(descent.batch_size).skip(state.batches) {
            state = self.step(state, rows)?;
        }
        Ok(state)
    }

    /// One optimizer step on the given rows.
    fn step(&mut self, mut state: State<T::Network>, rows: &[usize]) -> Result<State<T::Network>, Error> {
        let (descent, at) = (self.task.descent(), state.next());
        let step = state.optimizer.steps + 1;
        let learning_rate = descent.rate(step, self.task.rows().len());
        let (loss, mut gradients);
        (state.model, loss, gradients) = self.accumulated(state.model, at, rows)?;
        if !loss.is_finite() {
            self.observer.call(at, Call::Step { loss, learning_rate })?;
            return Err(self.refused(&state, at, loss)?);
        }
        self.clip(&state.model, at, &mut gradients)?;
        let mut norms = self.observer.measures(step).then(Vec::new);
        state.model = descent.optimizer.step_measured(
            &mut state.optimizer,
            learning_rate,
            state.model,
            gradients,
            &mut self.buffers,
            norms.as_mut(),
        );
        state.record(loss, rows.len());
        self.observer.call(at, Call::Step { loss, learning_rate })?;
        if let Some(norms) = &norms {
            self.observer.call(at, Call::Norms(norms))?;
        }
        let next = descent.rate(step + 1, self.task.rows().len());
        if next != learning_rate {
            self.observer.call(at, Call::Schedule { learning_rate: next })?;
        }
        let report = StepReport { epoch: state.epoch + 1, step, loss, learning_rate, samples: rows.len() };
        self.observer.step(&report, &state)?;
        Ok(state)
    }

    /// Loss and gradients of N samples, in `accumulation` micro-batches: each adds its sum over samples divided by N, so
    /// that together they are the gradient of the batch's mean loss.
    fn accumulated(
        &mut self,
        mut model: T::Network,
        at: Position,
        rows: &[usize],
    ) -> Result<(T::Network, f64, GradientsParams), Error> {
        self.observer.call(at, Call::ZeroGrad)?;
        let (mut loss, mut sum) = (0.0, GradientsAccumulator::new());
        for micro in rows.chunks(rows.len().div_ceil(self.task.descent().accumulation)) {
            self.observer.call(at, Call::Backward { samples: micro.len() })?;
            let of_micro = self.task.pass(&model, at, micro, 1.0 / rows.len() as f64, &mut self.buffers)?;
            loss += of_micro.loss;
            sum.accumulate(&model, of_micro.gradients);
            model = self.task.absorb(model, &of_micro.statistics);
        }
        Ok((model, loss, sum.grads()))
    }

    fn clip(&mut self, model: &T::Network, at: Position, gradients: &mut GradientsParams) -> Result<(), Error> {
        let Some(limit) = self.task.descent().clip_norm else { return Ok(()) };
        let norm = gradient_norm(model, gradients);
        self.observer.call(at, Call::Clip { norm, limit })?;
        if norm > limit {
            scale_gradients(model, gradients, limit / norm);
        }
        Ok(())
    }

    fn report(&mut self, state: &State<T::Network>, train_loss: f64) -> Result<(), Error> {
        let Evaluation { loss, accuracy, probe_accuracy, rows } = self.task.evaluate(&state.model)?;
        let (epoch, step) = (state.epoch, state.optimizer.steps);
        if rows > 0 && !loss.is_finite() {
            // The last step's own damage: no step follows to find it.
            return Err(self.refused(state, Position { epoch: epoch as u64, step: step as u64 }, loss)?);
        }
        let learning_rate = if step == 0 { 0.0 } else { self.task.descent().rate(step, self.task.rows().len()) };
        let report = EpochReport {
            epoch,
            step,
            train_loss,
            validation_loss: loss,
            validation_accuracy: accuracy,
            learning_rate,
            probe_accuracy,
        };
        self.observer.epoch(&report, state)
    }

    /// The error of a loss that is not finite.
    fn refused(&mut self, state: &State<T::Network>, at: Position, loss: f64) -> Result<Error, Error> {
        self.observer.failed(at, state)?;
        let (step, epoch) = (at.step as usize, at.epoch as usize);
        Ok(Error::NonFinite { loss, step, epoch, last_finite: state.last_loss })
    }
}

impl Descent {
    /// The rows in the order of an epoch.
    pub(crate) fn order(&self, rows: &[usize], epoch: usize) -> Vec<usize> {
        let mut rng = stream(self.seed, Purpose::Shuffle, epoch as u64, 0, 0);
        permutation(rows.len(), &mut rng).into_iter().map(|place| rows[place]).collect()
    }

    /// Learning rate of the step `step`, from 1, of a training on so many rows.
    fn rate(&self, step: usize, rows: usize) -> f64 {
        self.schedule.rate(self.learning_rate, step - 1, self.steps(rows))
    }

    /// Optimizer steps of the whole training on so many rows; the last of an epoch may be of a smaller batch.
    pub fn steps(&self, rows: usize) -> usize {
        self.epochs * rows.div_ceil(self.batch_size)
    }
}

impl<N> State<N> {
    /// A training before its first step.
    pub fn start(model: N) -> Self {
        let optimizer = OptimizerState::default();
        Self { model, optimizer, epoch: 0, batches: 0, loss_sum: 0.0, last_loss: f64::NAN }
    }

    /// Where the next step stands.
    fn next(&self) -> Position {
        Position { epoch: self.epoch as u64 + 1, step: self.optimizer.steps as u64 + 1 }
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
}
