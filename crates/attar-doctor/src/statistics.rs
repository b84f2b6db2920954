//! Small statistics that several rules need.

/// The value below which the share `q` of `values` lies, `None` for none. Values that are not finite are left out.
pub(crate) fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get((q * last as f64).round() as usize).copied()
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard error of the mean of `values`.
pub(crate) fn standard_error(values: &[f64]) -> f64 {
    let (mean, count) = (mean(values), values.len() as f64);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (count - 1.0).max(1.0) / count).sqrt()
}

/// The least-squares slope of the second numbers over the first; `None` for fewer than two different ones.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let (x_mean, y_mean) = (mean(&x), mean(&y));
    let variance: f64 = x.iter().map(|x| (x - x_mean).powi(2)).sum();
    let covariance: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

/// `values` in `count` runs of nearly equal length, in order; fewer where there are fewer values.
pub(crate) fn blocks(values: &[f64], count: usize) -> Vec<&[f64]> {
    let count = count.min(values.len());
    (0..count).map(|i| &values[i * values.len() / count..(i + 1) * values.len() / count]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_a_few_numbers() {
        assert_eq!(median(&[3.0, f64::NAN, 1.0, 2.0]), Some(2.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(slope(&[(1.0, 1.0), (2.0, 3.0), (5.0, 9.0)]), Some(2.0));
        assert_eq!(slope(&[(1.0, 1.0)]), None);
        assert!((standard_error(&[1.0, 2.0, 3.0]) - (1.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(blocks(&[1.0, 2.0, 3.0, 4.0, 5.0], 2), [&[1.0, 2.0][..], &[3.0, 4.0, 5.0]]);
    }
}
