//! Attention for Burn's tensors, forward and backward.
//!
//! Where the tensors are in the host's memory (Burn's Flex backend, with or without autodiff), attention is one
//! operation in the form that is asked for, with gradients written by hand. Everywhere else it is a composition of Burn's
//! own operations over all pairs of queries and keys, and as differentiable.
//!
//! `f32` and `f64` are computed as such, other kinds of numbers in `f32`; output and gradients are of the inputs' kind.

mod block;
mod composed;
mod decode;
mod graph;
mod host;
mod layers;
mod multi_head;
mod weights;

pub use block::{Arrangement, BlockConfig, TransformerBlock};
pub use layers::Norm;
pub use multi_head::{MultiHeadAttention, MultiHeadConfig};
pub use weights::Weights;

use attar_ops::burn::on_host;
use burn::backend::Dispatch;
use burn::tensor::{Bool, DType, Tensor};

use self::host::HostAttention;
use crate::error::same;
use crate::{Attention, Error, Form, Shape, Similarity};

/// The output `[batch, heads, queries, value_dim]` for queries `[batch, heads, queries, dim]`, keys
/// `[batch, key_heads, keys, dim]` and values `[batch, key_heads, keys, value_dim]`.
///
/// Keys marked in `hidden`, `[batch, keys]`, are seen by no query.
///
/// # Errors
/// Those of [`Attention::forward`]; tensors of different kinds of numbers or on different devices.
pub fn attention(
    attention: &Attention,
    form: Form,
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    hidden: Option<Tensor<2, Bool>>,
) -> Result<Tensor<4>, Error> {
    check(attention, form, [&queries, &keys, &values], hidden.as_ref())?;
    in_single(queries, keys, values, |queries, keys, values| {
        if on_host(&queries).is_none() {
            return composed::attention(attention, queries, keys, values, hidden);
        }
        let hidden = hidden.map(|hidden| hidden.into_data().iter::<bool>().collect());
        let [queries, keys, values] = [queries, keys, values].map(Tensor::into_dispatch);
        Tensor::from_dispatch(Dispatch::attention(queries, keys, values, hidden, *attention, form))
    })
}

/// [`attention`] as the composition that it is where there is no operation of its own: on every device, O(N^2) memory.
///
/// # Errors
/// Those of [`attention`].
pub fn composed(
    attention: &Attention,
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    hidden: Option<Tensor<2, Bool>>,
) -> Result<Tensor<4>, Error> {
    check(attention, Form::Naive, [&queries, &keys, &values], hidden.as_ref())?;
    in_single(queries, keys, values, |queries, keys, values| {
        composed::attention(attention, queries, keys, values, hidden)
    })
}

/// The function of the tensors as `f32` where they have fewer bits, with its output rounded back.
fn in_single(
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    function: impl FnOnce(Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<4>,
) -> Result<Tensor<4>, Error> {
    let kind = queries.dtype();
    if matches!(kind, DType::F32 | DType::F64) {
        return Ok(function(queries, keys, values));
    }
    let [queries, keys, values] = [queries, keys, values].map(|tensor| tensor.cast(DType::F32));
    Ok(function(queries, keys, values).cast(kind))
}

fn check(
    attention: &Attention,
    form: Form,
    tensors: [&Tensor<4>; 3],
    hidden: Option<&Tensor<2, Bool>>,
) -> Result<(), Error> {
    let [queries, keys, values] = tensors;
    let shape = shape_of(tensors.map(Tensor::dims));
    let Shape { batch, key_heads, keys: count, dim, value_dim, .. } = shape;
    same("keys of shape", [batch, key_heads, count, dim], keys.dims())?;
    same("values of shape", [batch, key_heads, count, value_dim], values.dims())?;
    for (what, tensor) in [("keys of", keys), ("values of", values)] {
        same(what, queries.dtype(), tensor.dtype())?;
        same("tensors on", queries.device(), tensor.device())?;
    }
    if let Some(hidden) = hidden {
        same("marks of hidden keys of shape", [batch, count], hidden.dims())?;
        same("marks of hidden keys on", queries.device(), hidden.device())?;
    }
    shape.check()?;
    attention.validate_similarity()?;
    check_form(attention.similarity, form)
}

fn check_form(similarity: Similarity, form: Form) -> Result<(), Error> {
    match form {
        Form::Linear if !similarity.has_features() => Err(Error::NoFeatures(similarity.name())),
        _ => Ok(()),
    }
}

/// The shape that these lengths of axes say, if they fit each other.
fn shape_of([queries, keys, values]: [[usize; 4]; 3]) -> Shape {
    let [batch, heads, queries, dim] = queries;
    let [_, key_heads, keys, _] = keys;
    Shape { batch, heads, key_heads, queries, keys, dim, value_dim: values[3] }
}
