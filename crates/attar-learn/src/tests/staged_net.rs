//! A small network in plain Burn operations, with the norms and a dropout, for what measures any `Staged` network.

use attar_data::random::{Purpose, stream};
use attar_ops::Activation;
use burn::module::{Module, Param};
use burn::tensor::activation::tanh;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{Rng, RngExt};

use crate::{BatchStatistics, Classified, Pass, StageOutput, Staged};

/// Two dense layers with a norm and a dropout between them.
#[derive(Module, Debug)]
pub(crate) struct Small {
    hidden: Param<Tensor<2>>,
    shift: Param<Tensor<1>>,
    head: Param<Tensor<2>>,
    running: Option<Running>,
    #[module(skip)]
    norm: Kind,
    #[module(skip)]
    dropout: f64,
}

#[derive(Module, Debug)]
struct Running {
    mean: Tensor<1>,
    variance: Tensor<1>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Batch,
    Layer,
    None,
}

pub(crate) const FEATURES: usize = 6;
const WIDTH: usize = 8;
const CLASSES: usize = 3;

fn draw<const D: usize>(seed: u64, number: u64, shape: [usize; D], size: f64, dtype: DType) -> Tensor<D> {
    let mut rng = stream(seed, Purpose::Laboratory, 0, 0, number);
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| size * rng.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), dtype))
}

impl Small {
    pub(crate) fn new(norm: Kind, dropout: f64, dtype: DType) -> Self {
        let constant = |value: f64| draw(1, 9, [WIDTH], 0.0, dtype).add_scalar(value);
        let running = (norm == Kind::Batch).then(|| Running { mean: constant(0.0), variance: constant(1.0) });
        Self {
            hidden: Param::from_tensor(draw(1, 0, [FEATURES, WIDTH], 0.7, dtype)),
            shift: Param::from_tensor(draw(1, 1, [WIDTH], 0.2, dtype)),
            head: Param::from_tensor(draw(1, 2, [WIDTH, CLASSES], 0.6, dtype)),
            running,
            norm,
            dropout,
        }
    }

    fn normalise(&self, values: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let count = values.dims()[0];
        match (self.norm, &self.running) {
            (Kind::None, _) => values,
            (Kind::Layer, _) => {
                let centred = values.clone() - values.mean_dim(1);
                centred.clone() / centred.square().mean_dim(1).add_scalar(1e-5).sqrt()
            }
            (Kind::Batch, Some(running)) if !pass.training => {
                (values - running.mean.clone().unsqueeze())
                    / running.variance.clone().add_scalar(1e-5).sqrt().unsqueeze()
            }
            (Kind::Batch, _) => {
                let mean = values.clone().mean_dim(0);
                let centred = values - mean.clone();
                let variance = centred.clone().square().mean_dim(0);
                if count < 2 {
                    pass.failure.get_or_insert_with(|| "batch norm over one value per channel".into());
                } else {
                    let unbiased = variance.clone().mul_scalar(count as f64 / (count - 1) as f64);
                    let (mean, variance) = (mean.squeeze_dim(0), unbiased.squeeze_dim(0));
                    pass.statistics.push(BatchStatistics { stage: "norm".into(), mean, variance });
                }
                centred / variance.add_scalar(1e-5).sqrt()
            }
        }
    }

    fn drop_out(&self, values: Tensor<2>, pass: &Pass) -> Tensor<2> {
        if !pass.training || self.dropout == 0.0 {
            return values;
        }
        let draw = |sample: &u64| {
            let mut rng = stream(pass.seed, Purpose::Dropout, pass.step as u64, 0, *sample);
            (0..WIDTH).map(|_| f64::from(u8::from(rng.next_u32() % 100 >= (self.dropout * 100.0) as u32))).collect()
        };
        let mask: Vec<f64> = pass.samples.iter().flat_map(|sample| -> Vec<f64> { draw(sample) }).collect();
        let mask = Tensor::<2>::from_data(TensorData::new(mask, values.dims()), (&values.device(), values.dtype()));
        values * mask.mul_scalar(1.0 / (1.0 - self.dropout))
    }
}

impl Staged for Small {
    fn stages(&self, input: Tensor<3>, pass: &mut Pass) -> Vec<StageOutput> {
        let [samples, _, _] = input.dims();
        let flat = |stage: &StageOutput| stage.values.clone().reshape([samples, WIDTH]);
        let stage = |pass: &mut Pass, name: &str, activation, values: Tensor<2>| {
            pass.stage(name, activation, values.unsqueeze_dim(1))
        };
        let dense = input.reshape([samples, FEATURES]).matmul(self.hidden.val()) + self.shift.val().unsqueeze();
        let hidden = stage(pass, "hidden", Activation::Identity, dense);
        let normed = tanh(self.normalise(flat(&hidden), pass));
        let norm = stage(pass, "norm", Activation::Tanh, normed);
        let dropped = self.drop_out(flat(&norm), pass);
        let dropout = stage(pass, "dropout", Activation::Identity, dropped);
        let logits = flat(&dropout).matmul(self.head.val());
        let head = stage(pass, "head", Activation::Identity, logits);
        vec![hidden, norm, dropout, head]
    }

    fn absorb(mut self, statistics: &[BatchStatistics]) -> Self {
        for seen in statistics {
            let towards = |running: &Tensor<1>, seen: &Tensor<1>| {
                running.clone().without_autodiff().mul_scalar(0.9) + seen.clone().without_autodiff().mul_scalar(0.1)
            };
            self.running = self.running.map(|running| Running {
                mean: towards(&running.mean, &seen.mean),
                variance: towards(&running.variance, &seen.variance),
            });
        }
        self
    }

    fn statistics(&self) -> Vec<BatchStatistics> {
        let of = |running: &Running| BatchStatistics {
            stage: "norm".into(),
            mean: running.mean.clone(),
            variance: running.variance.clone(),
        };
        self.running.iter().map(of).collect()
    }
}

/// Points about a centre for each class.
pub(crate) fn points(samples: usize, dtype: DType) -> Classified {
    let labels: Vec<usize> = (0..samples).map(|sample| (sample * 7 + sample / 5) % CLASSES).collect();
    let rows = labels.iter().zip(0_u64..).map(|(label, sample)| {
        let centre = draw::<3>(2, *label as u64, [1, 1, FEATURES], 1.5, dtype);
        centre + draw::<3>(3, sample, [1, 1, FEATURES], 1.0, dtype)
    });
    Classified { input: Tensor::cat(rows.collect(), 0), labels, classes: CLASSES }
}
