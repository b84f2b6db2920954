//! Attention as a configuration, in any of its forms.

use std::ops::Range;

use attar_ops::{Float, zeros};
use rayon::prelude::*;

use crate::denominator::Bounds;
use crate::error::same;
use crate::kernel::{Kernel, RowScale, set_deltas};
use crate::shape::length;
use crate::tiled::NO_KEY;
use crate::{Error, HardGradient, Inputs, Positivity, Shape, Similarity, linear, naive, tiled};

/// `output_i = sum_j sim(q_i, k_j) v_j / sum_j sim(q_i, k_j)` over the keys j that the query i sees.
///
/// Where the denominator counts as zero, see [`crate::tau`], the output and every gradient through it are zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// How much a query attends to a key.
    pub similarity: Similarity,
    /// Whether a query sees only keys up to its own place, where the last query has the place of the last key.
    pub causal: bool,
    /// Takes a similarity of both signs, whose denominators may cancel.
    pub allow_signed: bool,
}

/// How attention is computed; the result is the same but for rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By its definition in `f64`, see [`naive`]: slow.
    Naive,
    /// All pairs, block by block: O(N^2) time, O(N) memory; for every similarity.
    Tiled,
    /// Through the sums of features: O(N) time and memory; for similarities with [`Similarity::has_features`].
    Linear,
    /// Tiled or linear, whichever [`Attention::choose`] predicts to take less.
    Auto,
}

/// Rows whose scales one task finds.
const ROWS: usize = 512;

/// The output, and what the gradients are computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward<T> {
    /// `[batch, heads, queries, value_dim]`.
    pub output: Vec<T>,
    /// `[batch, heads, queries]`: the denominator, 0 where it counts as zero; of softmax its logarithm. Random features
    /// leave a factor of each query out; hard attention that does not learn needs none.
    pub normaliser: Vec<T>,
    /// What it is the output of.
    attention: Attention,
    shape: Shape,
    form: Form,
    /// Of hard attention: each query's key, or [`NO_KEY`].
    pub(crate) chosen: Vec<u32>,
    /// Of hard attention that learns: the softmax's output.
    pub(crate) soft: Vec<T>,
    /// Of the linear form: each group's sums of keys, at the start of every stretch.
    pub(crate) sums: Vec<Vec<T>>,
}

/// The gradients, laid out as what they belong to.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients<T> {
    /// By the queries.
    pub queries: Vec<T>,
    /// By the keys.
    pub keys: Vec<T>,
    /// By the values.
    pub values: Vec<T>,
}

/// How near denominators are to zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denominators {
    /// Rows of the output.
    pub rows: usize,
    /// Those whose denominator counts as zero, or that see no key.
    pub zero: usize,
    /// The smallest denominator of the others, relative to `sum_j |phi(q)||phi(k_j)|`; none where it cannot vanish.
    pub nearest: Option<f64>,
}

impl Attention {
    /// With this similarity, over all keys.
    pub fn new(similarity: Similarity) -> Self {
        Self { similarity, causal: false, allow_signed: false }
    }

    /// The output.
    ///
    /// # Errors
    /// A shape that does not fit the arrays, a parameter out of its range, a similarity of both signs that is not
    /// allowed, a form that the similarity does not have.
    pub fn forward<T: Float>(&self, form: Form, inputs: &Inputs<'_, T>) -> Result<Forward<T>, Error> {
        self.validate(inputs)?;
        match form {
            Form::Naive => Ok(Forward::of_naive(self, &inputs.shape, naive::forward(self, inputs)?)),
            Form::Tiled => Ok(tiled::forward(self, inputs)),
            Form::Linear => linear::forward(self, inputs),
            Form::Auto => self.forward(self.choose(&inputs.shape)?.form, inputs),
        }
    }

    /// The gradients from that of the output, in the form that the output was computed in.
    ///
    /// # Errors
    /// Those of [`Self::forward`], and arrays of another length.
    pub fn backward<T: Float>(
        &self,
        inputs: &Inputs<'_, T>,
        forward: &Forward<T>,
        of_output: &[T],
    ) -> Result<Gradients<T>, Error> {
        self.validate(inputs)?;
        let shape = inputs.shape;
        same("the shape of the forward pass", forward.shape, shape)?;
        same("the attention of the forward pass", forward.attention, *self)?;
        length("values of the output's gradient", shape.outputs(), of_output.len())?;
        length("values of the output", shape.outputs(), forward.output.len())?;
        let (hard, learns) = chooses(self.similarity);
        length("denominators", shape.rows(), forward.normaliser.len())?;
        length("chosen keys", if hard { shape.rows() } else { 0 }, forward.chosen.len())?;
        length("values of the softmax", if learns { shape.outputs() } else { 0 }, forward.soft.len())?;
        match forward.form {
            Form::Naive => Ok(Gradients::of_naive(naive::backward(self, inputs, of_output)?)),
            Form::Linear => linear::backward(self, inputs, forward, of_output),
            // What was chosen is recorded, never `Auto`.
            Form::Tiled | Form::Auto => Ok(tiled::backward(self, inputs, forward, of_output)),
        }
    }

    /// How many rows are zero, and how near to it the others are.
    ///
    /// # Errors
    /// Those of [`Self::forward`].
    pub fn check<T: Float>(&self, form: Form, inputs: &Inputs<'_, T>) -> Result<Denominators, Error> {
        let forward = self.forward(form, inputs)?;
        let shape = inputs.shape;
        let kernel = Kernel::new(self.similarity, shape.dim);
        let can_vanish = self.similarity.positivity() != Positivity::Strict;
        let mut found = Denominators { rows: shape.rows(), zero: 0, nearest: None };
        let rows = shape.group() * shape.queries;
        for index in 0..shape.groups() {
            let bounds = Bounds::new(&kernel, inputs.group(index, self.causal), 0.0);
            for row in 0..rows {
                if forward.is_zero(&kernel, index * rows + row) {
                    found.zero += 1;
                } else if can_vanish {
                    let denominator = forward.normaliser[index * rows + row].to_f64().abs();
                    let near = denominator / bounds.of(row / shape.queries, row % shape.queries);
                    found.nearest = Some(found.nearest.map_or(near, |nearest: f64| nearest.min(near)));
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn validate<T>(&self, inputs: &Inputs<'_, T>) -> Result<(), Error> {
        self.validate_similarity()?;
        inputs.check()
    }

    pub(crate) fn validate_similarity(&self) -> Result<(), Error> {
        self.similarity.check()?;
        let signed = self.similarity.positivity() == Positivity::Signed;
        if signed && !self.allow_signed { Err(Error::Signed) } else { Ok(()) }
    }
}

impl<T> Forward<T> {
    pub(crate) fn attention(&self) -> &Attention {
        &self.attention
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// The form that computed it: of [`Form::Auto`] the one that was chosen.
    pub fn form(&self) -> Form {
        self.form
    }
}

/// Whether each query has one key, and whether that has a gradient through a softmax beside it.
fn chooses(similarity: Similarity) -> (bool, bool) {
    match similarity {
        Similarity::Hard { gradient } => (true, gradient != HardGradient::None),
        _ => (false, false),
    }
}

impl<T: Float> Forward<T> {
    pub(crate) fn zeros(attention: &Attention, shape: &Shape) -> Self {
        let (hard, learns) = chooses(attention.similarity);
        Self {
            output: zeros(shape.outputs()),
            normaliser: vec![T::ZERO; shape.rows()],
            attention: *attention,
            shape: *shape,
            form: Form::Tiled,
            chosen: vec![NO_KEY; if hard { shape.rows() } else { 0 }],
            soft: zeros(if learns { shape.outputs() } else { 0 }),
            sums: Vec::new(),
        }
    }

    pub(crate) fn of_linear(
        attention: &Attention,
        shape: &Shape,
        output: Vec<T>,
        normaliser: Vec<T>,
        sums: Vec<Vec<T>>,
    ) -> Self {
        let (attention, shape, form) = (*attention, *shape, Form::Linear);
        Self { output, normaliser, attention, shape, form, chosen: Vec::new(), soft: Vec::new(), sums }
    }

    fn of_naive(attention: &Attention, shape: &Shape, output: naive::Output) -> Self {
        let key = |key: Option<usize>| key.and_then(|key| u32::try_from(key).ok()).unwrap_or(NO_KEY);
        Self {
            output: rounded(output.output),
            normaliser: rounded(output.normaliser),
            attention: *attention,
            shape: *shape,
            form: Form::Naive,
            chosen: output.chosen.into_iter().map(key).collect(),
            soft: rounded(output.soft),
            sums: Vec::new(),
        }
    }

    fn is_zero(&self, kernel: &Kernel<T>, row: usize) -> bool {
        let normaliser = self.normaliser[row];
        match self.chosen.get(row) {
            // A row that is no number has no key either.
            Some(&chosen) => chosen == NO_KEY && self.output[row * self.shape.value_dim] == T::ZERO,
            None if kernel.link.is_exp() => normaliser == T::from_f64(f64::NEG_INFINITY),
            None => normaliser == T::ZERO,
        }
    }

    /// What the weights of some rows are divided by, and the products of their outputs with the gradient.
    pub(crate) fn row_scales(
        &self,
        kernel: &Kernel<T>,
        shape: &Shape,
        of_output: &[T],
        rows: Range<usize>,
    ) -> Vec<RowScale<T>> {
        let output = if self.soft.is_empty() { &self.output } else { &self.soft };
        let values = ROWS * shape.value_dim;
        let [output, of_output] =
            [output, of_output].map(|all| &all[rows.start * shape.value_dim..rows.end * shape.value_dim]);
        let mut scales: Vec<RowScale<T>> =
            self.normaliser[rows].iter().map(|&normaliser| kernel.link.row_scale(normaliser)).collect();
        let outputs = output.par_chunks(values).zip(of_output.par_chunks(values));
        scales.par_chunks_mut(ROWS).zip(outputs).for_each(|(scales, (output, of_output))| {
            set_deltas(scales, output, of_output, shape.value_dim);
        });
        scales
    }
}

impl<T: Float> Gradients<T> {
    pub(crate) fn zeros(inputs: &Inputs<'_, T>) -> Self {
        let [queries, keys, values] = [inputs.queries, inputs.keys, inputs.values].map(|input| zeros(input.len()));
        Self { queries, keys, values }
    }

    fn of_naive(gradients: naive::Gradients) -> Self {
        let naive::Gradients { queries, keys, values } = gradients;
        let [queries, keys, values] = [queries, keys, values].map(rounded);
        Self { queries, keys, values }
    }
}

fn rounded<T: Float>(values: Vec<f64>) -> Vec<T> {
    values.into_iter().map(T::from_f64).collect()
}
