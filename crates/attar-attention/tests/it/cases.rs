//! Cases as data: similarities, shapes, and inputs that are random, adversarial or degenerate.

use attar_attention::{Attention, HardGradient, Inputs, Positivity, Shape, Similarity};
use attar_ops::Float;

pub(crate) const STRAIGHT_THROUGH: Similarity =
    Similarity::Hard { gradient: HardGradient::StraightThrough { scale: None } };

pub(crate) const SIMILARITIES: [Similarity; 13] = [
    Similarity::Softmax { scale: None },
    Similarity::Softmax { scale: Some(0.7) },
    Similarity::QUADRATIC,
    Similarity::QUADRATIC_PLUS_ONE,
    Similarity::Polynomial { scale: 0.5, shift: 0.3, degree: 4 },
    Similarity::Polynomial { scale: 0.5, shift: 2.0, degree: 1 },
    Similarity::Polynomial { scale: 0.7, shift: 1.0, degree: 3 },
    Similarity::Elu,
    Similarity::Relu,
    Similarity::Product { positivity: Positivity::Signed },
    Similarity::Random { features: 24, seed: 5, scale: None },
    Similarity::Hard { gradient: HardGradient::None },
    STRAIGHT_THROUGH,
];

/// Batch, heads, heads of keys, queries, keys, dim, value dim. Around and beyond the blocks of 128, one of everything,
/// fewer and more queries than keys, none of some.
pub(crate) const SHAPES: [[usize; 7]; 13] = [
    [2, 2, 2, 5, 5, 4, 3],
    [1, 4, 2, 7, 7, 3, 5],
    [2, 1, 1, 1, 1, 1, 1],
    [1, 1, 1, 9, 9, 1, 2],
    [1, 2, 1, 6, 11, 4, 4],
    [1, 2, 2, 11, 6, 4, 4],
    [1, 1, 1, 131, 131, 6, 4],
    [1, 2, 1, 20, 135, 3, 2],
    [1, 1, 1, 135, 20, 3, 2],
    [1, 1, 1, 3, 0, 2, 2],
    [1, 1, 1, 0, 3, 2, 2],
    [1, 1, 1, 0, 0, 2, 2],
    [0, 1, 1, 2, 2, 2, 2],
];

pub(crate) fn shape([batch, heads, key_heads, queries, keys, dim, value_dim]: [usize; 7]) -> Shape {
    Shape { batch, heads, key_heads, queries, keys, dim, value_dim }
}

/// What stands in queries, keys and values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Random,
    /// Some rows are long.
    Large,
    /// Queries have their weight where keys have little.
    NearlyOrthogonal,
    /// Every third key is the first.
    Repeated,
    /// Every other row is zero.
    Zeros,
    /// Keys are long at first, and shorter from one to the next.
    Fading,
}

pub(crate) const KINDS: [Kind; 6] =
    [Kind::Random, Kind::Large, Kind::NearlyOrthogonal, Kind::Repeated, Kind::Zeros, Kind::Fading];

/// Which keys are hidden.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Hidden {
    None,
    /// Some, the first among them.
    Some,
    All,
}

pub(crate) const HIDDEN: [Hidden; 3] = [Hidden::None, Hidden::Some, Hidden::All];

/// Arrays of one case, and a gradient of the output.
#[derive(Clone, Debug)]
pub(crate) struct Case<T> {
    pub(crate) shape: Shape,
    pub(crate) queries: Vec<T>,
    pub(crate) keys: Vec<T>,
    pub(crate) values: Vec<T>,
    pub(crate) of_output: Vec<T>,
    pub(crate) hidden: Option<Vec<bool>>,
}

impl<T: Float> Case<T> {
    pub(crate) fn new(shape: Shape, kind: Kind, hidden: Hidden) -> Self {
        let key_rows = shape.batch * shape.key_heads * shape.keys;
        let mut queries = noise(shape.rows() * shape.dim, 1);
        let mut keys = noise(key_rows * shape.dim, 2);
        shaped(&mut queries, &mut keys, shape.dim, kind);
        let number = |values: Vec<f64>| values.into_iter().map(T::from_f64).collect();
        Self {
            shape,
            queries: number(queries),
            keys: number(keys),
            values: number(noise(key_rows * shape.value_dim, 3)),
            of_output: number(noise(shape.rows() * shape.value_dim, 4)),
            hidden: marks(shape.batch * shape.keys, hidden),
        }
    }

    pub(crate) fn inputs(&self) -> Inputs<'_, T> {
        Inputs {
            shape: self.shape,
            queries: &self.queries,
            keys: &self.keys,
            values: &self.values,
            hidden: self.hidden.as_deref(),
        }
    }
}

fn marks(count: usize, hidden: Hidden) -> Option<Vec<bool>> {
    match hidden {
        Hidden::None => None,
        Hidden::Some => Some((0..count).map(|at| at == 0 || at % 5 == 3).collect()),
        Hidden::All => Some(vec![true; count]),
    }
}

fn shaped(queries: &mut [f64], keys: &mut [f64], dim: usize, kind: Kind) {
    let first = keys.get(..dim).map(<[f64]>::to_vec);
    let count = keys.len() / dim;
    let rows = |rows: &mut [f64], change: &dyn Fn(usize, usize, f64) -> f64| {
        for (at, value) in rows.iter_mut().enumerate() {
            *value = change(at / dim, at % dim, *value);
        }
    };
    match kind {
        Kind::Random => {}
        Kind::Large => {
            rows(queries, &|row, _, value| if row % 3 == 1 { 8.0 * value } else { value });
            rows(keys, &|row, _, value| if row % 4 == 2 { 6.0 * value } else { value });
        }
        Kind::NearlyOrthogonal => {
            rows(queries, &|_, at, value| if at % 2 == 0 { value } else { 1e-2 * value });
            rows(keys, &|_, at, value| if at % 2 == 1 { value } else { 1e-2 * value });
        }
        Kind::Repeated => rows(keys, &|row, at, value| if row % 3 == 0 { first.as_ref().unwrap()[at] } else { value }),
        Kind::Zeros => {
            rows(queries, &|row, _, value| if row % 2 == 1 { 0.0 } else { value });
            rows(keys, &|row, _, value| if row % 2 == 0 { 0.0 } else { value });
        }
        Kind::Fading => rows(keys, &|row, _, value| (1.0 + 15.0 * (1.0 - row as f64 / count as f64)) * value),
    }
}

/// Numbers between -1.7 and 1.7, of variance 1, from a counter as SplitMix64 mixes it.
pub(crate) fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mix = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let number = |at: u64| mix((at + (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 11;
    (1..=count as u64).map(|at| (number(at) as f64 / (1_u64 << 52) as f64 - 1.0) * 3_f64.sqrt()).collect()
}

pub(crate) fn attention(similarity: Similarity, causal: bool) -> Attention {
    Attention { causal, allow_signed: true, ..Attention::new(similarity) }
}
