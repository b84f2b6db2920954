//! Attention written out as its definition, in `f64`, with all pairs of queries and keys: slow, and what the other
//! forms are compared with.

use attar_ops::Float;

use crate::projection::projection;
use crate::shape::Group;
use crate::similarity::scale_or_default;
use crate::{Attention, Error, HardGradient, Inputs, Positivity, Similarity, tau};

/// The output, what it was divided by, and how well it is determined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// `[batch, heads, queries, value_dim]`.
    pub output: Vec<f64>,
    /// `[batch, heads, queries]`: the denominator, 0 where it counts as zero; of softmax its logarithm; of random features
    /// without a factor of each query.
    pub normaliser: Vec<f64>,
    /// `[batch, heads, queries]`: how much the denominator cancels, the sum of `|phi(q)||phi(k)|` over it; of softmax
    /// and of hard attention the largest exponent, of random features the larger of both.
    pub kappa: Vec<f64>,
    /// Of hard attention, `[batch, heads, queries]`: the key that it takes, if any is seen.
    pub chosen: Vec<Option<usize>>,
    /// Of hard attention that learns, laid out as the output: that of the softmax.
    pub soft: Vec<f64>,
}

/// The gradients, laid out as what they belong to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gradients {
    /// By the queries.
    pub queries: Vec<f64>,
    /// By the keys.
    pub keys: Vec<f64>,
    /// By the values.
    pub values: Vec<f64>,
}

/// What rounding is relative to: the same sums as the result, of the magnitudes of their terms.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sizes {
    /// Laid out as the output.
    pub output: Vec<f64>,
    /// Laid out as the gradients.
    pub gradients: Gradients,
}

/// `sum_j sim(q_i, k_j) v_j / sum_j sim(q_i, k_j)` over the keys that each query sees.
///
/// # Errors
/// Where [`Attention::forward`] has one.
pub fn forward<T: Float>(attention: &Attention, inputs: &Inputs<'_, T>) -> Result<Output, Error> {
    attention.validate(inputs)?;
    let mut all = Output::default();
    let law = Law::new(attention, inputs.shape.dim);
    for index in 0..inputs.shape.groups() {
        let group = inputs.group(index, attention.causal);
        for head in 0..inputs.shape.group() {
            for query in 0..inputs.shape.queries {
                let row = Row::new(&law, &group, head, query);
                all.output.extend(row.mean(&group, &row.weights, |term| term));
                all.normaliser.push(row.normaliser(&law));
                all.kappa.push(row.kappa);
                if let Similarity::Hard { gradient } = law.similarity {
                    all.chosen.push(row.chosen);
                    let learns = gradient != HardGradient::None;
                    all.soft.extend(row.mean(&group, &row.soft, |term| term).into_iter().filter(|_| learns));
                }
            }
        }
    }
    Ok(all)
}

/// The gradients of [`forward`] from that of the output.
///
/// # Errors
/// Where [`Attention::backward`] has one.
pub fn backward<T: Float>(attention: &Attention, inputs: &Inputs<'_, T>, of_output: &[T]) -> Result<Gradients, Error> {
    Ok(summed(attention, inputs, of_output, |term| term)?.gradients)
}

/// The sums of [`forward`] and [`backward`] with the magnitude of every term.
///
/// # Errors
/// Where [`Attention::backward`] has one.
pub fn sizes<T: Float>(attention: &Attention, inputs: &Inputs<'_, T>, of_output: &[T]) -> Result<Sizes, Error> {
    summed(attention, inputs, of_output, f64::abs)
}

/// Output and gradients, where `sign` has been applied to every factor of every term.
fn summed<T: Float>(
    attention: &Attention,
    inputs: &Inputs<'_, T>,
    of_output: &[T],
    sign: fn(f64) -> f64,
) -> Result<Sizes, Error> {
    attention.validate(inputs)?;
    let shape = inputs.shape;
    crate::shape::length("values of the output's gradient", shape.outputs(), of_output.len())?;
    let law = Law::new(attention, shape.dim);
    let (mut output, mut of_queries) = (Vec::new(), vec![0.0; inputs.queries.len()]);
    let (mut of_all_keys, mut of_all_values) = (Vec::new(), Vec::new());
    let mut of_rows = of_output.chunks_exact(shape.value_dim);
    for index in 0..shape.groups() {
        let group = inputs.group(index, attention.causal);
        let (mut of_keys, mut of_values) = (vec![0.0; group.keys.len()], vec![0.0; group.values.len()]);
        for (at, of_row) in (0..shape.group() * shape.queries).zip(&mut of_rows) {
            let row = Row::new(&law, &group, at / shape.queries, at % shape.queries);
            let first = (index * shape.group() * shape.queries + at) * shape.dim;
            let of_query = &mut of_queries[first..first + shape.dim];
            output.extend(row.mean(&group, &row.weights, sign));
            let of_row: Vec<f64> = of_row.iter().map(|value| sign(value.to_f64())).collect();
            row.add_gradients(&law, &group, &of_row, [of_query, &mut of_keys, &mut of_values], sign);
        }
        of_all_keys.extend(of_keys);
        of_all_values.extend(of_values);
    }
    let gradients = Gradients { queries: of_queries, keys: of_all_keys, values: of_all_values };
    Ok(Sizes { output, gradients })
}

/// A similarity of two vectors and its derivatives.
struct Law {
    similarity: Similarity,
    scale: f64,
    /// Rows of `dim` values.
    projection: Vec<f32>,
}

impl Law {
    fn new(attention: &Attention, dim: usize) -> Self {
        let similarity = attention.similarity;
        let (scale, projection) = match similarity {
            Similarity::Random { features, seed, scale } => (scale, projection(features, dim, seed)),
            Similarity::Softmax { scale } => (scale, Vec::new()),
            Similarity::Hard { gradient: HardGradient::StraightThrough { scale } } => (scale, Vec::new()),
            _ => (None, Vec::new()),
        };
        Self { similarity, scale: scale_or_default(scale, dim), projection }
    }

    fn is_exponential(&self) -> bool {
        matches!(self.similarity, Similarity::Softmax { .. } | Similarity::Hard { .. })
    }

    /// The similarity; of exponentials and random features, over `e^shift`.
    fn value(&self, q: &[f64], k: &[f64], shift: f64) -> f64 {
        match self.similarity {
            Similarity::Softmax { .. } | Similarity::Hard { .. } => (self.scale * dot(q, k) - shift).exp(),
            Similarity::Polynomial { scale, shift, degree } => (scale * dot(q, k) + shift).powi(degree as i32),
            Similarity::Elu => q.iter().zip(k).map(|(q, k)| elu(*q) * elu(*k)).sum(),
            Similarity::Relu => q.iter().zip(k).map(|(q, k)| q.max(0.0) * k.max(0.0)).sum(),
            Similarity::Product { .. } => dot(q, k),
            Similarity::Random { features, .. } => {
                self.exponents(q, k).map(|exponent| (exponent - shift).exp()).sum::<f64>() / features as f64
            }
        }
    }

    /// `w.(q + k) - (|q|^2 + |k|^2) / 2` for every row w of the random matrix, of vectors times the root of the scale.
    fn exponents(&self, q: &[f64], k: &[f64]) -> impl Iterator<Item = f64> {
        let squares = self.scale * (dot(q, q) + dot(k, k)) / 2.0;
        self.projection.chunks_exact(q.len()).map(move |row| {
            let along: f64 = row.iter().zip(q.iter().zip(k)).map(|(w, (q, k))| f64::from(*w) * (q + k)).sum();
            self.scale.sqrt() * along - squares
        })
    }

    /// The largest exponent in [`Self::value`]; 0 where there is none.
    fn largest_exponent(&self, q: &[f64], k: &[f64]) -> f64 {
        match self.similarity {
            Similarity::Softmax { .. } | Similarity::Hard { .. } => self.scale * dot(q, k),
            Similarity::Random { .. } => self.exponents(q, k).fold(f64::NEG_INFINITY, f64::max),
            _ => 0.0,
        }
    }

    /// The derivative by `q` of [`Self::value`], which of an exponential is `exponential`. The similarities are symmetric,
    /// so that by `k` is this one with the arguments exchanged.
    fn slope(&self, q: &[f64], k: &[f64], exponential: f64, shift: f64) -> Vec<f64> {
        let along = |factor: f64| k.iter().map(|k| factor * k).collect();
        match self.similarity {
            Similarity::Softmax { .. } | Similarity::Hard { .. } => along(self.scale * exponential),
            Similarity::Polynomial { scale, shift, degree } => {
                along(f64::from(degree) * scale * (scale * dot(q, k) + shift).powi(degree as i32 - 1))
            }
            Similarity::Elu => q.iter().zip(k).map(|(q, k)| q.min(0.0).exp() * elu(*k)).collect(),
            Similarity::Relu => q.iter().zip(k).map(|(q, k)| if *q > 0.0 { k.max(0.0) } else { 0.0 }).collect(),
            Similarity::Product { .. } => along(1.0),
            Similarity::Random { features, .. } => {
                let mut slope = vec![0.0; q.len()];
                for (row, exponent) in self.projection.chunks_exact(q.len()).zip(self.exponents(q, k)) {
                    let term = (exponent - shift).exp() / features as f64;
                    for (slope, (w, q)) in slope.iter_mut().zip(row.iter().zip(q)) {
                        *slope += term * (self.scale.sqrt() * f64::from(*w) - self.scale * q);
                    }
                }
                slope
            }
        }
    }
}

/// What one query sees.
struct Row {
    query: Vec<f64>,
    /// The keys that it sees.
    seen: Vec<usize>,
    /// Of each key; 0 where it is not seen.
    weights: Vec<f64>,
    /// The softmax's weights beside the hard ones; otherwise the weights.
    soft: Vec<f64>,
    denominator: f64,
    /// The logarithm of what weights of exponentials and random features are divided by; otherwise 0.
    shift: f64,
    kappa: f64,
    chosen: Option<usize>,
}

impl Row {
    fn new<T: Float>(law: &Law, group: &Group<'_, T>, head: usize, query: usize) -> Self {
        let seen: Vec<usize> =
            (0..group.shape.visible(group.causal, query)).filter(|key| !group.is_hidden(*key)).collect();
        let q = vector(group.query_rows(head, &(query..query + 1)));
        let logit = |key: usize| law.scale * dot(&q, &vector(group.key_rows(&(key..key + 1))));
        let exponential = law.is_exponential();
        let exponent = |key: &usize| law.largest_exponent(&q, &vector(group.key_rows(&(*key..*key + 1))));
        let shift = seen.iter().map(exponent).fold(f64::NEG_INFINITY, f64::max);
        let mut soft = vec![0.0; group.shape.keys];
        for &key in &seen {
            soft[key] = law.value(&q, &vector(group.key_rows(&(key..key + 1))), shift);
        }
        let score = |key: usize| dot(&q, &vector(group.key_rows(&(key..key + 1))));
        let chosen = seen.iter().copied().reduce(|best, key| if score(key) > score(best) { key } else { best });
        let mut row =
            Self { weights: soft.clone(), soft, denominator: 0.0, shift, kappa: 1.0, chosen, query: q.clone(), seen };
        if matches!(law.similarity, Similarity::Hard { .. }) {
            row.weights.iter_mut().enumerate().for_each(|(key, weight)| *weight = f64::from(Some(key) == chosen));
        }
        row.denominator = row.weights.iter().sum();
        if exponential {
            row.kappa = row.seen.iter().map(|key| logit(*key).abs()).fold(0.0, f64::max);
            return row;
        }
        // Over `e^shift` as the denominator, half of it from either side.
        let norm = |vector: &[f64], shift: f64| law.value(vector, vector, shift).sqrt();
        let half = law.largest_exponent(&row.query, &row.query);
        let norms: f64 =
            row.seen.iter().map(|key| norm(&vector(group.key_rows(&(*key..*key + 1))), 2.0 * shift - half)).sum();
        let bound = norm(&row.query, half) * norms;
        let least = if law.similarity.positivity() == Positivity::Strict { 0.0 } else { tau::<T>() * bound };
        if row.denominator.abs() <= least.max(T::MIN_POSITIVE.to_f64()) {
            row.denominator = 0.0;
        }
        let exponents = row.seen.iter().map(|key| exponent(key).abs()).fold(0.0, f64::max);
        row.kappa = (bound / row.denominator.abs()).max(exponents);
        row
    }

    fn normaliser(&self, law: &Law) -> f64 {
        if law.is_exponential() { self.shift + self.soft.iter().sum::<f64>().ln() } else { self.denominator }
    }

    /// The values' mean with these weights; zero where the denominator is.
    fn mean<T: Float>(&self, group: &Group<'_, T>, weights: &[f64], sign: fn(f64) -> f64) -> Vec<f64> {
        let total: f64 = weights.iter().sum();
        let mut mean = vec![0.0; group.shape.value_dim];
        if self.denominator == 0.0 {
            return mean;
        }
        for (values, weight) in group.values.chunks_exact(group.shape.value_dim).zip(weights) {
            mean.iter_mut().zip(values).for_each(|(mean, value)| *mean += sign(weight * value.to_f64() / total));
        }
        mean
    }

    /// Adds this row's part to the gradients of its query, of the keys and of the values.
    fn add_gradients<T: Float>(
        &self,
        law: &Law,
        group: &Group<'_, T>,
        of_row: &[f64],
        [of_query, of_keys, of_values]: [&mut [f64]; 3],
        sign: fn(f64) -> f64,
    ) {
        if self.denominator == 0.0 {
            return;
        }
        let (dim, value_dim) = (group.shape.dim, group.shape.value_dim);
        let of_mean = dot(of_row, &self.mean(group, &self.soft, sign));
        let total: f64 = self.soft.iter().sum();
        let learns = law.similarity != Similarity::Hard { gradient: HardGradient::None };
        for &key in &self.seen {
            let of_value = &mut of_values[key * value_dim..][..value_dim];
            let share = sign(self.weights[key] / self.denominator);
            of_value.iter_mut().zip(of_row).for_each(|(sum, of)| *sum += share * of);
            if !learns {
                continue;
            }
            let k = vector(group.key_rows(&(key..key + 1)));
            let value: Vec<f64> = vector(group.value_rows(&(key..key + 1))).into_iter().map(sign).collect();
            let of_weight = (dot(of_row, &value) + sign(-1.0) * of_mean) / sign(total);
            let slope = |q: &[f64], k: &[f64]| law.slope(q, k, self.soft[key], self.shift);
            let slopes = [slope(&self.query, &k), slope(&k, &self.query)];
            of_query.iter_mut().zip(&slopes[0]).for_each(|(sum, slope)| *sum += of_weight * sign(*slope));
            let of_key = &mut of_keys[key * dim..][..dim];
            of_key.iter_mut().zip(&slopes[1]).for_each(|(sum, slope)| *sum += of_weight * sign(*slope));
        }
    }
}

fn vector<T: Float>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `elu(x) + 1`
fn elu(x: f64) -> f64 {
    if x > 0.0 { x + 1.0 } else { x.exp() }
}
