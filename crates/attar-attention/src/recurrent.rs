//! Token by token: a state of fixed size in, the same out.

use attar_ops::{Float, Unwritten};
use rayon::prelude::*;

use crate::Error;
use crate::attention::Attention;
use crate::denominator::Bounds;
use crate::kernel::Kernel;
use crate::linear::{Line, Side, features};
use crate::shape::{Inputs, Shape, parts};
use crate::tile::key_shift;

/// What a causal attention keeps of the tokens so far.
///
/// A clone is a point to resume from.
#[derive(Clone, Debug)]
pub struct State<T> {
    attention: Attention,
    shape: Shape,
    kernel: Kernel<T>,
    /// `[batch, key_heads]`: the sums over keys of features times value, `[features, value_dim]`, and of features.
    sums: Vec<Vec<T>>,
    /// `[batch, key_heads]`: the sums of the features' lengths.
    lengths: Vec<f64>,
    /// `[batch, key_heads]`: what the exponents of the keys' random features are lessened by.
    shifts: Vec<T>,
}

impl<T: Float> State<T> {
    /// Before the first token. The numbers of queries and keys of the shape do not matter.
    ///
    /// # Errors
    /// A similarity without features, one of both signs that is not allowed, an attention that is not causal, a shape
    /// or a parameter out of its range.
    pub fn new(attention: Attention, shape: Shape) -> Result<Self, Error> {
        attention.validate_similarity()?;
        shape.check()?;
        if !attention.causal {
            return Err(Error::NotCausal);
        }
        let kernel = Kernel::new(attention.similarity, shape.dim);
        let sums = vec![vec![T::ZERO; features(&kernel)?.width(shape.dim) * (shape.value_dim + 1)]; shape.groups()];
        let shifts = vec![T::from_f64(f64::NEG_INFINITY); shape.groups()];
        Ok(Self { attention, shape, kernel, sums, lengths: vec![0.0; shape.groups()], shifts })
    }

    /// The outputs of the next tokens, one or many, each of which sees itself and all before it.
    ///
    /// # Errors
    /// Tokens of another shape than the state's, or not as many queries as keys; the state stays as it was.
    pub fn advance(&mut self, tokens: &Inputs<'_, T>) -> Result<Vec<T>, Error> {
        tokens.check()?;
        let Shape { queries, keys, .. } = tokens.shape;
        let expected = Shape { queries, keys: queries, ..self.shape };
        if tokens.shape != expected {
            return Err(Error::State { expected, found: Shape { keys, ..tokens.shape } });
        }
        let shape = tokens.shape;
        let (kernel, map, line) = (&self.kernel, features(&self.kernel)?, Line::whole(shape));
        let (mut output, mut normaliser) = (Unwritten::new(shape.outputs()), vec![T::ZERO; shape.rows()]);
        let outputs = parts(output.all(), shape.groups(), shape.group(), &line.segments, shape.value_dim);
        let normalisers = parts(&mut normaliser[..], shape.groups(), shape.group(), &line.segments, 1);
        let state = self.sums.par_iter_mut().zip(&mut self.lengths).zip(&mut self.shifts);
        let heads = outputs.into_par_iter().zip(normalisers);
        state.zip(heads).enumerate().for_each(|(index, (((sums, length), shift), (outputs, normalisers)))| {
            let group = tokens.group(index, self.attention.causal);
            let now = key_shift(kernel, &group, *shift);
            rescale(sums, *shift, now);
            *shift = now;
            let side = Side::new(kernel, map, group, Bounds::new(kernel, group, *length), now, &line);
            side.forward(&line.segments[0], sums, &mut outputs.into_iter().zip(normalisers).collect(), true);
            *length = side.bounds.total();
        });
        Ok(output.into_values())
    }
}

/// Sums of features lessened by `before`, lessened by `now` instead.
fn rescale<T: Float>(sums: &mut [T], before: T, now: T) {
    if now > before {
        let factor = T::from_f64((before.to_f64() - now.to_f64()).exp());
        sums.iter_mut().for_each(|sum| *sum *= factor);
    }
}
