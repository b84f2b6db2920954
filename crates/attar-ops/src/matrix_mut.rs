//! A part of a matrix that one owner writes, so that threads can fill their blocks of the same array.
#![allow(unsafe_code)]

use std::marker::PhantomData;

/// The only way, while it lives, to `[rows, columns]` values of a row-major array.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    // Invariant: `first + row * stride + column` is a value of the borrowed array for every row and column below
    // `rows` and `columns`, and no other `MatrixMut` or reference reaches it while this one lives.
    first: *mut T,
    rows: usize,
    columns: usize,
    stride: usize,
    array: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a `&mut [T]` with gaps.
unsafe impl<T: Send> Send for MatrixMut<'_, T> {}

impl<'a, T> MatrixMut<'a, T> {
    /// Row-major values without gaps: as many whole rows of `columns` values as there are.
    pub fn row_major(values: &'a mut [T], columns: usize) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        Self { first: values.as_mut_ptr(), rows, columns, stride: columns, array: PhantomData }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// From a value to the one below it.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The first value; those that follow lie as the strides say.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut T {
        self.first
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        // SAFETY: the row is below `rows`, so its values are there and only ours; they lie without gaps.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.stride), self.columns) }
    }

    /// The values of `shape`, rows and columns, from `place` on; fewer where the matrix ends before.
    pub fn part(&mut self, place: [usize; 2], shape: [usize; 2]) -> MatrixMut<'_, T> {
        let [row, column] = [place[0].min(self.rows), place[1].min(self.columns)];
        let [rows, columns] = [shape[0].min(self.rows - row), shape[1].min(self.columns - column)];
        let inside = rows > 0 && columns > 0;
        // SAFETY: the first value of a part that has any is one of ours, and `self` is borrowed while the part lives.
        let first = if inside { unsafe { self.first.add(row * self.stride + column) } } else { self.first };
        MatrixMut { first, rows, columns, stride: self.stride, array: PhantomData }
    }

    /// Blocks of `size` rows, the last of what is left.
    pub fn row_blocks(mut self, size: usize) -> Vec<Self> {
        let starts = (0..self.rows).step_by(size.max(1));
        starts.map(|start| self.part([start, 0], [size, self.columns]).outliving()).collect()
    }

    /// Blocks of `size` columns, the last of what is left.
    pub fn column_blocks(mut self, size: usize) -> Vec<Self> {
        let starts = (0..self.columns).step_by(size.max(1));
        starts.map(|start| self.part([0, start], [self.rows, size]).outliving()).collect()
    }

    /// The same part for as long as the array is borrowed; for parts without a common value of a matrix that ends.
    fn outliving<'b>(self) -> MatrixMut<'b, T> {
        MatrixMut { first: self.first, rows: self.rows, columns: self.columns, stride: self.stride, array: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value is written once, by the block that its place belongs to.
    fn check(blocks: impl Fn(MatrixMut<'_, u32>) -> Vec<MatrixMut<'_, u32>>, want: impl Fn(usize, usize) -> u32) {
        let mut values = vec![0; 7 * 5];
        for (index, mut block) in blocks(MatrixMut::row_major(&mut values, 5)).into_iter().enumerate() {
            for row in 0..block.rows() {
                block.row(row).iter_mut().for_each(|value| *value += index as u32 + 1);
            }
        }
        for (at, value) in values.into_iter().enumerate() {
            assert_eq!(value, want(at / 5, at % 5), "place {at}");
        }
    }

    #[test]
    fn blocks_share_nothing_and_leave_nothing() {
        check(|all| all.row_blocks(3), |row, _| row as u32 / 3 + 1);
        check(|all| all.column_blocks(2), |_, column| column as u32 / 2 + 1);
        check(|all| all.column_blocks(9), |_, _| 1);
    }

    #[test]
    fn a_part_beyond_the_end_is_empty() {
        let mut values = [1; 6];
        let mut all = MatrixMut::row_major(&mut values, 3);
        let part = all.part([1, 2], [9, 9]);
        assert_eq!((part.rows(), part.columns()), (1, 1));
        let none = all.part([2, 0], [1, 1]);
        assert_eq!((none.rows(), none.columns()), (0, 1));
        assert!(MatrixMut::row_major(&mut [] as &mut [u8], 0).row_blocks(4).is_empty());
    }
}
