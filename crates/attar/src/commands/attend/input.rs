//! Queries, keys and values from a JSON file.

use std::fs;
use std::path::Path;

use attar_attention::{Inputs, Shape};
use serde_json::{Map, Value};

use crate::error::CliError;
use crate::nearest::nearest;

const FIELDS: [&str; 4] = ["queries", "keys", "values", "hidden"];

/// What a file holds: arrays of rows, and which keys no query sees.
#[derive(Debug)]
pub(super) struct Input {
    queries: Rows,
    keys: Rows,
    values: Rows,
    hidden: Option<Vec<bool>>,
}

/// Rows of equal width.
#[derive(Debug)]
struct Rows {
    values: Vec<f64>,
    count: usize,
    width: usize,
}

impl Input {
    /// Reads a file; errors name the field, the row and the column, counted from 0.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let text = fs::read_to_string(path).map_err(|source| attar_learn::Error::Io { path: path.into(), source })?;
        Self::parse(&text).map_err(|problem| {
            let error = CliError::input(format!("{}: {}", path.display(), problem.message));
            match problem.help {
                Some(help) => error.with_help(help),
                None => error,
            }
        })
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let value: Value = serde_json::from_str(text).map_err(|error| Problem::new(format!("no JSON: {error}")))?;
        let Value::Object(fields) = value else {
            return Err(Problem::new(format!(
                "expected an object of `queries`, `keys` and `values`, got {}",
                kind(&value)
            )));
        };
        if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
            let help = nearest(unknown, FIELDS).map(|name| format!("did you mean `{name}`?"));
            let message =
                format!("there is no field `{unknown}`; expected `queries`, `keys`, `values` and perhaps `hidden`");
            return Err(Problem { message, help });
        }
        let [queries, keys, values] = ["queries", "keys", "values"].map(|field| Rows::of(&fields, field));
        let (queries, keys, values) = (queries?, keys?, values?);
        let hidden = hidden(&fields)?;
        expect("columns of `keys`, as `queries` have", queries.width, keys.width)?;
        expect("rows of `values`, as `keys` have", keys.count, values.count)?;
        if let Some(hidden) = &hidden {
            expect("entries of `hidden`, one for each key", keys.count, hidden.len())?;
        }
        Ok(Self { queries, keys, values, hidden })
    }

    /// As one head of one sequence.
    pub(super) fn inputs(&self) -> Inputs<'_, f64> {
        let shape = Shape {
            batch: 1,
            heads: 1,
            key_heads: 1,
            queries: self.queries.count,
            keys: self.keys.count,
            dim: self.queries.width,
            value_dim: self.values.width,
        };
        let Self { queries, keys, values, hidden } = self;
        Inputs {
            shape,
            queries: &queries.values,
            keys: &keys.values,
            values: &values.values,
            hidden: hidden.as_deref(),
        }
    }
}

/// What is wrong with a file, and what would help.
#[derive(Debug)]
struct Problem {
    message: String,
    help: Option<String>,
}

impl Problem {
    fn new(message: String) -> Self {
        Self { message, help: None }
    }
}

impl Rows {
    fn of(fields: &Map<String, Value>, field: &str) -> Result<Self, Problem> {
        let Some(value) = fields.get(field) else {
            return Err(Problem::new(format!("the field `{field}` is missing")));
        };
        let rows = array(value, &format!("`{field}` must be an array of rows"))?;
        let width = rows.first().and_then(Value::as_array).map_or(0, Vec::len);
        let mut values = Vec::with_capacity(rows.len() * width);
        for (at, row) in rows.iter().enumerate() {
            let row = array(row, &format!("`{field}[{at}]` must be an array of numbers"))?;
            expect(&format!("columns in `{field}[{at}]`, as in `{field}[0]`"), width, row.len())?;
            for (column, value) in row.iter().enumerate() {
                let place = format!("row {at}, column {column} of `{field}` must be a number");
                values.push(value.as_f64().ok_or_else(|| Problem::new(format!("{place}, got {}", kind(value))))?);
            }
        }
        if values.is_empty() {
            return Err(Problem::new(format!("`{field}` must have at least one row and one column")));
        }
        Ok(Self { values, count: rows.len(), width })
    }
}

fn hidden(fields: &Map<String, Value>) -> Result<Option<Vec<bool>>, Problem> {
    let Some(value) = fields.get("hidden") else { return Ok(None) };
    let marks = array(value, "`hidden` must be an array of true and false")?.iter().enumerate();
    let mark = |(at, value): (usize, &Value)| {
        let wrong = || Problem::new(format!("`hidden[{at}]` must be true or false, got {}", kind(value)));
        value.as_bool().ok_or_else(wrong)
    };
    marks.map(mark).collect::<Result<_, _>>().map(Some)
}

fn array<'a>(value: &'a Value, must: &str) -> Result<&'a [Value], Problem> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| Problem::new(format!("{must}, got {}", kind(value))))
}

fn expect(what: &str, expected: usize, found: usize) -> Result<(), Problem> {
    if expected == found { Ok(()) } else { Err(Problem::new(format!("expected {expected} {what}, got {found}"))) }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => format!("the text \"{text}\""),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let check = |text: &str, part: &str| {
            let problem = Input::parse(text).unwrap_err();
            assert!(problem.message.contains(part), "{text}: {}", problem.message);
        };
        let rest = r#""keys": [[1, 2], [3, 4]], "values": [[1], [2]]"#;
        check("{", "line 1 column 1");
        check("[1]", "expected an object");
        check(r#"{"queries": [[1]]}"#, "`keys` is missing");
        check(&format!(r#"{{"querys": [[1, 2]], {rest}}}"#), "no field `querys`");
        check(&format!(r#"{{"queries": 3, {rest}}}"#), "an array of rows, got 3");
        check(&format!(r#"{{"queries": [1], {rest}}}"#), "`queries[0]` must be an array of numbers, got 1");
        check(
            &format!(r#"{{"queries": [[1, "x"]], {rest}}}"#),
            "row 0, column 1 of `queries` must be a number, got the text \"x\"",
        );
        check(
            &format!(r#"{{"queries": [[1, 2], [3]], {rest}}}"#),
            "expected 2 columns in `queries[1]`, as in `queries[0]`, got 1",
        );
        check(&format!(r#"{{"queries": [[]], {rest}}}"#), "at least one row and one column");
        check(&format!(r#"{{"queries": [[1, 2, 3]], {rest}}}"#), "expected 3 columns of `keys`");
        check(r#"{"queries": [[1]], "keys": [[1]], "values": [[1], [2]]}"#, "expected 1 rows of `values`");
        check(&format!(r#"{{"queries": [[1, 2]], {rest}, "hidden": [true]}}"#), "expected 2 entries of `hidden`");
        check(&format!(r#"{{"queries": [[1, 2]], {rest}, "hidden": [true, 1]}}"#), "`hidden[1]` must be true or false");
    }

    #[test]
    fn a_misspelt_field_is_guessed() {
        let problem = Input::parse(r#"{"query": [[1]]}"#).unwrap_err();
        assert_eq!(problem.help.as_deref(), Some("did you mean `queries`?"));
    }
}
