//! Two convolutions with a shortcut around them (He et al. 2015, section 3.2).

use attar_ops::burn::activation;
use attar_ops::{Activation, Convolution};
use burn::module::Module;
use burn::tensor::{Int, Tensor};

use super::unit::Unit;
use super::walk::Walk;

/// `activation(branch(x) + shortcut(x))`.
#[derive(Module, Debug)]
pub(super) struct ResidualBlock {
    pub(super) first: Unit,
    /// Without an activation of its own.
    pub(super) second: Unit,
    #[module(skip)]
    name: String,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    shortcut: Shortcut,
}

/// Every `stride`th pixel of `[height, width]`, and zeros for the channels that are missing: option A.
#[derive(Clone, Copy, Debug)]
struct Shortcut {
    height: usize,
    width: usize,
    stride: usize,
    outputs: usize,
}

impl ResidualBlock {
    /// Of two units, the first of which is a convolution of this shape to so many channels.
    pub(super) fn new(
        name: String,
        activation: Activation,
        shape: Convolution,
        outputs: usize,
        [first, second]: [Unit; 2],
    ) -> Self {
        let Convolution { height, width, stride, .. } = shape;
        let shortcut = Shortcut { height, width, stride, outputs };
        Self { first, second: second.before_sum(), name, activation, shortcut }
    }

    pub(super) fn forward(&self, input: Tensor<3>, walk: &mut Walk) -> Tensor<3> {
        let branch = self.second.forward(self.first.forward(input.clone(), walk), walk);
        let sum = activation(branch + self.shortcut.forward(input), self.activation);
        walk.stage(&self.name, self.activation, sum)
    }
}

impl Shortcut {
    fn forward(&self, input: Tensor<3>) -> Tensor<3> {
        let Self { height, width, stride, outputs } = *self;
        let [samples, _, channels] = input.dims();
        let device = input.device();
        let kept = if stride == 1 {
            input
        } else {
            let rows = (0..height).step_by(stride);
            let pixels: Vec<i64> = rows
                .flat_map(|row| (0..width).step_by(stride).map(move |column| (row * width + column) as i64))
                .collect();
            input.select(1, Tensor::<1, Int>::from_data(pixels.as_slice(), &device))
        };
        if channels == outputs {
            return kept;
        }
        let [_, pixels, _] = kept.dims();
        let zeros = Tensor::zeros([samples, pixels, outputs - channels], (&device, kept.dtype()));
        Tensor::cat(vec![kept, zeros], 2)
    }
}
