//! Confidence intervals at 95 %.

/// A closed interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The 97.5 % quantile of the standard normal distribution.
const NORMAL: f64 = 1.959_963_984_540_054;

/// The 95 % Wilson score interval of a proportion of which `correct` of `n` trials were seen.
///
/// It stays inside `0..=1` and keeps a width at 0 and at n, where the normal approximation collapses
/// (Wilson 1927; Brown, Cai and DasGupta 2001). `None` where `n` is 0 or less than `correct`.
pub fn wilson_interval(correct: usize, n: usize) -> Option<Interval> {
    if n == 0 || correct > n {
        return None;
    }
    let (n, p) = (n as f64, correct as f64 / n as f64);
    let squared = NORMAL * NORMAL;
    let centre = (p + squared / (2.0 * n)) / (1.0 + squared / n);
    let half = NORMAL / (1.0 + squared / n) * (p * (1.0 - p) / n + squared / (4.0 * n * n)).sqrt();
    Some(Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

/// A mean and, from two values on, its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanInterval {
    /// The arithmetic mean.
    pub mean: f64,
    /// The 95 % interval; `None` for a single value, which says nothing of its spread.
    pub interval: Option<Interval>,
}

/// The mean of `values` and its 95 % interval by Student's t with n-1 degrees of freedom. `None` for an empty list.
pub fn mean_interval(values: &[f64]) -> Option<MeanInterval> {
    if values.is_empty() {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let interval = (values.len() > 1).then(|| {
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = student_quantile(values.len() - 1) * (variance / n).sqrt();
        Interval { low: mean - half, high: mean + half }
    });
    Some(MeanInterval { mean, interval })
}

/// The 97.5 % quantile of Student's t with so many degrees of freedom, at least one; found by bisection on the
/// distribution function.
pub fn student_quantile(degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, 13.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if student_central_mass(middle, degrees) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// `P(|T| < t)` for Student's t with whole degrees of freedom: the finite series of Abramowitz & Stegun 26.7.3-4,
/// in `θ = atan(t / √ν)`.
fn student_central_mass(t: f64, degrees: usize) -> f64 {
    let theta = (t / (degrees as f64).sqrt()).atan();
    let (sine, cosine) = theta.sin_cos();
    let odd = degrees % 2 == 1;
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = if degrees == 1 { 0.0 } else { term };
    let mut k = if odd { 3 } else { 2 };
    while k < degrees {
        term *= cosine * cosine * (k - 1) as f64 / k as f64;
        sum += term;
        k += 2;
    }
    if odd { 2.0 / std::f64::consts::PI * (theta + sine * sum) } else { sine * sum }
}
