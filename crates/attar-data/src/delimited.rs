//! CSV and its cousins: separator and header are found out, rows are streamed.

use crate::table::{Cell, Visitor, check_unique};
use crate::{Error, Schema};
use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord};
use flate2::read::MultiGzDecoder;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A text file of separated values.
pub(crate) struct Delimited {
    pub(crate) path: PathBuf,
    pub(crate) columns: Vec<String>,
    /// Whether the first record holds the names of the columns.
    pub(crate) header: bool,
    separator: u8,
    gzip: bool,
}

impl Delimited {
    /// Finds out the separator (the most frequent of comma, semicolon and tab in the first line, outside quotes) and,
    /// unless told, whether the first record is a header: it is if it holds the names that `schema` knows, or else if
    /// it holds some text and no number. Columns without a name are called `column_0` and so on.
    pub(crate) fn open(path: &Path, header: Option<bool>, schema: Option<&Schema>, gzip: bool) -> Result<Self, Error> {
        let mut file = Delimited { path: path.to_owned(), columns: Vec::new(), header: false, separator: b',', gzip };
        file.separator = separator(&file.first_line()?);
        let mut first = StringRecord::new();
        if !file.reader()?.read_record(&mut first).map_err(|error| file.error(error))? {
            return Err(Error::Empty { path: path.to_owned(), samples: 0, features: 0 });
        }
        let known = |schema: &Schema| {
            let names: HashSet<&str> = first.iter().map(str::trim).collect();
            schema.columns.iter().all(|column| names.contains(column.name.as_str()))
        };
        file.header = header.unwrap_or_else(|| schema.is_some_and(known) || looks_like_names(&first));
        file.columns = names(&first, file.header);
        check_unique(path, &file.columns)?;
        Ok(file)
    }

    /// Shows every row to `visitor`, with the byte that it begins at; [`Self::line_of`] makes a line of that.
    pub(crate) fn visit(&self, visitor: &mut Visitor) -> Result<(), Error> {
        let mut reader = self.reader()?;
        let mut record = StringRecord::new();
        let mut skip = self.header;
        while reader.read_record(&mut record).map_err(|error| self.error(error))? {
            if std::mem::take(&mut skip) {
                continue;
            }
            let start = record.position().map_or(0, csv::Position::byte);
            let cells: Vec<Cell> = record.iter().map(Cell::of_text).collect();
            visitor(start, &cells)?;
        }
        Ok(())
    }

    /// The line, from 1, of the record that begins at a byte. Read again from the start, for a message: the reader's own
    /// count takes no notice of blank lines and of line ends of two bytes.
    pub(crate) fn line_of(&self, start: u64) -> u64 {
        let Ok(file) = self.open_file() else { return 0 };
        let mut line = 1;
        for (byte, number) in BufReader::new(file).bytes().map_while(Result::ok).zip(0..) {
            if number >= start && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            line += u64::from(byte == b'\n');
        }
        line
    }

    fn open_file(&self) -> Result<Box<dyn Read>, Error> {
        let file = File::open(&self.path).map_err(|source| Error::Io { path: self.path.clone(), source })?;
        Ok(if self.gzip { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) })
    }

    fn first_line(&self) -> Result<Vec<u8>, Error> {
        let mut line = Vec::new();
        let start = self.open_file()?.take(1 << 20);
        BufReader::new(start).read_until(b'\n', &mut line).map_err(|source| self.read_error(source))?;
        Ok(line)
    }

    fn reader(&self) -> Result<Reader<Box<dyn Read>>, Error> {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).delimiter(self.separator).buffer_capacity(1 << 16);
        Ok(builder.from_reader(self.open_file()?))
    }

    fn read_error(&self, source: std::io::Error) -> Error {
        if self.gzip {
            crate::idx::read_error(&self.path, source)
        } else {
            Error::Io { path: self.path.clone(), source }
        }
    }

    fn error(&self, error: csv::Error) -> Error {
        let path = self.path.clone();
        let line = error.position().map_or(0, |position| self.line_of(position.byte()));
        match error.into_kind() {
            ErrorKind::Io(source) => self.read_error(source),
            ErrorKind::UnequalLengths { expected_len: expected, len: got, .. } => {
                Error::Ragged { path, line, expected, got }
            }
            _ => Error::NotUtf8 { path, line },
        }
    }
}

fn separator(line: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for &byte in line {
        quoted ^= byte == b'"';
        counts.iter_mut().filter(|(separator, _)| *separator == byte && !quoted).for_each(|(_, count)| *count += 1);
    }
    // The first of equals, the comma, is the last maximum of the reversed list.
    counts.iter().rev().max_by_key(|(_, count)| count).map_or(b',', |(separator, _)| *separator)
}

/// Some text and no number; `nan` and the like are neither.
fn looks_like_names(record: &StringRecord) -> bool {
    let is_text = |cell: Cell| matches!(cell, Cell::Text(text) if text.parse::<f64>().is_err());
    let cells: Vec<Cell> = record.iter().map(Cell::of_text).filter(|cell| *cell != Cell::Missing).collect();
    !cells.is_empty() && cells.into_iter().all(is_text)
}

fn names(first: &StringRecord, header: bool) -> Vec<String> {
    let name = |(i, text): (usize, &str)| match text.trim() {
        "" => format!("column_{i}"),
        text if header => text.to_owned(),
        _ => format!("column_{i}"),
    };
    first.iter().enumerate().map(name).collect()
}
