//! A similarity made ready for rows of a width: a map of rows, and a function of the mapped rows' product.

use attar_ops::{Float, sum_of_products, vectorised};

use crate::Similarity;
use crate::features::Features;
use crate::map::{Map, Random};
use crate::projection::projection;
use crate::similarity::{HardGradient, scale_or_default};

/// How weights come from rows.
#[derive(Clone, Debug)]
pub(crate) struct Kernel<T> {
    /// Of the rows whose products are scores.
    pub(crate) scores: Map<T>,
    /// From scores to weights.
    pub(crate) link: Link<T>,
    /// Of the rows whose products are weights, if there are such.
    pub(crate) features: Option<Features<T>>,
    pub(crate) similarity: Similarity,
    pub(crate) dim: usize,
}

/// The function of a score that the weight is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link<T> {
    /// The score.
    Identity,
    /// `exp(scale score)`
    Exp { scale: T },
    /// `(scale score + shift)^degree`
    Power { scale: T, shift: T, degree: u32 },
}

/// What a row of weights is divided by, and what that means for the gradient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowScale<T> {
    /// Of exponentials the logarithm of the denominator, which is within the exponent.
    pub(crate) exponent: T,
    /// Of others one over the denominator; 0 where that counts as zero.
    pub(crate) factor: T,
    /// The output's product with its gradient.
    pub(crate) delta: T,
}

impl<T: Float> Kernel<T> {
    pub(crate) fn new(similarity: Similarity, dim: usize) -> Self {
        let number = T::from_f64;
        let exp = |scale| Link::Exp { scale: number(scale_or_default(scale, dim)) };
        let (scores, link, features) = match similarity {
            Similarity::Softmax { scale } => (Map::Identity, exp(scale), None),
            Similarity::Hard { gradient: HardGradient::StraightThrough { scale } } => (Map::Identity, exp(scale), None),
            Similarity::Hard { gradient: HardGradient::None } => (Map::Identity, Link::Identity, None),
            Similarity::Elu => (Map::Elu, Link::Identity, Some(Features::Mapped(Map::Elu))),
            Similarity::Relu => (Map::Relu, Link::Identity, Some(Features::Mapped(Map::Relu))),
            Similarity::Product { .. } => (Map::Identity, Link::Identity, Some(Features::Mapped(Map::Identity))),
            Similarity::Random { features, seed, scale } => {
                let projection = projection(features, dim, seed).into_iter().map(|w| number(f64::from(w))).collect();
                let root = number(scale_or_default(scale, dim).sqrt());
                let map = Map::Random(Random { projection, root });
                (map.clone(), Link::Identity, Some(Features::Mapped(map)))
            }
            Similarity::Polynomial { scale, shift, degree } => {
                let [root, root_of_shift] = [scale, shift].map(|x| number(x.sqrt()));
                let features = match degree {
                    1 => Some(Features::Mapped(Map::Affine { root, shift: root_of_shift })),
                    2 => Some(Features::Symmetric { root, shift: root_of_shift }),
                    _ => None,
                };
                (Map::Identity, Link::Power { scale: number(scale), shift: number(shift), degree }, features)
            }
        };
        Self { scores, link, features, similarity, dim }
    }

    /// `sqrt(sim(x, x))`, the length of the row's features, where the denominator can vanish; elsewhere 0.
    pub(crate) fn length(&self, row: &[T]) -> f64 {
        let square = || row.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>();
        match self.similarity {
            Similarity::Polynomial { scale, shift, degree } => (scale * square() + shift).powf(f64::from(degree) / 2.0),
            Similarity::Product { .. } => square().sqrt(),
            Similarity::Relu => row.iter().map(|x| x.to_f64().max(0.0).powi(2)).sum::<f64>().sqrt(),
            _ => 0.0,
        }
    }
}

impl<T: Float> Link<T> {
    pub(crate) fn is_exp(&self) -> bool {
        matches!(self, Self::Exp { .. })
    }

    /// The scale of a row with this normaliser, without its delta.
    pub(crate) fn row_scale(&self, normaliser: T) -> RowScale<T> {
        let zero = RowScale { exponent: T::ZERO, factor: T::ZERO, delta: T::ZERO };
        match self.is_exp() {
            // A row that sees nothing has only masked scores, whose difference from minus infinity would be NaN.
            true if normaliser == T::from_f64(f64::NEG_INFINITY) => zero,
            true => RowScale { exponent: normaliser, factor: T::ONE, ..zero },
            false if normaliser == T::ZERO => zero,
            false => RowScale { factor: T::ONE / normaliser, ..zero },
        }
    }

    /// Scores to weights, but for exponentials: those need their row's largest.
    pub(crate) fn apply(&self, scores: &mut [T]) {
        let Self::Power { scale, shift, degree } = *self else { return };
        vectorised(
            scores,
            #[inline(always)]
            |scores: &mut [T]| match degree {
                2 => scores.iter_mut().for_each(|score| *score = square(scale * *score + shift)),
                _ => scores.iter_mut().for_each(|score| *score = power(scale * *score + shift, degree)),
            },
        );
    }

    /// Rows of scores to weights over their denominators, and the gradient by those to that by the scores.
    ///
    /// Of pairs that do not see each other anything may come.
    pub(crate) fn apply_with_gradient(&self, scores: &mut [T], of_weights: &mut [T], rows: &[RowScale<T>]) {
        let degree_of = |degree: u32| T::from_f64(f64::from(degree));
        match *self {
            Self::Exp { scale } => by_rows(
                scores,
                of_weights,
                rows,
                #[inline(always)]
                move |score, of, row| {
                    let weight = (scale * score - row.exponent).exp_of_negative();
                    (weight, scale * weight * (of - row.delta))
                },
            ),
            Self::Power { scale, shift, degree: 2 } => by_rows(
                scores,
                of_weights,
                rows,
                #[inline(always)]
                move |score, of, row| {
                    let base = scale * score + shift;
                    let part = base * row.factor;
                    (base * part, (scale + scale) * part * (of - row.delta))
                },
            ),
            Self::Power { scale, shift, degree } => by_rows(
                scores,
                of_weights,
                rows,
                #[inline(always)]
                move |score, of, row| {
                    let base = scale * score + shift;
                    let below = power(base, degree - 1) * row.factor;
                    (below * base, degree_of(degree) * scale * below * (of - row.delta))
                },
            ),
            Self::Identity => by_rows(
                scores,
                of_weights,
                rows,
                #[inline(always)]
                |score, of, row| (score * row.factor, row.factor * (of - row.delta)),
            ),
        }
    }
}

/// Replaces two values of each pair, from those and the row's scale.
#[inline(always)]
fn by_rows<T: Float>(
    scores: &mut [T],
    of_weights: &mut [T],
    rows: &[RowScale<T>],
    pair: impl Fn(T, T, RowScale<T>) -> (T, T) + Copy,
) {
    let columns = scores.len() / rows.len();
    vectorised(
        // What is read as well: a loop that reads through a reference what its stores might change does not vectorise.
        (scores, of_weights, pair),
        #[inline(always)]
        |(scores, of_weights, pair)| {
            let pairs = scores.chunks_exact_mut(columns).zip(of_weights.chunks_exact_mut(columns));
            for ((scores, of_weights), &row) in pairs.zip(rows) {
                for (score, of) in scores.iter_mut().zip(of_weights) {
                    (*score, *of) = pair(*score, *of, row);
                }
            }
        },
    );
}

#[inline(always)]
fn square<T: Float>(x: T) -> T {
    x * x
}

#[inline(always)]
fn power<T: Float>(x: T, degree: u32) -> T {
    (0..degree).fold(T::ONE, |product, _| product * x)
}

/// The products of the output's rows of `width` values with their gradients.
pub(crate) fn set_deltas<T: Float>(scales: &mut [RowScale<T>], output: &[T], of_output: &[T], width: usize) {
    vectorised(
        scales,
        #[inline(always)]
        |scales: &mut [RowScale<T>]| {
            let rows = output.chunks_exact(width).zip(of_output.chunks_exact(width));
            for (scale, (output, of_output)) in scales.iter_mut().zip(rows) {
                scale.delta = T::from_f64(sum_of_products(output, of_output));
            }
        },
    );
}
