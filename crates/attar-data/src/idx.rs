//! IDX, the format of MNIST: a big-endian header of type and sizes, then the numbers.

use crate::Error;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// An array as its file has it.
pub(crate) struct Idx {
    /// Sizes, outermost first.
    pub(crate) shape: Vec<usize>,
    kind: Kind,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Kind {
    fn of(code: u8) -> Option<Self> {
        match code {
            0x08 => Some(Kind::U8),
            0x09 => Some(Kind::I8),
            0x0b => Some(Kind::I16),
            0x0c => Some(Kind::I32),
            0x0d => Some(Kind::F32),
            0x0e => Some(Kind::F64),
            _ => None,
        }
    }

    fn size(self) -> usize {
        match self {
            Kind::U8 | Kind::I8 => 1,
            Kind::I16 => 2,
            Kind::I32 | Kind::F32 => 4,
            Kind::F64 => 8,
        }
    }
}

/// Reads an IDX file, plain or gzip.
pub(crate) fn open(path: &Path, gzip: bool) -> Result<Idx, Error> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let file = BufReader::new(file);
    if gzip { Idx::read(path, MultiGzDecoder::new(file)) } else { Idx::read(path, file) }
}

/// Whether a file that begins with these bytes is IDX: two zeros, a known type, at least one dimension.
pub(crate) fn recognise(start: &[u8]) -> bool {
    matches!(start, [0, 0, code, rank, ..] if Kind::of(*code).is_some() && (1..=8).contains(rank))
}

impl Idx {
    /// Reads the whole array. Memory grows with what the reader gives, never with what the header promises.
    pub(crate) fn read(path: &Path, mut reader: impl Read) -> Result<Self, Error> {
        let (kind, shape) = read_header(path, &mut reader)?;
        let promised = shape.iter().try_fold(kind.size() as u128, |product, &size| product.checked_mul(size as u128));
        let promised = promised.ok_or_else(|| header_error(path, "its sizes overflow"))?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(promised).unwrap_or(u64::MAX).saturating_add(1);
        let held = reader.take(limit).read_to_end(&mut bytes).map_err(|source| read_error(path, source))?;
        if held as u128 != promised {
            return Err(Error::IdxSize { path: path.to_owned(), promised, held: held as u64 });
        }
        Ok(Idx { shape, kind, bytes })
    }

    /// The stored bytes if the numbers are unsigned bytes, else the array back.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, Self> {
        if self.kind == Kind::U8 { Ok(self.bytes) } else { Err(self) }
    }

    /// Whether the numbers are unsigned bytes.
    pub(crate) fn is_bytes(&self) -> bool {
        self.kind == Kind::U8
    }

    /// The numbers in order.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = f64> + '_ {
        self.bytes.chunks_exact(self.kind.size()).map(|b| match (self.kind, b) {
            (Kind::U8, &[a]) => f64::from(a),
            (Kind::I8, &[a]) => f64::from(i8::from_be_bytes([a])),
            (Kind::I16, &[a, b]) => f64::from(i16::from_be_bytes([a, b])),
            (Kind::I32, &[a, b, c, d]) => f64::from(i32::from_be_bytes([a, b, c, d])),
            (Kind::F32, &[a, b, c, d]) => f64::from(f32::from_be_bytes([a, b, c, d])),
            (_, &[a, b, c, d, e, f, g, h]) => f64::from_be_bytes([a, b, c, d, e, f, g, h]),
            _ => f64::NAN,
        })
    }
}

fn read_header(path: &Path, reader: &mut impl Read) -> Result<(Kind, Vec<usize>), Error> {
    let [zero, also_zero, code, rank] = read_array(path, reader)?;
    let kind = Kind::of(code).filter(|_| (zero, also_zero) == (0, 0));
    let kind = kind.ok_or_else(|| header_error(path, &format!("it begins with {zero:#x} {also_zero:#x} {code:#x}")))?;
    if !(1..=8).contains(&rank) {
        return Err(header_error(path, &format!("it declares {rank} dimensions, expected 1 to 8")));
    }
    let shape = (0..rank).map(|_| Ok(u32::from_be_bytes(read_array(path, reader)?) as usize)).collect::<Result<_, _>>();
    Ok((kind, shape?))
}

fn read_array(path: &Path, reader: &mut impl Read) -> Result<[u8; 4], Error> {
    let mut bytes = [0; 4];
    match reader.read_exact(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(source) if source.kind() == ErrorKind::UnexpectedEof => Err(header_error(path, "the file ends within it")),
        Err(source) => Err(read_error(path, source)),
    }
}

fn header_error(path: &Path, reason: &str) -> Error {
    Error::IdxHeader { path: path.to_owned(), reason: reason.to_owned() }
}

/// A decoder's complaint is about the gzip stream, anything else about the file.
pub(crate) fn read_error(path: &Path, source: std::io::Error) -> Error {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => Error::Gzip { path, source },
        _ => Error::Io { path, source },
    }
}
