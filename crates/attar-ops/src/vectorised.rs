//! Loops compiled for the widest vectors that the machine has, chosen at run time.

use pulp::{Arch, Simd, WithSimd};

/// Calls `work` on the arguments, compiled for AVX-512, AVX2 or NEON where the machine has them.
///
/// The closure must be `#[inline(always)]`, and so must whatever its loops call: code that stays a function of its own
/// is compiled for the oldest machine. So is a closure that captures what it changes, because the call of such a one
/// goes through a function that the compiler makes; hence everything that changes is an argument.
#[inline(always)]
pub fn vectorised<A, R>(arguments: A, work: impl Fn(A) -> R) -> R {
    Arch::new().dispatch(Call(arguments, work))
}

struct Call<A, F>(A, F);

impl<A, R, F: Fn(A) -> R> WithSimd for Call<A, F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> R {
        (self.1)(self.0)
    }
}
