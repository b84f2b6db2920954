//! Charts as plotly.js takes them: JSON traces and layouts, with colours left to the page's style.

pub(crate) mod bars;
pub(crate) mod lines;
pub(crate) mod scatter;

use serde_json::{Value, json};

/// What a chart becomes on the page.
pub(crate) struct Drawing {
    /// The kind of chart, for those who cannot see it.
    pub(crate) kind: &'static str,
    /// One or more, side by side.
    pub(crate) plots: Vec<Plot>,
    /// The numbers behind it.
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    /// What the reader must know to tell the parts apart; may be empty.
    pub(crate) key: &'static str,
}

/// One plotly graph.
pub(crate) struct Plot {
    pub(crate) title: String,
    /// What it shows, in words.
    pub(crate) description: String,
    pub(crate) traces: Vec<Value>,
    pub(crate) layout: Value,
    /// Pictures shown on hover, by a point's `customdata`.
    pub(crate) pictures: Vec<String>,
}

/// An axis: its title, with the unit, and its scale.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    /// What is measured along it.
    pub title: String,
    /// Logarithmic; values at or below zero are then not drawn.
    pub log: bool,
}

impl Axis {
    /// A linear axis.
    pub fn linear(title: &str) -> Self {
        Self { title: title.to_owned(), log: false }
    }

    /// A logarithmic axis.
    pub fn log(title: &str) -> Self {
        Self { title: title.to_owned(), log: true }
    }

    fn layout(&self) -> Value {
        json!({
            "title": { "text": plain(&self.title), "standoff": 8 },
            "type": if self.log { "log" } else { "linear" },
            "automargin": true,
        })
    }

    /// Whether `value` has a place on the axis.
    fn takes(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }

    fn name(&self) -> &str {
        if self.title.is_empty() { "value" } else { &self.title }
    }
}

/// Text as plotly takes it literally: it reads some tags and entities in labels.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// How many colours the page's style has: `--c0` to `--c9`.
const COLOURS: usize = 10;

/// The page resolves this to the colour of that index, in light or dark.
fn colour(index: usize) -> String {
    format!("var(--c{})", index % COLOURS)
}

/// The same, translucent.
fn translucent(index: usize) -> String {
    format!("var(--c{}) 20%", index % COLOURS)
}

/// A marker for each index, so that nothing is told by colour alone.
fn symbol(index: usize) -> &'static str {
    const SYMBOLS: [&str; 10] =
        ["circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "pentagon", "hexagram"];
    SYMBOLS[index % SYMBOLS.len()]
}
