//! From the cells of a table to features, labels and ids, once every column has its role.

use crate::labels::{Classes, labels_of_numbers};
use crate::table::{Cell, Table, listed};
use crate::{Dataset, Error, Impute, Labels, Matrix, Schema, Values};
use std::borrow::Cow;

/// What a column of the file is for.
pub(crate) enum Role {
    Skip,
    Label,
    Id,
    Number,
    OneHot(Vec<String>),
}

impl Role {
    /// Number of features.
    fn width(&self) -> usize {
        match self {
            Role::Skip | Role::Label | Role::Id => 0,
            Role::Number => 1,
            Role::OneHot(levels) => levels.len(),
        }
    }

    pub(crate) fn is_feature(&self) -> bool {
        matches!(self, Role::Number | Role::OneHot(_))
    }
}

/// Labels while they are collected.
pub(crate) enum LabelSink {
    Absent,
    NewClasses(Classes),
    KnownClasses(Classes),
    NewNumbers(Vec<f64>),
    KnownNumbers(Vec<f64>),
}

impl LabelSink {
    /// For labels that nothing is known of but whether some of them is text.
    pub(crate) fn new(text: bool) -> Self {
        if text { LabelSink::NewClasses(Classes::default()) } else { LabelSink::NewNumbers(Vec::new()) }
    }

    pub(crate) fn finish(self) -> Option<Labels> {
        match self {
            LabelSink::Absent => None,
            LabelSink::NewClasses(classes) => Some(classes.finish_sorted()),
            LabelSink::KnownClasses(classes) => Some(classes.finish()),
            LabelSink::NewNumbers(numbers) => Some(labels_of_numbers(numbers)),
            LabelSink::KnownNumbers(numbers) => Some(Labels::Numbers(numbers)),
        }
    }
}

/// What came of the cells.
pub(crate) struct Filled {
    pub(crate) data: Vec<f32>,
    pub(crate) labels: LabelSink,
    pub(crate) ids: Option<Vec<String>>,
}

/// Turns cells into features in the given order of columns, labels and ids. `rows` is a guess that saves memory.
pub(crate) fn fill(
    table: &Table,
    roles: &[Role],
    order: &[usize],
    labels: LabelSink,
    impute: Option<Impute>,
    rows: usize,
) -> Result<Filled, Error> {
    let id = roles.iter().position(|role| matches!(role, Role::Id));
    let label = roles.iter().position(|role| matches!(role, Role::Label));
    let features: usize = order.iter().map(|&column| roles[column].width()).sum();
    let mut filled = Filled { data: Vec::with_capacity(rows * features), labels, ids: id.map(|_| Vec::new()) };
    let mut samples = 0;
    table.visit(&mut |place, cells| {
        if !is_wanted(table, cells, order, label, impute, place)? {
            return Ok(());
        }
        for &column in order {
            push_features(table, &mut filled.data, cells[column], &roles[column], place, column)?;
        }
        if let Some(column) = label {
            push_label(table, &mut filled.labels, cells[column], place, column)?;
        }
        if let (Some(column), Some(ids)) = (id, &mut filled.ids) {
            ids.push(cells[column].text().into_owned());
        }
        samples += 1;
        Ok(())
    })?;
    if samples == 0 || features == 0 {
        return Err(Error::Empty { path: table.path().to_owned(), samples, features });
    }
    Ok(filled)
}

/// Whether a row is kept: not if it has a gap and such rows are dropped. No mean stands in for a label.
fn is_wanted(
    table: &Table,
    cells: &[Cell],
    order: &[usize],
    label: Option<usize>,
    impute: Option<Impute>,
    place: u64,
) -> Result<bool, Error> {
    let is_gap = |column: &usize| cells[*column] == Cell::Missing;
    let label_gap = label.filter(is_gap);
    let gap = order.iter().copied().find(is_gap).or(label_gap);
    let error = |column| Err(missing(table, place, column));
    match impute {
        Some(Impute::Drop) => Ok(gap.is_none()),
        Some(Impute::Mean) => label_gap.map_or(Ok(true), error),
        None => gap.map_or(Ok(true), error),
    }
}

fn missing(table: &Table, place: u64, column: usize) -> Error {
    Error::MissingValue {
        path: table.path().to_owned(),
        row: table.row(place),
        column: table.columns()[column].clone(),
    }
}

fn push_features(
    table: &Table,
    data: &mut Vec<f32>,
    cell: Cell,
    role: &Role,
    place: u64,
    column: usize,
) -> Result<(), Error> {
    match role {
        Role::OneHot(levels) if cell == Cell::Missing => data.extend(levels.iter().map(|_| f32::NAN)),
        Role::OneHot(levels) => {
            let text = cell.text();
            // Levels are sorted.
            if levels.binary_search_by(|level| level.as_str().cmp(&text)).is_err() {
                return Err(unknown_level(table, &text, levels, place, column));
            }
            data.extend(levels.iter().map(|level| f32::from(u8::from(*level == text))));
        }
        _ if cell == Cell::Missing => data.push(f32::NAN),
        _ => data.push(finite(table, cell, place, column)? as f32),
    }
    Ok(())
}

fn unknown_level(table: &Table, text: &str, levels: &[String], place: u64, column: usize) -> Error {
    Error::UnknownLevel {
        path: table.path().to_owned(),
        row: table.row(place),
        column: table.columns()[column].clone(),
        text: text.to_owned(),
        known: listed(levels),
    }
}

fn push_label(table: &Table, labels: &mut LabelSink, cell: Cell, place: u64, column: usize) -> Result<(), Error> {
    match labels {
        LabelSink::Absent => {}
        LabelSink::NewClasses(classes) | LabelSink::KnownClasses(classes) => classes.push(&class_name(cell)),
        LabelSink::NewNumbers(numbers) | LabelSink::KnownNumbers(numbers) => {
            numbers.push(finite(table, cell, place, column)?)
        }
    }
    Ok(())
}

/// A class is called `3` whether its cell says `3`, `3.0` or `03`.
fn class_name(cell: Cell) -> Cow<str> {
    match cell.number() {
        Some(number) if number.is_finite() => Cow::Owned(number.to_string()),
        _ => cell.text(),
    }
}

/// The number of a cell, if it is one that an f32 can hold.
fn finite(table: &Table, cell: Cell, place: u64, column: usize) -> Result<f64, Error> {
    let at = || (table.path().to_owned(), table.row(place), table.columns()[column].clone());
    match cell.number() {
        Some(number) if (number as f32).is_finite() => Ok(number),
        Some(_) => {
            let (path, row, column) = at();
            Err(Error::NotFinite { path, row, column })
        }
        None => {
            let (path, row, column) = at();
            Err(Error::NotANumber { path, row, column, text: cell.text().into_owned() })
        }
    }
}

/// The data set of a table.
pub(crate) fn dataset(
    name: String,
    schema: Schema,
    data: Vec<f32>,
    labels: Option<Labels>,
    ids: Option<Vec<String>>,
) -> Dataset {
    let values = Values::Memory(Matrix { features: schema.columns.len(), data });
    Dataset { name, schema, values, labels, ids, test_rows: None }
}
