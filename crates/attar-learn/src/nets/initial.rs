//! Initial weights: drawn in `f64` and rounded, so that networks of either precision begin alike.

use std::f64::consts::TAU;

use attar_data::random::{Purpose, stream};
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::{Rng, RngExt};

/// Draws one tensor after the other, each from a stream of its own.
pub(super) struct Draw<'a> {
    seed: u64,
    drawn: u64,
    dtype: DType,
    device: &'a Device,
}

impl<'a> Draw<'a> {
    pub(super) fn new(seed: u64, dtype: DType, device: &'a Device) -> Self {
        Self { seed, drawn: 0, dtype, device }
    }

    /// Normal numbers of this variance.
    pub(super) fn normal<const D: usize>(&mut self, shape: [usize; D], variance: f64) -> Param<Tensor<D>> {
        let mut rng = stream(self.seed, Purpose::Initialise, 0, 0, self.drawn);
        self.drawn += 1;
        let deviation = variance.sqrt();
        let values = (0..shape.iter().product()).map(|_| deviation * normal(&mut rng)).collect();
        Param::from_tensor(self.tensor(values, shape))
    }

    pub(super) fn constant(&self, value: f64, length: usize) -> Tensor<1> {
        self.tensor(vec![value; length], [length])
    }

    fn tensor<const D: usize>(&self, values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), (self.device, self.dtype))
    }
}

/// A standard normal number (Box & Muller 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos()
}
