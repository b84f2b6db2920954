//! What a call costs in each form: counted operations, and the seconds that they predict.
//!
//! The prediction decides [`crate::Form::Auto`]. It knows shape, similarity and causality alone, so that the choice, and
//! with it the bits of the result, are the same on every machine and at any number of threads.

use std::fmt;

use crate::kernel::Kernel;
use crate::linear::chunk;
use crate::map::Map;
use crate::tile::{TILE, pieces};
use crate::tiled::TOGETHER;
use crate::{Attention, Error, Form, HardGradient, Shape, Similarity};

/// The form that [`Form::Auto`] takes for a shape, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The form of the least predicted seconds.
    pub form: Form,
    /// Of that form, then of the other if the similarity has it.
    pub costs: Vec<Cost>,
}

/// What the output and its gradients cost in one form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The form.
    pub form: Form,
    /// Additions and multiplications of matrix products, those of sums and scores computed twice with them.
    pub flops: f64,
    /// Values that go through a function, one by one: weights, features and their slopes.
    pub elements: f64,
    /// Of inputs, output, gradients and sums in `f32`, each pass through them.
    pub bytes: f64,
    /// What those take by the committed constants: forward and backward in `f32` on two cores with AVX-512.
    pub seconds: f64,
}

impl Attention {
    /// What [`Form::Auto`] takes for this shape: tiled or linear, whichever is predicted to take less.
    ///
    /// # Errors
    /// A shape or a parameter out of its range.
    pub fn choose(&self, shape: &Shape) -> Result<Choice, Error> {
        self.similarity.check()?;
        shape.check()?;
        let work = Work::new(self, shape);
        let forms = [Form::Tiled, Form::Linear].into_iter().take(1 + usize::from(self.similarity.has_features()));
        let mut costs: Vec<Cost> = forms.map(|form| work.cost(form, self.similarity)).collect();
        costs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Ok(Choice { form: costs[0].form, costs })
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, cost) in self.costs.iter().enumerate() {
            let Cost { form, flops, elements, bytes, seconds } = cost;
            let (form, separator) = (format!("{form:?}").to_lowercase(), if at == 0 { "" } else { "; " });
            write!(out, "{separator}{form} {:.3} ms predicted from {:.3} GFLOP, ", 1e3 * seconds, flops / 1e9)?;
            write!(out, "{:.3} million elements and {:.3} MB", elements / 1e6, bytes / 1e6)?;
        }
        Ok(())
    }
}

/// What the counts are made of.
struct Work {
    causal: bool,
    /// Sequences times heads of keys.
    groups: usize,
    /// Rows of queries and of keys, of all sequences and heads.
    query_rows: f64,
    key_rows: f64,
    /// Pairs in the blocks that the tiled form goes through, and in the chunks of the causal linear one.
    pairs: f64,
    chunk_pairs: f64,
    /// Chunks of a sequence.
    chunks: usize,
    dim: f64,
    value_dim: f64,
    /// Of the rows whose products are scores.
    score_width: f64,
    /// Features of the sums, if there are any.
    features: f64,
    /// Whether scores are of mapped rows.
    maps_scores: bool,
    /// Whether features come out of a product, with a matrix of `dim` columns.
    projects: bool,
    /// Whether weights give the values a gradient; of hard attention the chosen key does.
    weighs_values: bool,
    /// Whether all pairs have a gradient.
    learns: bool,
}

impl Work {
    fn new(attention: &Attention, shape: &Shape) -> Self {
        let kernel = Kernel::<f32>::new(attention.similarity, shape.dim);
        let heads = (shape.batch * shape.heads) as f64;
        let hard = matches!(attention.similarity, Similarity::Hard { .. });
        let features = kernel.features.as_ref().map_or(0, |features| features.width(shape.dim));
        let chunk = kernel.features.as_ref().map_or(1, |features| chunk(attention.causal, features, shape.dim));
        Self {
            causal: attention.causal,
            groups: shape.groups(),
            query_rows: shape.rows() as f64,
            key_rows: (shape.groups() * shape.keys) as f64,
            pairs: heads * pairs(attention.causal, shape),
            chunk_pairs: heads * chunk_pairs(attention.causal, shape, chunk),
            chunks: shape.queries.max(shape.keys).div_ceil(TILE),
            dim: shape.dim as f64,
            value_dim: shape.value_dim as f64,
            score_width: kernel.scores.width(shape.dim) as f64,
            features: features as f64,
            maps_scores: !matches!(kernel.scores, Map::Identity),
            projects: matches!(kernel.scores, Map::Random(_)),
            weighs_values: !hard,
            learns: attention.similarity != Similarity::Hard { gradient: HardGradient::None },
        }
    }

    fn cost(&self, form: Form, similarity: Similarity) -> Cost {
        let [flops, elements] = if form == Form::Linear { self.linear() } else { self.tiled() };
        let bytes = self.rows_bytes() + if form == Form::Linear { self.sums_bytes() } else { 0.0 };
        let Rates { call, flop, element, byte } = rates(form, similarity);
        let seconds = 1e-6 * call + 1e-12 * (flop * flops + element * elements + byte * bytes);
        Cost { form, flops, elements, bytes, seconds }
    }

    /// Scores and output forward; both again, the gradients of weights, queries, keys and values backward.
    fn tiled(&self) -> [f64; 2] {
        let if_so = |so: bool, value: f64| if so { value } else { 0.0 };
        let forward = self.score_width + if_so(self.learns, self.value_dim);
        let backward = 3.0 * self.score_width + (1.0 + if_so(self.weighs_values, 1.0)) * self.value_dim;
        // Backward some blocks of keys together map the queries again, and each goes back through that.
        let back = if_so(self.maps_scores, self.pairs / TILE as f64 * self.score_width);
        let mapped = back / TOGETHER as f64 + back;
        let products = 2.0 * self.pairs * (forward + if_so(self.learns, backward));
        let projections = if_so(self.projects, 2.0 * mapped * self.dim);
        [products + projections, self.pairs * (1.0 + if_so(self.learns, 1.0)) + mapped]
    }

    /// The sums of keys, both ways, and of queries; what queries, keys and values take out of them; within chunks what
    /// the tiled form does.
    fn linear(&self) -> [f64; 2] {
        let segments = self.segments();
        // A causal sequence in one piece makes its sums as it goes; of several, all but one make them before as well.
        // The way back begins with some that were kept, and goes on from there if it is causal.
        let [sums, again] = if self.causal { [2.0 - 1.0 / segments, 1.0] } else { [1.0, 0.0] };
        let columns = self.value_dim + 1.0;
        let of_keys = (sums + again + 1.0) * columns + self.value_dim;
        let of_queries = (sums + 2.0) * columns;
        let products = 2.0 * self.features * (self.key_rows * of_keys + self.query_rows * of_queries);
        let features = self.features * (self.key_rows * (sums + again + 2.0) + self.query_rows * (sums + 3.0));
        let projections = if self.projects { 2.0 * features * self.dim } else { 0.0 };
        let within = 2.0 * self.chunk_pairs * (4.0 * self.score_width + 3.0 * self.value_dim);
        [products + projections + within, features + 2.0 * self.chunk_pairs]
    }

    fn segments(&self) -> f64 {
        pieces(self.groups, self.chunks) as f64
    }

    /// Queries, keys, values and output forward; those, the output's gradient and three more backward.
    fn rows_bytes(&self) -> f64 {
        4.0 * 3.0 * (self.query_rows + self.key_rows) * (self.dim + self.value_dim)
    }

    /// Sums of keys, both ways, and of queries: of each segment, and what it starts from.
    fn sums_bytes(&self) -> f64 {
        4.0 * 3.0 * 2.0 * self.groups as f64 * self.segments() * self.features * (self.value_dim + 1.0)
    }
}

/// Of one head: causal attention goes through whole blocks along its diagonal.
fn pairs(causal: bool, shape: &Shape) -> f64 {
    let (queries, keys) = (shape.queries as f64, shape.keys as f64);
    if !causal {
        return queries * keys;
    }
    let diagonal = queries.min(keys);
    let seen = diagonal * (keys - diagonal) + diagonal * (diagonal + 1.0) / 2.0;
    seen + diagonal * (diagonal.min(TILE as f64) - 1.0).max(0.0) / 2.0
}

fn chunk_pairs(causal: bool, shape: &Shape, chunk: usize) -> f64 {
    let diagonal = shape.queries.min(shape.keys);
    if causal { diagonal as f64 * diagonal.min(chunk) as f64 } else { 0.0 }
}

/// Microseconds a call, picoseconds an operation of a product, an element and a byte.
struct Rates {
    call: f64,
    flop: f64,
    element: f64,
    byte: f64,
}

/// The committed constants: least squares, none negative, of the relative error over lengths that matter to the choice
/// (at most from 64 to 4,096), widths 32 and 64, causal and not, forward and backward in `f32` on two threads with AVX-512;
/// `bench/attention --fit` measures and prints them. The linear form of degree 2 is of a later fit, times 0.942: all tiled
/// forms were that much slower in it.
#[rustfmt::skip]
fn rates(form: Form, similarity: Similarity) -> Rates {
    let [call, flop, element, byte] = match (form, similarity) {
        (Form::Linear, Similarity::Polynomial { degree: 2, .. }) => [0.00, 1.81, 56.04, 20.08],
        (Form::Linear, Similarity::Polynomial { .. }) => [21.61, 1.90, 335.95, 0.00],
        (Form::Linear, Similarity::Random { .. }) => [288.65, 2.27, 0.00, 190.76],
        (Form::Linear, Similarity::Relu) => [48.78, 1.62, 253.52, 0.00],
        (Form::Linear, _) => [17.74, 1.94, 163.81, 0.00],
        (_, Similarity::Softmax { .. }) => [25.38, 1.91, 152.31, 0.00],
        (_, Similarity::Polynomial { degree: 1 | 2, .. } | Similarity::Product { .. }) => [34.04, 1.95, 53.64, 4.92],
        (_, Similarity::Polynomial { .. }) => [36.27, 1.99, 514.08, 1.78],
        (_, Similarity::Elu | Similarity::Relu) => [31.20, 2.01, 22.20, 1.90],
        (_, Similarity::Random { .. }) => [414.09, 1.24, 335.53, 559.28],
        (_, Similarity::Hard { gradient: HardGradient::None }) => [16.48, 1.61, 121.96, 8.49],
        (_, Similarity::Hard { .. }) => [29.93, 1.95, 185.23, 0.00],
    };
    Rates { call, flop, element, byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole rows of blocks, gone through as the tiled form does.
    #[test]
    fn pairs_are_those_of_the_blocks() {
        for (queries, keys) in [(1, 1), (5, 9), (9, 5), (128, 128), (256, 256), (256, 512), (512, 256), (1024, 1024)] {
            let shape = Shape { batch: 1, heads: 1, key_heads: 1, queries, keys, dim: 1, value_dim: 1 };
            let seen = |block: usize| {
                let rows = block * TILE..((block + 1) * TILE).min(queries);
                (0..rows.len()).map(|_| shape.visible(true, rows.end - 1)).sum::<usize>()
            };
            let counted: usize = (0..queries.div_ceil(TILE)).map(seen).sum();
            // More queries than keys: those that see nothing fill up the first block, and are not counted.
            let error = counted as f64 - pairs(true, &shape);
            assert!((0.0..=if queries > keys { 20.0 } else { 0.0 }).contains(&error), "{queries} {keys}: {error}");
            assert_eq!(pairs(false, &shape), (queries * keys) as f64);
        }
    }
}
