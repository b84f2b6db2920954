//! Writes a record, and continues one where a checkpoint stands.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::reader::Lines;
use crate::{Error, Event, Header, Position};

/// Appends events to a record.
///
/// Events are buffered: after [`flush`](Writer::flush) they outlive the process, after [`sync`](Writer::sync) the
/// machine too. Dropping the writer flushes it, without a word if that fails.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    line: Vec<u8>,
}

impl Writer {
    /// Begins a record at `path`, where no file may be, with its header (at once on disk).
    ///
    /// # Errors
    /// [`Error::Io`] when the file exists already or cannot be written.
    pub fn create(path: impl AsRef<Path>, header: &Header) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = File::create_new(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let mut writer = Self { path: path.into(), file: BufWriter::new(file), line: Vec::new() };
        writer.write(&Event::Header(Box::new(header.clone())))?;
        writer.flush()?;
        Ok(writer)
    }

    /// Opens the record at `path` to continue it from a checkpoint: cuts away every event later than `position`, a
    /// `finish` and a torn last line. Whatever the run did at `position` must have been written, and flushed, before
    /// the checkpoint was.
    ///
    /// # Errors
    /// As [`Reader`](crate::Reader), and [`Error::Behind`] when steps are recorded but not up to `position`. The file
    /// is changed only when there is no error.
    pub fn resume_at(path: impl AsRef<Path>, position: Position) -> Result<Self, Error> {
        let path = path.as_ref();
        let io = |source| Error::Io { path: path.into(), source };
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
        let kept = length_up_to(&file, path, position)?;
        file.set_len(kept).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        Ok(Self { path: path.into(), file: BufWriter::new(file), line: Vec::new() })
    }

    /// Appends one event.
    ///
    /// # Errors
    /// [`Error::Io`], as when the disk is full.
    pub fn write(&mut self, event: &Event) -> Result<(), Error> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, event).map_err(io::Error::from);
        self.line.push(b'\n');
        // Whole lines reach the buffer, so that only a kill within a system call can tear one.
        written.and_then(|()| self.file.write_all(&self.line)).map_err(|source| self.io(source))
    }

    /// Hands all events to the operating system.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.file.flush().map_err(|source| self.io(source))
    }

    /// Hands all events to the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.file.get_ref().sync_data().map_err(|source| self.io(source))
    }

    fn io(&self, source: io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }
}

/// Where an event stands in time, whatever its kind.
#[derive(Deserialize)]
struct Place {
    epoch: Option<u64>,
    step: Option<u64>,
}

/// The length in bytes of the events at or before `position`.
fn length_up_to(file: &File, path: &Path, position: Position) -> Result<u64, Error> {
    let mut lines = Lines::new(BufReader::new(file), path.into());
    let Some(first) = lines.advance()? else {
        return Err(lines.no_header("nothing"));
    };
    lines.check_header(&first)?;
    let mut length = lines.end();
    let (mut reached, mut has_steps) = (Position::default(), false);
    while let Some(kind) = lines.advance()? {
        let place: Place = serde_json::from_slice(lines.text()).map_err(|source| lines.broken(source))?;
        let here = match (place.epoch, place.step) {
            (Some(epoch), Some(step)) => Position { epoch, step },
            _ => reached,
        };
        if here > position && matches!(kind.as_str(), "zero_grad" | "backward" | "clip" | "schedule" | "probe") {
            // It may lead up to a step that was never taken: then the end of its epoch, still to come, is kept.
            continue;
        }
        if kind == "finish" || here > position || !lines.text().ends_with(b"\n") {
            break;
        }
        has_steps |= kind == "step";
        (reached, length) = (here, lines.end());
    }
    if has_steps && reached.step < position.step {
        return Err(Error::Behind { path: path.into(), wanted: position, found: reached });
    }
    Ok(length)
}
