//! Whether a file of images holds JPEG, whose artefacts are then part of the data.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes that are looked at: the first images of a file.
const FIRST: u64 = 1 << 20;
/// Start of image, and the segment that follows in a JFIF file.
const JFIF: &[u8] = &[0xff, 0xd8, 0xff, 0xe0];

/// Whether JPEG files begin within the first mebibyte; `false` for what is no file.
pub(super) fn holds_jpeg(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FIRST).read_to_end(&mut start));
    read.is_ok() && start.windows(JFIF.len()).any(|bytes| bytes == JFIF)
}
