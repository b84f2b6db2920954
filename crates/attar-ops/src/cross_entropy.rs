//! Softmax and cross-entropy with their gradient, in one pass.

use rayon::prelude::*;

use crate::Float;
use crate::reduce::{largest, rows_of_a_block, sum};
use crate::vectorised::vectorised;

/// A label that names none of the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelOutOfRange {
    /// Which sample has it.
    pub sample: usize,
    /// What came.
    pub label: i64,
    /// How many classes there are; labels are below.
    pub classes: usize,
}

impl std::fmt::Display for LabelOutOfRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sample, label, classes } = self;
        write!(f, "expected labels from 0 to below {classes}, the label of sample {sample} is {label}")
    }
}

impl std::error::Error for LabelOutOfRange {}

/// The cross-entropy of the row-major `[samples, classes]` logits, which become its gradient by them.
///
/// The loss is `scale * sum over samples of -ln softmax(logits)[label]`; a `scale` of one over the samples makes it the
/// mean. A NaN in a row makes its gradient and the loss NaN. Nothing is changed if there is an error.
///
/// # Errors
/// A label that is not below `classes`.
///
/// # Panics
/// If there are not `classes` logits for each label.
pub fn cross_entropy<T: Float>(
    logits: &mut [T],
    classes: usize,
    labels: &[u32],
    scale: f64,
) -> Result<f64, LabelOutOfRange> {
    assert_eq!(logits.len(), classes * labels.len(), "logits for {} labels and {classes} classes", labels.len());
    if let Some(sample) = labels.iter().position(|&label| label as usize >= classes) {
        return Err(LabelOutOfRange { sample, label: i64::from(labels[sample]), classes });
    }
    let rows = rows_of_a_block(classes);
    let blocks = logits.par_chunks_mut((rows * classes).max(1)).zip(labels.par_chunks(rows));
    let sums: Vec<f64> = blocks.map(|(logits, labels)| block(logits, classes, labels, scale)).collect();
    Ok(sums.into_iter().sum::<f64>() * scale)
}

fn block<T: Float>(logits: &mut [T], classes: usize, labels: &[u32], scale: f64) -> f64 {
    vectorised(
        logits,
        #[inline(always)]
        |logits: &mut [T]| {
            let mut sum = 0.0;
            for (row, &label) in logits.chunks_exact_mut(classes).zip(labels) {
                sum += one_row(row, label as usize, scale);
            }
            sum
        },
    )
}

#[inline(always)]
fn one_row<T: Float>(row: &mut [T], label: usize, scale: f64) -> f64 {
    let largest = largest(row);
    let below_largest = largest.to_f64() - row[label].to_f64();
    for value in row.iter_mut() {
        *value = (*value - largest).exp_of_negative();
    }
    let of_label = row[label].to_f64();
    // The gradient at the label is minus the sum of the others: taken so, a confident prediction loses no digits.
    row[label] = T::ZERO;
    let others = sum(row);
    let total = of_label + others;
    let factor = T::from_f64(scale / total);
    row.iter_mut().for_each(|value| *value *= factor);
    row[label] = T::from_f64(-scale * others / total);
    total.ln() + below_largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Matrix, naive};
    use proptest::prelude::*;

    fn case<T: Float>(samples: usize, classes: usize) -> (Vec<T>, Vec<u32>) {
        let logits = (0..samples * classes).map(|at| T::from_f64(8.0 * (at as f64 * 0.731).sin())).collect();
        (logits, (0..samples).map(|sample| (sample * 7 % classes) as u32).collect())
    }

    /// The largest differences of loss and gradient, each relative to the largest value.
    fn errors<T: Float>(logits: &[T], classes: usize, labels: &[u32], scale: f64) -> (f64, f64) {
        let (want, want_gradient) = naive::cross_entropy(Matrix::row_major(logits, classes), labels, scale);
        let mut gradient = logits.to_vec();
        let loss = cross_entropy(&mut gradient, classes, labels, scale).unwrap();
        let largest = want_gradient.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let differences = gradient.iter().zip(&want_gradient).map(|(got, want)| (got.to_f64() - want).abs());
        // One class has no gradient, and nothing to be relative to.
        let largest = if largest == 0.0 { 1.0 } else { largest };
        ((loss - want).abs() / want.abs().max(scale), differences.fold(0.0, f64::max) / largest)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn agrees_with_the_definition(samples in 1_usize..400, classes in 1_usize..90) {
            let (logits, labels) = case::<f32>(samples, classes);
            let (loss, gradient) = errors(&logits, classes, &labels, 1.0 / samples as f64);
            prop_assert!(loss < 1e-6 && gradient < 1e-6, "{samples} {classes}: {loss} {gradient}");
            let (logits, labels) = case::<f64>(samples, classes);
            let (loss, gradient) = errors(&logits, classes, &labels, 1.0 / samples as f64);
            prop_assert!(loss < 1e-12 && gradient < 1e-12, "{samples} {classes}: {loss} {gradient}");
        }
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let (logits, labels) = case::<f64>(3, 5);
        let loss = |logits: &[f64]| cross_entropy(&mut logits.to_vec(), 5, &labels, 0.7).unwrap();
        let mut gradient = logits.clone();
        cross_entropy(&mut gradient, 5, &labels, 0.7).unwrap();
        for at in 0..logits.len() {
            let shifted = |by| {
                let mut logits = logits.clone();
                logits[at] += by;
                loss(&logits)
            };
            let slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            assert!((gradient[at] - slope).abs() < 1e-9, "{at}: {} for {slope}", gradient[at]);
        }
    }

    #[test]
    fn large_logits_and_confident_predictions_keep_their_digits() {
        // The other's probability is e^-20: far below what is left of 1 - p in f32.
        let (loss, gradient) = errors(&[1e4_f32 - 200.0, 1e4, 1e4 - 20.0], 3, &[1], 1.0);
        assert!(loss < 1e-6 && gradient < 1e-6, "{loss} {gradient}");
    }

    #[test]
    fn not_a_number_passes_through_and_stays_in_its_row() {
        let (mut logits, labels) = case::<f32>(3, 20);
        logits[25] = f32::NAN;
        assert!(cross_entropy(&mut logits, 20, &labels, 1.0).unwrap().is_nan());
        for (row, values) in logits.chunks(20).enumerate() {
            assert!(values.iter().all(|value| value.is_nan() == (row == 1)), "row {row}: {values:?}");
        }
    }

    #[test]
    fn a_label_out_of_range_is_an_error_and_changes_nothing() {
        let mut logits = [1.0_f32, 2.0, 3.0, 4.0];
        let error = cross_entropy(&mut logits, 2, &[1, 2], 1.0).unwrap_err();
        assert_eq!(error, LabelOutOfRange { sample: 1, label: 2, classes: 2 });
        assert_eq!(logits, [1.0, 2.0, 3.0, 4.0]);
        assert!(cross_entropy::<f32>(&mut [], 0, &[0], 1.0).is_err());
        assert_eq!(cross_entropy::<f32>(&mut [], 3, &[], 1.0), Ok(0.0));
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut logits, labels) = case::<f32>(5000, 11);
            let loss = pool.install(|| cross_entropy(&mut logits, 11, &labels, 1e-3)).unwrap();
            (loss.to_bits(), logits)
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(4));
    }
}
