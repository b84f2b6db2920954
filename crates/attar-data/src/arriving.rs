//! Images that are worked on while the rest of their file is still being unpacked.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use crate::array::Shape;
use crate::idx::{self, Header};
use crate::{Dataset, Error, Values};

/// Rows that come at a time.
const PART_ROWS: usize = 1024;
/// Most bytes that one byte of gzip stands for; a header that promises more is left to the reader that counts first.
const MOST_PER_BYTE: u128 = 1032;

/// The unpacking of a data set, of which some rows may not be there yet: reading one waits for it.
///
/// Until [`Self::finish`] has said that all of them came as promised, nothing that was computed from them counts.
#[derive(Debug)]
#[must_use]
pub struct Unpacking {
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Unpacking {
    /// Of data that is all there.
    pub(crate) const DONE: Self = Self { thread: None };

    /// Waits for the last row.
    ///
    /// # Errors
    /// What went wrong on the way: a damaged file, or one of another length than its header says.
    pub fn finish(self) -> Result<(), Error> {
        match self.thread.map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(()),
        }
    }
}

/// Pixels `[samples, features]` that come part by part.
#[derive(Debug)]
pub struct Parts {
    pub(crate) samples: usize,
    pub(crate) features: usize,
    parts: Arc<[OnceLock<Vec<u8>>]>,
}

impl Parts {
    /// The bytes of a row, once they are there; none if they never come.
    pub(crate) fn row(&self, row: usize) -> Option<&[u8]> {
        let part = self.parts[row / PART_ROWS].wait();
        part.get(row % PART_ROWS * self.features..)?.get(..self.features)
    }

    /// All bytes, part by part, as they come.
    pub(crate) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(|part| &part.wait()[..])
    }
}

/// Begins to unpack the images of a gzip IDX file; none if it does not hold images, or promises more than it can hold.
pub(crate) fn open(path: &Path, name: String) -> Result<Option<(Dataset, Unpacking)>, Error> {
    let (header, reader) = idx::open_header(path, true)?;
    let shape = Shape::of(path, &header.shape, header.is_bytes())?;
    let packed = std::fs::metadata(path).map_err(|source| Error::Io { path: path.to_owned(), source })?.len();
    let possible = header.promised <= u128::from(packed) * MOST_PER_BYTE;
    if !shape.is_image() || !possible {
        return Ok(None);
    }
    let parts: Arc<[_]> = (0..shape.samples.div_ceil(PART_ROWS)).map(|_| OnceLock::new()).collect();
    let values = Parts { samples: shape.samples, features: shape.features, parts: Arc::clone(&parts) };
    let filling = Filling { path: path.to_owned(), header, part_size: PART_ROWS * shape.features, parts };
    let unpacking = Unpacking { thread: Some(std::thread::spawn(move || filling.run(reader))) };
    Ok(Some((shape.dataset(name, Values::Arriving(values)), unpacking)))
}

/// What the thread that unpacks has to fill.
struct Filling {
    path: PathBuf,
    header: Header,
    part_size: usize,
    parts: Arc<[OnceLock<Vec<u8>>]>,
}

impl Filling {
    fn run(self, mut reader: impl Read) -> Result<(), Error> {
        let mut held = 0;
        let mut left = self.header.promised as usize;
        for part in &self.parts[..] {
            let bytes = self.read(&mut reader, self.part_size.min(left))?;
            left -= bytes.len();
            held += bytes.len();
            part.get_or_init(|| bytes);
        }
        held += self.read(&mut reader, 1)?.len();
        self.header.check_size(&self.path, held as u64)
    }

    fn read(&self, reader: &mut impl Read, size: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(size);
        let read = reader.take(size as u64).read_to_end(&mut bytes);
        read.map(|_| bytes).map_err(|source| idx::read_error(&self.path, source))
    }
}

/// Whoever waits for a part that will not come goes on without it.
impl Drop for Filling {
    fn drop(&mut self) {
        for part in &self.parts[..] {
            part.get_or_init(Vec::new);
        }
    }
}
