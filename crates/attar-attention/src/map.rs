//! Feature maps, a block of rows at a time, with their gradients.

use attar_ops::{Float, Matrix, MatrixMut, Precision, Scratch, largest, sum, sum_of_products, vectorised};

/// Rows to rows whose inner products a similarity is made of.
#[derive(Clone, Debug)]
pub(crate) enum Map<T> {
    /// x
    Identity,
    /// elu(x) + 1
    Elu,
    /// max(x, 0)
    Relu,
    /// Positive random features.
    Random(Random<T>),
    /// `(root x, shift)`, without the last where it is 0.
    Affine { root: T, shift: T },
}

/// `exp(root w.x - root^2 |x|^2 / 2 - shift)` for every row w of a matrix.
#[derive(Clone, Debug)]
pub(crate) struct Random<T> {
    /// Rows of `dim` values.
    pub(crate) projection: Vec<T>,
    /// The root of the scale.
    pub(crate) root: T,
}

/// The side that a row is on, and what its exponents are lessened by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side<T> {
    /// Each row by its own largest exponent, which the division takes out again.
    Query,
    /// All rows of a block by the same, see [`crate::shift`].
    Key { shift: T },
}

impl<T: Float> Map<T> {
    /// Features of a row of `dim` values.
    pub(crate) fn width(&self, dim: usize) -> usize {
        match self {
            Self::Identity | Self::Elu | Self::Relu => dim,
            Self::Random(random) => random.projection.len() / dim,
            Self::Affine { shift, .. } => dim + usize::from(*shift != T::ZERO),
        }
    }

    /// The features of the rows, which are the rows themselves where nothing is mapped.
    pub(crate) fn apply<'a>(&self, rows: &'a [T], dim: usize, side: Side<T>, out: &'a mut Scratch<T>) -> &'a [T] {
        if matches!(self, Self::Identity) {
            return rows;
        }
        let width = self.width(dim);
        out.resize(rows.len() / dim * width);
        match self {
            Self::Identity => {}
            Self::Elu => each(rows, out, elu),
            Self::Relu => each(rows, out, |x| if x < T::ZERO { T::ZERO } else { x }),
            Self::Random(random) => random.apply(rows, dim, side, out),
            Self::Affine { root, shift } => {
                for (row, out) in rows.chunks_exact(dim).zip(out.chunks_exact_mut(width)) {
                    lift(row, *root, *shift, out);
                }
            }
        }
        out
    }

    /// Adds to the rows' gradient what follows from that of their features.
    pub(crate) fn add_gradient(&self, rows: &[T], dim: usize, features: &[T], of_features: &[T], of_rows: &mut [T]) {
        match self {
            Self::Identity => add(of_rows, of_features),
            // Above zero the feature is 1 or more, below it its own slope.
            Self::Elu => add_slopes(of_rows, features, of_features, |it| if it < T::ONE { it } else { T::ONE }),
            Self::Relu => add_slopes(of_rows, features, of_features, |it| if it > T::ZERO { T::ONE } else { T::ZERO }),
            Self::Random(random) => random.add_gradient(rows, dim, features, of_features, of_rows),
            Self::Affine { root, .. } => {
                for (of_row, of) in of_rows.chunks_exact_mut(dim).zip(of_features.chunks_exact(self.width(dim))) {
                    of_row.iter_mut().zip(of).for_each(|(sum, &of)| *sum += *root * of);
                }
            }
        }
    }
}

/// `elu(x) + 1 = max(x, 0) + exp(min(x, 0))`, without a branch, so that it vectorises.
#[inline(always)]
fn elu<T: Float>(x: T) -> T {
    let (above, below) = if x > T::ZERO { (x, T::ZERO) } else { (T::ZERO, x) };
    above + below.exp_of_negative()
}

/// Values that are mapped together.
const BLOCK: usize = 64;

fn each<T: Float>(rows: &[T], out: &mut [T], map: impl Fn(T) -> T) {
    vectorised(
        out,
        #[inline(always)]
        |out: &mut [T]| {
            // Some vectors side by side: one alone waits for itself from operation to operation.
            let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
            let (block_rows, rest_rows) = rows.as_chunks::<BLOCK>();
            for (out, rows) in blocks.iter_mut().zip(block_rows) {
                *out = rows.map(&map);
            }
            rest.iter_mut().zip(rest_rows).for_each(|(out, &x)| *out = map(x));
        },
    );
}

fn add<T: Float>(sums: &mut [T], values: &[T]) {
    vectorised(
        sums,
        #[inline(always)]
        |sums: &mut [T]| sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value),
    );
}

/// Adds gradients times the slope, which is found from the feature.
fn add_slopes<T: Float>(of_rows: &mut [T], features: &[T], of_features: &[T], slope: impl Fn(T) -> T) {
    vectorised(
        of_rows,
        #[inline(always)]
        |of_rows: &mut [T]| {
            for ((sum, &feature), &of) in of_rows.iter_mut().zip(features).zip(of_features) {
                *sum += of * slope(feature);
            }
        },
    );
}

fn lift<T: Float>(row: &[T], root: T, shift: T, out: &mut [T]) {
    out.iter_mut().zip(row).for_each(|(out, &x)| *out = root * x);
    if let Some(last) = out.get_mut(row.len()) {
        *last = shift;
    }
}

impl<T: Float> Random<T> {
    /// `root w.x - root^2 |x|^2 / 2` of each row and each w.
    fn exponents(&self, rows: &[T], dim: usize, out: &mut [T]) {
        let width = self.projection.len() / dim;
        let projection = Matrix::row_major(&self.projection, dim).transposed();
        T::product(Precision::Full, MatrixMut::row_major(out, width), Matrix::row_major(rows, dim), projection);
        let (root, half) = (self.root, T::from_f64(0.5));
        vectorised(
            out,
            #[inline(always)]
            |out: &mut [T]| {
                for (row, out) in rows.chunks_exact(dim).zip(out.chunks_exact_mut(width)) {
                    let square = half * root * root * T::from_f64(sum_of_products(row, row));
                    out.iter_mut().for_each(|value| *value = root * *value - square);
                }
            },
        );
    }

    /// The largest exponent of each row.
    pub(crate) fn largest_exponents(&self, rows: &[T], dim: usize) -> Vec<T> {
        let width = self.projection.len() / dim;
        let mut out = vec![T::ZERO; rows.len() / dim * width];
        self.exponents(rows, dim, &mut out);
        out.chunks_exact(width).map(|row| largest(row)).collect()
    }

    fn apply(&self, rows: &[T], dim: usize, side: Side<T>, out: &mut [T]) {
        self.exponents(rows, dim, out);
        let width = self.projection.len() / dim;
        vectorised(
            out,
            #[inline(always)]
            |out: &mut [T]| {
                for row in out.chunks_exact_mut(width) {
                    let shift = match side {
                        Side::Query => largest(row),
                        Side::Key { shift } => shift,
                    };
                    // A hidden key may be above the others' largest, and nothing is made of it; any other only by rounding.
                    row.iter_mut().for_each(|value| {
                        let x = *value - shift;
                        *value = exp_or_nothing(if x > T::ZERO { T::ZERO } else { x });
                    });
                }
            },
        );
    }

    /// `root (of * features) W - root^2 x sum(of * features)`: what the exponents are lessened by cancels.
    fn add_gradient(&self, rows: &[T], dim: usize, features: &[T], of_features: &[T], of_rows: &mut [T]) {
        let width = self.projection.len() / dim;
        let mut of_exponents: Vec<T> = vec![T::ZERO; features.len()];
        let root = self.root;
        vectorised(
            (&mut of_exponents[..], &mut *of_rows),
            #[inline(always)]
            |(of_exponents, of_rows): (&mut [T], &mut [T])| {
                for ((of, &feature), &of_feature) in of_exponents.iter_mut().zip(features).zip(of_features) {
                    *of = root * feature * of_feature;
                }
                let of_exponents = of_exponents.chunks_exact(width);
                for ((row, of_row), of) in rows.chunks_exact(dim).zip(of_rows.chunks_exact_mut(dim)).zip(of_exponents) {
                    let total = root * T::from_f64(sum(of));
                    of_row.iter_mut().zip(row).for_each(|(sum, &x)| *sum += -total * x);
                }
            },
        );
        let projection = Matrix::row_major(&self.projection, dim);
        T::add_product(MatrixMut::row_major(of_rows, dim), Matrix::row_major(&of_exponents, width), projection);
    }
}

/// `e^x` for a value that is not positive, and 0 where that is below all numbers: `exp_of_negative` ends there.
#[inline(always)]
fn exp_or_nothing<T: Float>(x: T) -> T {
    let value = x.exp_of_negative();
    if value < T::from_f64(1.5) * T::MIN_POSITIVE { T::ZERO } else { value }
}

/// `e^x` for a value that is not positive, and 0 where it is minus infinity, which `exp_of_negative` does not promise.
#[inline(always)]
pub(crate) fn exp_or_zero<T: Float>(x: T) -> T {
    let value = x.exp_of_negative();
    if x == T::from_f64(f64::NEG_INFINITY) { T::ZERO } else { value }
}
