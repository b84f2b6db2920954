//! Tables, whatever their file: from cells to features, labels and ids, in two or three passes over the file.

use crate::columnar::Columnar;
use crate::delimited::Delimited;
use crate::labels::{Classes, labels_of_numbers};
use crate::{Categorical, Column, Dataset, Error, Impute, Labels, Layout, Matrix, ReadOptions, Schema, Values};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

/// A text column with more distinct texts is refused rather than one-hot encoded.
const MOST_LEVELS: usize = 1000;

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
        let missing = ["", "nan", "na", "n/a", "null", "-nan"];
        if missing.iter().any(|word| text.eq_ignore_ascii_case(word)) { Cell::Missing } else { Cell::Text(text) }
    }

    fn number(self) -> Option<f64> {
        match self {
            Cell::Missing => None,
            Cell::Integer(integer) => Some(integer as f64),
            Cell::Number(number) => Some(number),
            Cell::Text(text) => text.parse().ok(),
        }
    }

    fn is_text(self) -> bool {
        self != Cell::Missing && self.number().is_none()
    }

    fn text(self) -> Cow<'a, str> {
        match self {
            Cell::Missing => Cow::Borrowed(""),
            Cell::Integer(integer) => Cow::Owned(integer.to_string()),
            Cell::Number(number) => Cow::Owned(number.to_string()),
            Cell::Text(text) => Cow::Borrowed(text),
        }
    }
}

/// A file of named columns that can be read any number of times.
pub(crate) enum Table {
    Delimited(Delimited),
    Columnar(Columnar),
}

impl Table {
    fn path(&self) -> &Path {
        match self {
            Table::Delimited(file) => &file.path,
            Table::Columnar(file) => &file.path,
        }
    }

    fn columns(&self) -> &[String] {
        match self {
            Table::Delimited(file) => &file.columns,
            Table::Columnar(file) => &file.columns,
        }
    }

    fn has_names(&self) -> bool {
        match self {
            Table::Delimited(file) => file.header,
            Table::Columnar(_) => true,
        }
    }

    /// Table, or vectors where the only features are the entries of one list.
    fn layout(&self, roles: &[Role]) -> Layout {
        let Table::Columnar(file) = self else { return Layout::Table };
        let mut lists = roles.iter().zip(&file.list_of).filter(|(role, _)| role.is_feature()).map(|(_, list)| *list);
        let first = lists.next().flatten();
        if first.is_some() && lists.all(|list| list == first) { Layout::Vectors } else { Layout::Table }
    }

    /// Shows every row to `visitor`, with its number for messages.
    fn visit(&self, visitor: &mut dyn FnMut(u64, &[Cell]) -> Result<(), Error>) -> Result<(), Error> {
        match self {
            Table::Delimited(file) => file.visit(visitor),
            Table::Columnar(file) => file.visit(visitor),
        }
    }
}

/// What a column of the file is for.
enum Role {
    Skip,
    Label,
    Id,
    Number,
    OneHot(Vec<String>),
}

impl Role {
    fn is_feature(&self) -> bool {
        matches!(self, Role::Number | Role::OneHot(_))
    }
}

/// Reads a table by the user's options alone.
pub(crate) fn read(table: &Table, name: String, options: &ReadOptions) -> Result<Dataset, Error> {
    let label = find(table, options.label_column.as_deref(), "label")?;
    let id = find(table, options.id_column.as_deref(), "id")?;
    let text = text_columns(table)?;
    let mut roles: Vec<Role> =
        text.iter().map(|&text| if text { Role::OneHot(Vec::new()) } else { Role::Number }).collect();
    label.into_iter().for_each(|column| roles[column] = Role::Label);
    id.into_iter().for_each(|column| roles[column] = Role::Id);
    settle_text(table, &mut roles, options.categorical)?;

    let labels = match label {
        None => LabelSink::Absent,
        Some(column) if text[column] => LabelSink::Text(Classes::default()),
        Some(_) => LabelSink::Numbers(Vec::new()),
    };
    let order: Vec<usize> = (0..roles.len()).filter(|&column| roles[column].is_feature()).collect();
    let filled = fill(table, &roles, &order, labels, options.impute)?;
    let labels = match filled.labels {
        LabelSink::Absent => None,
        LabelSink::Text(classes) => Some(classes.finish_sorted()),
        LabelSink::Numbers(numbers) => Some(labels_of_numbers(numbers)),
    };
    let schema = Schema {
        layout: table.layout(&roles),
        columns: order.iter().flat_map(|&column| features_of(&table.columns()[column], &roles[column])).collect(),
        source_columns: table.columns().to_vec(),
        label_column: options.label_column.clone(),
        id_column: options.id_column.clone(),
        class_names: labels.as_ref().and_then(Labels::names).map(<[String]>::to_vec),
        impute: options.impute,
    };
    Ok(dataset(name, schema, filled.data, labels, filled.ids))
}

/// Reads a table whose columns were learned from another one: matched by name, or by order if it has no names.
pub(crate) fn read_like(table: &Table, name: String, options: &ReadOptions, schema: &Schema) -> Result<Dataset, Error> {
    let places = Places::of(table, options, schema)?;
    let mut roles: Vec<Role> = table.columns().iter().map(|_| Role::Skip).collect();
    for (column, &place) in feature_sources(schema).iter().zip(&places.features) {
        roles[place] = role_in(schema, column);
    }
    places.label.into_iter().for_each(|column| roles[column] = Role::Label);
    places.id.into_iter().for_each(|column| roles[column] = Role::Id);
    let labels = match (places.label, &schema.class_names) {
        (None, _) => LabelSink::Absent,
        (Some(_), Some(names)) => LabelSink::Text(Classes::known(names)),
        (Some(_), None) => LabelSink::Numbers(Vec::new()),
    };
    let filled = fill(table, &roles, &places.features, labels, options.impute.or(schema.impute))?;
    let labels = match filled.labels {
        LabelSink::Absent => None,
        LabelSink::Text(classes) => Some(classes.finish()),
        LabelSink::Numbers(numbers) => Some(Labels::Numbers(numbers)),
    };
    Ok(dataset(name, schema.clone(), filled.data, labels, filled.ids))
}

fn dataset(name: String, schema: Schema, data: Vec<f32>, labels: Option<Labels>, ids: Option<Vec<String>>) -> Dataset {
    let values = Values::Memory(Matrix { features: schema.columns.len(), data });
    Dataset { name, schema, values, labels, ids, test_rows: None }
}

fn find(table: &Table, name: Option<&str>, role: &'static str) -> Result<Option<usize>, Error> {
    let Some(name) = name else { return Ok(None) };
    match table.columns().iter().position(|column| column == name) {
        Some(column) => Ok(Some(column)),
        None => Err(Error::NoSuchColumn {
            path: table.path().to_owned(),
            role,
            name: name.to_owned(),
            available: listed(table.columns()),
        }),
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

/// Which columns hold a text that is no number.
fn text_columns(table: &Table) -> Result<Vec<bool>, Error> {
    let mut text = vec![false; table.columns().len()];
    table.visit(&mut |_, cells| {
        for (text, cell) in text.iter_mut().zip(cells) {
            *text = *text || cell.is_text();
        }
        Ok(())
    })?;
    Ok(text)
}

/// Encodes, drops or refuses the text columns among the features.
fn settle_text(table: &Table, roles: &mut [Role], categorical: Option<Categorical>) -> Result<(), Error> {
    let columns: Vec<usize> = (0..roles.len()).filter(|&c| matches!(roles[c], Role::OneHot(_))).collect();
    if columns.is_empty() {
        return Ok(());
    }
    match categorical {
        Some(Categorical::Drop) => columns.iter().for_each(|&column| roles[column] = Role::Skip),
        Some(Categorical::OneHot) => {
            for (levels, &column) in levels(table, &columns)?.into_iter().zip(&columns) {
                roles[column] = Role::OneHot(levels.into_iter().collect());
            }
        }
        None => {
            let names: Vec<String> = columns.iter().map(|&column| table.columns()[column].clone()).collect();
            return Err(Error::TextColumns { path: table.path().to_owned(), columns: listed(&names) });
        }
    }
    Ok(())
}

fn levels(table: &Table, columns: &[usize]) -> Result<Vec<BTreeSet<String>>, Error> {
    let mut levels = vec![BTreeSet::new(); columns.len()];
    table.visit(&mut |_, cells| {
        for (levels, &column) in levels.iter_mut().zip(columns) {
            let text = cells[column].text();
            if cells[column] == Cell::Missing || levels.contains(text.as_ref()) {
                continue;
            }
            if levels.len() == MOST_LEVELS {
                let column = table.columns()[column].clone();
                return Err(Error::TooManyLevels { path: table.path().to_owned(), column, limit: MOST_LEVELS });
            }
            levels.insert(text.into_owned());
        }
        Ok(())
    })?;
    Ok(levels)
}

fn features_of(name: &str, role: &Role) -> Vec<Column> {
    let column = |level| Column { name: name.to_owned(), level };
    match role {
        Role::OneHot(levels) => levels.iter().cloned().map(|level| column(Some(level))).collect(),
        _ => vec![column(None)],
    }
}

/// The columns of the file that a schema's features come from, in the features' order.
fn feature_sources(schema: &Schema) -> Vec<&str> {
    let mut names: Vec<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
    names.dedup();
    names
}

fn role_in(schema: &Schema, source: &str) -> Role {
    let of_source = schema.columns.iter().filter(|column| column.name == source);
    let levels: Vec<String> = of_source.filter_map(|column| column.level.clone()).collect();
    if levels.is_empty() { Role::Number } else { Role::OneHot(levels) }
}

/// Where a schema's columns are in a new file.
struct Places {
    features: Vec<usize>,
    label: Option<usize>,
    id: Option<usize>,
}

impl Places {
    fn of(table: &Table, options: &ReadOptions, schema: &Schema) -> Result<Self, Error> {
        let sources = feature_sources(schema);
        let named = |name: &str| table.columns().iter().position(|column| column == name);
        let by_name: Vec<Option<usize>> = sources.iter().map(|&name| named(name)).collect();
        let nameless = !table.has_names() || schema.source_columns.is_empty();
        if let Some(features) = by_name.iter().copied().collect::<Option<Vec<_>>>() {
            let label = special(table, options.label_column.as_deref(), schema.label_column.as_deref(), "label")?;
            let id = special(table, options.id_column.as_deref(), schema.id_column.as_deref(), "id")?;
            return Ok(Places { features, label, id });
        }
        if nameless {
            return Places::by_order(table, options, schema, &sources);
        }
        let missing: Vec<String> =
            sources.iter().zip(&by_name).filter(|(_, p)| p.is_none()).map(|(name, _)| (*name).to_owned()).collect();
        Err(Error::MissingColumns { path: table.path().to_owned(), columns: listed(&missing) })
    }

    fn by_order(table: &Table, options: &ReadOptions, schema: &Schema, sources: &[&str]) -> Result<Self, Error> {
        let label = find(table, options.label_column.as_deref(), "label")?;
        let id = find(table, options.id_column.as_deref(), "id")?;
        let width = table.columns().len();
        if width == schema.source_columns.len() {
            let place = |name: &str| schema.source_columns.iter().position(|column| column == name);
            return Ok(Places {
                features: sources.iter().filter_map(|name| place(name)).collect(),
                label: label.or(schema.label_column.as_deref().and_then(place)),
                id: id.or(schema.id_column.as_deref().and_then(place)),
            });
        }
        let features: Vec<usize> = (0..width).filter(|&c| Some(c) != label && Some(c) != id).collect();
        if features.len() == sources.len() {
            return Ok(Places { features, label, id });
        }
        Err(Error::ColumnCount { path: table.path().to_owned(), expected: sources.len(), got: features.len() })
    }
}

/// A column that the user names must be there; one that only the schema names may be absent.
fn special(table: &Table, user: Option<&str>, known: Option<&str>, role: &'static str) -> Result<Option<usize>, Error> {
    match user {
        Some(_) => find(table, user, role),
        None => Ok(table.columns().iter().position(|column| Some(column.as_str()) == known)),
    }
}

enum LabelSink {
    Absent,
    Text(Classes),
    Numbers(Vec<f64>),
}

struct Filled {
    data: Vec<f32>,
    labels: LabelSink,
    ids: Option<Vec<String>>,
}

/// Turns cells into features in the given order of columns, labels and ids.
fn fill(
    table: &Table,
    roles: &[Role],
    order: &[usize],
    labels: LabelSink,
    impute: Option<Impute>,
) -> Result<Filled, Error> {
    let id = roles.iter().position(|role| matches!(role, Role::Id));
    let label = roles.iter().position(|role| matches!(role, Role::Label));
    let mut filled = Filled { data: Vec::new(), labels, ids: id.map(|_| Vec::new()) };
    let mut samples = 0;
    table.visit(&mut |row, cells| {
        let gap = order.iter().chain(&label).copied().find(|&column| cells[column] == Cell::Missing);
        match (gap, impute) {
            (Some(_), Some(Impute::Drop)) => return Ok(()),
            (Some(column), None) => return Err(missing(table, row, column)),
            (Some(_), Some(Impute::Mean)) => label
                .filter(|&c| cells[c] == Cell::Missing)
                .map_or(Ok(()), |column| Err(missing(table, row, column)))?,
            (None, _) => {}
        }
        for &column in order {
            push_features(table, &mut filled.data, cells[column], &roles[column], row, column)?;
        }
        if let Some(column) = label {
            push_label(table, &mut filled.labels, cells[column], row, column)?;
        }
        if let (Some(column), Some(ids)) = (id, &mut filled.ids) {
            ids.push(cells[column].text().into_owned());
        }
        samples += 1;
        Ok(())
    })?;
    let features = order.iter().map(|&column| features_of("", &roles[column]).len()).sum();
    if samples == 0 || features == 0 {
        return Err(Error::Empty { path: table.path().to_owned(), samples, features });
    }
    Ok(filled)
}

fn missing(table: &Table, row: u64, column: usize) -> Error {
    Error::MissingValue { path: table.path().to_owned(), row, column: table.columns()[column].clone() }
}

fn push_features(
    table: &Table,
    data: &mut Vec<f32>,
    cell: Cell,
    role: &Role,
    row: u64,
    column: usize,
) -> Result<(), Error> {
    match role {
        Role::OneHot(levels) if cell == Cell::Missing => data.extend(levels.iter().map(|_| f32::NAN)),
        Role::OneHot(levels) => {
            let text = cell.text();
            if !levels.iter().any(|level| *level == text) {
                return Err(Error::UnknownLevel {
                    path: table.path().to_owned(),
                    row,
                    column: table.columns()[column].clone(),
                    text: text.into_owned(),
                    known: listed(levels),
                });
            }
            data.extend(levels.iter().map(|level| f32::from(u8::from(*level == text))));
        }
        _ if cell == Cell::Missing => data.push(f32::NAN),
        _ => data.push(finite(table, cell, row, column)? as f32),
    }
    Ok(())
}

fn push_label(table: &Table, labels: &mut LabelSink, cell: Cell, row: u64, column: usize) -> Result<(), Error> {
    match labels {
        LabelSink::Absent => {}
        LabelSink::Text(classes) => classes.push(&class_name(cell)),
        LabelSink::Numbers(numbers) => numbers.push(finite(table, cell, row, column)?),
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
fn finite(table: &Table, cell: Cell, row: u64, column: usize) -> Result<f64, Error> {
    let place = || (table.path().to_owned(), table.columns()[column].clone());
    match cell.number() {
        Some(number) if (number as f32).is_finite() => Ok(number),
        Some(_) => {
            let (path, column) = place();
            Err(Error::NotFinite { path, row, column })
        }
        None => {
            let (path, column) = place();
            Err(Error::NotANumber { path, row, column, text: cell.text().into_owned() })
        }
    }
}
