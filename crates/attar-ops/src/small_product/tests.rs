//! Small products against the sums written out.

use pulp::{Scalar, Simd};

use super::*;
use crate::naive;

const TRIANGLES: [Triangle; 6] = [
    Triangle::None,
    Triangle::Result(0),
    Triangle::Result(3),
    Triangle::Left(1),
    Triangle::Left(9),
    Triangle::LeftColumns(2),
];

fn values<T: Lanes>(count: usize, seed: f64) -> Vec<T> {
    (0..count).map(|at| T::from_f64((at as f64 * 0.37 + seed).sin())).collect()
}

/// A matrix whose rows, or columns, have a gap after them.
fn matrix<T>(values: &[T], [rows, columns]: [usize; 2], across: bool) -> Matrix<'_, T> {
    let strides = if across { [1, rows + 1] } else { [columns + 3, 1] };
    Matrix::strided(values, [rows, columns], strides).unwrap()
}

/// Whether the triangle needs this value of the result, and leaves this value of the left factor.
fn needs(triangle: Triangle, row: usize, column: usize) -> bool {
    !matches!(triangle, Triangle::Result(first) if column >= first + row)
}

fn leaves(triangle: Triangle, row: usize, column: usize) -> bool {
    match triangle {
        Triangle::Left(first) => column < first + row,
        Triangle::LeftColumns(first) => row < first + column,
        _ => true,
    }
}

/// In every orientation, at sizes around those of tiles, alone and added to what is there.
fn check<T: Lanes>(tolerance: f64, run: impl Fn(Product<'_, T>)) {
    let small = [[1, 1, 16], [3, 5, 32], [4, 0, 64], [9, 7, 48], [33, 34, 64], [18, 20, 80]];
    let deep = [[5, DEEP, 16], [9, DEEP + 2, 48], [33, 2 * DEEP + 44, 16]];
    for [rows, inner, columns] in small.into_iter().chain(deep) {
        let tolerance = tolerance * (inner as f64 / 34.0).max(1.0);
        for (triangle, orientation) in
            TRIANGLES.iter().flat_map(|&triangle| (0..2).map(move |across| (triangle, across)))
        {
            let mut left = values::<T>((rows + 3) * (inner + 3), 0.1);
            let across = orientation == 1;
            for (row, column) in (0..rows).flat_map(|row| (0..inner).map(move |column| (row, column))) {
                if !leaves(triangle, row, column) {
                    left[if across { row + column * (rows + 1) } else { row * (inner + 3) + column }] = T::ZERO;
                }
            }
            let right = values::<T>((inner + 3) * (columns + 3), 0.7);
            let (left, right) = (matrix(&left, [rows, inner], across), matrix(&right, [inner, columns], false));
            let product = naive::product(left, right);
            for accumulate in [false, true] {
                let mut all = values::<T>((rows + 1) * (columns + 2), 0.4);
                let before = all.clone();
                let mut all_rows = MatrixMut::row_major(&mut all, columns + 2);
                run(Product { out: all_rows.part([1, 1], [rows, columns]), left, right, triangle, accumulate });
                for (at, (got, before)) in all.into_iter().zip(before).enumerate() {
                    let (row, column) = (at / (columns + 2), at % (columns + 2));
                    let inside = row >= 1 && (1..=columns).contains(&column);
                    if inside && !needs(triangle, row - 1, column - 1) {
                        continue;
                    }
                    let product = if inside { product[(row - 1) * columns + column - 1] } else { 0.0 };
                    let want = product + if accumulate || !inside { before.to_f64() } else { 0.0 };
                    let error = (got.to_f64() - want).abs();
                    assert!(
                        error <= tolerance,
                        "{triangle:?} {rows} {inner} {columns}, {across} {accumulate}: {got:?} for {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn agrees_with_the_sums_written_out_in_every_instruction_set() {
    check::<f32>(2e-5, |product| Arch::new().dispatch(product));
    check::<f64>(1e-13, |product| Arch::new().dispatch(product));
    check::<f32>(2e-5, |product| Scalar::new().vectorize(product));
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = pulp::x86::V3::try_new() {
        check::<f32>(2e-5, |product| Simd::vectorize(simd, product));
        check::<f64>(1e-13, |product| Simd::vectorize(simd, product));
    }
}

/// Through the choice of the way too: columns of the right factor as rows, no whole vectors, and a factor too large.
#[test]
fn agrees_whatever_the_right_factor() {
    for [rows, inner, columns] in [[5, 9, 32], [6, 66, 64], [5, 9, 7], [3, 70, 80], [4, 0, 16]] {
        for across in [false, true] {
            let (left, right) =
                (values::<f32>((rows + 3) * (inner + 3), 0.1), values::<f32>((inner + 3) * (columns + 3), 0.7));
            let (left, right) = (matrix(&left, [rows, inner], !across), matrix(&right, [inner, columns], across));
            let mut out = vec![0.5; rows * columns];
            small(MatrixMut::row_major(&mut out, columns), left, right, Triangle::None, true);
            for (got, want) in out.into_iter().zip(naive::product(left, right)) {
                assert!(
                    (f64::from(got) - want - 0.5).abs() < 5e-5,
                    "{rows} {inner} {columns}, {across}: {got} for {want}"
                );
            }
        }
    }
}

#[test]
#[should_panic(expected = "shape of the result")]
fn a_result_of_another_shape_is_refused() {
    let (left, right, mut out) = ([1.0_f32; 6], [1.0; 48], [0.0; 16]);
    small(
        MatrixMut::row_major(&mut out, 16),
        Matrix::row_major(&left, 3),
        Matrix::row_major(&right, 16),
        Triangle::None,
        false,
    );
}
