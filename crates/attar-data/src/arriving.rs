//! Images that are worked on while the rest of their file is still being unpacked.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use memmap2::MmapMut;

use crate::array::Shape;
use crate::idx::{self, Header};
use crate::{Dataset, Error, Values};

/// Bytes that come at a time, unless a row is longer: one large page of memory.
const PART_SIZE: usize = 1 << 21;
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
    /// Rows of a part; the last may have fewer.
    part_rows: usize,
    parts: Arc<[OnceLock<Part>]>,
}

impl Parts {
    /// The bytes of a row, once they are there; none if they never come.
    pub(crate) fn row(&self, row: usize) -> Option<&[u8]> {
        let part = self.parts[row / self.part_rows].wait().bytes();
        part.get(row % self.part_rows * self.features..)?.get(..self.features)
    }

    /// All bytes, part by part, as they come.
    pub(crate) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.parts.iter().map(|part| part.wait().bytes())
    }
}

/// Some rows, or as much of them as came; nothing if they never come.
#[derive(Debug)]
struct Part(Option<(MmapMut, usize)>);

impl Part {
    /// Reads up to `size` bytes.
    ///
    /// A large page is made ready at once: where the system has none, the pages of a part take longer than unpacking
    /// what is written to them.
    fn read(reader: &mut impl Read, size: usize) -> io::Result<Self> {
        let mut memory = MmapMut::map_anon(size.max(PART_SIZE))?;
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        let mut held = 0;
        while held < size {
            match reader.read(&mut memory[held..size]) {
                Ok(0) => break,
                Ok(count) => held += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(Some((memory, held))))
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |(memory, held)| &memory[..*held])
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
    let Shape { samples, features, .. } = shape;
    let part_rows = (PART_SIZE / features).max(1);
    let parts: Arc<[_]> = (0..samples.div_ceil(part_rows)).map(|_| OnceLock::new()).collect();
    let values = Parts { samples, features, part_rows, parts: Arc::clone(&parts) };
    let filling = Filling { path: path.to_owned(), header, part_size: part_rows * features, parts };
    let unpacking = Unpacking { thread: Some(std::thread::spawn(move || filling.run(reader))) };
    Ok(Some((shape.dataset(name, Values::Arriving(values)), unpacking)))
}

/// What the thread that unpacks has to fill.
struct Filling {
    path: PathBuf,
    header: Header,
    part_size: usize,
    parts: Arc<[OnceLock<Part>]>,
}

impl Filling {
    fn run(self, mut reader: impl Read) -> Result<(), Error> {
        let read_error = |source| idx::read_error(&self.path, source);
        let mut left = self.header.promised as usize;
        for part in &self.parts[..] {
            let filled = Part::read(&mut reader, self.part_size.min(left)).map_err(read_error)?;
            left -= filled.bytes().len();
            part.get_or_init(|| filled);
        }
        let beyond = reader.take(1).read_to_end(&mut Vec::new()).map_err(read_error)?;
        self.header.check_size(&self.path, (self.header.promised as usize - left + beyond) as u64)
    }
}

/// Whoever waits for a part that will not come goes on without it.
impl Drop for Filling {
    fn drop(&mut self) {
        for part in &self.parts[..] {
            part.get_or_init(|| Part(None));
        }
    }
}
