//! The weights of an attention.

use attar_attention::{Attention, Error, Form, Inputs, Shape};

/// The weights of all pairs, `[batch, heads, queries, keys]`: the output when the values are the identity matrix.
///
/// # Errors
/// Those of [`Attention::forward`].
pub(crate) fn weights(attention: &Attention, form: Form, inputs: &Inputs<'_, f64>) -> Result<Vec<f64>, Error> {
    let keys = inputs.shape.keys;
    let identity = (0..inputs.shape.batch * inputs.shape.key_heads).flat_map(|_| 0..keys * keys);
    let values: Vec<f64> = identity.map(|at| f64::from(u8::from(at / keys == at % keys))).collect();
    let shape = Shape { value_dim: keys, ..inputs.shape };
    Ok(attention.forward(form, &Inputs { shape, values: &values, ..*inputs })?.output)
}
