//! Reads a record as a stream, one line in memory at a time.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Event, FORMAT};

/// No event of ours comes near this; a file without line ends must not fill the memory.
const LONGEST_LINE: u64 = 16 << 20;

/// An iterator over the events of a record of any size.
///
/// Events of unknown kind are passed over and counted; a torn last line ends the record quietly. After an error there
/// are no further events.
#[derive(Debug)]
pub struct Reader<R> {
    lines: Lines<R>,
    skipped: u64,
    begun: bool,
    ended: bool,
}

impl Reader<BufReader<File>> {
    /// Opens the record at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Ok(Self::new(BufReader::new(file), path))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads a record from anywhere; `path` is what errors call it.
    pub fn new(input: R, path: impl Into<PathBuf>) -> Self {
        Self { lines: Lines::new(input, path.into()), skipped: 0, begun: false, ended: false }
    }

    /// How many events of unknown kind were passed over so far.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Whether the record was seen to end in half a line, as a killed run leaves it.
    pub fn is_torn(&self) -> bool {
        self.lines.torn
    }

    fn read(&mut self) -> Result<Option<Event>, Error> {
        while let Some(kind) = self.lines.advance()? {
            if !self.begun {
                self.lines.check_header(&kind)?;
                self.begun = true;
            } else if kind == "header" {
                return Err(self.lines.second_header());
            }
            match parse(&kind, self.lines.text()).map_err(|source| self.lines.broken(source))? {
                Some(event) => return Ok(Some(event)),
                None => self.skipped += 1,
            }
        }
        if self.begun { Ok(None) } else { Err(self.lines.no_header("nothing")) }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let event = self.read().transpose();
        self.ended = !matches!(event, Some(Ok(_)));
        event
    }
}

fn parse(kind: &str, line: &[u8]) -> Result<Option<Event>, serde_json::Error> {
    Ok(Some(match kind {
        "header" => Event::Header(serde_json::from_slice(line)?),
        "step" => Event::Step(serde_json::from_slice(line)?),
        "evaluation" => Event::Evaluation(serde_json::from_slice(line)?),
        "epoch" => Event::Epoch(serde_json::from_slice(line)?),
        "zero_grad" => Event::ZeroGrad(serde_json::from_slice(line)?),
        "backward" => Event::Backward(serde_json::from_slice(line)?),
        "clip" => Event::Clip(serde_json::from_slice(line)?),
        "schedule" => Event::Schedule(serde_json::from_slice(line)?),
        "norms" => Event::Norms(serde_json::from_slice(line)?),
        "activations" => Event::Activations(serde_json::from_slice(line)?),
        "probe" => Event::Probe(serde_json::from_slice(line)?),
        "finish" => Event::Finish(serde_json::from_slice(line)?),
        _ => return Ok(None),
    }))
}

/// What every event has, and all that is needed to pass one over.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
}

/// The lines of a record, each known to be an object with an `event`.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    path: PathBuf,
    buffer: Vec<u8>,
    number: u64,
    end: u64,
    torn: bool,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(input: R, path: PathBuf) -> Self {
        Self { input, path, buffer: Vec::new(), number: 0, end: 0, torn: false }
    }

    /// The current line, with its line end where it has one.
    pub(crate) fn text(&self) -> &[u8] {
        &self.buffer
    }

    /// How many bytes were read, the current line included.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Moves to the next line that is not blank and returns its kind; `None` at the end or at a torn line.
    pub(crate) fn advance(&mut self) -> Result<Option<String>, Error> {
        loop {
            self.buffer.clear();
            let mut input = self.input.by_ref().take(LONGEST_LINE);
            let read = input.read_until(b'\n', &mut self.buffer);
            let length = read.map_err(|source| Error::Io { path: self.path.clone(), source })?;
            if length == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.end += length as u64;
            if !self.buffer.trim_ascii().is_empty() {
                return self.kind();
            }
        }
    }

    fn kind(&mut self) -> Result<Option<String>, Error> {
        let whole = self.buffer.ends_with(b"\n");
        if !whole && self.buffer.len() as u64 == LONGEST_LINE {
            return Err(Error::TooLong { path: self.path.clone(), line: self.number, limit: LONGEST_LINE });
        }
        match serde_json::from_slice::<Outline<'_>>(&self.buffer) {
            Ok(outline) => Ok(Some(outline.event.into_owned())),
            Err(_) if !whole => {
                self.torn = true;
                Ok(None)
            }
            Err(source) => Err(self.broken(source)),
        }
    }

    /// Refuses a first line that is no header, or one of a format that is not known.
    pub(crate) fn check_header(&self, kind: &str) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        if kind != "header" {
            return Err(self.no_header(&format!("`{kind}`")));
        }
        let version = serde_json::from_slice::<Version>(&self.buffer).map_err(|source| self.broken(source))?;
        if version.format > FORMAT {
            return Err(Error::NewerFormat { path: self.path.clone(), found: version.format, known: FORMAT });
        }
        Ok(())
    }

    pub(crate) fn broken(&self, source: serde_json::Error) -> Error {
        Error::Broken { path: self.path.clone(), line: self.number, source }
    }

    fn second_header(&self) -> Error {
        Error::SecondHeader { path: self.path.clone(), line: self.number }
    }

    pub(crate) fn no_header(&self, found: &str) -> Error {
        Error::NoHeader { path: self.path.clone(), found: found.to_owned() }
    }
}
