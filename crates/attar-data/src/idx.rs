//! IDX, the format of MNIST: a big-endian header of type and sizes, then the numbers.

use crate::Error;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// Bytes that are read from the disk at once.
const READ_AT_ONCE: usize = 1 << 16;

/// An array as its file has it.
pub(crate) struct Idx {
    /// Sizes, outermost first.
    pub(crate) shape: Vec<usize>,
    kind: Kind,
    bytes: Vec<u8>,
}

/// What stands before the numbers.
pub(crate) struct Header {
    /// Sizes, outermost first.
    pub(crate) shape: Vec<usize>,
    /// Bytes that should follow.
    pub(crate) promised: u128,
    kind: Kind,
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
    Idx::read(path, open_reader(path, gzip)?)
}

/// Reads the header of an IDX file, plain or gzip; the reader goes on with the numbers.
pub(crate) fn open_header(path: &Path, gzip: bool) -> Result<(Header, impl Read + Send + use<>), Error> {
    let mut reader = open_reader(path, gzip)?;
    Ok((Header::read(path, &mut reader)?, reader))
}

fn open_reader(path: &Path, gzip: bool) -> Result<Box<dyn Read + Send>, Error> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let file = BufReader::with_capacity(READ_AT_ONCE, file);
    Ok(if gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

/// Whether a file that begins with these bytes is IDX: two zeros, a known type, at least one dimension.
pub(crate) fn recognise(start: &[u8]) -> bool {
    matches!(start, [0, 0, code, rank, ..] if Kind::of(*code).is_some() && (1..=8).contains(rank))
}

impl Idx {
    /// Reads the whole array. Memory grows with what the reader gives, never with what the header promises.
    pub(crate) fn read(path: &Path, mut reader: impl Read) -> Result<Self, Error> {
        let header = Header::read(path, &mut reader)?;
        let mut bytes = Vec::new();
        let limit = u64::try_from(header.promised).unwrap_or(u64::MAX).saturating_add(1);
        let held = reader.take(limit).read_to_end(&mut bytes).map_err(|source| read_error(path, source))?;
        header.check_size(path, held as u64)?;
        Ok(Idx { shape: header.shape, kind: header.kind, bytes })
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

impl Header {
    fn read(path: &Path, reader: &mut impl Read) -> Result<Self, Error> {
        let [zero, also_zero, code, rank] = read_array(path, reader)?;
        let kind = Kind::of(code).filter(|_| (zero, also_zero) == (0, 0));
        let kind =
            kind.ok_or_else(|| header_error(path, &format!("it begins with {zero:#x} {also_zero:#x} {code:#x}")))?;
        if !(1..=8).contains(&rank) {
            return Err(header_error(path, &format!("it declares {rank} dimensions, expected 1 to 8")));
        }
        let size = |_| Ok(u32::from_be_bytes(read_array(path, reader)?) as usize);
        let shape = (0..rank).map(size).collect::<Result<Vec<_>, _>>()?;
        let promised = shape.iter().try_fold(kind.size() as u128, |product, &size| product.checked_mul(size as u128));
        let promised = promised.ok_or_else(|| header_error(path, "its sizes overflow"))?;
        Ok(Self { shape, promised, kind })
    }

    /// Whether the numbers are unsigned bytes.
    pub(crate) fn is_bytes(&self) -> bool {
        self.kind == Kind::U8
    }

    /// Refuses another number of bytes after the header than it promises.
    pub(crate) fn check_size(&self, path: &Path, held: u64) -> Result<(), Error> {
        match u128::from(held) == self.promised {
            true => Ok(()),
            false => Err(Error::IdxSize { path: path.to_owned(), promised: self.promised, held }),
        }
    }
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
