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

/// The least-squares slope of `values` over 0, 1, 2, ...; `None` for fewer than two.
pub(crate) fn slope(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let (middle, mean) = ((values.len() - 1) as f64 / 2.0, mean(values));
    let offsets = || (0..values.len()).map(|i| i as f64 - middle);
    let covariance: f64 = offsets().zip(values).map(|(x, y)| x * (y - mean)).sum();
    Some(covariance / offsets().map(|x| x * x).sum::<f64>())
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
        assert_eq!(slope(&[1.0, 3.0, 5.0]), Some(2.0));
        assert_eq!(slope(&[1.0]), None);
        assert!((standard_error(&[1.0, 2.0, 3.0]) - (1.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(blocks(&[1.0, 2.0, 3.0, 4.0, 5.0], 2), [&[1.0, 2.0][..], &[3.0, 4.0, 5.0]]);
    }
}
