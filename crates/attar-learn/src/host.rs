//! The autoencoder as one operation, where its parameters lie in the host's memory as `f32`.
//!
//! [`crate::train`] takes it where [`HostLayers::of`] finds such parameters and Burn's autodiff otherwise; the two
//! agree.

use attar_data::Prepared;
use attar_ops::network::{self, Dense, DenseGradient, Target};
use attar_ops::{Activation, Buffers, Matrix, Panels, Precision};
use burn::backend::flex::{Flex, FlexTensor};
use burn::module::ParamId;
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::autoencoder::{Autoencoder, Layers};
use crate::batch::Batch;

/// Layers whose parameters can be read where they are.
pub(crate) struct HostLayers(Vec<HostLayer>);

struct HostLayer {
    weight: FlexTensor,
    bias: Option<FlexTensor>,
    weight_id: ParamId,
    bias_id: Option<ParamId>,
    inputs: usize,
    outputs: usize,
    /// What follows the layer.
    activation: Activation,
}

impl HostLayers {
    /// The layers, if they are in the host's memory as `f32`.
    pub(crate) fn of(layers: &Layers) -> Option<Self> {
        let last = layers.linear.len().checked_sub(1)?;
        let activation = |index| if index == last { Activation::Identity } else { layers.activation() };
        let of = |(index, linear)| HostLayer::of(linear, activation(index));
        layers.linear.iter().enumerate().map(of).collect::<Option<_>>().map(Self)
    }

    /// The layers of both parts, one after the other.
    pub(crate) fn of_autoencoder(model: &Autoencoder) -> Option<Self> {
        let (encoder, decoder) = (Self::of(&model.encoder)?, Self::of(&model.decoder)?);
        Some(Self(encoder.0.into_iter().chain(decoder.0).collect()))
    }

    /// The output `[samples, outputs of the last layer]` for the input `[samples, inputs of the first]`.
    pub(crate) fn forward(&self, input: &[f32], buffers: &mut Buffers<f32>) -> Vec<f32> {
        let layers = self.dense(Precision::Full);
        let samples = layers.first().map_or(0, |layer| input.len() / layer.inputs);
        network::forward(&layers, input, samples, buffers)
    }

    /// Made ready for many rows of data, whose zeros are left out where they are many.
    pub(crate) fn for_many(&self) -> ForMany<'_> {
        let layers = self.dense(Precision::Full);
        let panels = layers.first().map(|first| Panels::new(Matrix::row_major(first.weight, first.outputs)));
        ForMany { layers, panels }
    }

    fn dense(&self, precision: Precision) -> Vec<Dense<'_, f32>> {
        self.0.iter().map(|layer| layer.dense(precision)).collect()
    }
}

/// Layers made ready for many rows of data.
pub(crate) struct ForMany<'a> {
    layers: Vec<Dense<'a, f32>>,
    /// The first layer's weight.
    panels: Option<Panels>,
}

/// Rows that go through the first layer as they are read, while they lie near to the processor.
const ROWS_AT_ONCE: usize = 32;

impl ForMany<'_> {
    /// The output `[rows, outputs of the last layer]`.
    pub(crate) fn forward(&self, data: &Prepared, rows: &[usize], buffers: &mut Buffers<f32>) -> Vec<f32> {
        let Some((first, others)) = self.layers.split_first() else { return Vec::new() };
        let Some(hidden) = self.first_of_sparse(data, rows, buffers) else {
            let mut input = buffers.take(rows.len() * first.inputs);
            data.read(rows, &mut input);
            let output = network::forward(&self.layers, &input, rows.len(), buffers);
            buffers.give(input);
            return output;
        };
        if others.is_empty() {
            return hidden;
        }
        let output = network::forward(others, &hidden, rows.len(), buffers);
        buffers.give(hidden);
        output
    }

    /// The first layer's output, if the first rows have zeros enough.
    fn first_of_sparse(&self, data: &Prepared, rows: &[usize], buffers: &mut Buffers<f32>) -> Option<Vec<f32>> {
        let (first, panels) = (self.layers.first()?, self.panels.as_ref()?);
        let mut input = buffers.take(rows.len().min(ROWS_AT_ONCE) * first.inputs);
        data.read(&rows[..rows.len().min(ROWS_AT_ONCE)], &mut input);
        if !panels.pays_for(&input) {
            buffers.give(input);
            return None;
        }
        let mut output = buffers.take(rows.len() * first.outputs);
        for (rows, output) in rows.chunks(ROWS_AT_ONCE).zip(output.chunks_mut(ROWS_AT_ONCE * first.outputs)) {
            let input = &mut input[..rows.len() * first.inputs];
            data.read(rows, input);
            panels.product(output, input);
        }
        buffers.give(input);
        first.activation.add_bias_and_apply(&mut output, first.bias, &mut []);
        Some(output)
    }
}

impl HostLayer {
    fn of(linear: &Linear, activation: Activation) -> Option<Self> {
        let bias = match &linear.bias {
            Some(bias) => Some(host(bias.val())?),
            None => None,
        };
        let bias_id = linear.bias.as_ref().map(|bias| bias.id);
        let weight = linear.weight.val();
        let [inputs, outputs] = weight.dims();
        let weight = host(weight)?;
        Some(Self { weight, bias, weight_id: linear.weight.id, bias_id, inputs, outputs, activation })
    }

    fn dense(&self, precision: Precision) -> Dense<'_, f32> {
        let weight = self.weight.as_slice().unwrap_or_default();
        let bias = self.bias.as_ref().and_then(FlexTensor::as_slice);
        Dense { weight, bias, inputs: self.inputs, outputs: self.outputs, activation: self.activation, precision }
    }
}

fn host<const D: usize>(tensor: Tensor<D>) -> Option<FlexTensor> {
    let tensor = tensor.without_autodiff().try_into_primitive::<Flex>().ok()?;
    (tensor.dtype() == DType::F32 && tensor.is_contiguous()).then_some(tensor)
}

/// The batch's squared error times `scale`, and its gradients; `None` where the model is elsewhere.
pub(crate) fn gradients(
    model: &Autoencoder,
    batch: &Batch,
    scale: f64,
    precision: Precision,
    buffers: &mut Buffers<f32>,
) -> Option<(f64, GradientsParams)> {
    let layers = HostLayers::of_autoencoder(model)?;
    let target = Target { values: &batch.clean, weight: batch.weight.as_deref(), scale };
    let samples = batch.clean.len() / batch.features;
    let (loss, gradients) = network::gradients(&layers.dense(precision), batch.input(), samples, &target, buffers);
    let mut by_parameter = GradientsParams::new();
    for (layer, gradient) in layers.0.iter().zip(gradients) {
        layer.register(gradient, &mut by_parameter);
    }
    Some((loss, by_parameter))
}

impl HostLayer {
    fn register(&self, gradient: DenseGradient<f32>, gradients: &mut GradientsParams) {
        let device = Device::flex();
        let weight = TensorData::new(gradient.weight, [self.inputs, self.outputs]);
        gradients.register(self.weight_id, Tensor::<2>::from_data(weight, &device));
        if let Some(id) = self.bias_id {
            let width = gradient.bias.len();
            let bias = TensorData::new(gradient.bias, [width]);
            gradients.register(id, Tensor::<1>::from_data(bias, &device));
        }
    }
}
