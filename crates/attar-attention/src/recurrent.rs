//! Token by token: a state of fixed size in, the same out.

use std::ops::Range;

use attar_ops::{Float, Unwritten};
use rayon::prelude::*;

use crate::Error;
use crate::attention::{Attention, Forward, Gradients};
use crate::denominator::Bounds;
use crate::error::same;
use crate::kernel::Kernel;
use crate::linear::{Heads, Line, Side, backward_from, features};
use crate::shape::{Inputs, Shape, length, parts};
use crate::shift::{Shifts, rescale};

/// What a causal attention keeps of the tokens so far.
///
/// A clone is a point to resume from.
#[derive(Clone, Debug)]
pub struct State<T> {
    attention: Attention,
    shape: Shape,
    kernel: Kernel<T>,
    /// `[batch, key_heads]`: the sums over keys of features times value, `[features, value_dim]`, and of features.
    sums: Vec<Sums<T>>,
    /// `[batch, key_heads]`: the sums of the features' lengths.
    lengths: Vec<f64>,
    /// `[batch, key_heads]`: the largest exponents of the keys' random features, by which the sums are lessened.
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
        let count = features(&kernel)?.width(shape.dim) * (shape.value_dim + 1);
        let sums = vec![Sums { values: vec![T::ZERO; count], rest: vec![T::ZERO; count] }; shape.groups()];
        let shifts = vec![T::from_f64(f64::NEG_INFINITY); shape.groups()];
        Ok(Self { attention, shape, kernel, sums, lengths: vec![0.0; shape.groups()], shifts })
    }

    /// The attention that it belongs to.
    pub fn attention(&self) -> &Attention {
        &self.attention
    }

    /// The outputs of the next tokens, one or many, each of which sees itself and all before it.
    ///
    /// # Errors
    /// Tokens of another shape than the state's, or not as many queries as keys; the state stays as it was.
    pub fn advance(&mut self, tokens: &Inputs<'_, T>) -> Result<Vec<T>, Error> {
        let pass = self.pass(tokens, |side, times, sums, heads| {
            side.forward(times, sums, heads);
            Vec::new()
        })?;
        Ok(pass.forward.output)
    }

    /// [`Self::advance`], with what the gradients are computed from: see [`StateGradient`].
    ///
    /// # Errors
    /// Those of [`Self::advance`].
    pub fn forward(&mut self, tokens: &Inputs<'_, T>) -> Result<Advanced<T>, Error> {
        self.pass(tokens, |side, times, sums, heads| side.forward_keeping_sums(times, sums, heads))
    }

    /// What becomes of the tokens by `work`, which writes the outputs of a group's heads from the sums before them.
    fn pass(
        &mut self,
        tokens: &Inputs<'_, T>,
        work: impl Fn(&Side<'_, T>, &Range<usize>, &mut [T], &mut Heads<'_, T>) -> Vec<T> + Sync,
    ) -> Result<Advanced<T>, Error> {
        let shape = check_tokens(&self.shape, tokens)?;
        let (kernel, map, line) = (&self.kernel, features(&self.kernel)?, Line::whole(shape));
        let (mut output, mut normaliser) = (Unwritten::new(shape.outputs()), vec![T::ZERO; shape.rows()]);
        let outputs = parts(output.all(), shape.groups(), shape.group(), &line.segments, shape.value_dim);
        let normalisers = parts(&mut normaliser[..], shape.groups(), shape.group(), &line.segments, 1);
        let shifts = self.shifts.clone();
        let state = self.sums.par_iter_mut().zip(&mut self.lengths).zip(&mut self.shifts);
        let heads = outputs.into_par_iter().zip(normalisers);
        let kept = state.zip(heads).enumerate().map(|(index, (((sums, length), shift), (outputs, normalisers)))| {
            let group = tokens.group(index, self.attention.causal);
            let shifts = Shifts::new(kernel, &group, *shift);
            let before = std::mem::replace(shift, shifts.after_all());
            let side = Side::new(kernel, map, group, Bounds::new(kernel, group, *length), shifts, &line);
            let (times, mut heads) = (&line.segments[0], outputs.into_iter().zip(normalisers).collect());
            // One chunk leaves the sums before it as they are, unless it rescales them.
            let kept = match side.chunks(times).len() {
                0 | 1 if before == *shift => work(&side, times, &mut sums.values, &mut heads),
                _ => work(&side, times, &mut sums.values.clone(), &mut heads),
            };
            sums.rescale(before, *shift);
            sums.add(&side.sum_of_keys(times));
            *length = side.bounds.total();
            kept
        });
        let kept = kept.collect();
        let forward = Forward::of_linear(&self.attention, &shape, output.into_values(), normaliser, kept);
        Ok(Advanced { forward, shifts })
    }
}

/// The sums of a group, with what rounding has left out of them: one token's part of a long sum is below its last digit.
#[derive(Clone, Debug)]
struct Sums<T> {
    values: Vec<T>,
    rest: Vec<T>,
}

impl<T: Float> Sums<T> {
    fn rescale(&mut self, before: T, now: T) {
        rescale(&mut self.values, before, now);
        rescale(&mut self.rest, before, now);
    }

    /// Adds the terms and keeps what is rounded away (Knuth 1997, section 4.2.2, theorem B).
    fn add(&mut self, terms: &[T]) {
        for ((value, rest), &term) in self.values.iter_mut().zip(&mut self.rest).zip(terms) {
            let term = term + *rest;
            let sum = *value + term;
            let added = sum - *value;
            *rest = (*value - (sum - added)) + (term - added);
            *value = sum;
        }
    }
}

/// The outputs of some tokens, and what their gradients are computed from.
#[derive(Clone, Debug)]
pub struct Advanced<T> {
    forward: Forward<T>,
    /// [`State::shifts`] before the tokens.
    shifts: Vec<T>,
}

impl<T> Advanced<T> {
    /// `[batch, heads, queries, value_dim]`.
    pub fn output(&self) -> &[T] {
        &self.forward.output
    }
}

/// The gradient of what a [`State`] keeps, by which the gradients of a long sequence are computed a piece at a time:
/// tokens are gone through with [`State::forward`] from the first piece to the last, and with [`Self::backward`] from
/// the last to the first. It is the gradient of the sums; what they are compared with to count as zero has none.
#[derive(Clone, Debug)]
pub struct StateGradient<T> {
    attention: Attention,
    shape: Shape,
    kernel: Kernel<T>,
    /// [`State::sums`].
    sums: Vec<Vec<T>>,
}

impl<T: Float> StateGradient<T> {
    /// Of a state that nothing follows: zero.
    pub fn zero(state: &State<T>) -> Self {
        let sums = state.sums.iter().map(|sums| vec![T::ZERO; sums.values.len()]).collect();
        Self { attention: state.attention, shape: state.shape, kernel: state.kernel.clone(), sums }
    }

    /// The gradients of some tokens from that of their outputs and of the state after them; becomes that of the state
    /// before them.
    ///
    /// # Errors
    /// Tokens of another shape than the state's or than those that `advanced` came of, a pass of another attention, a
    /// gradient of another length; it stays as it was.
    pub fn backward(
        &mut self,
        tokens: &Inputs<'_, T>,
        advanced: &Advanced<T>,
        of_output: &[T],
    ) -> Result<Gradients<T>, Error> {
        let shape = check_tokens(&self.shape, tokens)?;
        same("tokens of the shape that was gone through", advanced.forward.shape(), shape)?;
        same("a pass of the attention", self.attention, *advanced.forward.attention())?;
        length("values of the output's gradient", shape.outputs(), of_output.len())?;
        let Advanced { forward, shifts, .. } = advanced;
        let (gradients, sums) = backward_from(&self.kernel, tokens, forward, of_output, shifts, &self.sums)?;
        self.sums = sums;
        Ok(gradients)
    }
}

/// The shape of tokens that a state takes.
fn check_tokens<T>(state: &Shape, tokens: &Inputs<'_, T>) -> Result<Shape, Error> {
    tokens.check()?;
    let Shape { queries, keys, .. } = tokens.shape;
    let expected = Shape { queries, keys: queries, ..*state };
    if tokens.shape == expected {
        Ok(expected)
    } else {
        Err(Error::State { expected, found: Shape { keys, ..tokens.shape } })
    }
}
