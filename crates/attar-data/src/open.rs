//! Opens a source, whatever it is.

use crate::array::{Shape, attach_labels};
use crate::arriving::{self, Unpacking};
use crate::columnar::Columnar;
use crate::delimited::Delimited;
use crate::idx::{self, Idx};
use crate::labels::with_known_names;
use crate::missing::settle_missing;
use crate::npy::{self, Mapped};
use crate::table::Table;
use crate::{
    Dataset, Error, Layout, ReadOptions, Schema, Synthetic, Values, digits, images, matching, mnist, npz, reading,
};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Opens `digits`, `mnist`, `synthetic` or a path; a path's format is recognised by its content, not by its ending.
///
/// A path may be a CSV file (also gzip), Parquet (columns of numbers, lists of one length, text, or images), NPY
/// (memory-mapped), NPZ, IDX (also gzip; labels are taken from the file beside it that is called alike with `labels`
/// for `images`), or a folder of PNG and JPEG images, whose sub-folders are classes, or of the four files of MNIST. A file
/// that is called like a known set is meant by `./digits`. Images in Parquet are labelled by the column `label` unless
/// another one is named.
///
/// Labels are classes if they are text, or whole numbers of which at most 100 are distinct and each stands for at least
/// two rows on average; else they are numbers. Files are read, never written; `mnist` alone may be fetched.
///
/// # Errors
/// Whatever is wrong with the source, with its place; see [`Error`].
pub fn open(source: &str, options: &ReadOptions) -> Result<Dataset, Error> {
    open_as(source, options, None)
}

/// Opens new data for a trained model whose data had `schema`.
///
/// Columns of a table are matched by name, others are left out; a file without names is matched by order. Text columns
/// are encoded with the levels of `schema`, classes keep their numbers and unknown ones come after them. The label
/// column may be absent unless `options` names it.
///
/// # Errors
/// As [`open`], and [`Error::MissingColumns`], [`Error::ColumnCount`], [`Error::OtherLayout`] if the data is not of the
/// schema's kind, [`Error::UnknownLevel`] for a text that training never saw.
pub fn open_like(source: &str, options: &ReadOptions, schema: &Schema) -> Result<Dataset, Error> {
    let dataset = open_as(source, options, Some(schema))?;
    conform(dataset, source, schema)
}

/// As [`open_like`], but where it can returns while the file is still being unpacked: images in a gzip IDX file.
///
/// # Errors
/// As [`open_like`]; what is wrong further on in the file is said by [`Unpacking::finish`].
pub fn open_arriving(source: &str, options: &ReadOptions, schema: &Schema) -> Result<(Dataset, Unpacking), Error> {
    let path = Path::new(source);
    let known = matches!(source, "digits" | "mnist" | "synthetic");
    if known || !path.is_file() || !matches!(recognise(path)?, Format::Idx { gzip: true }) {
        return Ok((open_like(source, options, schema)?, Unpacking::DONE));
    }
    refuse_columns(path, options, true)?;
    match arriving::open(path, file_name(path))? {
        None => Ok((open_like(source, options, schema)?, Unpacking::DONE)),
        Some((dataset, unpacking)) => Ok((conform(with_labels_beside(dataset, path)?, source, schema)?, unpacking)),
    }
}

fn open_as(source: &str, options: &ReadOptions, schema: Option<&Schema>) -> Result<Dataset, Error> {
    match source {
        "digits" => digits::digits(),
        "mnist" => mnist::mnist(options.data_dir.as_deref()),
        "synthetic" => Synthetic { seed: options.seed, ..Synthetic::default() }.generate(),
        path => {
            let dataset = open_path(Path::new(path), options, schema)?;
            let impute = options.impute.or(schema.and_then(|schema| schema.impute));
            settle_missing(dataset, Path::new(path), impute)
        }
    }
}

/// A path's data, missing values included.
fn open_path(path: &Path, options: &ReadOptions, schema: Option<&Schema>) -> Result<Dataset, Error> {
    let name = file_name(path);
    if path.is_dir() {
        refuse_columns(path, options, true)?;
        return match mnist::is_mnist(path) {
            true => mnist::read_folder(path),
            false => images::read_folder(path, name),
        };
    }
    let format = recognise(path)?;
    match format {
        Format::Idx { .. } => refuse_columns(path, options, true)?,
        Format::Npy | Format::Npz => refuse_columns(path, options, false)?,
        Format::Parquet | Format::Text { .. } => {}
    }
    match format {
        Format::Npy => read_npy(path, name, options),
        Format::Npz => npz::read(path, name, options),
        Format::Idx { gzip } => read_idx(path, name, gzip),
        Format::Parquet => match images::image_column(path)? {
            Some(column) => images::read_parquet(path, name, column, options),
            None => read_table(&Table::Columnar(Columnar::open(path, options.categorical)?), name, options, schema),
        },
        Format::Text { gzip } => {
            let file = Delimited::open(path, options.header, schema, gzip)?;
            read_table(&Table::Delimited(file), name, options, schema)
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(|| "data".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What has no named columns has no column of ids, and if `label` is set no column of labels.
fn refuse_columns(path: &Path, options: &ReadOptions, label: bool) -> Result<(), Error> {
    let asked = [("label", options.label_column.as_ref().filter(|_| label)), ("id", options.id_column.as_ref())];
    match asked.into_iter().find_map(|(role, name)| name.map(|name| (role, name.clone()))) {
        Some((role, name)) => {
            Err(Error::NoSuchColumn { path: path.to_owned(), role, name, available: "no named columns".to_owned() })
        }
        None => Ok(()),
    }
}

/// New data goes by the names of the old where the old had names.
fn read_table(table: &Table, name: String, options: &ReadOptions, schema: Option<&Schema>) -> Result<Dataset, Error> {
    match schema {
        Some(schema) if !schema.source_columns.is_empty() => matching::read_like(table, name, options, schema),
        _ => reading::read(table, name, options),
    }
}

enum Format {
    Npy,
    Npz,
    Idx { gzip: bool },
    Parquet,
    Text { gzip: bool },
}

/// The format of a file by its first bytes, looking into gzip.
fn recognise(path: &Path) -> Result<Format, Error> {
    let io_error = |source| Error::Io { path: path.to_owned(), source };
    let start = start_of(File::open(path).map_err(io_error)?).map_err(io_error)?;
    let gzip = start.starts_with(&[0x1f, 0x8b]);
    let start = match gzip {
        false => start,
        true => start_of(MultiGzDecoder::new(BufReader::new(File::open(path).map_err(io_error)?)))
            .map_err(|source| idx::read_error(path, source))?,
    };
    match &start[..] {
        [] => Err(Error::Empty { path: path.to_owned(), samples: 0, features: 0 }),
        start if idx::recognise(start) => Ok(Format::Idx { gzip }),
        start if start.starts_with(npy::MAGIC) && !gzip => Ok(Format::Npy),
        [b'P', b'K', 3 | 5, 4 | 6, ..] if !gzip => Ok(Format::Npz),
        start if start.starts_with(b"PAR1") && !gzip => Ok(Format::Parquet),
        start if images::recognise(start) => Err(Error::SingleImage { path: path.to_owned() }),
        start if start.contains(&0) => Err(Error::UnknownFormat { path: path.to_owned() }),
        _ => Ok(Format::Text { gzip }),
    }
}

fn start_of(reader: impl Read) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    reader.take(512).read_to_end(&mut start)?;
    Ok(start)
}

fn read_npy(path: &Path, name: String, options: &ReadOptions) -> Result<Dataset, Error> {
    let mapped = Mapped::open(path)?;
    let shape = Shape { samples: mapped.samples(), features: mapped.features(), layout: mapped.layout() };
    let dataset = shape.dataset(name, Values::Mapped(mapped));
    let Some(labels) = &options.label_column else { return Ok(dataset) };
    let labels = path.parent().unwrap_or(Path::new(".")).join(labels);
    if !labels.is_file() {
        return Err(Error::NoLabelFile { path: path.to_owned(), labels });
    }
    attach_labels(dataset, &labels, npy::read_vector(&labels)?)
}

fn read_idx(path: &Path, name: String, gzip: bool) -> Result<Dataset, Error> {
    with_labels_beside(idx_dataset(path, name, idx::open(path, gzip)?)?, path)
}

fn with_labels_beside(dataset: Dataset, path: &Path) -> Result<Dataset, Error> {
    let Some(labels) = label_file(path) else { return Ok(dataset) };
    let gzip = matches!(recognise(&labels)?, Format::Idx { gzip: true });
    let numbers = idx::open(&labels, gzip)?.numbers().collect();
    attach_labels(dataset, &labels, numbers)
}

fn idx_dataset(path: &Path, name: String, idx: Idx) -> Result<Dataset, Error> {
    let shape = Shape::of(path, &idx.shape, idx.is_bytes())?;
    let values = match idx.into_bytes() {
        Ok(bytes) => shape.values_of_bytes(bytes),
        Err(idx) => shape.values_of_numbers(idx.numbers()),
    };
    Ok(shape.dataset(name, values))
}

/// The existing file beside `...images-idx3...` that is called `...labels-idx1...`.
fn label_file(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let labels = name.replace("images", "labels").replace("idx3", "idx1");
    let beside = path.with_file_name(&labels);
    (labels != name && beside.is_file()).then_some(beside)
}

/// Checks that new data is of the schema's kind, and gives its classes the schema's numbers.
fn conform(mut dataset: Dataset, source: &str, schema: &Schema) -> Result<Dataset, Error> {
    let image = |layout| matches!(layout, Layout::Image { .. });
    let (new, old) = (dataset.schema.layout, schema.layout);
    if new != old && (image(new) || image(old)) {
        return Err(Error::OtherLayout { path: source.into(), expected: old, got: new });
    }
    if dataset.features() != schema.columns.len() {
        let (expected, got) = (schema.columns.len(), dataset.features());
        return Err(Error::ColumnCount { path: source.into(), expected, got });
    }
    dataset.labels = match (dataset.labels, &schema.class_names) {
        (Some(labels), Some(names)) => Some(with_known_names(labels, names)),
        (labels, _) => labels,
    };
    dataset.schema = schema.clone();
    Ok(dataset)
}
