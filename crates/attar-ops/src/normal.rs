//! Normal random numbers from random bits, many at a time.

use std::f32::consts::{FRAC_PI_2, LN_2, SQRT_2};

use crate::vectorised::vectorised;

/// Numbers that are made together.
pub const NORMALS: usize = 32;
const HALF: usize = NORMALS / 2;

/// Independent standard normal numbers from as many independent uniform words.
///
/// Box and Muller (1958): the square root of -2 ln u turns by a uniform angle. Only operations that IEEE 754 rounds
/// exactly are used, so the numbers are the same on every machine. None is further than 6.8 from 0.
pub fn standard_normals(bits: &[u32; NORMALS]) -> [f32; NORMALS] {
    let mut normals = [0.0; NORMALS];
    let (radii, angles) = bits.split_at(HALF);
    let (cosines, sines) = normals.split_at_mut(HALF);
    vectorised(
        (cosines, sines),
        #[inline(always)]
        |(cosines, sines): (&mut [f32], &mut [f32])| {
            for (((cosine, sine), &radius), &angle) in cosines.iter_mut().zip(sines).zip(radii).zip(angles) {
                let radius = (-2.0 * ln_of_fraction(radius)).sqrt();
                let (unit_cosine, unit_sine) = turn(angle);
                (*cosine, *sine) = (radius * unit_cosine, radius * unit_sine);
            }
        },
    );
    normals
}

/// `ln((bits + 1/2) / 2^32)`, never above 0; below 2e-7, relative to the larger of 1 and the result.
#[inline(always)]
fn ln_of_fraction(bits: u32) -> f32 {
    // In two halves, because machines convert signed numbers.
    let value = (bits >> 16) as i32 as f32 * 65_536.0 + ((bits & 0xffff) as i32 as f32 + 0.5);
    let pattern = value.to_bits() as i32;
    // The exponent that leaves a factor between sqrt(1/2) and sqrt(2).
    let exponent = (pattern - SQRT_2.to_bits() as i32 + (1 << 23)) >> 23;
    let factor = f32::from_bits((pattern - (exponent << 23)) as u32);
    // ln f = 2 artanh t with t = (f - 1) / (f + 1), |t| < 0.172; its series up to the ninth power.
    let t = (factor - 1.0) / (factor + 1.0);
    let square = t * t;
    let series = [1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0];
    let ln = 2.0 * t * series.into_iter().fold(0.0, |sum, coefficient| sum * square + coefficient);
    let result = (exponent - 32) as f32 * LN_2 + ln;
    if result > 0.0 { 0.0 } else { result }
}

/// Cosine and sine of `bits / 2^32` turns; below 2e-7, absolute.
#[inline(always)]
fn turn(bits: u32) -> (f32, f32) {
    // The nearest quarter turn, and the rest between minus and plus an eighth of a turn.
    let quarter = bits.wrapping_add(1 << 29) >> 30;
    let rest = bits.wrapping_sub(quarter << 30) as i32;
    let x = rest as f32 * (FRAC_PI_2 / (1 << 30) as f32);
    let square = x * x;
    // Taylor up to the ninth and eighth power.
    let of_sine = [1.0 / 362_880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0, 1.0];
    let of_cosine = [1.0 / 40_320.0, -1.0 / 720.0, 1.0 / 24.0, -0.5, 1.0];
    let sine = x * of_sine.into_iter().fold(0.0, |sum, coefficient| sum * square + coefficient);
    let cosine = of_cosine.into_iter().fold(0.0, |sum, coefficient| sum * square + coefficient);
    let (a, b) = if quarter & 1 == 0 { (cosine, sine) } else { (sine, cosine) };
    // A quarter turn is (c, s) -> (-s, c).
    let a = if quarter == 1 || quarter == 2 { -a } else { a };
    let b = if quarter >= 2 { -b } else { b };
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words from a counter, as SplitMix64 mixes it.
    fn words(count: usize) -> Vec<u32> {
        let mix = |mut x: u64| {
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (x ^ (x >> 31)) as u32
        };
        (1..=count as u64).map(|at| mix(at.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
    }

    #[test]
    fn logarithm_and_turn_are_within_their_errors() {
        let edges = [0, 1, 2, 65_535, 65_536, 1 << 29, (1 << 30) - 1, 1 << 30, 1 << 31, u32::MAX - 1, u32::MAX];
        for bits in words(20_000).into_iter().chain(edges) {
            let ln = ((f64::from(bits) + 0.5) / 4_294_967_296.0).ln();
            let error = (f64::from(ln_of_fraction(bits)) - ln).abs() / ln.abs().max(1.0);
            assert!(error < 2e-7, "ln of {bits}: {error}");
            let angle = f64::from(bits) / 4_294_967_296.0 * std::f64::consts::TAU;
            let (cosine, sine) = turn(bits);
            let error = (f64::from(cosine) - angle.cos()).abs().max((f64::from(sine) - angle.sin()).abs());
            assert!(error < 2e-7, "turn by {bits}: {error}");
        }
    }

    /// Moments and the distribution function, each within four standard errors.
    #[test]
    fn they_are_standard_normal() {
        let words = words(NORMALS * 32_000);
        let (chunks, _) = words.as_chunks::<NORMALS>();
        let normals: Vec<f64> = chunks.iter().flat_map(standard_normals).map(f64::from).collect();
        let count = normals.len() as f64;
        for (power, moment, deviation) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let mean = normals.iter().map(|x| x.powi(power)).sum::<f64>() / count;
            assert!((mean - moment).abs() < 4.0 * f64::sqrt(deviation / count), "moment {power}: {mean}");
        }
        for bound in [-3.0, -1.5, -0.5, 0.0, 0.3, 1.0, 2.0, 3.5] {
            let want = 0.5 * libm::erfc(-bound / std::f64::consts::SQRT_2);
            let got = normals.iter().filter(|&&x| x < bound).count() as f64 / count;
            assert!((got - want).abs() < 4.0 * f64::sqrt(want * (1.0 - want) / count), "below {bound}: {got}");
        }
        let (x, y): (Vec<f64>, Vec<f64>) = chunks
            .iter()
            .flat_map(|bits| {
                let normals = standard_normals(bits);
                (0..HALF).map(move |at| (f64::from(normals[at]), f64::from(normals[HALF + at])))
            })
            .unzip();
        let together = x.iter().zip(&y).map(|(x, y)| x * x * y * y).sum::<f64>() / x.len() as f64;
        assert!((together - 1.0).abs() < 4.0 * f64::sqrt(8.0 / x.len() as f64), "squares of a pair: {together}");
    }
}
