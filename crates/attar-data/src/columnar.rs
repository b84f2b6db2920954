//! Parquet tables: numbers, text and lists of numbers, read a batch at a time, row group by row group.

use crate::array::check_features;
use crate::table::{Cell, Visitor, check_unique};
use crate::{Categorical, Error};
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, RecordBatch, cast::AsArray};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// A Parquet file whose columns are numbers, text, or lists of numbers of one length, each entry of a list being a
/// column `name_0`, `name_1` and so on.
pub(crate) struct Columnar {
    pub(crate) path: PathBuf,
    pub(crate) columns: Vec<String>,
    /// For each column the list that it is an entry of.
    pub(crate) list_of: Vec<Option<usize>>,
    /// For each column of the file that is read, its number there and its width.
    fields: Vec<(usize, usize)>,
}

impl Columnar {
    /// Looks at the schema, and at the first row for the lengths of lists.
    ///
    /// With `--categorical drop`, columns of unsupported types are left out; otherwise they are an error.
    pub(crate) fn open(path: &Path, categorical: Option<Categorical>) -> Result<Self, Error> {
        let builder = builder(path)?;
        let schema = builder.schema().clone();
        let mut file = Columnar { path: path.to_owned(), columns: Vec::new(), list_of: Vec::new(), fields: Vec::new() };
        for (number, field) in schema.fields().iter().enumerate() {
            let width = match kind(field.data_type()) {
                Some(Kind::Plain) => None,
                Some(Kind::List(Some(width))) => Some(width),
                Some(Kind::List(None)) => Some(first_length(path, number)?),
                None if categorical == Some(Categorical::Drop) => continue,
                None => return Err(unsupported(path, field.name(), field.data_type())),
            };
            check_features(path, file.columns.len() + width.unwrap_or(1))?;
            file.add(number, field.name(), width);
        }
        check_unique(path, &file.columns)?;
        Ok(file)
    }

    fn add(&mut self, number: usize, name: &str, width: Option<usize>) {
        self.fields.push((number, width.unwrap_or(1)));
        match width {
            None => self.columns.push(name.to_owned()),
            Some(width) => self.columns.extend((0..width).map(|i| format!("{name}_{i}"))),
        }
        self.list_of.resize(self.columns.len(), width.map(|_| number));
    }

    /// Shows every row to `visitor`, counted from 0.
    pub(crate) fn visit(&self, visitor: &mut Visitor) -> Result<(), Error> {
        let mut row = 0;
        for batch in reader(&self.path, self.fields.iter().map(|(number, _)| *number))? {
            let batch = batch.map_err(|error| parquet_error(&self.path, &error))?;
            let columns = self.decode(&batch, row)?;
            let mut cells = Vec::with_capacity(self.columns.len());
            for i in 0..batch.num_rows() {
                cells.clear();
                columns.iter().for_each(|column| column.push_cells(i, &mut cells));
                visitor(row, &cells)?;
                row += 1;
            }
        }
        Ok(())
    }

    fn decode(&self, batch: &RecordBatch, first_row: u64) -> Result<Vec<Decoded>, Error> {
        let schema = batch.schema();
        let decode = |((array, field), &(_, width)): ((&ArrayRef, _), &(usize, usize))| {
            let field: &arrow_schema::FieldRef = field;
            decode(array, width).map_err(|fault| match fault {
                Fault::Type => unsupported(&self.path, field.name(), field.data_type()),
                Fault::Length { row, got } => Error::ListLength {
                    path: self.path.clone(),
                    column: field.name().clone(),
                    row: first_row + row as u64,
                    expected: width,
                    got,
                },
            })
        };
        batch.columns().iter().zip(schema.fields()).zip(&self.fields).map(decode).collect()
    }
}

/// Opens a Parquet file and reads its footer.
pub(crate) fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, Error> {
    let file = File::open(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| parquet_error(path, &error))?;
    let mut columns = builder.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns);
    match columns.find(|column| !lies_within(column, size)) {
        Some(_) => Err(parquet_error(path, &"its footer points outside the file")),
        None => Ok(builder),
    }
}

/// Whether a column chunk's place makes sense, which the decoder takes for granted.
fn lies_within(column: &ColumnChunkMetaData, size: u64) -> bool {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let end = start.checked_add(column.compressed_size());
    start >= 0
        && column.compressed_size() >= 0
        && end.is_some_and(|end| u64::try_from(end).is_ok_and(|end| end <= size))
}

/// Reads the given columns of a Parquet file.
pub(crate) fn reader(path: &Path, columns: impl Iterator<Item = usize>) -> Result<ParquetRecordBatchReader, Error> {
    let builder = builder(path)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
    reader.map_err(|error| parquet_error(path, &error))
}

pub(crate) fn parquet_error(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Parquet { path: path.to_owned(), reason: error.to_string() }
}

fn unsupported(path: &Path, column: &str, kind: &DataType) -> Error {
    Error::UnsupportedColumn { path: path.to_owned(), column: column.to_owned(), kind: kind.to_string() }
}

enum Kind {
    Plain,
    /// A list and its length, where the type fixes it.
    List(Option<usize>),
}

fn kind(data_type: &DataType) -> Option<Kind> {
    match data_type {
        DataType::FixedSizeList(item, width) if is_number(item.data_type()) => {
            Some(Kind::List(usize::try_from(*width).ok()))
        }
        DataType::List(item) | DataType::LargeList(item) if is_number(item.data_type()) => Some(Kind::List(None)),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Some(Kind::Plain),
        DataType::Dictionary(_, value) if matches!(**value, DataType::Utf8 | DataType::LargeUtf8) => Some(Kind::Plain),
        other if is_number(other) => Some(Kind::Plain),
        _ => None,
    }
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_floating()
        || matches!(data_type, DataType::Boolean | DataType::Decimal128(..))
}

fn first_length(path: &Path, column: usize) -> Result<usize, Error> {
    let mut reader = reader(path, std::iter::once(column))?;
    let Some(batch) = reader.next() else { return Ok(0) };
    let batch = batch.map_err(|error| parquet_error(path, &error))?;
    Ok(batch
        .columns()
        .first()
        .and_then(list_of)
        .map_or(0, |(offsets, _)| offsets.first().map_or(0, |(start, end)| end - start)))
}

/// A column of a batch.
enum Decoded {
    /// NaN where missing; `width` numbers a row.
    Numbers {
        width: usize,
        numbers: Vec<f64>,
    },
    Integers(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
}

impl Decoded {
    fn push_cells<'a>(&'a self, row: usize, cells: &mut Vec<Cell<'a>>) {
        match self {
            Decoded::Numbers { width, numbers } => {
                let row = &numbers[row * width..][..*width];
                cells.extend(row.iter().map(|&x| if x.is_nan() { Cell::Missing } else { Cell::Number(x) }));
            }
            Decoded::Integers(integers) => cells.push(integers[row].map_or(Cell::Missing, Cell::Integer)),
            Decoded::Text(text) => cells.push(text[row].as_deref().map_or(Cell::Missing, Cell::of_text)),
        }
    }
}

enum Fault {
    Type,
    Length { row: usize, got: usize },
}

fn decode(array: &ArrayRef, width: usize) -> Result<Decoded, Fault> {
    let strings =
        |text: &mut dyn Iterator<Item = Option<&str>>| Decoded::Text(text.map(|t| t.map(str::to_owned)).collect());
    Ok(match array.data_type() {
        DataType::Int64 => Decoded::Integers(array.as_primitive::<Int64Type>().iter().collect()),
        DataType::Utf8 => strings(&mut array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => strings(&mut array.as_string::<i64>().iter()),
        DataType::Utf8View => strings(&mut array.as_string_view().iter()),
        DataType::Null => Decoded::Integers(vec![None; array.len()]),
        DataType::Dictionary(_, _) => Decoded::Text(dictionary(array).ok_or(Fault::Type)?),
        DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_) => list(array, width)?,
        _ => Decoded::Numbers { width: 1, numbers: numbers(array).ok_or(Fault::Type)? },
    })
}

fn dictionary(array: &ArrayRef) -> Option<Vec<Option<String>>> {
    let dictionary = array.as_any_dictionary_opt()?;
    let values = decode(dictionary.values(), 1).ok()?;
    let Decoded::Text(values) = values else { return None };
    let keys = dictionary.normalized_keys();
    Some((0..array.len()).map(|i| if array.is_null(i) { None } else { values[keys[i]].clone() }).collect())
}

/// Where each row's entries begin and end, and the entries.
fn list_of(array: &ArrayRef) -> Option<(Vec<(usize, usize)>, ArrayRef)> {
    Some(match array.data_type() {
        DataType::FixedSizeList(..) => {
            let list = array.as_fixed_size_list();
            let width = usize::try_from(list.value_length()).ok()?;
            let ranges = (0..list.len()).map(|i| (i * width, (i + 1) * width)).collect();
            (ranges, list.values().clone())
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            (list.value_offsets().windows(2).map(|w| (w[0] as usize, w[1] as usize)).collect(), list.values().clone())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            (list.value_offsets().windows(2).map(|w| (w[0] as usize, w[1] as usize)).collect(), list.values().clone())
        }
        _ => return None,
    })
}

/// A missing list is a row of missing entries.
fn list(array: &ArrayRef, width: usize) -> Result<Decoded, Fault> {
    let (ranges, entries) = list_of(array).ok_or(Fault::Type)?;
    let entries = numbers(&entries).ok_or(Fault::Type)?;
    let mut out = Vec::with_capacity(ranges.len() * width);
    for (row, (start, end)) in ranges.into_iter().enumerate() {
        if array.is_null(row) {
            out.resize(out.len() + width, f64::NAN);
        } else if end - start != width {
            return Err(Fault::Length { row, got: end - start });
        } else {
            out.extend_from_slice(&entries[start..end]);
        }
    }
    Ok(Decoded::Numbers { width, numbers: out })
}

fn numbers(array: &ArrayRef) -> Option<Vec<f64>> {
    fn convert<T: ArrowPrimitiveType>(array: &ArrayRef, convert: impl Fn(T::Native) -> f64) -> Vec<f64> {
        array.as_primitive::<T>().iter().map(|value| value.map_or(f64::NAN, &convert)).collect()
    }
    Some(match array.data_type() {
        DataType::Boolean => {
            array.as_boolean().iter().map(|b| b.map_or(f64::NAN, |b| f64::from(u8::from(b)))).collect()
        }
        DataType::Int8 => convert::<Int8Type>(array, f64::from),
        DataType::Int16 => convert::<Int16Type>(array, f64::from),
        DataType::Int32 => convert::<Int32Type>(array, f64::from),
        DataType::Int64 => convert::<Int64Type>(array, |x| x as f64),
        DataType::UInt8 => convert::<UInt8Type>(array, f64::from),
        DataType::UInt16 => convert::<UInt16Type>(array, f64::from),
        DataType::UInt32 => convert::<UInt32Type>(array, f64::from),
        DataType::UInt64 => convert::<UInt64Type>(array, |x| x as f64),
        DataType::Float16 => convert::<Float16Type>(array, f64::from),
        DataType::Float32 => convert::<Float32Type>(array, f64::from),
        DataType::Float64 => convert::<Float64Type>(array, |x| x),
        DataType::Decimal128(_, scale) => {
            let unit = 10_f64.powi(i32::from(*scale));
            convert::<Decimal128Type>(array, |x| x as f64 / unit)
        }
        _ => return None,
    })
}

/// A column of numbers or text as text; `None` if it is neither.
pub(crate) fn texts(array: &ArrayRef) -> Option<Vec<Option<String>>> {
    match decode(array, 1).ok()? {
        Decoded::Text(texts) => Some(texts),
        Decoded::Integers(integers) => Some(integers.into_iter().map(|i| i.map(|i| i.to_string())).collect()),
        Decoded::Numbers { numbers, .. } => {
            Some(numbers.into_iter().map(|x| (!x.is_nan()).then(|| x.to_string())).collect())
        }
    }
}
