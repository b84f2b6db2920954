//! Passes over few columns that are normalised each with a mean and a scale of its own.
//!
//! A row of a few values is no work for vectors, so several rows are taken as one and what belongs to a column stands as
//! often beside itself.

use crate::Float;
use crate::vectorised::vectorised;

/// Values of a run of rows at least, where there are so many.
const RUN: usize = 64;
/// Runs that are summed in their own precision before they go into an `f64`.
const RUNS: usize = 64;

/// What each column is normalised with: `gamma (value - mean) scale + beta`.
#[derive(Debug, Default)]
pub(crate) struct Columns<T> {
    pub(crate) mean: Vec<T>,
    pub(crate) scale: Vec<T>,
    pub(crate) gamma: Vec<T>,
    pub(crate) beta: Vec<T>,
    /// Whether the rectifier follows.
    pub(crate) rectified: bool,
}

/// Values of a run of `rows` rows at most.
fn run(columns: usize, rows: usize) -> usize {
    columns * RUN.div_ceil(columns.max(1)).clamp(1, rows.max(1))
}

/// Replaces what stands in `to` by the columns' values, repeated for a run.
pub(crate) fn repeat<T: Float>(to: &mut Vec<T>, columns: usize, rows: usize, value: impl Fn(usize) -> T) {
    to.clear();
    to.extend((0..columns).map(value));
    let copies = run(columns, rows) / columns.max(1);
    for _ in 1..copies {
        to.extend_from_within(..columns);
    }
}

/// Sums of `N` terms for each column.
struct Sums<T, const N: usize> {
    run: [Vec<T>; N],
    total: [Vec<f64>; N],
    runs: usize,
}

impl<T: Float, const N: usize> Sums<T, N> {
    fn new(run: usize) -> Self {
        Self {
            run: std::array::from_fn(|_| vec![T::ZERO; run]),
            total: std::array::from_fn(|_| vec![0.0; run]),
            runs: 0,
        }
    }

    #[inline(always)]
    fn count_run(&mut self) {
        self.runs += 1;
        if self.runs == RUNS {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.runs = 0;
        for (run, total) in self.run.iter_mut().zip(&mut self.total) {
            for (sum, total) in run.iter_mut().zip(total) {
                *total += sum.to_f64();
                *sum = T::ZERO;
            }
        }
    }

    /// For so many columns.
    fn by_column(mut self, columns: usize) -> [Vec<f64>; N] {
        self.settle();
        self.total.map(|total| (0..columns).map(|column| total.iter().skip(column).step_by(columns).sum()).collect())
    }
}

/// The sum of each column.
pub(crate) fn sums<T: Float>(values: &[T], columns: usize) -> Vec<f64> {
    let length = run(columns, values.len().checked_div(columns).unwrap_or(0));
    let mut sums = Sums::<T, 1>::new(length);
    vectorised(
        &mut sums,
        #[inline(always)]
        |sums: &mut Sums<T, 1>| {
            for run in values.chunks(length.max(1)) {
                sums.run[0].iter_mut().zip(run).for_each(|(sum, &value)| *sum += value);
                sums.count_run();
            }
        },
    );
    let [sums] = sums.by_column(columns);
    sums
}

/// The sum of the squared differences between each column's values and its mean, from [`repeat`].
pub(crate) fn squared_deviations<T: Float>(values: &[T], columns: usize, mean: &[T]) -> Vec<f64> {
    let mut sums = Sums::<T, 1>::new(mean.len());
    vectorised(
        &mut sums,
        #[inline(always)]
        |sums: &mut Sums<T, 1>| {
            for run in values.chunks(mean.len().max(1)) {
                for ((sum, &value), &mean) in sums.run[0].iter_mut().zip(run).zip(mean) {
                    *sum += (value - mean) * (value - mean);
                }
                sums.count_run();
            }
        },
    );
    let [sums] = sums.by_column(columns);
    sums
}

impl<T: Float> Columns<T> {
    /// Writes the normalised values.
    pub(crate) fn normalise(&self, values: &[T], out: &mut [T]) {
        let rectified = self.rectified;
        let length = self.mean.len().max(1);
        vectorised(
            out,
            #[inline(always)]
            move |out: &mut [T]| {
                for (out, run) in out.chunks_mut(length).zip(values.chunks(length)) {
                    let parameters = self.mean.iter().zip(&self.scale).zip(self.gamma.iter().zip(&self.beta));
                    for ((out, &value), ((&mean, &scale), (&gamma, &beta))) in out.iter_mut().zip(run).zip(parameters) {
                        let normalised = (value - mean) * scale * gamma + beta;
                        *out = if rectified && normalised <= T::ZERO { T::ZERO } else { normalised };
                    }
                }
            },
        );
    }

    /// For each column the sums of the gradient, and of the gradient times the normalised value.
    pub(crate) fn gradient_sums(&self, values: &[T], of_output: &[T], columns: usize) -> [Vec<f64>; 2] {
        let rectified = self.rectified;
        let length = self.mean.len();
        let mut sums = Sums::<T, 2>::new(length);
        vectorised(
            &mut sums,
            #[inline(always)]
            move |sums: &mut Sums<T, 2>| {
                for (run, of_run) in values.chunks(length.max(1)).zip(of_output.chunks(length.max(1))) {
                    let [shift, along] = &mut sums.run;
                    let parameters = self.mean.iter().zip(&self.scale).zip(self.gamma.iter().zip(&self.beta));
                    let sums_of_run = shift.iter_mut().zip(along);
                    for (((&value, &gradient), ((&mean, &scale), (&gamma, &beta))), (shift, along)) in
                        run.iter().zip(of_run).zip(parameters).zip(sums_of_run)
                    {
                        let normalised = (value - mean) * scale;
                        let closed = rectified && normalised * gamma + beta <= T::ZERO;
                        let gradient = if closed { T::ZERO } else { gradient };
                        *shift += gradient;
                        *along += gradient * normalised;
                    }
                    sums.count_run();
                }
            },
        );
        sums.by_column(columns)
    }

    /// Writes the gradient of the values, from the averages over what shares a mean of gamma times the gradient, and of
    /// that times the normalised value; each from [`repeat`].
    pub(crate) fn backward(&self, values: &[T], of_output: &[T], averages: [&[T]; 2], out: &mut [T]) {
        let rectified = self.rectified;
        let length = self.mean.len().max(1);
        vectorised(
            out,
            #[inline(always)]
            move |out: &mut [T]| {
                let runs = values.chunks(length).zip(of_output.chunks(length));
                for (out, (run, of_run)) in out.chunks_mut(length).zip(runs) {
                    let parameters = self.mean.iter().zip(&self.scale).zip(self.gamma.iter().zip(&self.beta));
                    let averages = averages[0].iter().zip(averages[1]);
                    let run = run.iter().zip(of_run).zip(parameters).zip(averages);
                    for (out, (((&value, &gradient), ((&mean, &scale), (&gamma, &beta))), (&shift, &along))) in
                        out.iter_mut().zip(run)
                    {
                        let normalised = (value - mean) * scale;
                        let closed = rectified && normalised * gamma + beta <= T::ZERO;
                        let gradient = if closed { T::ZERO } else { gradient };
                        *out = (gradient * gamma - shift - normalised * along) * scale;
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::{BatchNorm, Float, GroupNorm, NormGradient, column_moments, naive};

    fn numbers<T: Float>(count: usize, seed: f64) -> Vec<T> {
        (0..count).map(|at| T::from_f64(2.0 * (at as f64 * 0.737 + seed).sin() + 0.3)).collect()
    }

    fn relative_error<T: Float>(got: &[T], want: &[f64]) -> f64 {
        assert_eq!(got.len(), want.len());
        let largest = want.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        got.iter().zip(want).map(|(got, want)| (got.to_f64() - want).abs()).fold(0.0, f64::max) / largest
    }

    const EPSILON: f64 = 1e-5;

    /// Output and gradients against the definition, without and with the rectifier, of values in sets.
    fn check<T: Float>(
        what: &str,
        tolerance: f64,
        [values, gamma, beta]: [&[T]; 3],
        set: impl Fn(usize) -> usize,
        norm: impl Fn(bool, &[T]) -> (Vec<T>, NormGradient<T>),
    ) {
        let of_output = numbers::<T>(values.len(), 0.5);
        let want = naive::norm_in_sets(values, &set, gamma, beta, EPSILON);
        for rectified in [false, true] {
            let (output, gradient) = norm(rectified, &of_output);
            let open = |at: usize| !rectified || want[at] > 0.0;
            let of_norm: Vec<T> =
                of_output.iter().enumerate().map(|(at, &g)| if open(at) { g } else { T::ZERO }).collect();
            let wanted = naive::norm_in_sets_gradients(values, &set, gamma, EPSILON, &of_norm);
            let rectify = |(at, value): (usize, &f64)| if open(at) { *value } else { 0.0 };
            let errors = [
                relative_error(&output, &want.iter().enumerate().map(rectify).collect::<Vec<_>>()),
                relative_error(&gradient.input, &wanted[0]),
                relative_error(&gradient.gamma, &wanted[1]),
                relative_error(&gradient.beta, &wanted[2]),
            ];
            assert!(errors.iter().all(|error| *error < tolerance), "{what}, {rectified}: {errors:?}");
        }
    }

    fn check_batch_norm<T: Float>(tolerance: f64) {
        for [rows, columns] in [[5, 1], [7, 3], [300, 4], [40, 70], [65, 16]] {
            let values = numbers::<T>(rows * columns, 0.1);
            let (gamma, beta) = (numbers::<T>(columns, 0.2), numbers::<T>(columns, 0.9));
            let [mean, variance] = column_moments(&values, columns);
            check(
                &format!("{rows} {columns}"),
                tolerance,
                [&values, &gamma, &beta],
                |at| at % columns,
                |rectified, g| {
                    let norm = BatchNorm {
                        mean: &mean,
                        variance: &variance,
                        gamma: &gamma,
                        beta: &beta,
                        epsilon: EPSILON,
                        rectified,
                    };
                    (norm.forward(&values), norm.backward(&values, g, true))
                },
            );
        }
    }

    fn check_group_norm<T: Float>(tolerance: f64) {
        for [samples, positions, channels, groups] in [[3, 1, 12, 2], [2, 7, 6, 3], [19, 9, 4, 1], [3, 5, 70, 2]] {
            let of_sample = positions * channels;
            let values = numbers::<T>(samples * of_sample, 0.1);
            let (gamma, beta) = (numbers::<T>(channels, 0.2), numbers::<T>(channels, 0.9));
            let what = format!("{samples} {positions} {channels} {groups}");
            let set = |at: usize| at / of_sample * groups + at % channels / (channels / groups);
            check(&what, tolerance, [&values, &gamma, &beta], set, |rectified, g| {
                let norm = GroupNorm { positions, groups, gamma: &gamma, beta: &beta, epsilon: EPSILON, rectified };
                let (output, moments) = norm.forward(&values);
                (output, norm.backward(&values, &moments, g))
            });
        }
    }

    #[test]
    fn batch_norm_agrees_with_its_definition() {
        check_batch_norm::<f32>(2e-6);
        check_batch_norm::<f64>(1e-12);
    }

    #[test]
    fn group_norm_agrees_with_its_definition() {
        check_group_norm::<f32>(2e-6);
        check_group_norm::<f64>(1e-12);
    }

    /// With constant moments, a batch norm is an affine map of each value.
    #[test]
    fn constant_moments_have_no_gradient() {
        let (values, of_output) = (numbers::<f64>(12, 0.1), numbers::<f64>(12, 0.5));
        let (mean, variance, gamma, beta) = ([0.5, -1.0], [2.0, 0.25], [1.5, -0.5], [0.1, 0.2]);
        let norm =
            BatchNorm { mean: &mean, variance: &variance, gamma: &gamma, beta: &beta, epsilon: 0.0, rectified: false };
        let (output, gradient) = (norm.forward(&values), norm.backward(&values, &of_output, false));
        for at in 0..12 {
            let factor = gamma[at % 2] / variance[at % 2].sqrt();
            assert!((output[at] - ((values[at] - mean[at % 2]) * factor + beta[at % 2])).abs() < 1e-15);
            assert!((gradient.input[at] - of_output[at] * factor).abs() < 1e-15);
        }
    }

    /// A mean far from 0 does not eat the variance.
    #[test]
    fn moments_are_taken_in_two_passes() {
        let values: Vec<f32> = (0..20_000).map(|at| 1000.0 + (at % 7) as f32).collect();
        let [mean, variance] = column_moments(&values, 1);
        assert!((mean[0] - 1003.0).abs() < 1e-3 && (variance[0] - 4.0).abs() < 1e-2, "{mean:?} {variance:?}");
    }

    #[test]
    fn not_a_number_stays_in_its_set() {
        let mut values = numbers::<f32>(4 * 6, 0.1);
        values[7] = f32::NAN;
        let ones = [1.0; 2];
        let [mean, variance] = column_moments(&values, 2);
        let batch =
            BatchNorm { mean: &mean, variance: &variance, gamma: &ones, beta: &ones, epsilon: 1e-5, rectified: true };
        assert!(batch.forward(&values).iter().enumerate().all(|(at, value)| value.is_nan() == (at % 2 == 1)));
        let group = GroupNorm { positions: 3, groups: 1, gamma: &ones, beta: &ones, epsilon: 1e-5, rectified: true };
        let (output, _) = group.forward(&values);
        assert!(output.iter().enumerate().all(|(at, value)| value.is_nan() == (at / 6 == 1)), "{output:?}");
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let (values, gamma) = (numbers::<f32>(96 * 49 * 8, 0.1), numbers::<f32>(8, 0.2));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let [mean, variance] = column_moments(&values, 8);
                let batch = BatchNorm {
                    mean: &mean,
                    variance: &variance,
                    gamma: &gamma,
                    beta: &gamma,
                    epsilon: EPSILON,
                    rectified: true,
                };
                let group = GroupNorm {
                    positions: 49,
                    groups: 2,
                    gamma: &gamma,
                    beta: &gamma,
                    epsilon: EPSILON,
                    rectified: true,
                };
                let (output, moments) = group.forward(&values);
                (
                    batch.backward(&values, &batch.forward(&values), true),
                    group.backward(&values, &moments, &output),
                    mean,
                    variance,
                )
            })
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(4));
    }
}
