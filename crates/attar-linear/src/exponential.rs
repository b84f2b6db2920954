//! The exponential, written so that it vectorises.

/// `eˣ` for x ≤ 0, to about 2 units in the last place, in operations that vectorise; 0 below -87.
///
/// `x = n ln 2 + r` with `|r| ≤ ln 2 / 2`, then the polynomial of the Cephes library's `expf` and a shift of the exponent.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Added and taken away again it rounds to whole numbers: 1.5 * 2^23.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x.max(-88.0) * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let coefficients = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1];
    let mut polynomial = 1.987_569_1e-4;
    for c in coefficients {
        polynomial = polynomial * r + c;
    }
    // The last bits of `rounded` are those of n; where it is shifted as far as the exponent, nothing else is left.
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23));
    if x < -87.0 { 0.0 } else { (polynomial * r * r + r + 1.0) * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for i in 0..=87_000 {
            let x = -(i as f32) / 1000.0;
            let truth = f64::from(x).exp();
            assert!((f64::from(exp(x)) - truth).abs() <= 3e-7 * truth, "exp({x}) = {} and not {truth}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-1e30), 0.0);
    }
}
