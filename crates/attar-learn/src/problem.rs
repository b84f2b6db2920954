//! What a network is to learn: inputs, and a loss for each sample.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

/// Samples by number, from 0, and the loss of each.
pub trait Problem {
    /// How many samples there are.
    fn samples(&self) -> usize;

    /// How many classes there are, if the loss is cross-entropy in natural units.
    fn classes(&self) -> Option<usize> {
        None
    }

    /// The inputs `[samples, positions, channels]` of some samples.
    fn input(&self, samples: &[u64]) -> Tensor<3>;

    /// The losses `[samples]` of some samples, given the network's output for them.
    fn losses(&self, output: Tensor<3>, samples: &[u64]) -> Tensor<1>;

    /// The loss `[1]` of a batch: the mean over its samples.
    fn loss(&self, output: Tensor<3>, samples: &[u64]) -> Tensor<1> {
        self.losses(output, samples).mean()
    }
}

/// Inputs with a class each, and cross-entropy in natural units.
#[derive(Clone, Debug)]
pub struct Classified {
    /// `[samples, positions, channels]`.
    pub input: Tensor<3>,
    /// The class of each sample.
    pub labels: Vec<usize>,
    /// How many there are.
    pub classes: usize,
}

impl Problem for Classified {
    fn samples(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> Option<usize> {
        Some(self.classes)
    }

    fn input(&self, samples: &[u64]) -> Tensor<3> {
        let rows: Vec<i64> = samples.iter().map(|sample| *sample as i64).collect();
        self.input.clone().select(0, indices(rows, &self.input))
    }

    /// The output is averaged over positions.
    fn losses(&self, output: Tensor<3>, samples: &[u64]) -> Tensor<1> {
        let logits: Tensor<2> = output.mean_dim(1).squeeze_dim(1);
        let labels = samples.iter().map(|sample| self.labels[*sample as usize] as i64).collect();
        let labels: Tensor<2, Int> = indices(labels, &logits).unsqueeze_dim(1);
        log_softmax(logits, 1).gather(1, labels).squeeze_dim::<1>(1).neg()
    }
}

fn indices<const D: usize>(values: Vec<i64>, like: &Tensor<D>) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), &like.device())
}
