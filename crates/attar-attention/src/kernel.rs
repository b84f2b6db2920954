//! A similarity made ready for rows of a width: a map of rows, and a function of the mapped rows' product.

use attar_ops::{Float, sum_of_products, vectorised};

use crate::Similarity;
use crate::map::{Map, Random, exp_or_zero};
use crate::projection::projection;
use crate::similarity::{HardGradient, scale_or_default};

/// How weights come from rows.
#[derive(Clone, Debug)]
pub(crate) struct Kernel<T> {
    /// Of the rows whose products are scores.
    pub(crate) scores: Map<T>,
    /// From scores to weights.
    pub(crate) link: Link<T>,
    /// Of the rows whose products are weights, if there is one.
    pub(crate) features: Option<Map<T>>,
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
            Similarity::Elu => (Map::Elu, Link::Identity, Some(Map::Elu)),
            Similarity::Relu => (Map::Relu, Link::Identity, Some(Map::Relu)),
            Similarity::Product { .. } => (Map::Identity, Link::Identity, Some(Map::Identity)),
            Similarity::Random { features, seed, scale } => {
                let projection = projection(features, dim, seed).into_iter().map(|w| number(f64::from(w))).collect();
                let root = number(scale_or_default(scale, dim).sqrt());
                let map = Map::Random(Random { projection, root });
                (map.clone(), Link::Identity, Some(map))
            }
            Similarity::Polynomial { scale, shift, degree } => {
                let [root, root_of_shift] = [scale, shift].map(|x| number(x.sqrt()));
                let features = match degree {
                    1 => Some(Map::Affine { root, shift: root_of_shift }),
                    2 => Some(Map::Symmetric { root, shift: root_of_shift }),
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

    /// A row of scores to weights over the denominator, and the gradient by those to that by the scores.
    pub(crate) fn apply_with_gradient(&self, scores: &mut [T], of_weights: &mut [T], row: RowScale<T>) {
        let RowScale { exponent, factor, delta } = row;
        let link = *self;
        vectorised(
            (scores, of_weights),
            #[inline(always)]
            |(scores, of_weights): (&mut [T], &mut [T])| {
                let pairs = scores.iter_mut().zip(of_weights);
                match link {
                    Self::Exp { scale } => pairs.for_each(|(score, of)| {
                        *score = exp_or_zero(scale * *score - exponent);
                        *of = scale * *score * (*of - delta);
                    }),
                    Self::Power { scale, shift, degree: 2 } => pairs.for_each(|(score, of)| {
                        let (base, slope) = (scale * *score + shift, scale + scale);
                        *score = base * base * factor;
                        *of = slope * base * factor * (*of - delta);
                    }),
                    Self::Power { scale, shift, degree } => pairs.for_each(|(score, of)| {
                        let base = scale * *score + shift;
                        let below = power(base, degree - 1);
                        *score = below * base * factor;
                        *of = T::from_f64(f64::from(degree)) * scale * below * factor * (*of - delta);
                    }),
                    Self::Identity => pairs.for_each(|(score, of)| {
                        *score *= factor;
                        *of = factor * (*of - delta);
                    }),
                }
            },
        );
    }
}

#[inline(always)]
fn square<T: Float>(x: T) -> T {
    x * x
}

#[inline(always)]
fn power<T: Float>(x: T, degree: u32) -> T {
    (0..degree).fold(T::ONE, |product, _| product * x)
}

/// The products of corresponding rows of `width` values.
pub(crate) fn row_products<T: Float>(left: &[T], right: &[T], width: usize) -> Vec<T> {
    let mut products = vec![T::ZERO; left.len() / width];
    vectorised(
        &mut products[..],
        #[inline(always)]
        |products: &mut [T]| {
            for ((product, left), right) in
                products.iter_mut().zip(left.chunks_exact(width)).zip(right.chunks_exact(width))
            {
                *product = T::from_f64(sum_of_products(left, right));
            }
        },
    );
    products
}
