//! `model.safetensors`: weights under PyTorch's names and in its layout.
//!
//! `encoder.0.weight` is `[outputs, inputs]`, the transpose of what Burn keeps; the numbers in the
//! names count the activations too, as `nn.Sequential` does.

use std::collections::HashMap;
use std::path::Path;

use burn::nn::Linear;
use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::Error;
use crate::autoencoder::{Autoencoder, Layers, linear};
use crate::config::Activation;
use crate::file::write_atomically;

/// A named array of `f32`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// Writes the weights of a network, with `metadata` beside them.
///
/// # Errors
/// [`Error::Io`].
pub fn save(model: &Autoencoder, metadata: HashMap<String, String>, path: &Path) -> Result<(), Error> {
    write_atomically(path, &serialize(&arrays(model), metadata, path)?)
}

/// Reads a network that [`save`] or PyTorch wrote; the file tells the widths.
///
/// # Errors
/// [`Error::Malformed`] names the tensor that is missing or has another shape or type.
pub fn load(path: &Path, activation: Activation, device: &Device) -> Result<Autoencoder, Error> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    from_arrays(&deserialize(&bytes, path)?.0, activation, device).map_err(|(expected, got)| Error::Malformed {
        path: path.into(),
        expected,
        got,
    })
}

/// The weights as PyTorch lays them out.
pub(crate) fn arrays(model: &Autoencoder) -> Vec<Array> {
    model.named_layers().into_iter().flat_map(|(name, layer)| layer_arrays(&name, layer)).collect()
}

fn layer_arrays(name: &str, layer: &Linear) -> Vec<Array> {
    let weight = layer.weight.val();
    let [inputs, outputs] = weight.dims();
    let values = weight.transpose().into_data().iter::<f32>().collect();
    let weight = Array { name: format!("{name}.weight"), shape: vec![outputs, inputs], values };
    let bias = layer.bias.as_ref().map(|bias| Array {
        name: format!("{name}.bias"),
        shape: vec![outputs],
        values: bias.val().into_data().iter::<f32>().collect(),
    });
    [Some(weight), bias].into_iter().flatten().collect()
}

/// What was expected and what came.
type Mismatch = (String, String);

/// The network of the given weights.
pub(crate) fn from_arrays(arrays: &[Array], activation: Activation, device: &Device) -> Result<Autoencoder, Mismatch> {
    let encoder = part("encoder", arrays, device)?;
    let decoder = part("decoder", arrays, device)?;
    let features = |layers: &[Linear], end: usize| layers[end].weight.lazy_shape().dims::<2>();
    let (first, last) = (features(&encoder, 0), features(&encoder, encoder.len() - 1));
    let (code, output) = (features(&decoder, 0), features(&decoder, decoder.len() - 1));
    if last[1] != code[0] || first[0] != output[1] {
        return Err((
            format!("a decoder from {} to {} features", last[1], first[0]),
            format!("one from {} to {}", code[0], output[1]),
        ));
    }
    Ok(Autoencoder { encoder: Layers::of(encoder, activation), decoder: Layers::of(decoder, activation) })
}

fn part(part: &str, arrays: &[Array], device: &Device) -> Result<Vec<Linear>, Mismatch> {
    let find = |name: String| arrays.iter().find(|array| array.name == name);
    let mut layers: Vec<Linear> = Vec::new();
    while let Some(weight) = find(format!("{part}.{}.weight", 2 * layers.len())) {
        let [outputs, inputs] = weight.shape[..] else {
            return Err((format!("`{}` of two dimensions", weight.name), format!("the shape {:?}", weight.shape)));
        };
        let bias = find(format!("{part}.{}.bias", 2 * layers.len()));
        let bias = bias.map_or_else(|| vec![0.0; outputs], |bias| bias.values.clone());
        let before = layers.last().map_or(inputs, |layer| layer.weight.lazy_shape().dims::<2>()[1]);
        if bias.len() != outputs || before != inputs {
            return Err((
                format!("`{}` of shape [{}, {before}]", weight.name, bias.len()),
                format!("[{outputs}, {inputs}]"),
            ));
        }
        layers.push(linear(transposed(&weight.values, outputs, inputs), bias, inputs, device));
    }
    if layers.is_empty() {
        let names: Vec<&str> = arrays.iter().map(|array| array.name.as_str()).collect();
        return Err((format!("a tensor `{part}.0.weight`"), format!("only {}", names.join(", "))));
    }
    Ok(layers)
}

/// Columns that are gone through together: as many places of the result as a processor can write to at a time.
const COLUMNS_AT_ONCE: usize = 16;

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    for first in (0..columns).step_by(COLUMNS_AT_ONCE) {
        for row in 0..rows {
            for column in first..columns.min(first + COLUMNS_AT_ONCE) {
                out[column * rows + row] = values[row * columns + column];
            }
        }
    }
    out
}

pub(crate) fn serialize(arrays: &[Array], metadata: HashMap<String, String>, path: &Path) -> Result<Vec<u8>, Error> {
    let bytes: Vec<Vec<u8>> =
        arrays.iter().map(|array| array.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views = arrays.iter().zip(&bytes).map(|(array, bytes)| {
        TensorView::new(Dtype::F32, array.shape.clone(), bytes).map(|view| (array.name.as_str(), view))
    });
    let malformed = |error: safetensors::SafeTensorError| Error::Malformed {
        path: path.into(),
        expected: "tensors that safetensors can hold".into(),
        got: error.to_string(),
    };
    let views = views.collect::<Result<Vec<_>, _>>().map_err(malformed)?;
    safetensors::serialize(views, Some(metadata)).map_err(malformed)
}

/// The arrays of a safetensors file of `f32` or `f64`, and its metadata.
pub(crate) fn deserialize(bytes: &[u8], path: &Path) -> Result<(Vec<Array>, HashMap<String, String>), Error> {
    let malformed = |got: String| Error::Malformed { path: path.into(), expected: "a safetensors file".into(), got };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| malformed(error.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| malformed(error.to_string()))?;
    let arrays = tensors.tensors().into_iter().map(|(name, view)| {
        let values = floats(&view).ok_or_else(|| malformed(format!("`{name}` of type {:?}", view.dtype())))?;
        Ok(Array { name, shape: view.shape().to_vec(), values })
    });
    Ok((arrays.collect::<Result<_, Error>>()?, metadata))
}

fn floats(view: &TensorView) -> Option<Vec<f32>> {
    let (fours, _) = view.data().as_chunks::<4>();
    let (eights, _) = view.data().as_chunks::<8>();
    match view.dtype() {
        Dtype::F32 => Some(fours.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        Dtype::F64 => Some(eights.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect()),
        _ => None,
    }
}
