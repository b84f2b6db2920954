//! The two layers of a linear autoencoder in a safetensors file, in `f64`.

use std::path::Path;

use attar_linear::linear_autoencoder::{Weights, constant_term};
use faer::Mat;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::Error;

/// A linear autoencoder `x -> W2 W1 x + constant`, as a file has it.
#[derive(Clone, Debug)]
pub struct LinearModel {
    /// Encoder and decoder.
    pub weights: Weights,
    /// `W2 b1 + b2`; absent where the file has no biases.
    pub constant: Option<Vec<f64>>,
    /// Whether the weights were stored in fewer bits than an `f64` has.
    pub single: bool,
}

/// The names of the layers, such as `encoder.0`; a weight may be named with or without its `.weight`.
#[derive(Clone, Copy, Debug)]
pub struct LayerNames<'a> {
    /// Of the layer from features to code.
    pub encoder: &'a str,
    /// Of the layer from code to features.
    pub decoder: &'a str,
}

/// The names in files of ours, and of PyTorch modules with an `encoder` and a `decoder`.
impl Default for LayerNames<'_> {
    fn default() -> Self {
        Self { encoder: "encoder.0", decoder: "decoder.0" }
    }
}

/// Reads the two named layers, `[outputs, inputs]` each as PyTorch has them.
///
/// # Errors
/// [`Error::Malformed`] where a tensor is missing, is not of floating-point numbers or does not fit, or where the file
/// has further layers after those of the default names.
pub fn read(path: &Path, names: Option<LayerNames<'_>>) -> Result<LinearModel, Error> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let malformed = |(expected, got): Mismatch| Error::Malformed { path: path.into(), expected: expected.into(), got };
    let file =
        SafeTensors::deserialize(&bytes).map_err(|error| malformed(("a safetensors file", error.to_string())))?;
    from_file(&file, names).map_err(malformed)
}

/// What was expected and what came.
type Mismatch = (&'static str, String);

fn from_file(file: &SafeTensors, names: Option<LayerNames<'_>>) -> Result<LinearModel, Mismatch> {
    if names.is_none() {
        let deeper = file.names().into_iter().filter(|name| name.ends_with(".2.weight")).min();
        if let Some(name) = deeper {
            return Err(("one layer in the encoder and one in the decoder", format!("also `{name}`")));
        }
    }
    let LayerNames { encoder, decoder } = names.unwrap_or_default();
    let (encoder, decoder) = (layer(file, encoder)?, layer(file, decoder)?);
    let single = encoder.single || decoder.single;
    let shapes = (encoder.weight.shape(), decoder.weight.shape());
    let weights = Weights { encoder: encoder.weight, decoder: decoder.weight };
    if shapes.0 != (shapes.1.1, shapes.1.0) {
        return Err(("a decoder of the encoder's shape, transposed", format!("{:?} and {:?}", shapes.0, shapes.1)));
    }
    let constant = match (encoder.bias, decoder.bias) {
        (None, None) => None,
        (first, second) => {
            let [first, second] = [(first, shapes.0.0), (second, shapes.1.0)]
                .map(|(bias, outputs)| bias.unwrap_or_else(|| vec![0.0; outputs]));
            let constant = constant_term(&weights, &first, &second);
            Some(constant.map_err(|error| ("biases that fit the weights", error.to_string()))?)
        }
    };
    Ok(LinearModel { weights, constant, single })
}

struct Layer {
    weight: Mat<f64>,
    bias: Option<Vec<f64>>,
    single: bool,
}

fn layer(file: &SafeTensors, name: &str) -> Result<Layer, Mismatch> {
    let prefix = name.strip_suffix(".weight").unwrap_or(name);
    let find = |name: &str| file.tensor(name).ok();
    let view = find(&format!("{prefix}.weight")).or_else(|| find(name)).ok_or_else(|| {
        let mut names = file.names();
        names.sort_unstable();
        ("the tensors of both layers", format!("no `{prefix}.weight` among {}", names.join(", ")))
    })?;
    let [rows, columns] = *view.shape() else {
        return Err(("weights of two dimensions", format!("`{name}` of shape {:?}", view.shape())));
    };
    let values = numbers(&view, name)?;
    let bias = find(&format!("{prefix}.bias")).map(|bias| numbers(&bias, name)).transpose()?;
    let weight = Mat::from_fn(rows, columns, |row, column| values[row * columns + column]);
    Ok(Layer { weight, bias, single: view.dtype() != Dtype::F64 })
}

fn numbers(view: &TensorView, name: &str) -> Result<Vec<f64>, Mismatch> {
    let (fours, _) = view.data().as_chunks::<4>();
    let (eights, _) = view.data().as_chunks::<8>();
    match view.dtype() {
        Dtype::F32 => Ok(fours.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()),
        Dtype::F64 => Ok(eights.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()),
        other => Err(("weights in f32 or f64", format!("`{name}` in {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    type Tensor = (&'static str, Vec<usize>, Vec<f64>);

    fn file(tensors: &[Tensor], single: bool) -> Vec<u8> {
        let bytes = |values: &[f64]| match single {
            true => values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect::<Vec<u8>>(),
            false => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        let dtype = if single { Dtype::F32 } else { Dtype::F64 };
        let data: Vec<Vec<u8>> = tensors.iter().map(|(.., values)| bytes(values)).collect();
        let views = tensors.iter().zip(&data);
        let views = views.map(|((name, shape, _), data)| (*name, TensorView::new(dtype, shape.clone(), data).unwrap()));
        safetensors::serialize(views.collect::<HashMap<_, _>>(), None).unwrap()
    }

    fn read_tensors(tensors: &[Tensor], names: Option<LayerNames>, single: bool) -> Result<LinearModel, Mismatch> {
        from_file(&SafeTensors::deserialize(&file(tensors, single)).unwrap(), names)
    }

    fn layers() -> Vec<Tensor> {
        vec![
            ("encoder.0.weight", vec![1, 3], vec![1.0, 2.0, 3.0]),
            ("decoder.0.weight", vec![3, 1], vec![4.0, 5.0, 6.0]),
        ]
    }

    #[test]
    fn weights_are_read_as_pytorch_lays_them_out() {
        let model = read_tensors(&layers(), None, false).unwrap();
        assert_eq!(model.weights.encoder[(0, 1)], 2.0);
        assert_eq!(model.weights.decoder[(2, 0)], 6.0);
        assert!(model.constant.is_none() && !model.single);
        assert!(read_tensors(&layers(), None, true).unwrap().single);
    }

    #[test]
    fn biases_become_the_constant_term() {
        let mut tensors = layers();
        tensors.push(("encoder.0.bias", vec![1], vec![10.0]));
        tensors.push(("decoder.0.bias", vec![3], vec![0.5, 0.25, 0.125]));
        assert_eq!(read_tensors(&tensors, None, false).unwrap().constant.unwrap(), [40.5, 50.25, 60.125]);
        tensors.remove(2);
        assert_eq!(read_tensors(&tensors, None, false).unwrap().constant.unwrap(), [0.5, 0.25, 0.125]);
    }

    #[test]
    fn names_can_be_given_with_or_without_weight() {
        let tensors = vec![("down.weight", vec![1, 2], vec![1.0, 2.0]), ("up", vec![2, 1], vec![3.0, 4.0])];
        for encoder in ["down", "down.weight"] {
            let model = read_tensors(&tensors, Some(LayerNames { encoder, decoder: "up" }), false).unwrap();
            assert_eq!(model.weights.decoder[(1, 0)], 4.0);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let check = |tensors: &[Tensor], part: &str| {
            let (expected, got) = read_tensors(tensors, None, false).unwrap_err();
            let message = format!("{expected}; {got}");
            assert!(message.contains(part), "{message}");
        };
        check(&layers()[..1], "no `decoder.0.weight` among encoder.0.weight");
        let with = |tensor| [layers(), vec![tensor]].concat();
        check(&with(("encoder.2.weight", vec![1, 1], vec![1.0])), "also `encoder.2.weight`");
        check(&with(("encoder.0.bias", vec![2], vec![1.0, 2.0])), "biases that fit");
        let mut flat = layers();
        flat[1].1 = vec![3];
        check(&flat, "two dimensions");
        flat[1] = ("decoder.0.weight", vec![1, 3], vec![4.0, 5.0, 6.0]);
        check(&flat, "transposed");
    }
}
