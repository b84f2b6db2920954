//! Whoever follows a training, and what it is told.

use attar_doctor::Position;

use crate::Error;
use crate::autoencoder::Autoencoder;
use crate::optimizer::TensorNorms;
use crate::train::State;

/// What the loop does, told in its order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call<'a> {
    /// A step begins with gradients that are empty.
    ZeroGrad,
    /// One micro-batch in training mode: its loss and gradients.
    Backward {
        /// Whose losses are summed.
        samples: usize,
    },
    /// The gradient is held against the largest norm that is allowed.
    Clip {
        /// Of the gradient before.
        norm: f64,
        /// Above which it is scaled down.
        limit: f64,
    },
    /// The parameters are updated; also told of a step that is refused because its loss is not finite.
    Step {
        /// Of the batch, before the step.
        loss: f64,
        /// Of this step.
        learning_rate: f64,
    },
    /// Sizes of every parameter in the step just told, in the order in which the network is visited; only where
    /// [`Observer::measures`].
    Norms(&'a [TensorNorms]),
    /// The learning rate changes.
    Schedule {
        /// Of the next step.
        learning_rate: f64,
    },
}

/// Losses after an epoch, or before the first: averaged over samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochReport {
    /// Epochs finished.
    pub epoch: usize,
    /// Steps done.
    pub step: usize,
    /// Average training loss over the epoch's steps, on what the network was shown; NaN before the first.
    pub train_loss: f64,
    /// Loss on the validation split, as it is.
    pub validation_loss: f64,
    /// Accuracy on the validation split, of a classifier.
    pub validation_accuracy: Option<f64>,
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

/// Whoever follows the training of an `N`; an error stops it. Nothing that it does changes a bit of the weights.
pub trait Observer<N = Autoencoder>: Send {
    /// Each call of the loop, with the epoch and step it belongs to, both from 1.
    fn call(&mut self, _at: Position, _call: Call) -> Result<(), Error> {
        Ok(())
    }
    /// Whether the sizes of gradient, weight and update in this step are asked for.
    fn measures(&self, _step: usize) -> bool {
        false
    }
    /// After every optimizer step and its calls.
    fn step(&mut self, _report: &StepReport, _state: &State<N>) -> Result<(), Error> {
        Ok(())
    }
    /// Before the first epoch and after each one.
    fn epoch(&mut self, _report: &EpochReport, _state: &State<N>) -> Result<(), Error> {
        Ok(())
    }
    /// Before the training ends because a loss is not finite.
    fn failed(&mut self, _at: Position, _state: &State<N>) -> Result<(), Error> {
        Ok(())
    }
}

/// Follows nothing.
impl<N> Observer<N> for () {}
