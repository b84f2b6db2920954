//! Reads a table by the user's options alone: finds out which columns are text, then fills in the features.

use crate::filling::{LabelSink, Role, dataset, fill};
use crate::table::{Cell, Table, listed};
use crate::{Categorical, Column, Dataset, Error, Labels, Layout, ReadOptions, Schema};
use std::collections::BTreeSet;

/// A text column with more distinct texts is refused rather than one-hot encoded.
const MOST_LEVELS: usize = 1000;

/// Reads a table: one pass to tell text from numbers, one more for the levels of text, one for the values.
pub(crate) fn read(table: &Table, name: String, options: &ReadOptions) -> Result<Dataset, Error> {
    let label = table.find(options.label_column.as_deref(), "label")?;
    let id = table.find(options.id_column.as_deref(), "id")?;
    let Survey { text, rows } = survey(table)?;
    let mut roles: Vec<Role> =
        text.iter().map(|&text| if text { Role::OneHot(Vec::new()) } else { Role::Number }).collect();
    label.into_iter().for_each(|column| roles[column] = Role::Label);
    id.into_iter().for_each(|column| roles[column] = Role::Id);
    settle_text(table, &mut roles, options.categorical)?;

    let sink = label.map_or(LabelSink::Absent, |column| LabelSink::new(text[column]));
    let order: Vec<usize> = (0..roles.len()).filter(|&column| roles[column].is_feature()).collect();
    let filled = fill(table, &roles, &order, sink, options.impute, rows)?;
    let labels = filled.labels.finish();
    let schema = Schema {
        layout: layout(table, &roles),
        columns: order.iter().flat_map(|&column| features_of(&table.columns()[column], &roles[column])).collect(),
        source_columns: table.columns().to_vec(),
        label_column: options.label_column.clone(),
        id_column: options.id_column.clone(),
        class_names: labels.as_ref().and_then(Labels::names).map(<[String]>::to_vec),
        impute: options.impute,
    };
    Ok(dataset(name, schema, filled.data, labels, filled.ids))
}

/// What the first pass over a table tells.
pub(crate) struct Survey {
    /// Which columns hold a text that is no number.
    pub(crate) text: Vec<bool>,
    rows: usize,
}

pub(crate) fn survey(table: &Table) -> Result<Survey, Error> {
    let mut survey = Survey { text: vec![false; table.columns().len()], rows: 0 };
    table.visit(&mut |_, cells| {
        for (text, cell) in survey.text.iter_mut().zip(cells) {
            *text = *text || cell.is_text();
        }
        survey.rows += 1;
        Ok(())
    })?;
    Ok(survey)
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

/// Table, or vectors where the only features are the entries of one list.
fn layout(table: &Table, roles: &[Role]) -> Layout {
    let Table::Columnar(file) = table else { return Layout::Table };
    let mut lists = roles.iter().zip(&file.list_of).filter(|(role, _)| role.is_feature()).map(|(_, list)| *list);
    let first = lists.next().flatten();
    if first.is_some() && lists.all(|list| list == first) { Layout::Vectors } else { Layout::Table }
}
