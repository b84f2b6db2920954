//! What a user says about a source: which columns are special, and what to do with gaps and text.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What to do with missing values; without it they are an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impute {
    /// Put the column's mean over the training rows in their place.
    Mean,
    /// Leave out every row that has one.
    Drop,
}

/// What to do with text columns; without it they are an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Categorical {
    /// One column of zeros and ones for each text that occurs.
    OneHot,
    /// Leave the columns out.
    Drop,
}

/// How to read a source. The default reads every column as a number and refuses what is missing or text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// The column that holds the labels: a name (columns of a file without a header are called `column_0`, `column_1` and
    /// so on), for NPZ the name of an array, for NPY the path of a second, one-dimensional NPY file, from the first one's
    /// folder.
    pub label_column: Option<String>,
    /// The column that names each row; carried along, never a feature.
    pub id_column: Option<String>,
    /// Whether the first line of a CSV file holds names; `None` finds out.
    pub header: Option<bool>,
    /// What to do with missing values.
    pub impute: Option<Impute>,
    /// What to do with text columns.
    pub categorical: Option<Categorical>,
    /// Where known data sets are looked for before the cache folder.
    pub data_dir: Option<PathBuf>,
    /// Seed of a synthetic source.
    pub seed: u64,
}
