//! The two kinds of numbers that operations work on.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::product::{self, Precision};
use crate::small_product::{self, Triangle};
use crate::{Matrix, MatrixMut, bf16};

/// `f32` or `f64`.
pub trait Float:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + Sum
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;

    /// The smallest positive number that is not subnormal.
    const MIN_POSITIVE: Self;
    /// From 1 to the next larger number.
    const EPSILON: Self;

    /// The nearest value.
    fn from_f64(value: f64) -> Self;
    /// The same value.
    fn to_f64(self) -> f64;
    /// `out = left right` on this thread.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    fn product(precision: Precision, out: MatrixMut<'_, Self>, left: Matrix<'_, Self>, right: Matrix<'_, Self>);
    /// `out += left right` in full precision on this thread.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    fn add_product(out: MatrixMut<'_, Self>, left: Matrix<'_, Self>, right: Matrix<'_, Self>) {
        product::full(out, left, right, true);
    }
    /// `out = left right`, or `out += left right`, in full precision on this thread, for a right factor of some 32 KB:
    /// the larger ones are packed first, which takes longer than the product of small ones.
    ///
    /// # Panics
    /// If the shapes do not fit each other.
    fn small_product(
        out: MatrixMut<'_, Self>,
        left: Matrix<'_, Self>,
        right: Matrix<'_, Self>,
        triangle: Triangle,
        accumulate: bool,
    );
    /// Copies a small matrix to rows without gaps, on this thread.
    ///
    /// # Panics
    /// If `out` has not as many values.
    fn copy_rows(out: &mut [Self], matrix: Matrix<'_, Self>);
    /// The square root.
    fn sqrt(self) -> Self;
    /// The absolute value.
    fn abs(self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// `e^self` for a value that is not positive; in `f32` without a branch, so that it vectorises.
    fn exp_of_negative(self) -> Self;
    /// The standard normal distribution function, and its density.
    fn normal(self) -> (Self, Self);
}

impl Float for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const MIN_POSITIVE: Self = Self::MIN_POSITIVE;
    const EPSILON: Self = Self::EPSILON;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn product(precision: Precision, out: MatrixMut<'_, Self>, left: Matrix<'_, Self>, right: Matrix<'_, Self>) {
        match precision {
            Precision::Full => product::full(out, left, right, false),
            Precision::Bf16 => bf16::product(out, left, right, false),
        }
    }

    fn small_product(
        out: MatrixMut<'_, Self>,
        left: Matrix<'_, Self>,
        right: Matrix<'_, Self>,
        triangle: Triangle,
        accumulate: bool,
    ) {
        small_product::small(out, left, right, triangle, accumulate);
    }

    fn copy_rows(out: &mut [Self], matrix: Matrix<'_, Self>) {
        small_product::copy(out, matrix);
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        self.copysign(sign)
    }

    /// A power of two times a polynomial on [-ln 2 / 2, ln 2 / 2]; below 1e-7, relative, down to -87.
    #[inline(always)]
    fn exp_of_negative(self) -> Self {
        const LN_2_HIGH: f32 = 0.693_359_4;
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let x = if self < -87.0 { -87.0 } else { self };
        let rounded = x * std::f32::consts::LOG2_E + ROUND;
        let power = rounded - ROUND;
        let rest = (x - power * LN_2_HIGH) - power * LN_2_LOW;
        // Taylor up to the sixth power.
        let polynomial = [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
        let value = polynomial.into_iter().fold(1.0 / 720.0, |sum, coefficient| sum * rest + coefficient);
        // By bits: a cast to an integer does not vectorise.
        value * Self::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23))
    }

    /// Abramowitz & Stegun 7.1.26, whose exponential the density needs too; below 1.5e-7, absolute.
    #[inline(always)]
    fn normal(self) -> (Self, Self) {
        const DENSITY_AT_0: f32 = 0.398_942_3;
        let bell = (-0.5 * self * self).exp_of_negative();
        let t = 1.0 / (1.0 + 0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2 * self.abs());
        let polynomial = [1.061_405_4, -1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6];
        let tail = 0.5 * bell * t * polynomial.into_iter().fold(0.0, |sum, coefficient| sum * t + coefficient);
        (if self < 0.0 { tail } else { 1.0 - tail }, DENSITY_AT_0 * bell)
    }
}

impl Float for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const MIN_POSITIVE: Self = Self::MIN_POSITIVE;
    const EPSILON: Self = Self::EPSILON;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    fn product(_: Precision, out: MatrixMut<'_, Self>, left: Matrix<'_, Self>, right: Matrix<'_, Self>) {
        product::full(out, left, right, false);
    }

    fn small_product(
        out: MatrixMut<'_, Self>,
        left: Matrix<'_, Self>,
        right: Matrix<'_, Self>,
        triangle: Triangle,
        accumulate: bool,
    ) {
        small_product::small(out, left, right, triangle, accumulate);
    }

    fn copy_rows(out: &mut [Self], matrix: Matrix<'_, Self>) {
        small_product::copy(out, matrix);
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn abs(self) -> Self {
        self.abs()
    }

    #[inline(always)]
    fn copysign(self, sign: Self) -> Self {
        self.copysign(sign)
    }

    fn exp_of_negative(self) -> Self {
        self.exp()
    }

    fn normal(self) -> (Self, Self) {
        const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;
        let below = 0.5 * libm::erfc(-self * std::f64::consts::FRAC_1_SQRT_2);
        (below, DENSITY_AT_0 * (-0.5 * self * self).exp())
    }
}
