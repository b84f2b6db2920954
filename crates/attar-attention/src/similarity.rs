//! The similarities, each with its law.

use crate::Error;

/// How much a query `q` attends to a key `k`, both of dimension D.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Similarity {
    /// `exp(scale q.k)` (Vaswani et al. 2017, eq. 1).
    Softmax {
        /// `1 / sqrt(D)` unless said.
        scale: Option<f64>,
    },
    /// `(scale q.k + shift)^degree` with a positive scale and a shift that is not negative.
    ///
    /// The linear and the recurrent form take degrees 1 and 2.
    Polynomial {
        /// Multiplies the product.
        scale: f64,
        /// Is added to it.
        shift: f64,
        /// The exponent, from 1.
        degree: u32,
    },
    /// `phi(q).phi(k)` with `phi(x) = elu(x) + 1` (Katharopoulos et al. 2020, eq. 7).
    Elu,
    /// `phi(q).phi(k)` with `phi(x) = max(x, 0)`.
    Relu,
    /// `q.k`, for a feature map of the user's own: queries and keys come as features already.
    Product {
        /// The signs that products of the features take, for which the caller answers. Sums of products that are
        /// `Strict` are not looked over: with features of both signs their rows are what rounding leaves of them.
        positivity: Positivity,
    },
    /// Positive orthogonal random features, whose mean over seeds is the similarity of softmax (FAVOR+, Choromanski et
    /// al. 2021, lemma 1): the mean over the rows w of a random matrix of `exp(w.(q + k) - (|q|^2 + |k|^2) / 2)`, with
    /// q and k times the square root of `scale`.
    Random {
        /// Rows of the random matrix.
        features: usize,
        /// Decides the matrix, together with `features` and D.
        seed: u64,
        /// `1 / sqrt(D)` unless said.
        scale: Option<f64>,
    },
    /// 1 for the key of the largest `q.k`, the first among equals; 0 for all others.
    Hard {
        /// What queries and keys learn from.
        gradient: HardGradient,
    },
}

/// The gradient of hard attention by queries and keys; that by values is exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HardGradient {
    /// Zero, as it is almost everywhere.
    None,
    /// That of softmax in its place (straight-through, Bengio et al. 2013), with the softmax's own output.
    StraightThrough {
        /// `1 / sqrt(D)` unless said.
        scale: Option<f64>,
    },
}

/// Which signs a similarity takes, and with that whether its sum over keys can vanish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positivity {
    /// Positive: the sum vanishes only where no key is seen, or where it is below the smallest numbers.
    Strict,
    /// Never negative: the sum vanishes where every key is orthogonal.
    NonNegative,
    /// Both signs: the sum can cancel.
    Signed,
}

/// Beyond these no result means anything, and counts overflow.
const MOST_DEGREES: u32 = 1 << 10;
const MOST_FEATURES: usize = 1 << 20;

impl Similarity {
    /// `(q.k)^2`.
    pub const QUADRATIC: Self = Self::Polynomial { scale: 1.0, shift: 0.0, degree: 2 };
    /// `(q.k + 1)^2`.
    pub const QUADRATIC_PLUS_ONE: Self = Self::Polynomial { scale: 1.0, shift: 1.0, degree: 2 };

    /// Which signs it takes.
    pub fn positivity(&self) -> Positivity {
        match self {
            Self::Softmax { .. } | Self::Elu | Self::Random { .. } | Self::Hard { .. } => Positivity::Strict,
            Self::Product { positivity } => *positivity,
            Self::Polynomial { degree, .. } if degree % 2 == 1 => Positivity::Signed,
            Self::Polynomial { .. } | Self::Relu => Positivity::NonNegative,
        }
    }

    /// Whether it is a product of finitely many features of query and key, as the linear and recurrent forms need.
    pub fn has_features(&self) -> bool {
        match self {
            Self::Elu | Self::Relu | Self::Product { .. } | Self::Random { .. } => true,
            Self::Polynomial { degree, .. } => *degree <= 2,
            Self::Softmax { .. } | Self::Hard { .. } => false,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Softmax { .. } => "softmax",
            Self::Polynomial { .. } => "a polynomial of a degree above 2",
            Self::Elu => "elu + 1",
            Self::Relu => "relu",
            Self::Product { .. } => "a product of features",
            Self::Random { .. } => "random features",
            Self::Hard { .. } => "hard attention",
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Polynomial { scale, shift, degree } => {
                positive("a finite polynomial scale above 0", scale)?;
                if !(shift >= 0.0 && shift.is_finite()) {
                    return Err(Error::Parameter { what: "a finite polynomial shift from 0", value: shift });
                }
                match degree {
                    0 => Err(Error::None("degree of the polynomial")),
                    1..=MOST_DEGREES => Ok(()),
                    _ => Err(Error::Parameter { what: "a polynomial of at most degree 1,024", value: degree.into() }),
                }
            }
            Self::Random { features: 0, .. } => Err(Error::None("random feature")),
            Self::Random { features, .. } if features > MOST_FEATURES => {
                Err(Error::Parameter { what: "at most 1,048,576 random features", value: features as f64 })
            }
            Self::Softmax { scale: Some(scale) }
            | Self::Random { scale: Some(scale), .. }
            | Self::Hard { gradient: HardGradient::StraightThrough { scale: Some(scale) } } => {
                positive("a finite scale above 0", scale)
            }
            _ => Ok(()),
        }
    }
}

fn positive(what: &'static str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value.is_finite() { Ok(()) } else { Err(Error::Parameter { what, value }) }
}

/// The scale, or `1 / sqrt(dim)` in its place.
pub(crate) fn scale_or_default(scale: Option<f64>, dim: usize) -> f64 {
    scale.unwrap_or_else(|| (dim as f64).sqrt().recip())
}
