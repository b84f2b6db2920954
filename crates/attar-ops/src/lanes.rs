//! Vectors of either kind of number, as wide as the machine has them.

use pulp::Simd;

use crate::Float;

/// A number of which a vector register holds several.
pub trait Lanes: Float {
    /// A register of them.
    type Vector<S: Simd>: Copy;

    /// How many a register holds.
    fn count<S: Simd>() -> usize;
    /// The values as registers; what is left over is left out.
    fn vectors<S: Simd>(values: &[Self]) -> &[Self::Vector<S>];
    /// The same, to be changed.
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [Self::Vector<S>];
    /// The value in all places.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// `left right + sum`, rounded once where the machine can.
    fn multiply_add<S: Simd>(
        simd: S,
        left: Self::Vector<S>,
        right: Self::Vector<S>,
        sum: Self::Vector<S>,
    ) -> Self::Vector<S>;
}

macro_rules! lanes {
    ($float:ty, $vector:ident, $count:ident, $vectors:ident, $vectors_mut:ident, $splat:ident, $multiply_add:ident) => {
        impl Lanes for $float {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn count<S: Simd>() -> usize {
                S::$count
            }

            #[inline(always)]
            fn vectors<S: Simd>(values: &[Self]) -> &[S::$vector] {
                S::$vectors(values).0
            }

            #[inline(always)]
            fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [S::$vector] {
                S::$vectors_mut(values).0
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
                simd.$splat(value)
            }

            #[inline(always)]
            fn multiply_add<S: Simd>(simd: S, left: S::$vector, right: S::$vector, sum: S::$vector) -> S::$vector {
                simd.$multiply_add(left, right, sum)
            }
        }
    };
}
lanes!(f32, f32s, F32_LANES, as_simd_f32s, as_mut_simd_f32s, splat_f32s, mul_add_e_f32s);
lanes!(f64, f64s, F64_LANES, as_simd_f64s, as_mut_simd_f64s, splat_f64s, mul_add_e_f64s);
