//! Counter-based randomness: every draw is a pure function of (seed, purpose, epoch, step, sample).

use chacha20::ChaCha8Rng;
use rand::rand_core::{Rng, SeedableRng};

/// What a stream of random numbers is for; two purposes never share numbers.
///
/// The discriminants are part of every stream's key: append, never renumber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Initial weights.
    Initialise = 1,
    /// The order of the training rows in an epoch.
    Shuffle = 2,
    /// Noise, masks and distortions of inputs.
    Corrupt = 3,
    /// Which rows train, validate and test.
    Split = 4,
    /// Which rows carry a label.
    Budget = 5,
    /// Initial weights and batches of probes.
    Probe = 6,
    /// Synthetic samples.
    Synthetic = 7,
    /// The rotation of synthetic samples.
    Rotation = 8,
    /// Folds of a cross-validation.
    Fold = 9,
    /// Resampling for intervals.
    Bootstrap = 10,
    /// Inputs and initial weights of a laboratory.
    Laboratory = 11,
    /// Units that are dropped out.
    Dropout = 12,
}

/// The stream of random numbers that belongs to the five arguments.
///
/// ChaCha with 8 rounds; (seed, purpose, epoch, step) are the key and `sample` the stream number, so distinct arguments
/// give distinct streams. Nothing else, such as a thread or a previous draw, has an influence.
pub fn stream(seed: u64, purpose: Purpose, epoch: u64, step: u64, sample: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, epoch, step]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(sample);
    rng
}

/// A uniform number in `0..bound`, without bias (Lemire 2019, "Fast random integer generation in an interval").
///
/// Written out, so that the numbers do not change with the version of a library. A `bound` of 0 gives 0.
pub fn below(bound: u64, rng: &mut impl Rng) -> u64 {
    let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        if product as u64 >= threshold {
            return (product >> 64) as u64;
        }
    }
}

/// Puts `items` into a uniformly random order (Fisher and Yates).
pub fn shuffle<T>(items: &mut [T], rng: &mut impl Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last as u64 + 1, rng) as usize);
    }
}

/// The numbers `0..n` in a uniformly random order.
pub fn permutation(n: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(&mut order, rng);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_permutation_holds_each_number_once(n in 0_usize..300, seed: u64) {
            let mut order = permutation(n, &mut stream(seed, Purpose::Shuffle, 0, 0, 0));
            order.sort_unstable();
            prop_assert_eq!(order, (0..n).collect::<Vec<_>>());
        }

        #[test]
        fn below_stays_below(bound in 1_u64.., seed: u64) {
            prop_assert!(below(bound, &mut stream(seed, Purpose::Probe, 0, 0, 0)) < bound);
        }
    }

    #[test]
    fn every_argument_changes_the_stream_and_nothing_else_does() {
        let first = |mut rng: ChaCha8Rng| rng.next_u64();
        let base = first(stream(1, Purpose::Corrupt, 2, 3, 4));
        assert_eq!(base, first(stream(1, Purpose::Corrupt, 2, 3, 4)));
        let others = [
            first(stream(2, Purpose::Corrupt, 2, 3, 4)),
            first(stream(1, Purpose::Shuffle, 2, 3, 4)),
            first(stream(1, Purpose::Corrupt, 3, 2, 4)),
            first(stream(1, Purpose::Corrupt, 2, 4, 3)),
            first(stream(1, Purpose::Corrupt, 2, 3, 5)),
        ];
        let mut all: Vec<u64> = others.into_iter().chain([base]).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
    }

    #[test]
    fn the_numbers_are_those_of_the_first_release() {
        let mut rng = stream(7, Purpose::Split, 1, 2, 3);
        assert_eq!(permutation(8, &mut rng), [2, 6, 0, 4, 3, 1, 5, 7]);
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = stream(5, Purpose::Bootstrap, 0, 0, 0);
        let mut counts = [0_i32; 5];
        for _ in 0..50_000 {
            counts[below(5, &mut rng) as usize] += 1;
        }
        // Five standard deviations of a binomial count with n = 50,000 and p = 0.2 are 447.
        assert!(counts.iter().all(|&count| (count - 10_000).abs() < 447), "{counts:?}");
    }
}
