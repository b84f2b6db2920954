//! Every engine against sums in `f64` of the rounded values.

use super::*;

const ENGINES: [Engine; 3] = [Engine::F32, Engine::Avx512, Engine::Amx];

/// Values of both signs over a few powers of two, the same for the same seed.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0) * 3.0
    };
    (0..count).map(|_| next()).collect()
}

fn at(matrix: Matrix<'_, f32>, row: usize, column: usize) -> f32 {
    matrix.values()[row * matrix.row_stride() + column * matrix.column_stride()]
}

/// The sum and the sum of the magnitudes of the products of an element, in f64.
fn naive(left: Matrix<'_, f32>, right: Matrix<'_, f32>, row: usize, column: usize) -> (f64, f64) {
    (0..left.columns()).fold((0.0, 0.0), |(sum, scale), depth| {
        let product = f64::from(round(at(left, row, depth))) * f64::from(round(at(right, depth, column)));
        (sum + product, scale + product.abs())
    })
}

fn check_product(engine: Engine, left: Matrix<'_, f32>, right: Matrix<'_, f32>, gap: usize, accumulate: bool) {
    let (rows, columns) = (left.rows(), right.columns());
    let stride = columns + gap;
    let before = values(rows * stride, 3);
    let mut out = before.clone();
    let mut all = MatrixMut::row_major(&mut out, stride);
    product_with(engine, all.part([0, 0], [rows, columns]), left, right, accumulate);
    for (place, (&value, &before)) in out.iter().zip(&before).enumerate() {
        let (row, column) = (place / stride, place % stride);
        if column >= columns {
            assert_eq!(value, before, "{engine:?} wrote between two rows");
            continue;
        }
        let (sum, scale) = naive(left, right, row, column);
        let start = if accumulate { f64::from(before) } else { 0.0 };
        let error = (f64::from(value) - sum - start).abs();
        let shape = [rows, left.columns(), columns];
        assert!(error <= 1e-6 * (scale + start.abs()), "{engine:?} {shape:?} at [{row}, {column}]: off by {error}");
    }
}

/// All orientations of both operands, with and without gaps between the rows they lie in.
fn check_shape(engine: Engine, [rows, depth, columns]: [usize; 3]) {
    for (index, gap) in [0, 5].into_iter().enumerate() {
        let [of_rows, of_depth, of_columns] = [rows, depth, columns].map(|count| count + gap);
        let (left, right) = (values((rows + gap) * of_depth * 2, 1), values((depth + gap) * of_columns * 2, 2));
        let matrix = |values, shape, strides| Matrix::strided(values, shape, strides).expect("enough values");
        let lefts = [[of_depth, 1], [1, of_rows], [2 * of_depth, 2]];
        let rights = [[of_columns, 1], [1, of_depth], [2 * of_columns, 2]];
        for left in lefts.map(|strides| matrix(&left, [rows, depth], strides)) {
            for right in rights.map(|strides| matrix(&right, [depth, columns], strides)) {
                check_product(engine, left, right, gap, index == 1);
            }
        }
    }
}

#[test]
fn products_are_near_those_in_f64() {
    const SIZES: [usize; 6] = [1, 15, 16, 17, 33, 100];
    for engine in ENGINES {
        for rows in SIZES {
            for columns in SIZES {
                check_shape(engine, [rows, 31, columns]);
            }
        }
        for depth in [1, 2, 32, 33, 784, 1025, 2100] {
            check_shape(engine, [17, depth, 33]);
        }
        check_shape(engine, [600, 1024, 3]);
    }
}

#[test]
fn without_depth_a_product_is_zero() {
    for engine in ENGINES {
        let (left, right) = (Matrix::strided(&[], [2, 0], [0, 1]), Matrix::strided(&[], [0, 3], [3, 1]));
        let (left, right) = (left.expect("no values"), right.expect("no values"));
        let mut out = [1.0; 6];
        product_with(engine, MatrixMut::row_major(&mut out, 3), left, right, true);
        assert_eq!(out, [1.0; 6]);
        product_with(engine, MatrixMut::row_major(&mut out, 3), left, right, false);
        assert_eq!(out, [0.0; 6]);
        let mut all = MatrixMut::row_major(&mut out, 3);
        product_with(engine, all.part([0, 0], [2, 0]), left, right.some_columns(0, 0), false);
    }
}

#[test]
fn splitting_leaves_the_bits() {
    let (left, right) = (values(70 * 1300, 4), values(1300 * 90, 5));
    let (left, right) = (Matrix::row_major(&left, 1300), Matrix::row_major(&right, 90));
    for engine in ENGINES {
        let mut whole = vec![0.0; 70 * 90];
        product_with(engine, MatrixMut::row_major(&mut whole, 90), left, right, false);
        let mut parts = vec![0.0; 70 * 90];
        for (first, out) in parts.chunks_mut(90 * 23).enumerate() {
            let left = left.some_rows(first * 23, 23);
            let mut out = MatrixMut::row_major(out, 90);
            product_with(engine, out.part([0, 0], [23, 41]), left, right.some_columns(0, 41), false);
            product_with(engine, out.part([0, 41], [23, 49]), left, right.some_columns(41, 49), false);
        }
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&whole), bits(&parts), "{engine:?}");
    }
}

/// The nearest bf16 by comparing distances, where `value` lies between two normal ones or is a zero.
fn nearest(value: f32) -> f32 {
    let below = f32::from_bits(value.to_bits() & 0xffff_0000);
    let above = f32::from_bits((value.to_bits() & 0xffff_0000) + 0x1_0000);
    // As if the exponent went on, what lies above the greatest finite value is a power of two.
    let wide =
        |value: f32| if value.is_infinite() { 2_f64.powi(128).copysign(f64::from(value)) } else { f64::from(value) };
    let (down, up) = ((wide(value) - wide(below)).abs(), (wide(above) - wide(value)).abs());
    let even = if below.to_bits() & 0x1_0000 == 0 { below } else { above };
    if down < up {
        below
    } else if up < down {
        above
    } else {
        even
    }
}

fn hard_values() -> Vec<f32> {
    let tops = [0x0080_u32, 0x0081, 0x3f80, 0x3f81, 0x3fff, 0x4049, 0x4a12, 0x7f7e, 0x7f7f];
    let bottoms = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
    let signs = [0, 1 << 31];
    let bits = tops.iter().flat_map(|top| bottoms.map(|bottom| top << 16 | bottom));
    bits.flat_map(|bits| signs.map(|sign| f32::from_bits(sign | bits))).collect()
}

#[test]
fn every_engine_rounds_to_the_nearest() {
    let mut from = hard_values();
    let mut to: Vec<f32> = from.iter().map(|&value| nearest(value)).collect();
    for (special, rounded) in [(f32::INFINITY, f32::INFINITY), (f32::NEG_INFINITY, f32::NEG_INFINITY)] {
        from.push(special);
        to.push(rounded);
    }
    for bits in [1, 0x007f_ffff, 0x8000_0001, 0x807f_ffff, 0, 0x8000_0000] {
        from.push(f32::from_bits(bits));
        to.push(0.0);
    }
    for engine in ENGINES {
        let mut out = vec![0.0; from.len()];
        let one = [1.0];
        let one = Matrix::row_major(&one, 1);
        product_with(engine, MatrixMut::row_major(&mut out, 1), Matrix::row_major(&from, 1), one, false);
        assert_eq!(out, to, "{engine:?}, left");
        let row = Matrix::row_major(&from, from.len());
        product_with(engine, MatrixMut::row_major(&mut out, from.len()), one, row, false);
        assert_eq!(out, to, "{engine:?}, right");
    }
}

#[test]
fn nan_stays_nan() {
    for engine in ENGINES {
        for bits in [0x7f80_0001, 0x7fc0_0000, 0x7fff_ffff, 0xff80_0001, 0xffff_ffff] {
            let left = [1.0, 2.0, f32::from_bits(bits), 3.0];
            let mut out = [0.0; 2];
            let (left, ones) = (Matrix::row_major(&left, 2), [1.0; 2]);
            product_with(engine, MatrixMut::row_major(&mut out, 1), left, Matrix::row_major(&ones, 1), false);
            assert_eq!(out[0], 3.0);
            assert!(out[1].is_nan(), "{engine:?}");
        }
    }
}

#[test]
#[should_panic(expected = "shape of the result")]
fn a_result_of_another_shape_is_refused() {
    let (ones, mut out) = ([1.0; 6], [0.0; 6]);
    let (left, right) = (Matrix::row_major(&ones, 3), Matrix::row_major(&ones, 2));
    product(MatrixMut::row_major(&mut out, 3), left, right, false);
}

#[test]
#[should_panic(expected = "columns of the left factor")]
fn factors_that_do_not_fit_are_refused() {
    let (ones, mut out) = ([1.0; 6], [0.0; 9]);
    let (left, right) = (Matrix::row_major(&ones, 2), Matrix::row_major(&ones, 2));
    product(MatrixMut::row_major(&mut out, 3), left, right, false);
}
