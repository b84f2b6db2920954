//! The whole autoencoder as one operation, where its tensors live in the host's memory as `f32`:
//! loss and every gradient in one pass down and one pass up, without a graph.
//!
//! [`crate::train`] takes it when [`host_layers`] finds such tensors and Burn's autodiff otherwise;
//! the two agree. Products are split into fixed blocks of rows, so the bits depend on the shapes
//! alone, never on the number of threads.

use burn::backend::flex::{Flex, FlexTensor};
use burn::module::ParamId;
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::autoencoder::{Autoencoder, Layers};
use crate::batch::Batch;
use crate::config::Activation;

/// A dense layer whose parameters can be read where they are.
pub(crate) struct HostLayer {
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    weight_id: ParamId,
    bias_id: Option<ParamId>,
    inputs: usize,
    outputs: usize,
    /// What follows the layer.
    activation: Activation,
}

/// The layers, if they are in the host's memory as `f32`.
pub(crate) fn host_layers(layers: &Layers) -> Option<Vec<HostLayer>> {
    let last = layers.linear.len() - 1;
    let of = |(index, linear): (usize, &burn::nn::Linear)| {
        let weight = linear.weight.val();
        let [inputs, outputs] = weight.dims();
        let weight = host(weight)?;
        let bias = match &linear.bias {
            Some(bias) => Some(host(bias.val())?),
            None => None,
        };
        let bias_id = linear.bias.as_ref().map(|bias| bias.id);
        let activation = if index == last { Activation::Identity } else { layers.activation() };
        Some(HostLayer { weight, bias, weight_id: linear.weight.id, bias_id, inputs, outputs, activation })
    };
    layers.linear.iter().enumerate().map(of).collect()
}

fn host<const D: usize>(tensor: Tensor<D>) -> Option<FlexTensor> {
    let tensor = if tensor.device().is_autodiff() { tensor.inner() } else { tensor };
    let tensor = tensor.try_into_primitive::<Flex>().ok()?;
    (tensor.dtype() == DType::F32 && tensor.is_contiguous()).then_some(tensor)
}

/// The output `[samples, outputs of the last layer]` for the input `[samples, inputs of the first]`.
pub(crate) fn forward(layers: &[HostLayer], input: &[f32]) -> Vec<f32> {
    let mut value = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        value = layer.forward(if index == 0 { input } else { &value });
        layer.activation.apply_to(&mut value);
    }
    value
}

/// The batch's squared error times `scale`, and its gradients; `None` where the model is elsewhere.
pub(crate) fn gradients(model: &Autoencoder, batch: &Batch, scale: f64) -> Option<(f64, GradientsParams)> {
    let layers: Vec<HostLayer> = host_layers(&model.encoder)?.into_iter().chain(host_layers(&model.decoder)?).collect();
    let passes = Passes::down(&layers, batch.input());
    let (loss, gradient) = squared_error(passes.output(), &batch.clean, batch.weight.as_deref(), scale);
    Some((loss, passes.up(&layers, gradient)))
}

/// What the pass down leaves for the pass up.
struct Passes<'a> {
    input: &'a [f32],
    /// The slope of each layer's activation; none for the identity.
    slopes: Vec<Option<Vec<f32>>>,
    /// Each layer's output.
    outputs: Vec<Vec<f32>>,
}

impl<'a> Passes<'a> {
    fn down(layers: &[HostLayer], input: &'a [f32]) -> Self {
        let mut passes = Self { input, slopes: Vec::new(), outputs: Vec::new() };
        for (index, layer) in layers.iter().enumerate() {
            let mut output = layer.forward(passes.input_of(index));
            passes.slopes.push(layer.activation.apply_with_slopes(&mut output));
            passes.outputs.push(output);
        }
        passes
    }

    fn input_of(&self, layer: usize) -> &[f32] {
        if layer == 0 { self.input } else { &self.outputs[layer - 1] }
    }

    fn output(&self) -> &[f32] {
        self.outputs.last().map_or(&[], Vec::as_slice)
    }

    /// The gradients of every parameter from that of the output.
    fn up(&self, layers: &[HostLayer], mut gradient: Vec<f32>) -> GradientsParams {
        let mut gradients = GradientsParams::new();
        let device = Device::flex();
        for (index, layer) in layers.iter().enumerate().rev() {
            let weight = layer.weight_gradient(self.input_of(index), &gradient);
            let weight = TensorData::new(weight, [layer.inputs, layer.outputs]);
            gradients.register(layer.weight_id, Tensor::<2>::from_data(weight, &device));
            if let Some(id) = layer.bias_id {
                let bias = TensorData::new(column_sums(&gradient, layer.outputs), [layer.outputs]);
                gradients.register(id, Tensor::<1>::from_data(bias, &device));
            }
            if let Some(before) = index.checked_sub(1) {
                gradient = layer.input_gradient(&gradient);
                if let Some(slopes) = &self.slopes[before] {
                    gradient.iter_mut().zip(slopes).for_each(|(gradient, slope)| *gradient *= slope);
                }
            }
        }
        gradients
    }
}

impl HostLayer {
    fn weight(&self) -> MatRef<'_, f32> {
        MatRef::from_row_major_slice(self.weight.as_slice().unwrap_or_default(), self.inputs, self.outputs)
    }

    /// `input W + b`.
    fn forward(&self, input: &[f32]) -> Vec<f32> {
        let samples = input.len() / self.inputs;
        let mut output = vec![0.0; samples * self.outputs];
        if let Some(bias) = self.bias.as_ref().and_then(FlexTensor::as_slice::<f32>) {
            output.chunks_exact_mut(self.outputs).for_each(|row| row.copy_from_slice(bias));
        }
        let input = MatRef::from_row_major_slice(input, samples, self.inputs);
        add_product(&mut output, input, self.weight());
        output
    }

    /// `x^T dy`.
    fn weight_gradient(&self, input: &[f32], gradient: &[f32]) -> Vec<f32> {
        let samples = gradient.len() / self.outputs;
        let mut out = vec![0.0; self.inputs * self.outputs];
        let input = MatRef::from_row_major_slice(input, samples, self.inputs).transpose();
        add_product(&mut out, input, MatRef::from_row_major_slice(gradient, samples, self.outputs));
        out
    }

    /// `dy W^T`.
    fn input_gradient(&self, gradient: &[f32]) -> Vec<f32> {
        let samples = gradient.len() / self.outputs;
        let mut out = vec![0.0; samples * self.inputs];
        let gradient = MatRef::from_row_major_slice(gradient, samples, self.outputs);
        add_product(&mut out, gradient, self.weight().transpose());
        out
    }
}

/// Multiplications under which a product is not worth splitting over threads.
const SPLIT_FROM: usize = 1 << 20;

/// `out += left right`, `out` row-major; in at most four blocks of rows.
fn add_product(out: &mut [f32], left: MatRef<'_, f32>, right: MatRef<'_, f32>) {
    let (rows, columns) = (left.nrows(), right.ncols());
    let block = rows.div_ceil(4).next_multiple_of(16);
    let multiply = |start: usize, out: &mut [f32]| {
        let count = out.len() / columns;
        let out = MatMut::from_row_major_slice_mut(out, count, columns);
        matmul(out, Accum::Add, left.subrows(start, count), right, 1.0, Par::Seq);
    };
    if rows * columns * left.ncols() < SPLIT_FROM {
        return multiply(0, out);
    }
    out.par_chunks_mut(block * columns).enumerate().for_each(|(index, out)| multiply(index * block, out));
}

fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0.0; columns];
    pulp::Arch::new().dispatch(|| {
        for row in values.chunks_exact(columns) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
    });
    sums
}

/// The squared error times `scale`, and its gradient by the output.
fn squared_error(output: &[f32], clean: &[f32], weight: Option<&[f32]>, scale: f64) -> (f64, Vec<f32>) {
    let factor = 2.0 * scale as f32;
    let mut gradient = vec![0.0; output.len()];
    let sum = match weight {
        None => pulp::Arch::new().dispatch(|| {
            let mut sum = LaneSum::default();
            for ((gradient, output), clean) in gradient.iter_mut().zip(output).zip(clean) {
                *gradient = output - clean;
            }
            gradient.chunks(BLOCK).for_each(|block| sum.add_squares(block));
            gradient.iter_mut().for_each(|gradient| *gradient *= factor);
            sum.total()
        }),
        Some(weight) => {
            let mut sum = 0.0;
            let values = gradient.iter_mut().zip(output).zip(clean).zip(weight);
            for (((gradient, output), clean), weight) in values {
                let error = output - clean;
                sum += f64::from(weight * error * error);
                *gradient = factor * weight * error;
            }
            sum
        }
    };
    (sum * scale, gradient)
}

/// Values summed in `f32` before they go into an `f64`.
const BLOCK: usize = 256;
const LANES: usize = 16;

/// A sum in fixed lanes, so that it vectorises and its order is the same everywhere.
#[derive(Default)]
struct LaneSum([f64; LANES]);

impl LaneSum {
    #[inline(always)]
    fn add_squares(&mut self, values: &[f32]) {
        let mut lanes = [0.0_f32; LANES];
        let (chunks, rest) = values.as_chunks::<LANES>();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value * value);
        }
        lanes.iter_mut().zip(rest).for_each(|(lane, value)| *lane += value * value);
        self.0.iter_mut().zip(lanes).for_each(|(sum, lane)| *sum += f64::from(lane));
    }

    fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}
