//! Which denominators count as zero.

use attar_ops::Float;

use crate::Positivity;
use crate::kernel::Kernel;
use crate::shape::Group;

/// How much of `sum_j |phi(q)||phi(k_j)|` a denominator must exceed not to count as zero: 64 times the rounding of the
/// type, some times what the rounding of a long sum amounts to.
pub fn tau<T: Float>() -> f64 {
    64.0 * T::EPSILON.to_f64()
}

/// The largest denominators of a group's queries that count as zero, and the sums they are measured by.
pub(crate) struct Bounds<'a, T> {
    group: Group<'a, T>,
    kernel: &'a Kernel<T>,
    /// Of the first keys' lengths, hidden ones not counted; empty where denominators do not vanish.
    sums: Vec<f64>,
}

impl<'a, T: Float> Bounds<'a, T> {
    /// Where `before` is the sum of the lengths of keys before the first.
    pub(crate) fn new(kernel: &'a Kernel<T>, group: Group<'a, T>, before: f64) -> Self {
        let mut sums = Vec::new();
        if kernel.similarity.positivity() != Positivity::Strict {
            let mut sum = before;
            sums.push(sum);
            for (key, row) in group.keys.chunks_exact(group.shape.dim).enumerate() {
                sum += if group.is_hidden(key) { 0.0 } else { kernel.length(row) };
                sums.push(sum);
            }
        }
        Self { group, kernel, sums }
    }

    /// `sum_j |phi(q)||phi(k_j)|` of one query, 0 where its denominator does not vanish.
    pub(crate) fn of(&self, head: usize, query: usize) -> f64 {
        let seen = self.group.shape.visible(self.group.causal, query);
        let Some(sum) = self.sums.get(seen) else { return 0.0 };
        self.kernel.length(self.group.query_rows(head, &(query..query + 1))) * sum
    }

    /// The denominator, or 0 where it counts as such: also one that has lost digits because it is among the smallest
    /// numbers.
    pub(crate) fn settled(&self, head: usize, query: usize, denominator: T) -> T {
        let least = (tau::<T>() * self.of(head, query)).max(T::MIN_POSITIVE.to_f64());
        if denominator.to_f64().abs() <= least { T::ZERO } else { denominator }
    }

    /// The sum of all keys' lengths, those before the first with them.
    pub(crate) fn total(&self) -> f64 {
        self.sums.last().copied().unwrap_or(0.0)
    }
}
