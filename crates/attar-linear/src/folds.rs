//! Dealing rows to folds.

use chacha20::ChaCha8Rng;
use rand::SeedableRng;
use rand::seq::SliceRandom;

/// The fold of each row: rows are shuffled, sorted by label, and dealt in turn, so that every fold has each label as
/// often as any other, give or take one, and folds differ by at most one row.
pub(crate) fn stratified(labels: &[u32], folds: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order.sort_by_key(|&row| labels[row]);
    let mut fold_of = vec![0; labels.len()];
    for (place, row) in order.into_iter().enumerate() {
        fold_of[row] = (place % folds) as u32;
    }
    fold_of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_as_even_as_counts_allow() {
        let labels: Vec<u32> = (0..103).map(|i| [0, 0, 2, 1, 0][i % 5]).collect();
        let fold_of = stratified(&labels, 4, 9);
        for label in 0..3 {
            let count = |fold| labels.iter().zip(&fold_of).filter(|&(&l, &f)| l == label && f == fold).count();
            let counts: Vec<usize> = (0..4).map(count).collect();
            assert!(counts.iter().max() <= counts.iter().min().map(|least| least + 1).as_ref(), "{counts:?}");
        }
        assert_ne!(fold_of, stratified(&labels, 4, 10));
    }
}
