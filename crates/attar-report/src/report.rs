//! What a report consists of, as plain data.

use crate::{Bars, Image, Lines, Scatter};

/// One page.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The heading, and the title of the window.
    pub title: String,
    /// A line under the heading.
    pub subtitle: String,
    /// What the report comes to, a sentence each, above everything else.
    pub verdict: Vec<Statement>,
    /// In reading order.
    pub sections: Vec<Section>,
}

/// A heading with what belongs under it.
#[derive(Debug, Clone, Default)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// Plain paragraphs, before the blocks.
    pub text: Vec<String>,
    /// In reading order.
    pub blocks: Vec<Block>,
}

/// Anything that stands in a section.
#[derive(Debug, Clone)]
pub enum Block {
    /// Curves.
    Lines(Lines),
    /// Grouped bars.
    Bars(Bars),
    /// Points in the plane.
    Scatter(Scatter),
    /// A grid of pictures.
    Images(Images),
    /// Rows and columns of text.
    Table(Table),
    /// Names with their values.
    KeyValues(KeyValues),
    /// A sentence set apart.
    Note(String),
    /// A sentence that must not be missed.
    Warning(String),
    /// Sentences with their measured numbers.
    Claims(Claims),
}

/// How a statement came out; shown by a sign and a word, not by colour alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verdict {
    /// As hoped; a claim that holds.
    Good,
    /// Not as hoped; a claim that fails.
    Bad,
    /// Neither.
    #[default]
    Neutral,
}

/// A sentence with its verdict.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    /// The sentence.
    pub text: String,
    /// How it came out.
    pub verdict: Verdict,
}

/// A grid of pictures: a row for each kind (input, corrupted, output), a column for each example.
#[derive(Debug, Clone, Default)]
pub struct Images {
    /// The figure's title.
    pub title: String,
    /// A line under the grid; may be empty.
    pub caption: String,
    /// A heading for each column; may be empty.
    pub columns: Vec<String>,
    /// From top to bottom.
    pub rows: Vec<ImageRow>,
}

/// One row of a grid.
#[derive(Debug, Clone, Default)]
pub struct ImageRow {
    /// What the row shows.
    pub name: String,
    /// From left to right.
    pub images: Vec<Image>,
}

/// Rows and columns of text; columns that hold only numbers are aligned as numbers.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// The table's title.
    pub title: String,
    /// A line under the table; may be empty.
    pub caption: String,
    /// The headings.
    pub columns: Vec<String>,
    /// Each as long as `columns`.
    pub rows: Vec<Vec<String>>,
}

/// Names with their values, as a configuration has them.
#[derive(Debug, Clone, Default)]
pub struct KeyValues {
    /// The list's title.
    pub title: String,
    /// Name, value.
    pub pairs: Vec<(String, String)>,
}

/// Sentences with their measured numbers.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The list's title.
    pub title: String,
    /// In order.
    pub claims: Vec<Claim>,
}

/// A sentence with a measured number, a tolerance and a verdict.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// What is claimed.
    pub sentence: String,
    /// What was found, with its unit.
    pub measured: String,
    /// What would still do.
    pub tolerance: String,
    /// Whether it did.
    pub verdict: Verdict,
}
