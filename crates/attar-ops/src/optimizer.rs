//! Optimizers as one pass over parameter, gradient and running averages, in place.

use rayon::prelude::*;

use crate::Float;
use crate::reduce::sum_of_products;
use crate::vectorised::vectorised;

/// Values that one task works on: four arrays of them lie in the nearest caches.
const BLOCK: usize = 4096;
/// Values of a block that are worked on at a time, so that their norms are read from the nearest cache.
const RUN: usize = 512;

/// The factors of one step, the same for every parameter.
///
/// With gradient g, parameter p and running averages m (and v): g' = g + `decay` p, then p becomes
/// (1 - `shrinkage`) p - `rate` times m (gradient descent) or m / (`second_scale` sqrt(v) + epsilon) (Adam).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// How m and v follow the gradient.
    pub averages: Averages,
    /// Multiplies the update.
    pub rate: f64,
    /// Added to the gradient, times the parameter: L2 regularisation.
    pub decay: f64,
    /// Taken from the parameter, times the parameter: decoupled weight decay (Loshchilov & Hutter 2019).
    pub shrinkage: f64,
    /// Multiplies the square root of the second moment: Adam's correction of its bias.
    pub second_scale: f64,
}

/// The running averages of an optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Averages {
    /// m = momentum m + g'; v is not used.
    Momentum(f64),
    /// Kingma & Ba (2015), algorithm 1: m = beta_1 m + (1 - beta_1) g', v = beta_2 v + (1 - beta_2) g'^2.
    Adam {
        /// Share of the old first moment.
        beta_1: f64,
        /// Share of the old second moment.
        beta_2: f64,
        /// Keeps the division finite.
        epsilon: f64,
    },
}

/// One parameter with all that a step reads and writes; every slice as long as the parameter.
#[derive(Debug)]
pub struct Parameter<'a, T> {
    /// The parameter's values.
    pub values: &'a mut [T],
    /// The loss's gradient by them.
    pub gradient: &'a [T],
    /// m.
    pub first: &'a mut [T],
    /// v; empty where the averages are [`Averages::Momentum`].
    pub second: &'a mut [T],
}

impl<T> Parameter<'_, T> {
    /// The parameter in the blocks that threads take.
    fn blocks(&mut self) -> Vec<Parameter<'_, T>> {
        let mut second = self.second.chunks_mut(BLOCK);
        let values = self.values.chunks_mut(BLOCK).zip(self.gradient.chunks(BLOCK));
        let blocks = values.zip(self.first.chunks_mut(BLOCK)).map(|((values, gradient), first)| Parameter {
            values,
            gradient,
            first,
            second: second.next().unwrap_or_default(),
        });
        blocks.collect()
    }
}

/// Squared Euclidean norms of one parameter in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SquaredNorms {
    /// Of the gradient as it was given.
    pub gradient: f64,
    /// Of the parameter before the step.
    pub weight: f64,
    /// Of what the step added.
    pub update: f64,
}

impl Update {
    /// Does the step.
    pub fn apply<T: Float>(&self, mut parameter: Parameter<'_, T>) {
        parameter.blocks().into_par_iter().for_each(|block| self.on_block(block));
    }

    /// Does the step and gives the norms, in the same pass.
    pub fn apply_with_norms<T: Float>(&self, mut parameter: Parameter<'_, T>) -> SquaredNorms {
        let blocks = parameter.blocks().into_par_iter();
        let norms: Vec<SquaredNorms> = blocks.map(|block| self.on_block_with_norms(block)).collect();
        norms.into_iter().fold(SquaredNorms::default(), |sum, norms| SquaredNorms {
            gradient: sum.gradient + norms.gradient,
            weight: sum.weight + norms.weight,
            update: sum.update + norms.update,
        })
    }

    fn on_block<T: Float>(&self, block: Parameter<'_, T>) {
        vectorised(
            block,
            #[inline(always)]
            |block: Parameter<'_, T>| self.on_slices(block.values, block.gradient, block.first, block.second),
        );
    }

    fn on_block_with_norms<T: Float>(&self, block: Parameter<'_, T>) -> SquaredNorms {
        vectorised(
            block,
            #[inline(always)]
            |block: Parameter<'_, T>| {
                let Parameter { values, gradient, first, second } = block;
                let mut norms = SquaredNorms::default();
                let mut before = [T::ZERO; RUN];
                for start in (0..values.len()).step_by(RUN) {
                    let run = start..(start + RUN).min(values.len());
                    let (values, gradient) = (&mut values[run.clone()], &gradient[run.clone()]);
                    let before = &mut before[..values.len()];
                    before.copy_from_slice(values);
                    norms.gradient += sum_of_products(gradient, gradient);
                    norms.weight += sum_of_products(before, before);
                    let second = second.get_mut(run.clone()).unwrap_or_default();
                    self.on_slices(values, gradient, &mut first[run], second);
                    for (before, &after) in before.iter_mut().zip(values.iter()) {
                        *before = after - *before;
                    }
                    norms.update += sum_of_products(before, before);
                }
                norms
            },
        )
    }

    #[inline(always)]
    fn on_slices<T: Float>(&self, values: &mut [T], gradient: &[T], first: &mut [T], second: &mut [T]) {
        let of = T::from_f64;
        let (rate, decay, keep) = (of(self.rate), of(self.decay), of(1.0 - self.shrinkage));
        let slices = values.iter_mut().zip(gradient).zip(first);
        match self.averages {
            Averages::Momentum(momentum) => {
                let momentum = of(momentum);
                for ((value, &gradient), first) in slices {
                    *first = without_subnormals(*first * momentum + (gradient + *value * decay));
                    *value = *value * keep - *first * rate;
                }
            }
            Averages::Adam { beta_1, beta_2, epsilon } => {
                let (new_1, new_2) = (of(1.0 - beta_1), of(1.0 - beta_2));
                let (beta_1, beta_2, epsilon) = (of(beta_1), of(beta_2), of(epsilon));
                let second_scale = of(self.second_scale);
                for (((value, &gradient), first), second) in slices.zip(second) {
                    let gradient = gradient + *value * decay;
                    *first = without_subnormals(*first * beta_1 + gradient * new_1);
                    *second = without_subnormals(*second * beta_2 + gradient * gradient * new_2);
                    let scale = second.sqrt() * second_scale + epsilon;
                    *value = *value * keep - *first / scale * rate;
                }
            }
        }
    }
}

/// The value, or 0 below the smallest normal number.
///
/// The averages of a weight whose gradient has become 0, as that of a pixel that is always black, shrink until they are
/// subnormal and then stay there, because rounding keeps them. Processors multiply such numbers some hundred times more
/// slowly.
#[inline(always)]
fn without_subnormals<T: Float>(value: T) -> T {
    if value.abs() < T::MIN_POSITIVE { T::ZERO } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 2 * BLOCK + 77;

    fn values<T: Float>(seed: f64) -> Vec<T> {
        (0..COUNT).map(|at| T::from_f64((at as f64 * 0.37 + seed).sin() + 0.01)).collect()
    }

    fn updates() -> [Update; 3] {
        let adam = Averages::Adam { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-3 };
        let plain = Update { averages: adam, rate: 0.1, decay: 0.0, shrinkage: 0.0, second_scale: 1.7 };
        [
            Update { decay: 0.02, ..plain },
            Update { shrinkage: 0.03, ..plain },
            Update { averages: Averages::Momentum(0.8), decay: 0.02, ..plain },
        ]
    }

    /// Parameter and averages after a step, and its norms where they are asked for.
    fn step<T: Float>(update: &Update, with_norms: bool) -> ([Vec<T>; 3], SquaredNorms) {
        let (mut parameter, gradient, mut first) = (values(0.0), values(1.0), values(2.0));
        let mut second: Vec<T> = match update.averages {
            Averages::Momentum(_) => Vec::new(),
            Averages::Adam { .. } => values(3.0).into_iter().map(|v: T| v * v).collect(),
        };
        let all = Parameter { values: &mut parameter, gradient: &gradient, first: &mut first, second: &mut second };
        let norms = if with_norms {
            update.apply_with_norms(all)
        } else {
            update.apply(all);
            SquaredNorms::default()
        };
        ([parameter, first, second], norms)
    }

    /// The formulas of [`Update`] for one number: parameter, m and v after the step.
    fn naive(update: &Update, p: f64, g: f64, m: f64, v: f64) -> [f64; 3] {
        let g = g + update.decay * p;
        let (m, v, direction) = match update.averages {
            Averages::Momentum(momentum) => (momentum * m + g, v, momentum * m + g),
            Averages::Adam { beta_1, beta_2, epsilon } => {
                let (m, v) = (beta_1 * m + (1.0 - beta_1) * g, beta_2 * v + (1.0 - beta_2) * g * g);
                (m, v, m / (update.second_scale * v.sqrt() + epsilon))
            }
        };
        [(1.0 - update.shrinkage) * p - update.rate * direction, m, v]
    }

    fn check<T: Float>(tolerance: f64) {
        for update in updates() {
            let (after, _) = step::<T>(&update, false);
            let start: [Vec<T>; 3] = [values(0.0), values(1.0), values(2.0)];
            let second: Vec<T> = values(3.0);
            for at in 0..COUNT {
                let [p, g, m] = [0, 1, 2].map(|which| start[which][at].to_f64());
                let want = naive(&update, p, g, m, (second[at] * second[at]).to_f64());
                for (got, want) in after.iter().zip(want) {
                    let error = got.get(at).map_or(0.0, |got| (got.to_f64() - want).abs());
                    assert!(error < tolerance, "{update:?} at {at}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_step_is_its_formula() {
        check::<f32>(1e-6);
        check::<f64>(1e-14);
    }

    #[test]
    fn averages_of_a_gradient_that_ended_become_zero() {
        for update in updates().map(|update| Update { decay: 0.0, ..update }) {
            let (mut values, mut first, mut second) = ([1.0_f32], [1e-30], [1e-30]);
            for _ in 0..30_000 {
                let all = Parameter { values: &mut values, gradient: &[0.0], first: &mut first, second: &mut second };
                update.apply(all);
                assert!(!first[0].is_subnormal() && !second[0].is_subnormal(), "{first:?} {second:?}");
            }
            assert_eq!(first, [0.0], "{update:?}");
        }
    }

    #[test]
    fn norms_change_nothing_and_are_the_sums_of_squares() {
        for update in updates() {
            let (without, _) = step::<f32>(&update, false);
            let (with, norms) = step::<f32>(&update, true);
            assert_eq!(without, with);
            let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
            let start: Vec<f32> = values(0.0);
            let gradient: Vec<f32> = values(1.0);
            let moved = &mut start.iter().zip(&with[0]).map(|(before, after)| f64::from(after - before));
            for (got, want) in [
                (norms.weight, squares(&mut start.iter().copied().map(f64::from))),
                (norms.gradient, squares(&mut gradient.iter().copied().map(f64::from))),
                (norms.update, squares(moved)),
            ] {
                assert!((got - want).abs() < 1e-6 * want, "{update:?}: {got} for {want}");
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let run = |threads, update: &Update| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| step::<f32>(update, true))
        };
        for update in updates() {
            assert_eq!(run(1, &update), run(2, &update));
            assert_eq!(run(1, &update), run(4, &update));
        }
    }
}
