//! Attention of several heads between dense layers.

use attar_ops::Activation;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Bool, Device, Tensor};
use chacha20::ChaCha8Rng;
use rand::rand_core::SeedableRng;

use super::Weights;
use super::layers::{self, apply, of_rows, uniform};
use crate::error::same;
use crate::{Attention, Error, Form, Similarity};

/// What a [`MultiHeadAttention`] is to be. Its weights are those of PyTorch's `nn.MultiheadAttention` of the same
/// widths, `batch_first` or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiHeadConfig {
    /// Width of the queries and of the output, a multiple of `heads`.
    pub width: usize,
    /// Heads of the queries; each has `width / heads` features and values.
    pub heads: usize,
    /// Heads of keys and values, which divide those of the queries. PyTorch knows only as many as `heads`; with fewer,
    /// the rows for keys and values are as many fewer.
    pub key_heads: usize,
    /// Width of the keys' input, `kdim` in PyTorch.
    pub key_width: usize,
    /// Width of the values' input, `vdim` in PyTorch.
    pub value_width: usize,
    /// Whether the layers have biases.
    pub bias: bool,
    /// Similarity, and whether it is causal.
    pub attention: Attention,
    /// How it is computed where the tensors are in the host's memory.
    pub form: Form,
}

/// Dense layers of queries, keys and values, attention in heads, and a dense layer of what comes out
/// (Vaswani et al. 2017, section 3.2.2).
#[derive(Module, Debug)]
pub struct MultiHeadAttention {
    /// `[width, width]`
    pub query: Linear,
    /// `[key_width, key_heads * width / heads]`
    pub key: Linear,
    /// `[value_width, key_heads * width / heads]`
    pub value: Linear,
    /// `[width, width]`
    pub output: Linear,
    #[module(skip)]
    config: MultiHeadConfig,
}

impl MultiHeadConfig {
    /// As PyTorch's defaults: softmax over all keys, one width, biases; in the form that is predicted to be the quickest.
    pub fn new(width: usize, heads: usize) -> Self {
        Self {
            width,
            heads,
            key_heads: heads,
            key_width: width,
            value_width: width,
            bias: true,
            attention: Attention::new(Similarity::Softmax { scale: None }),
            form: Form::Auto,
        }
    }

    /// Weights drawn as PyTorch draws them, a pure function of the seed: uniform in plus or minus
    /// `sqrt(6 / (inputs + outputs))` (Glorot & Bengio 2010, eq. 16), those of the output in `1 / sqrt(width)`, biases 0.
    ///
    /// # Errors
    /// Widths or heads that do not fit, and those of [`Attention::forward`].
    pub fn init(&self, seed: u64, device: &Device) -> Result<MultiHeadAttention, Error> {
        self.draw(&mut ChaCha8Rng::seed_from_u64(seed), device)
    }

    pub(super) fn draw(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<MultiHeadAttention, Error> {
        self.check()?;
        let shapes = self.shapes();
        let all_rows: usize = shapes.iter().map(|[rows, _]| rows).sum();
        let bias = |rows: usize| self.bias.then(|| Tensor::zeros([rows], device));
        let [query, key, value] = shapes.map(|[rows, inputs]| {
            // Where the three are one matrix, it is drawn as such.
            let outputs = if self.is_packed() { all_rows } else { rows };
            let bound = (6.0 / (inputs + outputs) as f64).sqrt();
            of_rows(uniform([rows, inputs], bound, rng, device), bias(rows))
        });
        let bound = (self.width as f64).sqrt().recip();
        let output = of_rows(uniform([self.width; 2], bound, rng, device), bias(self.width));
        Ok(MultiHeadAttention { query, key, value, output, config: *self })
    }

    /// The weights whose names begin with `prefix` (`self_attn.`, or nothing): `in_proj_weight`, or where the widths
    /// differ `q_proj_weight`, `k_proj_weight` and `v_proj_weight`; `in_proj_bias`, `out_proj.weight`, `out_proj.bias`.
    ///
    /// # Errors
    /// Those of [`Self::init`]; a weight that is missing or has another shape.
    pub fn load(&self, weights: &Weights, prefix: &str, device: &Device) -> Result<MultiHeadAttention, Error> {
        self.check()?;
        let shapes = self.shapes();
        let [first, second, third] = shapes.map(|[rows, _]| rows);
        let (cuts, all_rows) = ([0, first, first + second], first + second + third);
        let name = |name: &str| format!("{prefix}{name}");
        let projections: [Tensor<2>; 3] = if self.is_packed() {
            let packed = weights.tensor(&name("in_proj_weight"), [all_rows, self.width], device)?;
            [0, 1, 2].map(|part| packed.clone().narrow(0, cuts[part], shapes[part][0]))
        } else {
            let one = |part: usize| weights.tensor(&name(NAMES[part]), shapes[part], device);
            [one(0)?, one(1)?, one(2)?]
        };
        let bias = self.bias.then(|| weights.tensor::<1>(&name("in_proj_bias"), [all_rows], device)).transpose()?;
        let layer = |weight: &Tensor<2>, part: usize| {
            of_rows(weight.clone(), bias.clone().map(|bias| bias.narrow(0, cuts[part], shapes[part][0])))
        };
        let [query, key, value] = &projections;
        let [query, key, value] = [layer(query, 0), layer(key, 1), layer(value, 2)];
        let output = layers::load(weights, &name("out_proj"), [self.width; 2], self.bias, device)?;
        Ok(MultiHeadAttention { query, key, value, output, config: *self })
    }

    /// Rows and columns in PyTorch's layout of the weights for queries, keys and values.
    fn shapes(&self) -> [[usize; 2]; 3] {
        let of_keys = self.key_heads * (self.width / self.heads);
        [[self.width, self.width], [of_keys, self.key_width], [of_keys, self.value_width]]
    }

    /// Whether the three weights are one matrix.
    fn is_packed(&self) -> bool {
        [self.key_width, self.value_width] == [self.width; 2]
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let needed = [
            ("head", self.heads),
            ("head of keys", self.key_heads),
            ("feature of queries", self.width),
            ("feature of keys", self.key_width),
            ("feature of values", self.value_width),
        ];
        if let Some((what, _)) = needed.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::None(what));
        }
        if !self.width.is_multiple_of(self.heads) {
            let expected = format!("a width that {} heads divide", self.heads);
            return Err(Error::Mismatch { expected, found: self.width.to_string() });
        }
        if !self.heads.is_multiple_of(self.key_heads) {
            return Err(Error::Groups { heads: self.heads, key_heads: self.key_heads });
        }
        self.attention.validate_similarity()?;
        super::check_form(self.attention.similarity, self.form)
    }
}

/// In PyTorch, where the widths of queries, keys and values differ.
const NAMES: [&str; 3] = ["q_proj_weight", "k_proj_weight", "v_proj_weight"];

impl MultiHeadAttention {
    /// The output `[batch, queries, width]` for queries `[batch, queries, width]`, keys `[batch, keys, key_width]` and
    /// values `[batch, keys, value_width]`; keys marked in `hidden`, `[batch, keys]`, are seen by no query.
    ///
    /// # Errors
    /// Inputs that do not fit.
    pub fn forward(
        &self,
        queries: Tensor<3>,
        keys: Tensor<3>,
        values: Tensor<3>,
        hidden: Option<Tensor<2, Bool>>,
    ) -> Result<Tensor<3>, Error> {
        let MultiHeadConfig { attention, form, .. } = self.config;
        let [queries, keys, values] = self.in_heads(queries, keys, values)?;
        Ok(self.out_of_heads(super::attention(&attention, form, queries, keys, values, hidden)?))
    }

    /// Queries, keys and values, projected: `[batch, heads, length, dim]`.
    pub(super) fn in_heads(
        &self,
        queries: Tensor<3>,
        keys: Tensor<3>,
        values: Tensor<3>,
    ) -> Result<[Tensor<4>; 3], Error> {
        let MultiHeadConfig { width, heads, key_heads, key_width, value_width, .. } = self.config;
        same("queries of width", width, queries.dims()[2])?;
        same("keys of width", key_width, keys.dims()[2])?;
        same("values of width", value_width, values.dims()[2])?;
        for (layer, input) in [(&self.query, &queries), (&self.key, &keys), (&self.value, &values)] {
            same("inputs of the weights' type", layer.weight.val().dtype(), input.dtype())?;
        }
        Ok([
            in_heads(apply(&self.query, queries, Activation::Identity), heads),
            in_heads(apply(&self.key, keys, Activation::Identity), key_heads),
            in_heads(apply(&self.value, values, Activation::Identity), key_heads),
        ])
    }

    /// The output for what came of the heads, `[batch, heads, queries, dim]`.
    pub(super) fn out_of_heads(&self, heads: Tensor<4>) -> Tensor<3> {
        let [batch, _, count, _] = heads.dims();
        let heads = heads.swap_dims(1, 2).reshape([batch, count, self.config.width]);
        apply(&self.output, heads, Activation::Identity)
    }

    /// What it was made as.
    pub fn config(&self) -> &MultiHeadConfig {
        &self.config
    }

    /// Adds the weights under the names that [`MultiHeadConfig::load`] takes.
    pub fn save(&self, weights: &mut Weights, prefix: &str) {
        let name = |name: &str| format!("{prefix}{name}");
        let parts = [&self.query, &self.key, &self.value];
        let rows = parts.map(|layer| layer.weight.val().transpose());
        if self.config.is_packed() {
            weights.insert(name("in_proj_weight"), Tensor::cat(rows.to_vec(), 0));
        } else {
            NAMES.iter().zip(rows).for_each(|(part, rows)| weights.insert(name(part), rows));
        }
        let biases: Vec<_> = parts.iter().filter_map(|layer| layer.bias.as_ref().map(Param::val)).collect();
        if !biases.is_empty() {
            weights.insert(name("in_proj_bias"), Tensor::cat(biases, 0));
        }
        layers::save(&self.output, weights, &name("out_proj"));
    }
}

/// `[batch, length, heads * dim]` to `[batch, heads, length, dim]`.
fn in_heads(tensor: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, length, width] = tensor.dims();
    tensor.reshape([batch, length, heads, width / heads]).swap_dims(1, 2)
}
