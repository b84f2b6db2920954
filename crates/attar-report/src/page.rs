//! The page: a report as one HTML file.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use crate::{Error, Report};

/// The report as a page that needs nothing else.
pub fn render(report: &Report) -> String {
    String::new() + &report.title
}

/// Renders the report into `path`: written aside, synced, renamed, so that a reader finds the old page or the new one.
///
/// # Errors
/// [`Error::Io`].
pub fn write(report: &Report, path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let save = || {
        let mut file = File::create(&aside)?;
        file.write_all(render(report).as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    save().map_err(|source| Error::Io { path: path.into(), source })
}
