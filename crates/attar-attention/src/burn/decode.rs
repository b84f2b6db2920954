//! Modules a token at a time, in time and memory that do not grow with what came before.

use attar_ops::Float;
use burn::tensor::{Bool, Element, Tensor, TensorData};

use super::{MultiHeadAttention, MultiHeadConfig, TransformerBlock, shape_of};
use crate::error::same;
use crate::{Error, Inputs, Shape, State};

impl MultiHeadAttention {
    /// The state of `batch` sequences before their first token, for [`Self::advance`].
    ///
    /// # Errors
    /// Those of [`State::new`]: the attention must be causal, and its similarity have features.
    pub fn start<T: Float>(&self, batch: usize) -> Result<State<T>, Error> {
        let MultiHeadConfig { width, heads, key_heads, attention, .. } = *self.config();
        let dim = width / heads;
        State::new(attention, Shape { batch, heads, key_heads, queries: 0, keys: 0, dim, value_dim: dim })
    }

    /// The outputs `[batch, tokens, width]` of the next tokens `[batch, tokens, width]` of sequences that attend to
    /// themselves: those that [`Self::forward`] gives of all tokens at once. Tokens marked in `hidden`,
    /// `[batch, tokens]`, are seen by none.
    ///
    /// For use after training: autodiff follows nothing of it. The state lies in the host's memory.
    ///
    /// # Errors
    /// Inputs that do not fit the module or the state, which then stays as it was.
    pub fn advance<T: Float + Element>(
        &self,
        state: &mut State<T>,
        tokens: Tensor<3>,
        hidden: Option<Tensor<2, Bool>>,
    ) -> Result<Tensor<3>, Error> {
        let MultiHeadConfig { width, key_width, value_width, attention, .. } = *self.config();
        same("a state of the attention", attention, *state.attention())?;
        same("keys and values of widths", [width; 2], [key_width, value_width])?;
        let [batch, count, _] = tokens.dims();
        if let Some(hidden) = &hidden {
            same("marks of hidden keys of shape", [batch, count], hidden.dims())?;
        }
        let tokens = tokens.detach();
        let (device, kind) = (tokens.device(), tokens.dtype());
        let heads = self.in_heads(tokens.clone(), tokens.clone(), tokens)?;
        let shape = shape_of(std::array::from_fn(|part| heads[part].dims()));
        let [queries, keys, values] = heads.map(|heads| heads.into_data().iter::<T>().collect::<Vec<T>>());
        let hidden: Option<Vec<bool>> = hidden.map(|hidden| hidden.into_data().iter().collect());
        let inputs = Inputs { shape, queries: &queries, keys: &keys, values: &values, hidden: hidden.as_deref() };
        let output = TensorData::new(state.advance(&inputs)?, [batch, shape.heads, count, shape.value_dim]);
        Ok(self.out_of_heads(Tensor::from_data(output, (&device, kind))).detach())
    }
}

impl TransformerBlock {
    /// [`Self::forward`] of the next tokens; the state is that of [`MultiHeadAttention::start`].
    ///
    /// # Errors
    /// Those of [`MultiHeadAttention::advance`].
    pub fn advance<T: Float + Element>(
        &self,
        state: &mut State<T>,
        tokens: Tensor<3>,
        hidden: Option<Tensor<2, Bool>>,
    ) -> Result<Tensor<3>, Error> {
        same("an input of width", self.config().attention.width, tokens.dims()[2])?;
        Ok(self.forward_with(tokens.detach(), |x| self.attention.advance(state, x, hidden))?.detach())
    }
}
