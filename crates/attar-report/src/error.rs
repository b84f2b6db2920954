//! What can go wrong with a report.

use std::io;
use std::path::PathBuf;

/// An error with its place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pixels do not make a picture of that size.
    #[error("expected {width} x {height} pixels of 1 or 3 channels, at least one, found {found} values")]
    Pixels {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// The length of what was given.
        found: usize,
    },
    /// A picture could not be written as PNG.
    #[error("a picture of {width} x {height} pixels could not be encoded: {source}")]
    Encoding {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// What the encoder said.
        source: png::EncodingError,
    },
    /// The page could not be written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
