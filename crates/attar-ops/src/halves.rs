//! A batch in two halves, each through the whole network on a thread of its own, for networks whose steps are short.
//!
//! Sharing every product and pass of such a network takes longer than it gains: threads meet dozens of times in a step,
//! and what one has written the other has to fetch. Halves meet once; what they add is one sum over the gradients.

use crate::network::{Dense, DenseGradient, Target, layer_by_layer};
use crate::vectorised::vectorised;
use crate::{Buffers, Float};

/// Weights times samples from which halves are worth their threads.
const LEAST_WORK: usize = 1 << 20;
/// Weights up to which a second set of gradients stays in a core's own cache.
const MOST_WEIGHTS: usize = 1 << 17;

/// Whether the layers are better taken by halves of the batch; by their shapes alone, so that the number of threads
/// changes no bit.
pub(crate) fn are_better<T: Float>(layers: &[Dense<'_, T>], samples: usize) -> bool {
    let weights: usize = layers.iter().map(|layer| layer.weight.len()).sum();
    samples > 1 && weights <= MOST_WEIGHTS && weights * samples >= LEAST_WORK
}

/// The target's squared error and the gradients of every layer, first to last.
pub(crate) fn gradients<T: Float>(
    layers: &[Dense<'_, T>],
    input: &[T],
    samples: usize,
    target: &Target<'_, T>,
    buffers: &mut Buffers<T>,
) -> (f64, Vec<DenseGradient<T>>) {
    let first = samples / 2;
    let inputs = input.split_at(first * input.len() / samples);
    let targets = target.split_at(first * target.values.len() / samples);
    let mut others = buffers.others.take().unwrap_or_default();
    let ((loss, mut gradients), (other_loss, other_gradients)) = rayon::join(
        || layer_by_layer(layers, inputs.0, first, &targets.0, &mut *buffers),
        || layer_by_layer(layers, inputs.1, samples - first, &targets.1, &mut others),
    );
    for (gradient, other) in gradients.iter_mut().zip(other_gradients) {
        add(&mut gradient.weight, &other.weight);
        add(&mut gradient.bias, &other.bias);
        others.give(other.weight);
        others.give(other.bias);
    }
    buffers.others = Some(others);
    (loss + other_loss, gradients)
}

fn add<T: Float>(sums: &mut [T], terms: &[T]) {
    vectorised(
        sums,
        #[inline(always)]
        |sums: &mut [T]| {
            for (sum, &term) in sums.iter_mut().zip(terms) {
                *sum += term;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Precision};

    const WIDTHS: [usize; 4] = [90, 70, 50, 110];
    /// Odd, so that the halves differ.
    const SAMPLES: usize = 77;

    fn values<T: Float>(count: usize, seed: f64) -> Vec<T> {
        (0..count).map(|at| T::from_f64(0.2 * (at as f64 * 0.731 + seed).sin() + 0.01)).collect()
    }

    /// Calls `work` with the layers, what they are shown, and targets with and without weights.
    fn with_layers<T: Float>(work: impl Fn(&[Dense<'_, T>], &[T], &Target<'_, T>)) {
        let parameters: Vec<_> =
            WIDTHS.windows(2).zip(0..).map(|(w, at)| (values(w[0] * w[1], at.into()), values(w[1], 9.0))).collect();
        let activations = [Activation::Tanh, Activation::Gelu, Activation::Identity];
        let layers: Vec<_> = (0..3)
            .map(|at| Dense::<T> {
                weight: &parameters[at].0,
                bias: Some(&parameters[at].1).filter(|_| at != 1).map(|bias| &bias[..]),
                inputs: WIDTHS[at],
                outputs: WIDTHS[at + 1],
                activation: activations[at],
                precision: Precision::Full,
            })
            .collect();
        let (input, wanted) = (values(SAMPLES * WIDTHS[0], 4.0), values(SAMPLES * WIDTHS[3], 5.0));
        let weight = values(wanted.len(), 6.0);
        for weight in [None, Some(&weight[..])] {
            work(&layers, &input, &Target { values: &wanted, weight, scale: 0.3 });
        }
    }

    fn check<T: Float>(tolerance: f64) {
        with_layers::<T>(|layers, input, target| {
            assert!(are_better(layers, SAMPLES), "the shapes of this test");
            let (loss, by_halves) = gradients(layers, input, SAMPLES, target, &mut Buffers::default());
            let (want, whole) = layer_by_layer(layers, input, SAMPLES, target, &mut Buffers::default());
            assert!((loss - want).abs() <= tolerance * want.abs(), "{loss} for {want}");
            for (by_halves, whole) in by_halves.iter().zip(&whole) {
                for (got, want) in [(&by_halves.weight, &whole.weight), (&by_halves.bias, &whole.bias)] {
                    assert_eq!(got.len(), want.len());
                    let largest = want.iter().map(|want| want.to_f64().abs()).fold(0.0, f64::max);
                    for (got, want) in got.iter().zip(want) {
                        assert!((got.to_f64() - want.to_f64()).abs() <= tolerance * largest, "{got:?} for {want:?}");
                    }
                }
            }
        });
    }

    #[test]
    fn two_halves_are_the_whole_batch() {
        check::<f32>(1e-6);
        check::<f64>(1e-14);
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads_nor_on_used_buffers() {
        with_layers::<f32>(|layers, input, target| {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                let mut buffers = Buffers::default();
                pool.install(|| {
                    let (_, first) = gradients(layers, input, SAMPLES, target, &mut buffers);
                    first.into_iter().for_each(|gradient| buffers.give(gradient.weight));
                    gradients(layers, input, SAMPLES, target, &mut buffers)
                })
            };
            assert_eq!(run(1), run(2));
            assert_eq!(run(1), run(4));
        });
    }

    #[test]
    fn few_samples_and_large_networks_stay_whole() {
        with_layers::<f32>(|layers, _, _| assert!(!are_better(layers, 10)));
        let (weight, bias) = (vec![0.0_f32; 400 * 400], vec![0.0; 400]);
        let dense = Dense {
            weight: &weight,
            bias: Some(&bias),
            inputs: 400,
            outputs: 400,
            activation: Activation::Relu,
            precision: Precision::Full,
        };
        assert!(!are_better(&[dense], 1000));
    }
}
