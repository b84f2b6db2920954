//! Sums and the largest value, in fixed lanes: they vectorise, and their order is the same everywhere.

use rayon::prelude::*;

use crate::Float;
use crate::threads::BLOCK;
use crate::vectorised::vectorised;

/// Columns that one task sums.
const COLUMNS: usize = 256;
const LANES: usize = 16;
/// Terms that are summed in their own precision before they go into an `f64`.
const RUN: usize = 512;

/// The sum of each column of the row-major `[rows, sums.len()]`.
pub fn column_sums<T: Float>(values: &[T], sums: &mut [T]) {
    let columns = sums.len();
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(block, sums)| {
        vectorised(
            sums,
            #[inline(always)]
            |sums: &mut [T]| {
                sums.fill(T::ZERO);
                for row in values.chunks_exact(columns) {
                    for (sum, &value) in sums.iter_mut().zip(&row[block * COLUMNS..]) {
                        *sum += value;
                    }
                }
            },
        );
    });
}

/// How many rows one task takes: enough that what it keeps for each column is little beside them.
pub(crate) fn rows_of_a_block(columns: usize) -> usize {
    (BLOCK / columns.max(1)).max(16)
}

/// The largest value; NaN is passed over, and of nothing it is minus infinity.
#[inline(always)]
pub fn largest<T: Float>(row: &[T]) -> T {
    let larger = |a: T, b: T| if b > a { b } else { a };
    let least = T::from_f64(f64::NEG_INFINITY);
    let mut lanes = [least; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    rest.iter().fold(by_halves(lanes, larger), |largest, &value| larger(largest, value))
}

/// All lanes to one, in as few steps as vectors can.
#[inline(always)]
fn by_halves<T: Copy>(mut lanes: [T; LANES], both: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = both(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Replaces each value by the function's, and gives the sum of those.
#[inline(always)]
pub fn replace_and_sum<T: Float>(row: &mut [T], value: impl Fn(T) -> T) -> f64 {
    let mut total = 0.0;
    for run in row.chunks_mut(RUN) {
        let mut lanes = [T::ZERO; LANES];
        let (chunks, rest) = run.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for (lane, place) in lanes.iter_mut().zip(chunk) {
                *place = value(*place);
                *lane += *place;
            }
        }
        for (lane, place) in lanes.iter_mut().zip(rest) {
            *place = value(*place);
            *lane += *place;
        }
        total += by_halves(lanes.map(T::to_f64), |a, b| a + b);
    }
    total
}

/// The sum of the values.
#[inline(always)]
pub fn sum<T: Float>(row: &[T]) -> f64 {
    sum_of(row, row, |value, _| value)
}

/// The sum of the products of corresponding values.
#[inline(always)]
pub fn sum_of_products<T: Float>(left: &[T], right: &[T]) -> f64 {
    sum_of(left, right, |left, right| left * right)
}

#[inline(always)]
fn sum_of<T: Float>(left: &[T], right: &[T], term: impl Fn(T, T) -> T) -> f64 {
    let mut sums = [0.0; LANES];
    for (left, right) in left.chunks(RUN).zip(right.chunks(RUN)) {
        // Two vectors, so that an addition need not wait for the one before; as one array they stay no vectors.
        let (mut lanes, mut others) = ([T::ZERO; LANES], [T::ZERO; LANES]);
        let add = |lanes: &mut [T; LANES], left: &[T], right: &[T]| {
            for ((lane, &left), &right) in lanes.iter_mut().zip(left).zip(right) {
                *lane += term(left, right);
            }
        };
        let (lefts, left_rest) = left.as_chunks::<{ 2 * LANES }>();
        let (rights, right_rest) = right.as_chunks::<{ 2 * LANES }>();
        for (left, right) in lefts.iter().zip(rights) {
            add(&mut lanes, &left[..LANES], &right[..LANES]);
            add(&mut others, &left[LANES..], &right[LANES..]);
        }
        for (left, right) in left_rest.chunks(LANES).zip(right_rest.chunks(LANES)) {
            add(&mut lanes, left, right);
        }
        for ((sum, lane), other) in sums.iter_mut().zip(lanes).zip(others) {
            *sum += (lane + other).to_f64();
        }
    }
    by_halves(sums, |a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_summed_each_on_its_own() {
        let values: Vec<f64> = (0..3 * 700).map(|at| (at % 701) as f64).collect();
        let mut sums = vec![f64::NAN; 700];
        column_sums(&values, &mut sums);
        for (column, &sum) in sums.iter().enumerate() {
            let want: f64 = (0..3).map(|row| values[row * 700 + column]).sum();
            assert_eq!(sum, want, "column {column}");
        }
    }

    #[test]
    fn every_value_of_a_row_counts() {
        for count in [1, 5, 16, 33, 256, 300, 1000] {
            let row: Vec<f64> = (0..count).map(|at| f64::from((at * 7919) % 1009) - 2000.0).collect();
            let other: Vec<f64> = (0..count).map(|at| f64::from(at % 13)).collect();
            // Whole numbers: the order of the sums makes no difference.
            assert_eq!(sum(&row), row.iter().sum::<f64>(), "{count}");
            assert_eq!(
                sum_of_products(&row, &other),
                row.iter().zip(&other).map(|(a, b)| a * b).sum::<f64>(),
                "{count}"
            );
            assert_eq!(largest(&row), row.iter().copied().fold(f64::NEG_INFINITY, f64::max), "{count}");
            let mut squares = other.clone();
            assert_eq!(replace_and_sum(&mut squares, |x| x * x), sum_of_products(&other, &other), "{count}");
            assert!(squares.iter().zip(&other).all(|(square, x)| *square == x * x), "{count}");
        }
    }

    #[test]
    fn the_largest_is_a_number_if_there_is_one() {
        let mut row = [f32::NAN; 40];
        assert_eq!(largest(&row), f32::NEG_INFINITY);
        for place in [0, 17, 39] {
            row[place] = -3.0;
            assert_eq!(largest(&row), -3.0);
            row[place] = f32::NAN;
        }
    }
}
