//! The products of all pairs of a row's values, whose inner product is the square of the rows' own.
//!
//! Many rows at once, which lie across: `[values, rows]`. So a pair of values is a pair of vectors as long as there are
//! rows, whatever the width. The product of two different values comes times the root of 2, as it stands for two.

use std::ops::Range;

use attar_ops::{Float, Matrix, MatrixMut, Scratch, Triangle, vectorised};

/// How many products the rows of `count` values have.
pub(crate) fn width(count: usize) -> usize {
    count * (count + 1) / 2
}

/// Where the products begin whose first factor is this one; the second is not before the first.
pub(crate) fn start(count: usize, first: usize) -> usize {
    width(count) - width(count - first)
}

/// Ranges of first factors whose products are about as many as `size`.
pub(crate) fn blocks(count: usize, size: usize) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    for first in 0..count {
        match blocks.last_mut() {
            Some(block) if start(count, first + 1) - start(count, block.start) <= size => block.end = first + 1,
            _ => blocks.push(first..first + 1),
        }
    }
    blocks
}

/// `root x` of each value, and `shift` after them if it is not 0: `[rows, dim]` to `[values, rows]`.
pub(crate) fn lift<T: Float>(rows: &[T], dim: usize, [root, shift]: [T; 2], out: &mut Scratch<T>) {
    let count = rows.len() / dim;
    out.resize(rows.len() + if shift == T::ZERO { 0 } else { count });
    out[rows.len()..].fill(shift);
    for (at, row) in rows.chunks_exact(dim).enumerate() {
        for (value, &x) in out[at..].iter_mut().step_by(count).zip(row) {
            *value = root * x;
        }
    }
}

/// Adds the gradient by lifted rows, times `root`, to that by the rows.
pub(crate) fn lower<T: Float>(of_lifted: &[T], dim: usize, root: T, of_rows: &mut [T]) {
    let count = of_rows.len() / dim;
    for (at, of_row) in of_rows.chunks_exact_mut(dim).enumerate() {
        for (sum, &of) in of_row.iter_mut().zip(of_lifted[at..].iter().step_by(count)) {
            *sum += root * of;
        }
    }
}

/// The products of some first factors: `[products, rows]`.
pub(crate) fn products<T: Float>(lifted: &[T], rows: usize, firsts: &Range<usize>, out: &mut Scratch<T>) {
    let count = lifted.len() / rows;
    out.resize((start(count, firsts.end) - start(count, firsts.start)) * rows);
    let two = T::from_f64(std::f64::consts::SQRT_2);
    vectorised(
        (&mut out[..], two),
        #[inline(always)]
        |(mut out, two): (&mut [T], T)| {
            for first in firsts.clone() {
                let (of_first, rest) = out.split_at_mut((count - first) * rows);
                let own = &lifted[first * rows..][..rows];
                let others = lifted[first * rows..].chunks_exact(rows);
                for (at, (products, other)) in of_first.chunks_exact_mut(rows).zip(others).enumerate() {
                    let factor = if at == 0 { T::ONE } else { two };
                    for ((product, &own), &other) in products.iter_mut().zip(own).zip(other) {
                        *product = factor * own * other;
                    }
                }
                out = rest;
            }
        },
    );
}

/// Adds to `sums` those of all products over the rows, each times its row's weight: as a product of the lifted rows with
/// themselves, because a sum along each row of products takes several times as long.
pub(crate) fn add_sums<T: Float>(lifted: &[T], weights: &[T], sums: &mut [T], [weighted, all]: [&mut Scratch<T>; 2]) {
    let rows = weights.len();
    let count = lifted.len() / rows;
    weighted.resize(lifted.len());
    all.resize(count * count);
    let (lifted, two) = (Matrix::row_major(lifted, rows), T::from_f64(std::f64::consts::SQRT_2));
    vectorised(
        &mut weighted[..],
        #[inline(always)]
        |weighted: &mut [T]| {
            for (out, values) in weighted.chunks_exact_mut(rows).zip(lifted.values().chunks_exact(rows)) {
                out.iter_mut().zip(values).zip(weights).for_each(|((out, &value), &weight)| *out = value * weight);
            }
        },
    );
    let weighted = Matrix::row_major(weighted, rows).transposed();
    T::small_product(MatrixMut::row_major(all, count), lifted, weighted, Triangle::None, false);
    let mut sums = sums.iter_mut();
    for (first, row) in all.chunks_exact(count).enumerate() {
        for (at, (&product, sum)) in row[first..].iter().zip(sums.by_ref()).enumerate() {
            *sum += if at == 0 { product } else { two * product };
        }
    }
}

/// Adds what follows from the gradient of some first factors' products to that of the lifted rows.
pub(crate) fn add_gradient<T: Float>(
    lifted: &[T],
    rows: usize,
    firsts: &Range<usize>,
    of_products: &[T],
    of_lifted: &mut [T],
) {
    let count = lifted.len() / rows;
    let two = T::from_f64(std::f64::consts::SQRT_2);
    vectorised(
        (of_lifted, of_products, two),
        #[inline(always)]
        |(of_lifted, mut of_products, two): (&mut [T], &[T], T)| {
            for first in firsts.clone() {
                let (of_first, rest) = of_products.split_at((count - first) * rows);
                let (of_own, of_others) = of_lifted[first * rows..].split_at_mut(rows);
                let (own, others) = lifted[first * rows..].split_at(rows);
                let (of_square, of_first) = of_first.split_at(rows);
                for ((sum, &own), &of) in of_own.iter_mut().zip(own).zip(of_square) {
                    *sum += (own + own) * of;
                }
                let others = others.chunks_exact(rows).zip(of_others.chunks_exact_mut(rows));
                for (of, (other, of_other)) in of_first.chunks_exact(rows).zip(others) {
                    for (((of_own, &own), &of), (&other, of_other)) in
                        of_own.iter_mut().zip(own).zip(of).zip(other.iter().zip(of_other))
                    {
                        let of = two * of;
                        *of_own += of * other;
                        *of_other += of * own;
                    }
                }
                of_products = rest;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All products of the lifted rows, block by block: `[products, rows]`.
    fn all(lifted: &[f64], rows: usize, size: usize) -> Vec<f64> {
        let (mut out, mut block) = (Vec::new(), Scratch::default());
        for firsts in blocks(lifted.len() / rows, size) {
            assert_eq!(out.len(), start(lifted.len() / rows, firsts.start) * rows);
            products(lifted, rows, &firsts, &mut block);
            out.extend_from_slice(&block);
        }
        out
    }

    #[test]
    fn sums_over_rows_are_those_of_the_products() {
        for (dim, shift, rows) in [(1, 0.0, 3), (5, 0.7, 4), (8, 0.0, 1), (16, 0.0, 33)] {
            let values: Vec<f64> = (0..rows * dim).map(|at| (at as f64 * 0.7 + 0.2).sin()).collect();
            let weights: Vec<f64> = (0..rows).map(|at| (at as f64 * 0.3).cos()).collect();
            let [mut lifted, mut weighted, mut all_pairs] = [(); 3].map(|()| Scratch::default());
            lift(&values, dim, [1.5, shift], &mut lifted);
            let mut sums = vec![0.5; width(lifted.len() / rows)];
            add_sums(&lifted, &weights, &mut sums, [&mut weighted, &mut all_pairs]);
            for (sum, products) in sums.iter().zip(all(&lifted, rows, 7).chunks_exact(rows)) {
                let want: f64 =
                    0.5 + products.iter().zip(&weights).map(|(product, weight)| product * weight).sum::<f64>();
                assert!((sum - want).abs() < 1e-13, "{dim} {shift} {rows}: {sum} for {want}");
            }
        }
    }

    #[test]
    fn inner_products_are_squares_however_the_products_are_cut() {
        for (dim, shift, size) in [(1, 0.0, 1), (5, 0.0, 4), (5, 0.7, 7), (9, 0.3, 100)] {
            let values: Vec<f64> = (0..2 * dim).map(|at| (at as f64 * 0.7 + 0.2).sin()).collect();
            let mut lifted = Scratch::default();
            lift(&values, dim, [1.5, shift], &mut lifted);
            let features = all(&lifted, 2, size);
            assert_eq!(features.len(), 2 * width(lifted.len() / 2), "{dim} {shift}");
            let (left, right) = values.split_at(dim);
            let along: f64 = left.iter().zip(right).map(|(a, b)| 2.25 * a * b).sum::<f64>() + shift * shift;
            let product: f64 = features.chunks_exact(2).map(|pair| pair[0] * pair[1]).sum();
            assert!((product - along * along).abs() < 1e-13, "{dim} {shift}: {product} for {}", along * along);
        }
    }
}
