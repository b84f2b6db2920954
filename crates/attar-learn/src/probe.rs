//! What is asked of a network on purpose, on a few samples that stay the same for the whole run.

use attar_doctor::{Position, Probe, StageStatistics};
use attar_ops::Buffers;
use attar_ops::burn::{cross_entropy, squared_error};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::Error;
use crate::config::Optimizer;
use crate::observe::observe;
use crate::optimizer::OptimizerState;
use crate::staged::{Pass, Staged};

/// Samples with what the network shall make of them.
#[derive(Clone, Debug)]
pub struct ProbeBatch {
    /// `[samples, positions, channels]`, without autodiff.
    pub inputs: Tensor<3>,
    /// What the outputs are held against.
    pub target: Target,
    /// Whose rows they are.
    pub samples: Vec<u64>,
    /// Of the run, from which masks are drawn.
    pub seed: u64,
}

/// What outputs are held against; the loss is averaged over samples.
#[derive(Clone, Debug)]
pub enum Target {
    /// The inputs: squared error, summed over a sample's entries.
    Inputs,
    /// A class for each sample, for an output `[samples, 1, classes]`: cross-entropy.
    Labels(Vec<u32>),
}

/// The mean cross-entropy, `[1]`, of an output `[samples, 1, classes]`.
pub(crate) fn classification_loss(output: Tensor<3>, labels: &[u32]) -> Result<Tensor<1>, Error> {
    let ([samples, positions, classes], device) = (output.dims(), output.device());
    let logits = output.reshape([samples, positions * classes]);
    Ok(cross_entropy(logits, tensor(labels, &device), 1.0 / samples as f64)?)
}

/// Labels where the logits are.
fn tensor(labels: &[u32], device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = labels.iter().map(|&label| i64::from(label)).collect();
    let count = labels.len();
    Tensor::from_data(TensorData::new(labels, [count]), device)
}

/// Learning rate of the copy that is trained on one batch, with Adam: at three times as much wide nets and tanh nets jump
/// about for hundreds of steps, at a third of it linear ones with a narrow code need more than a thousand.
const ONE_BATCH_RATE: f64 = 3e-3;

impl ProbeBatch {
    /// The first samples alone.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.samples.len());
        let (inputs, samples) = (self.inputs.clone().narrow(0, 0, count), self.samples[..count].to_vec());
        let target = match &self.target {
            Target::Inputs => Target::Inputs,
            Target::Labels(labels) => Target::Labels(labels[..count].to_vec()),
        };
        Self { inputs, target, samples, seed: self.seed }
    }

    /// The mean loss of an output, `[1]`.
    fn loss(&self, output: Tensor<3>) -> Result<Tensor<1>, Error> {
        match &self.target {
            Target::Inputs => {
                let scale = 1.0 / self.samples.len() as f64;
                let inputs = self.inputs.clone();
                let inputs = if output.device().is_autodiff() { inputs.autodiff() } else { inputs };
                Ok(squared_error(output, inputs, None, scale))
            }
            Target::Labels(labels) => classification_loss(output, labels),
        }
    }

    /// The statistics of all stages and the norms of the gradients by their outputs, in training mode.
    ///
    /// # Errors
    /// [`Error::Label`].
    pub fn stages<N: Staged>(&self, network: &N, step: usize) -> Result<Vec<StageStatistics>, Error> {
        let pass = Pass::training(self.seed, step, &self.samples);
        // Nobody asks for the gradients of the parameters, which would take most of the time.
        observe(&network.clone().train().no_grad(), self.inputs.clone().autodiff(), pass, |output| self.loss(output))
    }

    /// The mean loss, and the outputs, of one pass without gradients.
    fn evaluated<N: Staged>(&self, network: &N, inputs: Tensor<3>, mut pass: Pass) -> Result<(f64, Tensor<3>), Error> {
        let outputs = network.valid().stages(inputs, &mut pass);
        let output = outputs.into_iter().last().map_or_else(|| self.inputs.clone(), |stage| stage.values);
        Ok((self.loss(output.clone())?.into_scalar::<f64>(), output))
    }

    /// Probe `one_batch`: a copy of the network trained on this batch alone.
    ///
    /// # Errors
    /// [`Error::Label`].
    pub fn one_batch<N: Staged>(&self, network: &N, at: Position, steps: usize) -> Result<Probe, Error> {
        let optimizer = Optimizer::Adam { weight_decay: 0.0 };
        let (mut network, mut state) = (network.valid(), OptimizerState::default());
        let (mut first, mut last) = (f64::NAN, f64::NAN);
        for step in 0..steps {
            let trained = network.clone().train();
            let mut pass = Pass::training(self.seed, step, &self.samples);
            let Some(output) = trained.stages(self.inputs.clone().autodiff(), &mut pass).pop() else { break };
            let loss = self.loss(output.values)?;
            let gradients = GradientsParams::from_grads(loss.backward(), &trained);
            drop(trained);
            last = loss.into_scalar::<f64>();
            first = if step == 0 { last } else { first };
            network = optimizer.step(&mut state, ONE_BATCH_RATE, network, gradients, &mut Buffers::default());
        }
        Ok(probe("one_batch", at, [("first", first), ("last", last), ("steps", steps as f64)]))
    }

    /// Probe `input`: whether outputs follow the inputs.
    ///
    /// # Errors
    /// [`Error::Label`].
    pub fn input<N: Staged>(&self, network: &N, at: Position) -> Result<Probe, Error> {
        let pass = || Pass::evaluation(&self.samples);
        let (loss, output) = self.evaluated(network, self.inputs.clone(), pass())?;
        let (loss_zeroed, _) = self.evaluated(network, self.inputs.zeros_like(), pass())?;
        let variation = variation(&output);
        Ok(probe("input", at, [("variation", variation), ("loss", loss), ("loss_zeroed", loss_zeroed)]))
    }

    /// Probe `train_eval`: the loss in both modes; `None` where they are the same.
    ///
    /// # Errors
    /// [`Error::Label`].
    pub fn train_eval<N: Staged>(&self, network: &N, at: Position) -> Result<Option<Probe>, Error> {
        let training = Pass::training(self.seed, at.step as usize, &self.samples);
        let (train, _) = self.evaluated(network, self.inputs.clone(), training)?;
        let (eval, _) = self.evaluated(network, self.inputs.clone(), Pass::evaluation(&self.samples))?;
        Ok((train != eval).then(|| probe("train_eval", at, [("train", train), ("eval", eval)])))
    }
}

fn probe<const N: usize>(kind: &str, at: Position, values: [(&str, f64); N]) -> Probe {
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Probe { epoch: at.epoch, step: at.step, kind: kind.into(), values, ..Probe::default() }
}

/// Deviation of the outputs from their mean over samples, over their root mean square.
fn variation(output: &Tensor<3>) -> f64 {
    let samples = output.dims()[0];
    let values: Vec<f64> = output.clone().into_data().iter::<f64>().collect();
    let width = values.len() / samples.max(1);
    let mut mean = vec![0.0; width];
    values.iter().enumerate().for_each(|(at, value)| mean[at % width] += value / samples as f64);
    let spread: f64 = values.iter().enumerate().map(|(at, value)| (value - mean[at % width]).powi(2)).sum();
    (spread / values.iter().map(|value| value * value).sum::<f64>()).sqrt()
}
