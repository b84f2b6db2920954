//! Weights by name, as safetensors files hold them.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::Error;

/// Weights under PyTorch's names and in its layout, such as `self_attn.out_proj.weight` of shape `[outputs, inputs]`.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, TensorData>,
}

impl Weights {
    /// Those in the bytes of a safetensors file. Tensors of other kinds than `f64`, `f32`, `bf16` and `f16` are left out.
    ///
    /// # Errors
    /// Bytes that are no safetensors file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| mismatch("a safetensors file", error))?;
        let floats = file.tensors().into_iter().filter_map(|(name, view)| {
            let (kind, _) = KINDS.into_iter().find(|(_, stored)| *stored == view.dtype())?;
            Some((name, view.data().to_vec(), view.shape().to_vec(), kind))
        });
        let tensor = |(name, bytes, shape, kind)| {
            let data = TensorData::try_from_bytes_vec(bytes, Vec::<usize>::clone(&shape), kind);
            data.map(|data| (name, data)).map_err(|error| mismatch("as many values as the shape says", error))
        };
        Ok(Self { tensors: floats.map(tensor).collect::<Result<_, _>>()? })
    }

    /// The bytes of a safetensors file with them.
    ///
    /// # Errors
    /// Weights of another kind of number than [`Self::from_bytes`] takes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let views = self.tensors.iter().map(|(name, data)| {
            let kind = KINDS.into_iter().find(|(kind, _)| *kind == data.dtype());
            let (_, stored) = kind.ok_or_else(|| mismatch("weights in f64, f32, bf16 or f16", data.dtype().name()))?;
            let view = TensorView::new(stored, data.shape().to_vec(), data.as_bytes());
            view.map(|view| (name, view)).map_err(|error| mismatch("weights that safetensors can hold", error))
        });
        let views = views.collect::<Result<Vec<_>, Error>>()?;
        safetensors::serialize(views, None).map_err(|error| mismatch("weights that safetensors can hold", error))
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The lengths of the axes of the tensor of this name, if there is one.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|data| data.shape().to_vec())
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// No such name, or another shape.
    pub fn tensor<const D: usize>(&self, name: &str, shape: [usize; D], device: &Device) -> Result<Tensor<D>, Error> {
        let names = || self.names().collect::<Vec<_>>().join(", ");
        let data = self.tensors.get(name).ok_or_else(|| mismatch(&format!("a tensor `{name}`"), names()))?;
        if data.shape().as_slice() != shape {
            return Err(mismatch(&format!("`{name}` of shape {shape:?}"), data.shape()));
        }
        Ok(Tensor::from_data(data.clone(), (device, data.dtype())))
    }

    /// Gives the tensor this name.
    pub fn insert<const D: usize>(&mut self, name: String, tensor: Tensor<D>) {
        self.tensors.insert(name, tensor.into_data());
    }
}

const KINDS: [(DType, Dtype); 4] =
    [(DType::F64, Dtype::F64), (DType::F32, Dtype::F32), (DType::BF16, Dtype::BF16), (DType::F16, Dtype::F16)];

fn mismatch(expected: &str, found: impl std::fmt::Display) -> Error {
    Error::Mismatch { expected: expected.into(), found: found.to_string() }
}
