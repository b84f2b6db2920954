//! NPY, NumPy's array format: header, memory-mapped arrays, and decoding of its number types.

use crate::array::Shape;
use crate::{Error, Layout};
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

/// Bytes that every NPY file begins with.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// A number type of NPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Number {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Number {
    fn of(code: &str) -> Option<Self> {
        Some(match code {
            "b1" => Number::Bool,
            "u1" => Number::U8,
            "i1" => Number::I8,
            "u2" => Number::U16,
            "i2" => Number::I16,
            "u4" => Number::U32,
            "i4" => Number::I32,
            "u8" => Number::U64,
            "i8" => Number::I64,
            "f4" => Number::F32,
            "f8" => Number::F64,
            _ => return None,
        })
    }

    /// Bytes of a number.
    pub(crate) fn size(self) -> usize {
        match self {
            Number::Bool | Number::U8 | Number::I8 => 1,
            Number::U16 | Number::I16 => 2,
            Number::U32 | Number::I32 | Number::F32 => 4,
            Number::U64 | Number::I64 | Number::F64 => 8,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Number::F32 | Number::F64)
    }

    /// Decodes little-endian numbers one by one.
    pub(crate) fn decode<T>(self, bytes: &[u8], out: &mut [T], convert: impl Fn(f64) -> T) {
        macro_rules! each {
            ($type:ty) => {{
                let (chunks, _) = bytes.as_chunks::<{ size_of::<$type>() }>();
                for (out, chunk) in out.iter_mut().zip(chunks) {
                    *out = convert(<$type>::from_le_bytes(*chunk) as f64);
                }
            }};
        }
        match self {
            Number::Bool | Number::U8 => each!(u8),
            Number::I8 => each!(i8),
            Number::U16 => each!(u16),
            Number::I16 => each!(i16),
            Number::U32 => each!(u32),
            Number::I32 => each!(i32),
            Number::U64 => each!(u64),
            Number::I64 => each!(i64),
            Number::F32 => each!(f32),
            Number::F64 => each!(f64),
        }
    }
}

/// What an NPY header says.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) number: Number,
    pub(crate) shape: Vec<usize>,
    /// Where the numbers begin.
    pub(crate) offset: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`, and checks that the numbers it promises are there.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let fault = |reason: String| Error::Npy { path: path.to_owned(), reason };
        let (text, offset) = split_header(bytes).ok_or_else(|| fault("the header is cut short".to_owned()))?;
        let value = |key| entry(text, key).ok_or_else(|| fault(format!("the header has no `{key}`")));
        let number = number_type(value("descr")?).map_err(fault)?;
        let shape =
            shape(value("shape")?).ok_or_else(|| fault("the header's shape is no tuple of sizes".to_owned()))?;
        if value("fortran_order")?.starts_with("True") && shape.len() > 1 {
            return Err(Error::FortranOrder { path: path.to_owned() });
        }
        let promised = shape.iter().try_fold(number.size() as u128, |product, &size| product.checked_mul(size as u128));
        let held = bytes.len() - offset;
        match promised {
            Some(promised) if promised <= held as u128 => Ok(Header { number, shape, offset }),
            promised => Err(Error::NpySize {
                path: path.to_owned(),
                promised: promised.unwrap_or(u128::MAX),
                held: held as u64,
            }),
        }
    }
}

fn split_header(bytes: &[u8]) -> Option<(&str, usize)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (start, length): (usize, usize) = match *rest {
        [1, _, a, b, ..] => (10, u16::from_le_bytes([a, b]) as usize),
        [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        _ => return None,
    };
    let end = start.checked_add(length)?;
    Some((std::str::from_utf8(bytes.get(start..end)?).ok()?, end))
}

/// What follows `'key':` in the header's Python dictionary.
fn entry<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let after = text.split_once(&format!("'{key}'")).or_else(|| text.split_once(&format!("\"{key}\"")))?.1;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

fn number_type(value: &str) -> Result<Number, String> {
    let Some(code) = value.strip_prefix(['\'', '"']).and_then(|rest| rest.split(['\'', '"']).next()) else {
        return Err("structured types are not supported; store one array of numbers".to_owned());
    };
    match code.split_at_checked(1) {
        Some(("<" | "|" | "=", number)) => Number::of(number),
        Some((">", number @ ("b1" | "u1" | "i1"))) => Number::of(number),
        Some((">", _)) => return Err(format!("big-endian numbers (`{code}`) are not supported")),
        _ => None,
    }
    .ok_or_else(|| format!("expected booleans, integers, f4 or f8, got the type `{code}`"))
}

fn shape(value: &str) -> Option<Vec<usize>> {
    let inner = value.strip_prefix('(')?.split_once(')')?.0;
    inner.split(',').map(str::trim).filter(|size| !size.is_empty()).map(|size| size.parse().ok()).collect()
}

/// Rows of a memory-mapped NPY file; nothing is copied until it is read.
#[derive(Debug)]
pub struct Mapped {
    map: Mmap,
    number: Number,
    offset: usize,
    shape: Shape,
    /// The rows left after dropping those with missing values.
    kept: Option<Vec<usize>>,
}

impl Mapped {
    /// Maps the file. The layout is that of the header's shape, see [`Shape::of`].
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let map = map(path)?;
        let header = Header::parse(path, &map)?;
        let shape = Shape::of(path, &header.shape, header.number == Number::U8)?;
        Ok(Mapped { map, number: header.number, offset: header.offset, shape, kept: None })
    }

    pub(crate) fn layout(&self) -> Layout {
        self.shape.layout
    }

    /// Number of rows.
    pub fn samples(&self) -> usize {
        self.kept.as_ref().map_or(self.shape.samples, Vec::len)
    }

    /// Number of columns.
    pub fn features(&self) -> usize {
        self.shape.features
    }

    /// Whether the file may hold NaN.
    pub(crate) fn is_float(&self) -> bool {
        self.number.is_float()
    }

    /// Keeps only the given rows.
    pub(crate) fn keep(&mut self, rows: Vec<usize>) {
        self.kept = Some(rows);
    }

    pub(crate) fn read_row(&self, row: usize, out: &mut [f32]) {
        let row = self.kept.as_ref().map_or(row, |kept| kept[row]);
        let bytes = out.len() * self.number.size();
        let bytes = &self.map[self.offset + row * bytes..][..bytes];
        match self.shape.layout {
            Layout::Image { .. } => self.number.decode(bytes, out, |byte| byte as f32 / 255.0),
            _ => self.number.decode(bytes, out, |number| number as f32),
        }
    }

    /// The stored bytes of the rows, in blocks.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        let row_bytes = self.shape.features * self.number.size();
        (0..self.samples()).map(move |row| {
            let row = self.kept.as_ref().map_or(row, |kept| kept[row]);
            &self.map[self.offset + row * row_bytes..][..row_bytes]
        })
    }
}

#[expect(unsafe_code, reason = "memory-mapping is the only way to read a file larger than memory in place")]
fn map(path: &Path) -> Result<Mmap, Error> {
    let error = |source| Error::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(error)?;
    // SAFETY: the map is private to this process and only ever read as bytes, for which any content is valid. The one
    // thing nobody can rule out is another process truncating the file meanwhile; the system then ends this one.
    unsafe { Mmap::map(&file) }.map_err(error)
}

/// The numbers of a one-dimensional NPY file.
pub(crate) fn read_vector(path: &Path) -> Result<Vec<f64>, Error> {
    let map = map(path)?;
    vector(path, &map)
}

/// The numbers of a one-dimensional NPY array in memory.
pub(crate) fn vector(path: &Path, bytes: &[u8]) -> Result<Vec<f64>, Error> {
    let header = Header::parse(path, bytes)?;
    let samples = match header.shape[..] {
        [samples] | [samples, 1] => samples,
        _ => {
            let reason = format!("labels have one dimension, got the shape {:?}", header.shape);
            return Err(Error::Npy { path: path.to_owned(), reason });
        }
    };
    let mut numbers = vec![0.0; samples];
    header.number.decode(&bytes[header.offset..], &mut numbers, |number| number);
    Ok(numbers)
}
