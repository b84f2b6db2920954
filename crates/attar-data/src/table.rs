//! A table, whatever its file: named columns, and rows of cells that can be read any number of times.

use crate::Error;
use crate::columnar::Columnar;
use crate::delimited::Delimited;
use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

/// What text files say for a value that is not there, in any case.
const MISSING: [&str; 5] = ["nan", "na", "n/a", "null", "-nan"];

/// One value of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Missing,
    Integer(i64),
    Number(f64),
    /// Text, or a number in text.
    Text(&'a str),
}

impl<'a> Cell<'a> {
    /// Text is trimmed; nothing, `NaN`, `NA`, `N/A` and `null` in any case are missing.
    pub(crate) fn of_text(text: &'a str) -> Self {
        let text = text.trim();
        // Most cells are numbers, which the first byte tells.
        let missing = match text.as_bytes().first() {
            None => true,
            Some(b'0'..=b'9' | b'.') => false,
            Some(_) => MISSING.iter().any(|word| text.eq_ignore_ascii_case(word)),
        };
        if missing { Cell::Missing } else { Cell::Text(text) }
    }

    pub(crate) fn number(self) -> Option<f64> {
        match self {
            Cell::Missing => None,
            Cell::Integer(integer) => Some(integer as f64),
            Cell::Number(number) => Some(number),
            Cell::Text(text) => text.parse().ok(),
        }
    }

    pub(crate) fn is_text(self) -> bool {
        self != Cell::Missing && self.number().is_none()
    }

    pub(crate) fn text(self) -> Cow<'a, str> {
        match self {
            Cell::Missing => Cow::Borrowed(""),
            Cell::Integer(integer) => Cow::Owned(integer.to_string()),
            Cell::Number(number) => Cow::Owned(number.to_string()),
            Cell::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// What is shown the rows of a table: a place for messages, and the cells.
pub(crate) type Visitor<'a> = dyn FnMut(u64, &[Cell]) -> Result<(), Error> + 'a;

/// A file of named columns.
pub(crate) enum Table {
    Delimited(Delimited),
    Columnar(Columnar),
}

impl Table {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Table::Delimited(file) => &file.path,
            Table::Columnar(file) => &file.path,
        }
    }

    pub(crate) fn columns(&self) -> &[String] {
        match self {
            Table::Delimited(file) => &file.columns,
            Table::Columnar(file) => &file.columns,
        }
    }

    pub(crate) fn has_names(&self) -> bool {
        match self {
            Table::Delimited(file) => file.header,
            Table::Columnar(_) => true,
        }
    }

    /// The row's number for messages: the line of a text file, else counted from 0.
    pub(crate) fn row(&self, place: u64) -> u64 {
        match self {
            Table::Delimited(file) => file.line_of(place),
            Table::Columnar(_) => place,
        }
    }

    /// Shows every row to `visitor`, with a place that [`Self::row`] understands.
    pub(crate) fn visit(&self, visitor: &mut Visitor) -> Result<(), Error> {
        match self {
            Table::Delimited(file) => file.visit(visitor),
            Table::Columnar(file) => file.visit(visitor),
        }
    }

    /// The column that plays a role, by its name.
    pub(crate) fn find(&self, name: Option<&str>, role: &'static str) -> Result<Option<usize>, Error> {
        let Some(name) = name else { return Ok(None) };
        match self.columns().iter().position(|column| column == name) {
            Some(column) => Ok(Some(column)),
            None => Err(Error::NoSuchColumn {
                path: self.path().to_owned(),
                role,
                name: name.to_owned(),
                available: listed(self.columns()),
            }),
        }
    }
}

/// Names for a message, at most twelve of them.
pub(crate) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(12).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(12) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// Refuses two columns of one name, which could not be told apart in new data.
pub(crate) fn check_unique(path: &Path, columns: &[String]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    match columns.iter().find(|name| !seen.insert(*name)) {
        Some(name) => Err(Error::DuplicateColumn { path: path.to_owned(), column: name.clone() }),
        None => Ok(()),
    }
}
