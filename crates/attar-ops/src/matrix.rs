//! A matrix that is read where it lies.

/// A matrix `[rows, columns]` over values that someone else owns, with any strides.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// Row-major values without gaps: as many whole rows of `columns` values as there are.
    pub fn row_major(values: &'a [T], columns: usize) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The element (row, column) is `values[row * row_stride + column * column_stride]`.
    ///
    /// `None` if the values end before the last element.
    pub fn strided(values: &'a [T], shape: [usize; 2], strides: [usize; 2]) -> Option<Self> {
        let [rows, columns] = shape;
        let [row_stride, column_stride] = strides;
        if rows > 0 && columns > 0 {
            let last = (rows - 1).checked_mul(row_stride)?.checked_add((columns - 1).checked_mul(column_stride)?)?;
            values.get(last)?;
        }
        Some(Self { values, rows, columns, row_stride, column_stride })
    }

    /// The same values, rows for columns.
    #[must_use]
    pub fn transposed(self) -> Self {
        let Self { values, rows, columns, row_stride, column_stride } = self;
        Self { values, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }

    /// `count` rows from `first` on; fewer where they end before.
    #[must_use]
    pub fn some_rows(self, first: usize, count: usize) -> Self {
        let first = first.min(self.rows);
        let rows = count.min(self.rows - first);
        let values = self.values.get(first * self.row_stride..).unwrap_or(&[]);
        Self { values, rows, ..self }
    }

    /// `count` columns from `first` on; fewer where they end before.
    #[must_use]
    pub fn some_columns(self, first: usize, count: usize) -> Self {
        self.transposed().some_rows(first, count).transposed()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// From an element to the one below it.
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// From an element to the one to its right.
    pub fn column_stride(&self) -> usize {
        self.column_stride
    }

    /// The element in a row and a column that the matrix has.
    pub(crate) fn at(&self, row: usize, column: usize) -> T
    where
        T: Copy,
    {
        self.values[row * self.row_stride + column * self.column_stride]
    }

    /// The values from the first element on; the last element's place is within them.
    pub fn values(&self) -> &'a [T] {
        self.values
    }
}
