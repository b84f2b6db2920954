//! A chain of dense layers as one operation: loss and every gradient in one pass down and one pass up, without a graph.

use crate::halves;
use crate::linear_pair::LinearPair;
use crate::loss::squared_error_with_bias;
use crate::product::SHARED_FROM;
use crate::reduce::column_sums;
use crate::{Activation, Buffers, Float, Matrix, Precision, product};

/// A dense layer over parameters that someone else owns.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a, T> {
    /// Row-major `[inputs, outputs]`.
    pub weight: &'a [T],
    /// `[outputs]`.
    pub bias: Option<&'a [T]>,
    /// Width of what comes in.
    pub inputs: usize,
    /// Width of what goes out.
    pub outputs: usize,
    /// What follows the layer.
    pub activation: Activation,
    /// Of the layer's products.
    pub precision: Precision,
}

/// The gradients of one layer's parameters, laid out as the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseGradient<T> {
    /// Of the weight.
    pub weight: Vec<T>,
    /// Of the bias; empty where there is none.
    pub bias: Vec<T>,
}

/// What a reconstruction is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a, T> {
    /// Row-major `[samples, outputs of the last layer]`.
    pub values: &'a [T],
    /// What each squared error counts, laid out alike; everything counts 1 without it.
    pub weight: Option<&'a [T]>,
    /// Multiplies the sum of the squared errors.
    pub scale: f64,
}

impl<'a, T> Target<'a, T> {
    /// The first so many values, and the others.
    pub(crate) fn split_at(&self, count: usize) -> (Self, Self) {
        let (first, rest) = self.values.split_at(count);
        let (first_weight, rest_weight) = self.weight.map(|weight| weight.split_at(count)).unzip();
        (Self { values: first, weight: first_weight, ..*self }, Self { values: rest, weight: rest_weight, ..*self })
    }
}

impl<'a, T: Float> Dense<'a, T> {
    pub(crate) fn weight(&self) -> Matrix<'a, T> {
        Matrix::row_major(self.weight, self.outputs)
    }

    /// The bias, if it can be added to the output whenever that is gone through next.
    fn late_bias(&self) -> Option<&'a [T]> {
        self.bias.filter(|_| self.activation == Activation::Identity)
    }

    /// The output `[samples, outputs]` for the input `[samples, inputs]`; `slopes` as in
    /// [`Activation::add_bias_and_apply`].
    pub fn forward(&self, input: &[T], out: &mut [T], slopes: &mut [T]) {
        product(self.precision, out, Matrix::row_major(input, self.inputs), self.weight());
        self.activation.add_bias_and_apply(out, self.bias, slopes);
    }

    /// The parameters' gradients from that of the output before its activation.
    pub fn gradient(&self, input: &[T], of_output: &[T], out: &mut DenseGradient<T>) {
        let of_output = Matrix::row_major(of_output, self.outputs);
        product(self.precision, &mut out.weight, Matrix::row_major(input, self.inputs).transposed(), of_output);
        if !out.bias.is_empty() {
            column_sums(of_output.values(), &mut out.bias);
        }
    }

    fn room_for_gradient(&self, buffers: &mut Buffers<T>) -> DenseGradient<T> {
        let weight = buffers.take(self.inputs * self.outputs);
        DenseGradient { weight, bias: buffers.take(self.bias.map_or(0, <[T]>::len)) }
    }

    /// The input's gradient from that of the output before its activation.
    pub fn input_gradient(&self, of_output: &[T], out: &mut [T]) {
        product(self.precision, out, Matrix::row_major(of_output, self.outputs), self.weight().transposed());
    }
}

/// The last layer's output for an input of `samples` rows.
pub fn forward<T: Float>(layers: &[Dense<'_, T>], input: &[T], samples: usize, buffers: &mut Buffers<T>) -> Vec<T> {
    if let Some(pair) = LinearPair::for_forward(layers, samples) {
        return pair.forward(input, samples, buffers);
    }
    let mut value = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        let mut output = buffers.take(samples * layer.outputs);
        layer.forward(if index == 0 { input } else { &value }, &mut output, &mut []);
        buffers.give(std::mem::replace(&mut value, output));
    }
    value
}

/// The target's squared error and the gradients of every layer, first to last.
pub fn gradients<T: Float>(
    layers: &[Dense<'_, T>],
    input: &[T],
    samples: usize,
    target: &Target<'_, T>,
    buffers: &mut Buffers<T>,
) -> (f64, Vec<DenseGradient<T>>) {
    match LinearPair::for_gradients(layers, samples) {
        Some(pair) => pair.gradients(input, samples, target, buffers),
        None if halves::are_better(layers, samples) => halves::gradients(layers, input, samples, target, buffers),
        None => layer_by_layer(layers, input, samples, target, buffers),
    }
}

/// [`gradients`] for any layers, each by its own products.
pub(crate) fn layer_by_layer<T: Float>(
    layers: &[Dense<'_, T>],
    input: &[T],
    samples: usize,
    target: &Target<'_, T>,
    buffers: &mut Buffers<T>,
) -> (f64, Vec<DenseGradient<T>>) {
    let mut passes = Passes::down(layers, input, samples, buffers);
    let mut gradient = passes.outputs.pop().unwrap_or_default();
    let loss = squared_error_with_bias(&mut gradient, layers.last().and_then(Dense::late_bias), target);
    let gradients = passes.up(layers, gradient, buffers);
    passes.give(buffers);
    (loss, gradients)
}

/// What the pass down leaves for the pass up; the last output is without [`Dense::late_bias`].
struct Passes<'a, T> {
    input: &'a [T],
    samples: usize,
    /// Each layer's output.
    outputs: Vec<Vec<T>>,
    /// The slopes of each layer's activation, where it keeps them.
    slopes: Vec<Vec<T>>,
}

impl<'a, T: Float> Passes<'a, T> {
    fn down(layers: &[Dense<'_, T>], input: &'a [T], samples: usize, buffers: &mut Buffers<T>) -> Self {
        let mut passes = Self { input, samples, outputs: Vec::new(), slopes: Vec::new() };
        for (index, layer) in layers.iter().enumerate() {
            let mut output = buffers.take(samples * layer.outputs);
            let mut slopes = buffers.take(if layer.activation.keeps_slopes() { output.len() } else { 0 });
            let last = index + 1 == layers.len() && layer.late_bias().is_some();
            let layer = Dense { bias: layer.bias.filter(|_| !last), ..*layer };
            layer.forward(passes.input_of(index), &mut output, &mut slopes);
            passes.outputs.push(output);
            passes.slopes.push(slopes);
        }
        passes
    }

    fn input_of(&self, layer: usize) -> &[T] {
        if layer == 0 { self.input } else { &self.outputs[layer - 1] }
    }

    /// The gradients of every layer from that of the last output.
    fn up(&self, layers: &[Dense<'_, T>], mut gradient: Vec<T>, buffers: &mut Buffers<T>) -> Vec<DenseGradient<T>> {
        let mut gradients = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate().rev() {
            let mut of_layer = layer.room_for_gradient(buffers);
            let input = self.input_of(index);
            // Nobody asks for the gradient of the first layer's input.
            if let Some(before) = index.checked_sub(1) {
                let mut below = buffers.take(self.samples * layer.inputs);
                let mut of_input = || {
                    layer.input_gradient(&gradient, &mut below);
                    layers[before].activation.multiply_by_slope(&mut below, input, &self.slopes[before]);
                };
                let mut of_parameters = || layer.gradient(input, &gradient, &mut of_layer);
                if self.samples * layer.weight.len() < SHARED_FROM {
                    of_parameters();
                    of_input();
                } else {
                    rayon::join(of_parameters, of_input);
                }
                buffers.give(std::mem::replace(&mut gradient, below));
            } else {
                layer.gradient(input, &gradient, &mut of_layer);
            }
            gradients.push(of_layer);
        }
        buffers.give(gradient);
        gradients.reverse();
        gradients
    }

    fn give(self, buffers: &mut Buffers<T>) {
        self.outputs.into_iter().chain(self.slopes).for_each(|buffer| buffers.give(buffer));
    }
}
