//! Networks whose parts are named, so that what goes wrong can be placed.

use attar_attention::Choice;
use attar_ops::Activation;
use burn::module::Module;
use burn::tensor::Tensor;

use crate::parameter::{Parameter, parameters_by_path};

/// A network that names its stages; the caller does, nothing is hooked.
pub trait Staged: Module {
    /// The outputs of all stages for `input`, from the input on; the last is the network's. Input and outputs are
    /// `[samples, positions, channels]`: a table has one position, an image one for each pixel, a sequence one for each
    /// token. Each stage is named by [`Pass::stage`], and the next goes on from the values that this gives back.
    fn stages(&self, input: Tensor<3>, pass: &mut Pass) -> Vec<StageOutput>;

    /// What is trained, in the order in which the module is visited. Unless a network says better, each is named by its
    /// path in the module and belongs to the stage that this leads to.
    fn parameters(&self) -> Vec<Parameter> {
        parameters_by_path(self)
    }

    /// Takes up what a pass in training mode has left: moves the running statistics of batch norm by one step.
    fn absorb(self, _statistics: &[BatchStatistics]) -> Self {
        self
    }

    /// The running statistics that batch norms evaluate with, in the order of the stages.
    fn statistics(&self) -> Vec<BatchStatistics> {
        Vec::new()
    }
}

/// The output of one stage.
#[derive(Clone, Debug)]
pub struct StageOutput {
    /// `block3.norm`.
    pub name: String,
    /// What it ends with.
    pub activation: Activation,
    /// `[samples, positions, channels]`.
    pub values: Tensor<3>,
    /// Of attention: the form that it is computed in, and why.
    pub form: Option<Choice>,
}

/// What a pass through a network needs beside its input, and what it leaves.
#[derive(Clone, Debug)]
pub struct Pass<'a> {
    /// Whether samples are normalised by their batch and units dropped out.
    pub training: bool,
    /// Of the run.
    pub seed: u64,
    /// Optimizer steps done: masks are drawn anew for each.
    pub step: usize,
    /// Whose rows they are: a mask is a function of seed, step, layer and sample, and of nothing else.
    pub samples: &'a [u64],
    /// What batch norms have seen, in the order of the stages; empty in evaluation.
    pub statistics: Vec<BatchStatistics>,
    /// Zeros added to the stages' outputs, from which the loss's gradient by each is read; `None` where nobody asks.
    pub leaves: Option<Vec<Tensor<3>>>,
    /// Why the outputs mean nothing, if they do not: a batch norm that was shown one value per channel.
    pub failure: Option<String>,
}

/// Means and variances of one batch in one batch norm.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// The stage's name.
    pub stage: String,
    /// `[channels]`.
    pub mean: Tensor<1>,
    /// `[channels]`, dividing by one less than there are values.
    pub variance: Tensor<1>,
}

impl BatchStatistics {
    /// The same without autodiff.
    pub(crate) fn plain(self) -> Self {
        Self { mean: self.mean.without_autodiff(), variance: self.variance.without_autodiff(), ..self }
    }
}

impl<'a> Pass<'a> {
    /// A pass in training mode, before the step after `step`.
    pub fn training(seed: u64, step: usize, samples: &'a [u64]) -> Self {
        Self { training: true, seed, step, samples, statistics: Vec::new(), failure: None, leaves: None }
    }

    /// A pass that depends on each sample alone.
    pub fn evaluation(samples: &'a [u64]) -> Self {
        Self { training: false, seed: 0, step: 0, samples, statistics: Vec::new(), failure: None, leaves: None }
    }

    /// The same, with the gradients by the stages' outputs.
    pub fn watched(self) -> Self {
        Self { leaves: Some(Vec::new()), ..self }
    }

    /// The output of the stage `name`, `[samples, positions, channels]`. What follows the stage must take its input from
    /// the `values` of what this returns: in a watched pass they are those given, plus a leaf of zeros.
    pub fn stage(&mut self, name: impl Into<String>, activation: Activation, values: Tensor<3>) -> StageOutput {
        let values = match &mut self.leaves {
            Some(leaves) => {
                let leaf = values.zeros_like().require_grad();
                leaves.push(leaf.clone());
                values + leaf
            }
            None => values,
        };
        StageOutput { name: name.into(), activation, values, form: None }
    }
}
