//! The functions between dense layers, over whole arrays: bias, value and slope in one pass.
//!
//! In `f32` the errors against `f64` are below 3e-7, absolute; the tests measure them.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Float;
use crate::threads::BLOCK;
use crate::vectorised::vectorised;

/// The function between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `x`: the network stays linear.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `x Phi(x)`, with the error function (Hendrycks & Gimpel 2016, eq. 1).
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
    /// `x sigmoid(x)` (Elfwing et al. 2017).
    Silu,
}

impl Activation {
    /// Whether [`Self::multiply_by_slope`] needs the slopes, because the value does not determine them.
    pub fn keeps_slopes(self) -> bool {
        matches!(self, Self::Gelu | Self::Silu)
    }

    /// Replaces each value x of the row-major `[rows, width of bias]` by the activation's at x + bias.
    ///
    /// `slopes`, empty or as long as `values`, becomes the activation's derivative there.
    pub fn add_bias_and_apply<T: Float>(self, values: &mut [T], bias: Option<&[T]>, slopes: &mut [T]) {
        let width = bias.map_or(values.len(), <[T]>::len).max(1);
        let rows = (BLOCK / width).max(1) * width;
        let no_slopes = slopes.is_empty();
        let one_block = |values: &mut [T], slopes: &mut [T]| match self {
            Self::Identity => each(
                values,
                bias,
                slopes,
                #[inline(always)]
                |x| (x, T::ONE),
            ),
            Self::Relu => each(
                values,
                bias,
                slopes,
                #[inline(always)]
                |x| relu(x),
            ),
            // As closures: a function that is passed by its name is not compiled for the machine's vectors.
            Self::Gelu => each(
                values,
                bias,
                slopes,
                #[inline(always)]
                |x| gelu(x),
            ),
            Self::Tanh => each(
                values,
                bias,
                slopes,
                #[inline(always)]
                |x| tanh(x),
            ),
            Self::Silu => each(
                values,
                bias,
                slopes,
                #[inline(always)]
                |x| silu(x),
            ),
        };
        if self == Self::Identity && bias.is_none() && no_slopes {
        } else if no_slopes {
            values.par_chunks_mut(rows).for_each(|values| one_block(values, &mut []));
        } else {
            values.par_chunks_mut(rows).zip(slopes.par_chunks_mut(rows)).for_each(|(v, s)| one_block(v, s));
        }
    }

    /// Multiplies the gradient by the slope at each of the activation's values; `slopes` as
    /// [`Self::add_bias_and_apply`] left them, needed where [`Self::keeps_slopes`].
    pub fn multiply_by_slope<T: Float>(self, gradient: &mut [T], values: &[T], slopes: &[T]) {
        let with = if self.keeps_slopes() { slopes } else { values };
        if self == Self::Identity {
            return;
        }
        gradient.par_chunks_mut(BLOCK).zip(with.par_chunks(BLOCK)).for_each(|(gradient, with)| match self {
            Self::Relu => multiply(gradient, with, |y| if y <= T::ZERO { T::ZERO } else { T::ONE }),
            Self::Tanh => multiply(gradient, with, |y| T::ONE - y * y),
            _ => multiply(gradient, with, |slope| slope),
        });
    }
}

#[inline(always)]
fn each<T: Float>(values: &mut [T], bias: Option<&[T]>, slopes: &mut [T], f: impl Fn(T) -> (T, T) + Copy) {
    let width = bias.map_or(values.len(), <[T]>::len).max(1);
    vectorised(
        (values, slopes),
        #[inline(always)]
        |(values, slopes): (&mut [T], &mut [T])| {
            for (row, values) in values.chunks_mut(width).enumerate() {
                let slopes = slopes.get_mut(row * width..).unwrap_or(&mut []);
                for (value, &bias) in values.iter_mut().zip(bias.unwrap_or(&[])) {
                    *value += bias;
                }
                if slopes.is_empty() {
                    for value in values {
                        *value = f(*value).0;
                    }
                } else {
                    for (value, slope) in values.iter_mut().zip(slopes) {
                        (*value, *slope) = f(*value);
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn multiply<T: Float>(gradient: &mut [T], with: &[T], slope: impl Fn(T) -> T + Copy) {
    vectorised(
        gradient,
        #[inline(always)]
        |gradient: &mut [T]| {
            for (gradient, &with) in gradient.iter_mut().zip(with) {
                *gradient *= slope(with);
            }
        },
    );
}

#[inline(always)]
fn relu<T: Float>(x: T) -> (T, T) {
    // Not `x.max(0)`, which would hide a NaN behind a 0.
    if x <= T::ZERO { (T::ZERO, T::ZERO) } else { (x, T::ONE) }
}

#[inline(always)]
fn gelu<T: Float>(x: T) -> (T, T) {
    let (normal, density) = x.normal();
    (x * normal, normal + x * density)
}

#[inline(always)]
fn tanh<T: Float>(x: T) -> (T, T) {
    let e = (-(x.abs() + x.abs())).exp_of_negative();
    let value = ((T::ONE - e) / (T::ONE + e)).copysign(x);
    (value, T::ONE - value * value)
}

#[inline(always)]
fn silu<T: Float>(x: T) -> (T, T) {
    let e = (-x.abs()).exp_of_negative();
    let larger = T::ONE / (T::ONE + e);
    let sigmoid = if x < T::ZERO { e * larger } else { larger };
    (x * sigmoid, sigmoid * (T::ONE + x * (T::ONE - sigmoid)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::naive;

    const ALL: [Activation; 5] =
        [Activation::Identity, Activation::Relu, Activation::Gelu, Activation::Tanh, Activation::Silu];

    /// Value and slope against `f64` formulas; the slope by central differences of the value.
    fn check<T: Float>(activation: Activation, tolerance: f64, slope_tolerance: f64) {
        let bias = [0.3, -0.2, 0.05].map(T::from_f64);
        let inputs: Vec<T> = (-4000..=4001).map(|i| T::from_f64(i as f64 * 0.005 + 1e-4)).collect();
        let (mut values, mut slopes, mut alone) = (inputs.clone(), inputs.clone(), inputs.clone());
        activation.add_bias_and_apply(&mut values, Some(&bias), &mut slopes);
        activation.add_bias_and_apply(&mut alone, Some(&bias), &mut []);
        assert_eq!(alone, values, "{activation:?}");
        let mut gradient = vec![T::ONE; inputs.len()];
        activation.multiply_by_slope(&mut gradient, &values, &slopes);
        for (at, &x) in inputs.iter().enumerate() {
            let x = (x + bias[at % 3]).to_f64();
            let error = (values[at].to_f64() - naive::activation(activation, x)).abs() / x.abs().max(1.0);
            assert!(error < tolerance, "{activation:?} at {x}: {error}");
            let slope = naive::slope(activation, x);
            for got in [slopes[at], gradient[at]] {
                assert!((got.to_f64() - slope).abs() < slope_tolerance, "{activation:?}' at {x}: {got:?} for {slope}");
            }
        }
    }

    #[test]
    fn every_activation_is_its_formula_and_its_slope_the_derivative() {
        for activation in ALL {
            check::<f32>(activation, 3e-7, 1e-6);
            check::<f64>(activation, 1e-15, 1e-9);
        }
    }

    #[test]
    fn extremes_and_not_a_number_pass_through() {
        for activation in ALL {
            let mut values = [f32::MAX, -f32::MAX, f32::NAN, 0.0];
            let mut slopes = [9.0; 4];
            activation.add_bias_and_apply(&mut values, None, &mut slopes);
            assert!(values[0] >= 1.0 && values[1].is_finite(), "{activation:?} {values:?}");
            assert!(values[2].is_nan() && values[3] == 0.0, "{activation:?} {values:?}");
            assert!(slopes[3].is_finite(), "{activation:?} {slopes:?}");
        }
    }
}
