//! The numbers of a data set, `[samples, features]`, wherever they lie.

use crate::arriving::Parts;
use crate::npy::Mapped;
use sha2::{Digest, Sha256};

/// Numbers in memory, row-major `[samples, features]`; NaN where one is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Number of columns.
    pub features: usize,
    /// `samples * features` numbers.
    pub data: Vec<f32>,
}

/// Pixels in memory, row-major `[samples, features]`, kept as bytes and read as `byte / 255`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// Number of pixels (times channels) of a sample.
    pub features: usize,
    /// `samples * features` bytes.
    pub data: Vec<u8>,
}

/// The numbers of a data set.
#[derive(Debug)]
#[non_exhaustive]
pub enum Values {
    /// Numbers in memory.
    Memory(Matrix),
    /// Pixels in memory.
    Bytes(Bytes),
    /// Pixels that are still being unpacked; those that never come are 0, see [`crate::Unpacking::finish`].
    Arriving(Parts),
    /// Rows of a memory-mapped NPY file, copied only when they are read.
    Mapped(Mapped),
}

impl Values {
    /// Number of rows.
    pub fn samples(&self) -> usize {
        match self {
            Values::Memory(matrix) => rows_of(matrix.data.len(), matrix.features),
            Values::Bytes(bytes) => rows_of(bytes.data.len(), bytes.features),
            Values::Arriving(parts) => parts.samples,
            Values::Mapped(mapped) => mapped.samples(),
        }
    }

    /// Number of columns.
    pub fn features(&self) -> usize {
        match self {
            Values::Memory(matrix) => matrix.features,
            Values::Bytes(bytes) => bytes.features,
            Values::Arriving(parts) => parts.features,
            Values::Mapped(mapped) => mapped.features(),
        }
    }

    /// Copies the given rows into `out`, row-major `[rows, features]`; NaN where a value is missing.
    ///
    /// # Panics
    /// If a row is out of range or `out` does not hold exactly `rows.len() * features` numbers.
    pub fn read(&self, rows: &[usize], out: &mut [f32]) {
        let features = self.features();
        assert_eq!(out.len(), rows.len() * features, "the output holds another number of values than the rows");
        if features == 0 {
            return;
        }
        if let Values::Arriving(parts) = self {
            return parts.read(rows, out);
        }
        for (&row, out) in rows.iter().zip(out.chunks_exact_mut(features)) {
            self.read_row(row, out);
        }
    }

    /// Says that these rows, each once, will not be read again: where they are still being unpacked, later ones take
    /// their memory.
    pub fn forget(&self, rows: &[usize]) {
        if let Values::Arriving(parts) = self {
            parts.forget(rows);
        }
    }

    fn read_row(&self, row: usize, out: &mut [f32]) {
        let range = row * out.len()..(row + 1) * out.len();
        match self {
            Values::Memory(matrix) => out.copy_from_slice(&matrix.data[range]),
            Values::Bytes(bytes) => copy_pixels(&bytes.data[range], out),
            Values::Arriving(parts) => parts.read(&[row], out),
            Values::Mapped(mapped) => mapped.read_row(row, out),
        }
    }
}

pub(crate) fn copy_pixels(bytes: &[u8], out: &mut [f32]) {
    for (out, &byte) in out.iter_mut().zip(bytes) {
        *out = f32::from(byte) / 255.0;
    }
}

fn rows_of(numbers: usize, features: usize) -> usize {
    numbers.checked_div(features).unwrap_or(0)
}

impl Values {
    /// Feeds the stored numbers to a hash.
    pub(crate) fn hash(&self, hash: &mut Sha256) {
        match self {
            Values::Memory(matrix) => {
                hash.update(b"f32");
                let mut bytes = Vec::with_capacity(4 * 4096);
                for block in matrix.data.chunks(4096) {
                    bytes.clear();
                    bytes.extend(block.iter().flat_map(|number| number.to_le_bytes()));
                    hash.update(&bytes);
                }
            }
            Values::Bytes(bytes) => {
                hash.update(b"u8");
                hash.update(&bytes.data);
            }
            Values::Arriving(parts) => {
                hash.update(b"u8");
                parts.each(|bytes| hash.update(bytes));
            }
            Values::Mapped(mapped) => {
                hash.update(b"npy");
                mapped.blocks().for_each(|block| hash.update(block));
            }
        }
    }
}
