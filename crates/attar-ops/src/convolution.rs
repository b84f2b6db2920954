//! Convolutions of images whose channels lie side by side, and their gradients.
//!
//! A block of samples is laid out with one sample in each place of a vector: whatever the channels, every instruction
//! works on whole vectors, and what becomes of a sample does not depend on those beside it.

mod kernels;
mod layout;

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use self::kernels::{Product, Sweep};
use self::layout::Canvas;
use crate::lanes::Lanes;
use crate::pages::zeros;
use crate::scratch::Scratch;

/// Sizes of a convolution: square kernels over images of `height` times `width` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Rows of pixels that come in.
    pub height: usize,
    /// Columns of pixels that come in.
    pub width: usize,
    /// Rows and columns of a kernel.
    pub kernel: usize,
    /// Pixels from one place of a kernel to the next, along both axes; from 1.
    pub stride: usize,
    /// Zeros before and after each row and column; fewer than the kernel is long.
    pub padding: usize,
}

/// The gradients of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvolutionGradient<T> {
    /// Of the input, if it was asked for.
    pub input: Option<Vec<T>>,
    /// Of the weight.
    pub weight: Vec<T>,
}

impl Convolution {
    /// Rows and columns of pixels that go out; none where the kernel does not fit in.
    pub fn output(&self) -> [usize; 2] {
        [self.height, self.width].map(|length| {
            let places = (length + 2 * self.padding).checked_sub(self.kernel);
            places.map_or(0, |places| places / self.stride.max(1) + 1)
        })
    }
}

/// The convolution of `[samples, height, width, inputs]` with `weight`, `[kernel, kernel, inputs, outputs]`, for
/// `channels` of inputs and outputs: gives `[samples, height, width, outputs]` of [`Convolution::output`].
///
/// # Panics
/// If the lengths do not fit each other.
pub fn conv2d<T: Lanes>(input: &[T], weight: &[T], shape: Convolution, channels: [usize; 2]) -> Vec<T> {
    let sizes = Sizes::of(&shape, channels, input, weight);
    let mut output = zeros(sizes.samples * sizes.output);
    let block = lanes::<T>();
    let blocks = output.par_chunks_mut(block * sizes.output.max(1)).zip(input.par_chunks(block * sizes.input.max(1)));
    blocks.for_each_init(Default::default, |scratch, (output, input)| {
        Arch::new().dispatch(Forward { input, weight, shape, channels, output, scratch });
    });
    output
}

/// The gradients from that of the output, `of_output`; that of the input only if it is `wanted`.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn conv2d_backward<T: Lanes>(
    input: &[T],
    weight: &[T],
    shape: Convolution,
    channels: [usize; 2],
    of_output: &[T],
    wanted: bool,
) -> ConvolutionGradient<T> {
    let sizes = Sizes::of(&shape, channels, input, weight);
    assert_eq!(of_output.len(), sizes.samples * sizes.output, "gradients for the values of the output");
    let turned = if wanted { turned_around(weight, shape.kernel, channels) } else { Vec::new() };
    let mut of_input = zeros(if wanted { input.len() } else { 0 });
    let block = lanes::<T>();
    let blocks = sizes.samples.div_ceil(block);
    let mut parts: Vec<&mut [T]> = of_input.chunks_mut(block * sizes.input.max(1)).collect();
    parts.resize_with(blocks, Default::default);
    let inputs = input.par_chunks(block * sizes.input.max(1));
    let of_outputs = of_output.par_chunks(block * sizes.output.max(1));
    let sums: Vec<Vec<f64>> = parts
        .into_par_iter()
        .zip(inputs.zip(of_outputs))
        .map_init(Default::default, |scratch, (of_input, (input, of_output))| {
            let turned = &turned;
            Arch::new().dispatch(Backward { input, turned, shape, channels, of_output, of_input, scratch })
        })
        .collect();
    let mut of_weight = vec![0.0; weight.len()];
    for sums in sums {
        of_weight.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    let weight = of_weight.into_iter().map(T::from_f64).collect();
    ConvolutionGradient { input: wanted.then_some(of_input), weight }
}

/// Lengths of the arrays.
struct Sizes {
    samples: usize,
    /// Values of a sample that come in.
    input: usize,
    /// Values of a sample that go out.
    output: usize,
}

impl Sizes {
    fn of<T>(shape: &Convolution, [inputs, outputs]: [usize; 2], input: &[T], weight: &[T]) -> Self {
        assert!(shape.stride > 0 && shape.padding < shape.kernel, "a stride, and less padding than kernel: {shape:?}");
        assert_eq!(weight.len(), shape.kernel * shape.kernel * inputs * outputs, "weights of {inputs} x {outputs}");
        let of_sample = shape.height * shape.width * inputs;
        let samples = input.len().checked_div(of_sample).unwrap_or(0);
        assert_eq!(input.len(), samples * of_sample, "whole images of {of_sample} values");
        let [rows, columns] = shape.output();
        Self { samples, input: of_sample, output: rows * columns * outputs }
    }
}

/// `[kernel, kernel, inputs, outputs]` with its rows and columns backwards and outputs before inputs.
fn turned_around<T: Lanes>(weight: &[T], kernel: usize, [inputs, outputs]: [usize; 2]) -> Vec<T> {
    let mut turned = Vec::with_capacity(weight.len());
    for place in (0..kernel * kernel).rev() {
        for output in 0..outputs {
            turned.extend((0..inputs).map(|input| weight[(place * inputs + input) * outputs + output]));
        }
    }
    turned
}

/// Samples of a block: as many as a vector has places.
fn lanes<T: Lanes>() -> usize {
    struct Count<T>(PhantomData<T>);
    impl<T: Lanes> WithSimd for Count<T> {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            T::count::<S>()
        }
    }
    Arch::new().dispatch(Count::<T>(PhantomData))
}

/// The convolution of a block.
struct Forward<'a, T> {
    input: &'a [T],
    weight: &'a [T],
    shape: Convolution,
    channels: [usize; 2],
    output: &'a mut [T],
    /// Of the canvas and of a row of the output.
    scratch: &'a mut [Scratch<T>; 2],
}

impl<T: Lanes> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { input, weight, shape, channels: [inputs, outputs], output, scratch: [canvas, row] } = self;
        let layout = Canvas::of_input(&shape, inputs);
        layout.paint::<S, T>(input, canvas);
        let [rows, columns] = shape.output();
        row.resize(columns * outputs * T::count::<S>());
        for at in 0..rows {
            let sweep = Sweep { layout: &layout, kernel: shape.kernel, stride: shape.stride, outputs };
            sweep.correlate(simd, T::vectors::<S>(canvas), weight, at, T::vectors_mut::<S>(row));
            layout::unpack::<S, T>(row, at * columns * outputs, rows * columns * outputs, output);
        }
    }
}

/// The gradients of a block: writes that of the input, gives that of the weight.
struct Backward<'a, T> {
    input: &'a [T],
    /// Of the weight, empty if the gradient of the input is not wanted.
    turned: &'a [T],
    shape: Convolution,
    channels: [usize; 2],
    of_output: &'a [T],
    of_input: &'a mut [T],
    /// Of both canvases, of a row, and of the sums.
    scratch: &'a mut [Scratch<T>; 4],
}

impl<T: Lanes> WithSimd for Backward<'_, T> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let Self { input, turned, shape, channels, of_output, of_input, scratch: [canvas, of_canvas, row, sums] } =
            self;
        let [inputs, outputs] = channels;
        let [layout, of_layout] = [Canvas::of_input(&shape, inputs), Canvas::of_output(&shape, outputs)];
        layout.paint::<S, T>(input, canvas);
        of_layout.paint::<S, T>(of_output, of_canvas);
        if !of_input.is_empty() {
            row.resize(shape.width * inputs * T::count::<S>());
            let sweep = Sweep { layout: &of_layout, kernel: shape.kernel, stride: 1, outputs: inputs };
            for at in 0..shape.height {
                sweep.correlate(simd, T::vectors::<S>(of_canvas), turned, at, T::vectors_mut::<S>(row));
                layout::unpack::<S, T>(row, at * shape.width * inputs, shape.height * shape.width * inputs, of_input);
            }
        }
        let count = shape.kernel * shape.kernel * inputs * outputs;
        sums.clear(count * T::count::<S>());
        let product = Product { left: &layout, right: &of_layout, shape };
        product.add::<S, T>(simd, T::vectors::<S>(canvas), T::vectors::<S>(of_canvas), T::vectors_mut::<S>(sums));
        sums.chunks_exact(T::count::<S>()).map(|lanes| lanes.iter().map(|lane| lane.to_f64()).sum()).collect()
    }
}

#[cfg(test)]
mod tests;
