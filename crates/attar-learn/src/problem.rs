//! What a network is to learn: inputs, and a loss for each sample.

use attar_data::random::{Purpose, below, stream};
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rand::RngExt;

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

impl Classified {
    /// Points `[samples, positions, channels]` about a centre for each class: both uniform, in plus or minus 1 and in
    /// plus or minus `noise`, and a function of the seed. In double precision.
    pub fn about_centres([samples, positions, channels]: [usize; 3], classes: usize, noise: f64, seed: u64) -> Self {
        let features = positions * channels;
        let draw = |epoch, number| {
            let mut rng = stream(seed, Purpose::Synthetic, epoch, 0, number);
            (0..features).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>()
        };
        let centres: Vec<Vec<f64>> = (0..classes as u64).map(|class| draw(1, class)).collect();
        let mut rng = stream(seed, Purpose::Synthetic, 0, 0, 0);
        let labels: Vec<usize> = (0..samples).map(|_| below(classes as u64, &mut rng) as usize).collect();
        let point = |(sample, label): (usize, &usize)| {
            let own = draw(2, sample as u64);
            centres[*label].iter().zip(own).map(|(centre, own)| centre + noise * own).collect::<Vec<f64>>()
        };
        let values: Vec<f64> = labels.iter().enumerate().flat_map(point).collect();
        let values = TensorData::new(values, [samples, positions, channels]);
        Self { input: Tensor::from_data(values, (&Device::flex(), DType::F64)), labels, classes }
    }

    /// The same in another type.
    #[must_use]
    pub fn cast(self, dtype: DType) -> Self {
        Self { input: self.input.cast(dtype), ..self }
    }
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
