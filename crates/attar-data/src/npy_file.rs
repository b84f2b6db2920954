//! NPY files out, whose rows come in any order.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::NamedTempFile;

use crate::Error;
use crate::output::{aside, put_in_place};

/// Numbers that are converted at a time: they stay near.
const BLOCK_NUMBERS: usize = 1 << 15;

/// An NPY file `[rows, columns]` of `f32` to be, which threads fill together.
///
/// It lies beside its place until [`Self::finish`]: there it is whole or not at all.
#[derive(Debug)]
pub struct NpyFile {
    path: PathBuf,
    rows: usize,
    columns: usize,
    file: Mutex<Aside>,
}

#[derive(Debug)]
struct Aside {
    file: NamedTempFile,
    /// Where the first number is.
    start: u64,
    /// How many numbers are in their places.
    written: usize,
    bytes: Vec<u8>,
}

impl NpyFile {
    /// Begins a file of so many rows and columns.
    ///
    /// # Errors
    /// [`Error::Io`] from the system.
    pub fn new(path: &Path, rows: usize, columns: usize) -> Result<Self, Error> {
        let io_error = |source| Error::Io { path: path.to_owned(), source };
        let mut file = aside(path).map_err(io_error)?;
        let header = header(rows, columns);
        file.write_all(&header).map_err(io_error)?;
        let file = Aside { file, start: header.len() as u64, written: 0, bytes: Vec::new() };
        Ok(Self { path: path.to_owned(), rows, columns, file: Mutex::new(file) })
    }

    /// Writes whole rows, row-major, of which the first is `first_row`; each row once.
    ///
    /// # Errors
    /// [`Error::Io`] from the system.
    pub fn write(&self, first_row: usize, values: &[f32]) -> Result<(), Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write(first_row * self.columns, values).map_err(|source| self.io_error(source))
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Error::Output`] if rows are missing, [`Error::Io`] from the system.
    pub fn finish(self) -> Result<(), Error> {
        let Self { path, rows, columns, file } = self;
        let file = file.into_inner().unwrap_or_else(PoisonError::into_inner);
        if file.written != rows * columns {
            let reason = format!("{} numbers of {rows} rows of {columns}", file.written);
            return Err(Error::Output { path, reason });
        }
        put_in_place(file.file, &path).map_err(|source| Error::Io { path, source })
    }

    fn io_error(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }
}

impl Aside {
    fn write(&mut self, first: usize, values: &[f32]) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.start + (first * size_of::<f32>()) as u64))?;
        for values in values.chunks(BLOCK_NUMBERS) {
            self.bytes.clear();
            self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            self.file.write_all(&self.bytes)?;
        }
        self.written += values.len();
        Ok(())
    }
}

/// Version 1.0, padded with spaces so that the numbers begin at a multiple of 64 bytes.
fn header(rows: usize, columns: usize) -> Vec<u8> {
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.push_str(&" ".repeat(length - text.len() - 1));
    text.push('\n');
    [crate::npy::MAGIC, &[1, 0], &(length as u16).to_le_bytes(), text.as_bytes()].concat()
}
