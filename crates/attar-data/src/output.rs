//! Tables out: ids, labels and named numbers as Parquet, NPY or CSV.

use crate::{Error, Labels, NpyFile};
use arrow_array::{ArrayRef, Float32Array, Float64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Rows to write.
#[derive(Clone, Copy, Debug)]
pub struct OutTable<'a> {
    /// One name a row, written as the column `id`.
    pub ids: Option<&'a [String]>,
    /// One label a row, written as the column `label`: the class's name, or the number.
    pub labels: Option<&'a Labels>,
    /// Names of the columns of `values`.
    pub names: &'a [String],
    /// Row-major `[rows, names.len()]`.
    pub values: &'a [f32],
}

/// Rows converted at a time, and rows of a Parquet row group.
const BLOCK_ROWS: usize = 8192;

/// Writes a table in the format of the path's ending: `.parquet`, `.npy` (the values alone, `[rows, columns]`) or `.csv`.
///
/// The file is written beside its place, synced, and renamed: it is whole or not there.
///
/// # Errors
/// [`Error::Output`] if the ending is another one or the lengths do not match, [`Error::Io`] from the system.
pub fn write_table(path: &Path, table: &OutTable) -> Result<(), Error> {
    let fault = |reason: String| Error::Output { path: path.to_owned(), reason };
    let rows = table.rows().map_err(fault)?;
    let write = match path.extension().and_then(|ending| ending.to_str()) {
        Some("parquet") => write_parquet,
        Some("npy") => return write_npy(path, table, rows),
        Some("csv") => write_csv,
        _ => return Err(fault("the ending must be .parquet, .npy or .csv".to_owned())),
    };
    let io_error = |source| Error::Io { path: path.to_owned(), source };
    let mut aside = aside(path).map_err(io_error)?;
    write(&mut aside, table, rows).map_err(io_error)?;
    put_in_place(aside, path).map_err(io_error)
}

fn write_npy(path: &Path, table: &OutTable, rows: usize) -> Result<(), Error> {
    let file = NpyFile::new(path, rows, table.names.len())?;
    file.write(0, table.values)?;
    file.finish()
}

impl OutTable<'_> {
    /// Number of rows, if all parts agree on it.
    fn rows(&self) -> Result<usize, String> {
        let columns = self.names.len();
        if columns == 0 || !self.values.len().is_multiple_of(columns) {
            return Err(format!("{} values are no whole rows of {columns} columns", self.values.len()));
        }
        let rows = self.values.len() / columns;
        let parts = [("ids", self.ids.map(<[String]>::len)), ("labels", self.labels.map(Labels::len))];
        match parts.into_iter().find_map(|(part, len)| len.filter(|&len| len != rows).map(|len| (part, len))) {
            Some((part, len)) => Err(format!("{len} {part} for {rows} rows")),
            None => Ok(rows),
        }
    }
}

/// A temporary file beside `path`, readable as any new file is.
pub(crate) fn aside(path: &Path) -> std::io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Renames what lies beside `path`, once it is on the disk.
pub(crate) fn put_in_place(aside: NamedTempFile, path: &Path) -> std::io::Result<()> {
    aside.as_file().sync_all()?;
    aside.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn write_parquet(file: &mut NamedTempFile, table: &OutTable, rows: usize) -> std::io::Result<()> {
    let first = batch(table, 0, rows.min(BLOCK_ROWS)).map_err(std::io::Error::other)?;
    let mut writer = ArrowWriter::try_new(file.as_file_mut(), first.schema(), None)?;
    writer.write(&first)?;
    for start in (BLOCK_ROWS..rows).step_by(BLOCK_ROWS) {
        writer.flush()?;
        writer.write(&batch(table, start, rows.min(start + BLOCK_ROWS)).map_err(std::io::Error::other)?)?;
    }
    writer.close()?;
    Ok(())
}

fn batch(table: &OutTable, start: usize, end: usize) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    if let Some(ids) = table.ids {
        columns.push(("id".to_owned(), Arc::new(StringArray::from_iter_values(&ids[start..end]))));
    }
    match table.labels {
        Some(Labels::Classes { names, of }) => {
            let names = of[start..end].iter().map(|&class| &names[class as usize]);
            columns.push(("label".to_owned(), Arc::new(StringArray::from_iter_values(names))));
        }
        Some(Labels::Numbers(numbers)) => {
            columns.push((
                "label".to_owned(),
                Arc::new(Float64Array::from_iter_values(numbers[start..end].iter().copied())),
            ));
        }
        None => {}
    }
    let width = table.names.len();
    for (column, name) in table.names.iter().enumerate() {
        let values = (start..end).map(|row| table.values[row * width + column]);
        columns.push((name.clone(), Arc::new(Float32Array::from_iter_values(values))));
    }
    RecordBatch::try_from_iter(columns)
}

fn write_csv(file: &mut NamedTempFile, table: &OutTable, rows: usize) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(BufWriter::new(file.as_file_mut() as &mut File));
    let id = table.ids.map(|_| "id");
    let label = table.labels.map(|_| "label");
    writer.write_record(id.into_iter().chain(label).chain(table.names.iter().map(String::as_str)))?;
    for row in 0..rows {
        if let Some(ids) = table.ids {
            writer.write_field(&ids[row])?;
        }
        match table.labels {
            Some(Labels::Classes { names, of }) => writer.write_field(&names[of[row] as usize])?,
            Some(Labels::Numbers(numbers)) => writer.write_field(numbers[row].to_string())?,
            None => {}
        }
        for value in &table.values[row * table.names.len()..][..table.names.len()] {
            writer.write_field(value.to_string())?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}
