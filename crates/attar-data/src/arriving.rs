//! Images that are worked on while the rest of their file is still being unpacked.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use memmap2::MmapMut;

use crate::array::Shape;
use crate::idx::{self, Header};
use crate::values::copy_pixels;
use crate::{Dataset, Error, Values};

/// Bytes that come at a time, unless a row is longer: one large page of memory.
const PART_SIZE: usize = 1 << 21;
/// Most bytes that one byte of gzip stands for; a header that promises more is left to the reader that counts first.
const MOST_PER_BYTE: u128 = 1032;
/// Parts that are unpacked beyond the last that anybody has asked for.
const AHEAD: usize = 3;

/// The unpacking of a data set, of which some rows may not be there yet: reading one waits for it.
///
/// Until [`Self::finish`] has said that all of them came as promised, nothing that was computed from them counts.
#[derive(Debug)]
#[must_use]
pub struct Unpacking {
    thread: Option<(Unpacker, Arc<Shared>)>,
}

type Unpacker = JoinHandle<Result<(), Error>>;

impl Unpacking {
    /// Of data that is all there.
    pub(crate) const DONE: Self = Self { thread: None };

    /// Waits for the last row.
    ///
    /// # Errors
    /// What went wrong on the way: a damaged file, or one of another length than its header says.
    pub fn finish(self) -> Result<(), Error> {
        let Some((thread, shared)) = self.thread else { return Ok(()) };
        shared.ask_for(usize::MAX);
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Pixels `[samples, features]` that come part by part.
#[derive(Debug)]
pub struct Parts {
    pub(crate) samples: usize,
    pub(crate) features: usize,
    /// Rows of a part; the last may have fewer.
    part_rows: usize,
    shared: Arc<Shared>,
}

/// What the thread that unpacks and those that read have in common.
#[derive(Debug)]
struct Shared {
    places: Box<[Place]>,
    /// The furthest part that anybody has asked for.
    wanted: Mutex<usize>,
    asked: Condvar,
    /// Memory of parts that nobody needs any more: new memory takes the system longer than unpacking takes.
    spare: Mutex<Vec<MmapMut>>,
}

/// Where a part will be.
#[derive(Debug, Default)]
struct Place {
    part: OnceLock<RwLock<Part>>,
    /// Rows that nobody needs any more.
    forgotten: AtomicUsize,
}

#[derive(Debug)]
enum Part {
    /// Some rows, or as much of them as came.
    Here(MmapMut, usize),
    /// It never comes.
    Missing,
    /// Nobody needs it any more.
    Forgotten,
}

impl Parts {
    /// Copies rows into `out`, row-major, once they are there; zeros if they never come.
    ///
    /// # Panics
    /// If a row has been forgotten with all of its part.
    pub(crate) fn read(&self, rows: &[usize], out: &mut [f32]) {
        let mut out = out.chunks_exact_mut(self.features);
        for run in self.runs(rows) {
            let part = self.shared.part(run[0] / self.part_rows);
            for (row, out) in run.iter().zip(&mut out) {
                let start = row % self.part_rows * self.features;
                match part.bytes().get(start..start + self.features) {
                    Some(bytes) => copy_pixels(bytes, out),
                    None => out.fill(0.0),
                }
            }
        }
    }

    /// Calls `take` with all bytes, part by part, as they come.
    ///
    /// # Panics
    /// If a part has been forgotten.
    pub(crate) fn each(&self, mut take: impl FnMut(&[u8])) {
        (0..self.shared.places.len()).for_each(|part| take(self.shared.part(part).bytes()));
    }

    /// Says that these rows, each once, will not be read again: the memory of whole parts is used for later ones.
    pub(crate) fn forget(&self, rows: &[usize]) {
        for run in self.runs(rows) {
            let index = run[0] / self.part_rows;
            let count = self.part_rows.min(self.samples - index * self.part_rows);
            if self.shared.places[index].forgotten.fetch_add(run.len(), Ordering::AcqRel) + run.len() == count {
                self.shared.forget(index);
            }
        }
    }

    /// Neighbours of the same part together.
    fn runs<'a>(&self, rows: &'a [usize]) -> impl Iterator<Item = &'a [usize]> + use<'a> {
        let part_rows = self.part_rows;
        rows.chunk_by(move |a, b| a / part_rows == b / part_rows)
    }
}

/// Nobody will ask for more.
impl Drop for Parts {
    fn drop(&mut self) {
        self.shared.ask_for(usize::MAX);
    }
}

impl Shared {
    fn new(parts: usize) -> Self {
        let places = (0..parts).map(|_| Place::default()).collect();
        Self { places, wanted: Mutex::default(), asked: Condvar::new(), spare: Mutex::default() }
    }

    /// A part, once it is there.
    fn part(&self, index: usize) -> RwLockReadGuard<'_, Part> {
        self.ask_for(index);
        self.places[index].part.wait().read().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_for(&self, part: usize) {
        let mut wanted = held(&self.wanted);
        if part > *wanted {
            *wanted = part;
            self.asked.notify_all();
        }
    }

    /// Waits until a part is about to be needed.
    fn wait_for_need(&self, part: usize) {
        let early = |wanted: &mut usize| part > wanted.saturating_add(AHEAD);
        drop(self.asked.wait_while(held(&self.wanted), early).unwrap_or_else(PoisonError::into_inner));
    }

    fn forget(&self, index: usize) {
        let mut part = self.places[index].part.wait().write().unwrap_or_else(PoisonError::into_inner);
        if let Part::Here(memory, _) = std::mem::replace(&mut *part, Part::Forgotten) {
            held(&self.spare).push(memory);
        }
    }

    /// Memory of which `size` bytes are asked for.
    ///
    /// A large page is made ready at once: where the system has none, the pages of a part take longer than unpacking
    /// what is written to them.
    fn memory(&self, size: usize) -> io::Result<MmapMut> {
        if let Some(memory) = held(&self.spare).pop() {
            return Ok(memory);
        }
        let memory = MmapMut::map_anon(size.max(PART_SIZE))?;
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        Ok(memory)
    }
}

/// Nothing that is done under these locks can leave them half done.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Part {
    /// Reads up to `size` bytes.
    fn read(reader: &mut impl Read, mut memory: MmapMut, size: usize) -> io::Result<Self> {
        let mut held = 0;
        while held < size {
            match reader.read(&mut memory[held..size]) {
                Ok(0) => break,
                Ok(count) => held += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self::Here(memory, held))
    }

    fn bytes(&self) -> &[u8] {
        assert!(!matches!(self, Self::Forgotten), "rows that were said not to be read again");
        if let Self::Here(memory, held) = self { &memory[..*held] } else { &[] }
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
    let shared = Arc::new(Shared::new(samples.div_ceil(part_rows)));
    let values = Parts { samples, features, part_rows, shared: Arc::clone(&shared) };
    let filling =
        Filling { path: path.to_owned(), header, part_size: part_rows * features, shared: Arc::clone(&shared) };
    let thread = std::thread::spawn(move || filling.run(reader));
    let unpacking = Unpacking { thread: Some((thread, shared)) };
    Ok(Some((shape.dataset(name, Values::Arriving(values)), unpacking)))
}

/// What the thread that unpacks has to fill.
struct Filling {
    path: PathBuf,
    header: Header,
    part_size: usize,
    shared: Arc<Shared>,
}

impl Filling {
    fn run(self, mut reader: impl Read) -> Result<(), Error> {
        let read_error = |source| idx::read_error(&self.path, source);
        let mut left = self.header.promised as usize;
        for (index, place) in self.shared.places.iter().enumerate() {
            self.shared.wait_for_need(index);
            let size = self.part_size.min(left);
            let part = self.shared.memory(self.part_size).and_then(|memory| Part::read(&mut reader, memory, size));
            let part = part.map_err(read_error)?;
            left -= part.bytes().len();
            place.part.get_or_init(|| RwLock::new(part));
        }
        let beyond = reader.take(1).read_to_end(&mut Vec::new()).map_err(read_error)?;
        self.header.check_size(&self.path, (self.header.promised as usize - left + beyond) as u64)
    }
}

/// Whoever waits for a part that will not come goes on without it.
impl Drop for Filling {
    fn drop(&mut self) {
        for place in &self.shared.places[..] {
            place.part.get_or_init(|| RwLock::new(Part::Missing));
        }
    }
}
