//! Reads a table whose columns were learned from another one: matched by name, or by order if there are no names.

use crate::filling::{LabelSink, Role, dataset, fill};
use crate::labels::Classes;
use crate::reading::survey;
use crate::table::{Table, listed};
use crate::{Dataset, Error, ReadOptions, Schema};
use std::collections::HashMap;

/// Reads a table whose columns were learned from another one: matched by name, or by order if it has no names.
pub(crate) fn read_like(table: &Table, name: String, options: &ReadOptions, schema: &Schema) -> Result<Dataset, Error> {
    let sources = feature_sources(schema);
    let places = Places::of(table, options, schema, &sources)?;
    let mut roles: Vec<Role> = table.columns().iter().map(|_| Role::Skip).collect();
    for ((_, role), &place) in sources.into_iter().zip(&places.features) {
        roles[place] = role;
    }
    places.label.into_iter().for_each(|column| roles[column] = Role::Label);
    places.id.into_iter().for_each(|column| roles[column] = Role::Id);
    let labels = label_sink(table, places.label, schema)?;
    let filled = fill(table, &roles, &places.features, labels, options.impute.or(schema.impute), 0)?;
    Ok(dataset(name, schema.clone(), filled.data, filled.labels.finish(), filled.ids))
}

/// Labels are what they were in training; if that had none, they are found out anew.
fn label_sink(table: &Table, label: Option<usize>, schema: &Schema) -> Result<LabelSink, Error> {
    Ok(match (label, &schema.class_names, &schema.label_column) {
        (None, ..) => LabelSink::Absent,
        (Some(_), Some(names), _) => LabelSink::KnownClasses(Classes::known(names)),
        (Some(_), None, Some(_)) => LabelSink::KnownNumbers(Vec::new()),
        (Some(column), None, None) => LabelSink::new(survey(table)?.text[column]),
    })
}

/// The columns of the file that a schema's features come from, in the features' order, with their roles.
fn feature_sources(schema: &Schema) -> Vec<(&str, Role)> {
    let features = schema.columns.chunk_by(|a, b| a.name == b.name);
    features
        .map(|features| {
            let levels: Vec<String> = features.iter().filter_map(|column| column.level.clone()).collect();
            (features[0].name.as_str(), if levels.is_empty() { Role::Number } else { Role::OneHot(levels) })
        })
        .collect()
}

/// Where a schema's columns are in a new file.
struct Places {
    features: Vec<usize>,
    label: Option<usize>,
    id: Option<usize>,
}

impl Places {
    fn of(table: &Table, options: &ReadOptions, schema: &Schema, sources: &[(&str, Role)]) -> Result<Self, Error> {
        let numbers: HashMap<&str, usize> = table.columns().iter().map(String::as_str).zip(0..).collect();
        let by_name: Vec<Option<usize>> = sources.iter().map(|(name, _)| numbers.get(name).copied()).collect();
        if let Some(features) = by_name.iter().copied().collect() {
            let label = special(table, options.label_column.as_deref(), schema.label_column.as_deref(), "label")?;
            let id = special(table, options.id_column.as_deref(), schema.id_column.as_deref(), "id")?;
            return Ok(Places { features, label, id });
        }
        if !table.has_names() {
            return Places::by_order(table, options, schema, sources);
        }
        let absent = sources.iter().zip(&by_name).filter(|(_, place)| place.is_none());
        let names: Vec<String> = absent.map(|((name, _), _)| (*name).to_owned()).collect();
        Err(Error::MissingColumns { path: table.path().to_owned(), columns: listed(&names) })
    }

    /// As many columns as the training file: the same ones. As many as its features: these.
    fn by_order(
        table: &Table,
        options: &ReadOptions,
        schema: &Schema,
        sources: &[(&str, Role)],
    ) -> Result<Self, Error> {
        let label = table.find(options.label_column.as_deref(), "label")?;
        let id = table.find(options.id_column.as_deref(), "id")?;
        let width = table.columns().len();
        if width == schema.source_columns.len() {
            let numbers: HashMap<&str, usize> = schema.source_columns.iter().map(String::as_str).zip(0..).collect();
            let place = |name: &str| numbers.get(name).copied();
            return Ok(Places {
                features: sources.iter().filter_map(|(name, _)| place(name)).collect(),
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
        Some(_) => table.find(user, role),
        None => Ok(table.columns().iter().position(|column| Some(column.as_str()) == known)),
    }
}
