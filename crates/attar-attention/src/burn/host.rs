//! Attention on tensors in the host's memory, over the forms on slices.

use attar_ops::burn::values::{Host, row_major, slice, tensor};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};
use burn::tensor::DType;

use super::shape_of;
use crate::{Attention, Error, Form, Forward, Gradients, Inputs};

/// Attention on `f32` or `f64` and shapes that were checked.
#[backend_extension(Flex, Autodiff)]
pub(super) trait HostAttention: Backend {
    fn attention(
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        hidden: Option<Vec<bool>>,
        attention: Attention,
        form: Form,
    ) -> FloatTensor<Self>;
}

impl HostAttention for Flex {
    fn attention(
        queries: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        hidden: Option<Vec<bool>>,
        attention: Attention,
        form: Form,
    ) -> FlexTensor {
        forward(&attention, form, [&queries, &keys, &values], hidden.as_deref()).0
    }
}

/// What the gradients are computed from, beside the inputs.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Single(Forward<f32>),
    Double(Forward<f64>),
    /// Of an attention that failed although its inputs were checked.
    Nothing,
}

type Tensors<'a> = [&'a FlexTensor; 3];

/// The output, and what [`backward`] needs.
pub(super) fn forward(
    attention: &Attention,
    form: Form,
    tensors: Tensors<'_>,
    hidden: Option<&[bool]>,
) -> (FlexTensor, Kept) {
    let result = match tensors[0].dtype() {
        DType::F64 => forward_of(attention, form, tensors, hidden).map(|(output, kept)| (output, Kept::Double(kept))),
        _ => forward_of(attention, form, tensors, hidden).map(|(output, kept)| (output, Kept::Single(kept))),
    };
    result.unwrap_or_else(|_| (not_a_number(tensors[0]), Kept::Nothing))
}

/// The gradients by queries, keys and values.
pub(super) fn backward(
    attention: &Attention,
    kept: &Kept,
    tensors: Tensors<'_>,
    hidden: Option<&[bool]>,
    of_output: &FlexTensor,
) -> [FlexTensor; 3] {
    let result = match kept {
        Kept::Single(kept) => backward_of(attention, kept, tensors, hidden, of_output),
        Kept::Double(kept) => backward_of(attention, kept, tensors, hidden, of_output),
        Kept::Nothing => Ok(tensors.map(not_a_number)),
    };
    result.unwrap_or_else(|_| tensors.map(not_a_number))
}

fn forward_of<T: Host>(
    attention: &Attention,
    form: Form,
    tensors: Tensors<'_>,
    hidden: Option<&[bool]>,
) -> Result<(FlexTensor, Forward<T>), Error> {
    let tensors = tensors.map(row_major);
    let inputs = inputs(&tensors, hidden);
    let forward = attention.forward(form, &inputs)?;
    let shape = inputs.shape;
    let output = tensor(forward.output.clone(), [shape.batch, shape.heads, shape.queries, shape.value_dim]);
    Ok((output, forward))
}

fn backward_of<T: Host>(
    attention: &Attention,
    kept: &Forward<T>,
    tensors: Tensors<'_>,
    hidden: Option<&[bool]>,
    of_output: &FlexTensor,
) -> Result<[FlexTensor; 3], Error> {
    let shapes = tensors.map(|tensor| tensor.layout().shape().clone());
    let tensors = tensors.map(row_major);
    let of_output = row_major(of_output);
    let Gradients { queries, keys, values } =
        attention.backward(&inputs::<T>(&tensors, hidden), kept, slice(&of_output))?;
    let [of_queries, of_keys, of_values] = shapes;
    Ok([tensor(queries, of_queries), tensor(keys, of_keys), tensor(values, of_values)])
}

fn inputs<'a, T: Host>(tensors: &'a [FlexTensor; 3], hidden: Option<&'a [bool]>) -> Inputs<'a, T> {
    let axes = |tensor: &FlexTensor| std::array::from_fn(|axis| tensor.layout().shape()[axis]);
    let [queries, keys, values] = tensors;
    let shape = shape_of([axes(queries), axes(keys), axes(values)]);
    Inputs { shape, queries: slice(queries), keys: slice(keys), values: slice(values), hidden }
}

/// As large as `like`: what becomes of an error that the checks let through.
fn not_a_number(like: &FlexTensor) -> FlexTensor {
    let shape = like.layout().shape().clone();
    match like.dtype() {
        DType::F64 => tensor(vec![f64::NAN; shape.num_elements()], shape),
        _ => tensor(vec![f32::NAN; shape.num_elements()], shape),
    }
}
