//! Powers of a size, read off measurements.

use attar_linear::{Interval, student_quantile};

/// An exponent with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exponent {
    pub(super) value: f64,
    pub(super) interval: Interval,
}

/// The slope of the least-squares line through the logarithms of points.
pub(super) fn log_slope(points: &[(f64, f64)]) -> f64 {
    let [xx, xy, _] = spreads(points);
    xy / xx
}

/// The exponent of a power law, with an interval from the residuals; nothing for fewer than three points.
///
/// Residuals that a law of two terms leaves are taken for chance, so the interval is honest about the fit and not about
/// what a longer sequence would show.
pub(super) fn exponent(points: &[(f64, f64)]) -> Option<Exponent> {
    if points.len() < 3 {
        return None;
    }
    let [xx, xy, yy] = spreads(points);
    let value = xy / xx;
    let degrees = points.len() - 2;
    let left = (yy - value * xy).max(0.0) / degrees as f64;
    let half = student_quantile(degrees) * (left / xx).sqrt();
    Some(Exponent { value, interval: Interval { low: value - half, high: value + half } })
}

/// Where two curves through points of the same x meet, a power law between neighbours: from where on the second is below.
pub(super) fn crossing(first: &[(f64, f64)], second: &[(f64, f64)]) -> Option<f64> {
    let gaps: Vec<(f64, f64)> = first
        .iter()
        .filter_map(|&(x, y)| second.iter().find(|other| other.0 == x).map(|other| (x.ln(), (other.1 / y).ln())))
        .collect();
    let from = gaps.windows(2).rfind(|pair| pair[0].1 > 0.0 && pair[1].1 <= 0.0)?;
    let [(x0, gap0), (x1, gap1)] = [from[0], from[1]];
    Some((x0 + (x1 - x0) * gap0 / (gap0 - gap1)).exp())
}

/// Sums of squares and products of the logarithms about their means.
fn spreads(points: &[(f64, f64)]) -> [f64; 3] {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) =
        (logs.iter().map(|p| p.0).sum::<f64>() / count, logs.iter().map(|p| p.1).sum::<f64>() / count);
    let over = |f: fn(f64, f64) -> f64| logs.iter().map(|(x, y)| f(x - mean_x, y - mean_y)).sum::<f64>();
    [over(|x, _| x * x), over(|x, y| x * y), over(|_, y| y * y)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_a_power() {
        let points = [1.0, 10.0, 1000.0].map(|x: f64| (x, 3.0 * x.powf(-1.5)));
        assert!((log_slope(&points) + 1.5).abs() < 1e-12);
        let exponent = exponent(&points).unwrap();
        assert!((exponent.value + 1.5).abs() < 1e-12 && exponent.interval.high - exponent.interval.low < 1e-6);
    }

    /// Slope and interval of ln y = 0, 1, 1 at ln x = 0, 1, 2: 0.5, residual variance 1/6, t of one degree 12.706.
    #[test]
    fn an_interval_by_hand() {
        let points = [(0.0_f64, 0.0_f64), (1.0, 1.0), (2.0, 1.0)].map(|(x, y)| (x.exp(), y.exp()));
        let found = exponent(&points).unwrap();
        let half = 12.706_204_7 * (1.0_f64 / 6.0 / 2.0).sqrt();
        assert!((found.value - 0.5).abs() < 1e-12 && (found.interval.high - 0.5 - half).abs() < 1e-6, "{found:?}");
        assert!(exponent(&points[..2]).is_none());
    }

    #[test]
    fn power_laws_cross_where_they_are_equal() {
        let of = |f: fn(f64) -> f64| [100.0, 200.0, 400.0, 800.0].map(|x| (x, f(x)));
        let (square, line) = (of(|x| x * x), of(|x| 300.0 * x));
        assert!((crossing(&square, &line).unwrap() - 300.0).abs() < 1e-9);
        assert!(crossing(&line, &square).is_none() && crossing(&square, &of(|x| 10.0 * x)).is_none());
    }
}
