//! What can go wrong with a run record.

use std::io;
use std::path::PathBuf;

use crate::Position;

/// An error with its place in the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line that is no event, and not a torn last one.
    #[error("{path} line {line}: expected one event as a JSON object, found {source}", path = .path.display())]
    Broken {
        /// The record.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// Where the line stops making sense.
        source: serde_json::Error,
    },
    /// A line too long to be an event.
    #[error("{path} line {line}: expected one event a line, found no line end within {limit} bytes", path = .path.display())]
    TooLong {
        /// The record.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// The longest line that is read.
        limit: u64,
    },
    /// The first event is no `header`, or there is none.
    #[error("{path} line 1: expected a `header` event, found {found}", path = .path.display())]
    NoHeader {
        /// The record.
        path: PathBuf,
        /// What stands there.
        found: String,
    },
    /// A second run in one record.
    #[error("{path} line {line}: expected one run, found the `header` of another", path = .path.display())]
    SecondHeader {
        /// The record.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
    },
    /// The record was written by a later version.
    #[error("{path}: expected a run record of format {known}, found format {found}; a newer attar reads it", path = .path.display())]
    NewerFormat {
        /// The record.
        path: PathBuf,
        /// The header's.
        found: u32,
        /// The newest that is understood here.
        known: u32,
    },
    /// A run cannot continue at a place its record never reached.
    #[error("{path}: expected the record to reach {wanted}, found that it ends at {found}", path = .path.display())]
    Behind {
        /// The record.
        path: PathBuf,
        /// The checkpoint's place.
        wanted: Position,
        /// The last recorded place.
        found: Position,
    },
}
