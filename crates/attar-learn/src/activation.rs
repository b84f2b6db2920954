//! Activations over whole arrays: value and slope in one pass, with an exponential that vectorises.
//!
//! Errors against `f64` are below 3e-7, absolute; the tests measure them.

use rayon::prelude::*;

use crate::config::Activation;

/// Values that one task works on; fixed, so that threads change nothing.
const BLOCK: usize = 8192;

impl Activation {
    /// Replaces each value by the activation's.
    pub(crate) fn apply_to(self, values: &mut [f32]) {
        match self {
            Self::Identity => {}
            // Not `x.max(0.0)`, which would hide a NaN behind a 0.
            Self::Relu => each(values, |x| if x <= 0.0 { 0.0 } else { x }),
            Self::Gelu => each(values, |x| gelu(x).0),
            Self::Tanh => each(values, |x| tanh(x).0),
            Self::Silu => each(values, |x| silu(x).0),
        }
    }

    /// As [`Self::apply_to`], and gives the derivative at each value; none for the identity.
    pub(crate) fn apply_with_slopes(self, values: &mut [f32]) -> Option<Vec<f32>> {
        match self {
            Self::Identity => None,
            Self::Relu => Some(each_with_slope(values, |x| if x <= 0.0 { (0.0, 0.0) } else { (x, 1.0) })),
            Self::Gelu => Some(each_with_slope(values, gelu)),
            Self::Tanh => Some(each_with_slope(values, tanh)),
            Self::Silu => Some(each_with_slope(values, silu)),
        }
    }
}

#[inline(always)]
fn each(values: &mut [f32], f: impl Fn(f32) -> f32 + Copy + Send + Sync) {
    values.par_chunks_mut(BLOCK).for_each(|block| {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || block.iter_mut().for_each(|value| *value = f(*value)),
        );
    });
}

#[inline(always)]
fn each_with_slope(values: &mut [f32], f: impl Fn(f32) -> (f32, f32) + Copy + Send + Sync) -> Vec<f32> {
    let mut slopes = vec![0.0; values.len()];
    values.par_chunks_mut(BLOCK).zip(slopes.par_chunks_mut(BLOCK)).for_each(|(values, slopes)| {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || values.iter_mut().zip(slopes).for_each(|(value, slope)| (*value, *slope) = f(*value)),
        );
    });
    slopes
}

/// `exp(x)` for `x <= 0`: a power of two times a polynomial on [-ln 2 / 2, ln 2 / 2].
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5 * 2^23 rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let power = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let rest = (x - power * LN_2_HIGH) - power * LN_2_LOW;
    // Taylor up to the sixth power: below 1e-7 relative on the interval.
    let polynomial = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let value = polynomial.into_iter().fold(0.0, |sum, coefficient| sum * rest + coefficient);
    value * f32::from_bits(((power as i32 + 127) as u32) << 23)
}

/// `x P(x)` and its slope, P the standard normal distribution function.
///
/// P by Abramowitz & Stegun 7.1.26, whose exponential the slope needs too.
#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    const DENSITY_AT_0: f32 = 0.398_942_3;
    let bell = exp_of_negative(-0.5 * x * x);
    let t = 1.0 / (1.0 + 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2 * x.abs());
    let polynomial = [1.061_405_4, -1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6];
    let tail = 0.5 * bell * t * polynomial.into_iter().fold(0.0, |sum, coefficient| sum * t + coefficient);
    let normal = if x < 0.0 { tail } else { 1.0 - tail };
    (x * normal, normal + x * DENSITY_AT_0 * bell)
}

#[inline(always)]
fn tanh(x: f32) -> (f32, f32) {
    let e = exp_of_negative(-2.0 * x.abs());
    let value = ((1.0 - e) / (1.0 + e)).copysign(x);
    (value, 1.0 - value * value)
}

/// `x s(x)` and its slope, s the logistic function.
#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let e = exp_of_negative(-x.abs());
    let larger = 1.0 / (1.0 + e);
    let sigmoid = if x < 0.0 { e * larger } else { larger };
    (x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// Value and slope against `f64` formulas; the slope by central differences of the value.
    fn check(activation: Activation, reference: fn(f64) -> f64) {
        let inputs: Vec<f32> = (-4000..=4000).map(|i| i as f32 * 0.005 + 1e-4).collect();
        let mut values = inputs.clone();
        let slopes = activation.apply_with_slopes(&mut values);
        let mut alone = inputs.clone();
        activation.apply_to(&mut alone);
        assert_eq!(alone, values, "{activation:?}");
        for (at, &x) in inputs.iter().enumerate() {
            let x = f64::from(x);
            let error = (f64::from(values[at]) - reference(x)).abs() / x.abs().max(1.0);
            assert!(error < 3e-7, "{activation:?} at {x}: {error}");
            let slope = (reference(x + 1e-5) - reference(x - 1e-5)) / 2e-5;
            let got = slopes.as_ref().map_or(1.0, |slopes| f64::from(slopes[at]));
            assert!((got - slope).abs() < 1e-6, "slope of {activation:?} at {x}: {got} for {slope}");
        }
    }

    #[test]
    fn every_activation_is_its_formula_and_its_slope_the_derivative() {
        check(Activation::Identity, |x| x);
        check(Activation::Relu, |x| x.max(0.0));
        check(Activation::Gelu, |x| x * 0.5 * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)));
        check(Activation::Tanh, f64::tanh);
        check(Activation::Silu, |x| x * sigmoid(x));
    }

    #[test]
    fn extremes_and_not_a_number_pass_through() {
        for activation in [Activation::Relu, Activation::Gelu, Activation::Tanh, Activation::Silu] {
            let mut values = [f32::MAX, -f32::MAX, f32::NAN, 0.0];
            let slopes = activation.apply_with_slopes(&mut values).unwrap();
            assert!(values[0] >= 1.0 && values[1].is_finite(), "{activation:?} {values:?}");
            assert!(values[2].is_nan() && values[3] == 0.0, "{activation:?} {values:?}");
            assert!(slopes[3].is_finite(), "{activation:?} {slopes:?}");
        }
    }
}
