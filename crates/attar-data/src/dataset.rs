//! A data set: numbers, what their columns mean, labels, and the rows that its source sets aside as a test.

use crate::{Error, Impute, Values};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;

/// Rows of numbers with what is known about them.
#[derive(Debug)]
pub struct Dataset {
    /// What the user called it: `digits`, `mnist`, `synthetic` or the path's last part.
    pub name: String,
    /// What the columns mean; stored with a model so that new data can be matched to it.
    pub schema: Schema,
    /// `[samples, features]`.
    pub values: Values,
    /// One label a row, if the source has labels.
    pub labels: Option<Labels>,
    /// One name a row, if the source names its rows.
    pub ids: Option<Vec<String>>,
    /// The rows that the source itself sets aside as test: MNIST 60,000..70,000, digits 5,000..6,000.
    pub test_rows: Option<Range<usize>>,
}

impl Dataset {
    /// Number of rows.
    pub fn samples(&self) -> usize {
        self.values.samples()
    }

    /// Number of columns.
    pub fn features(&self) -> usize {
        self.values.features()
    }

    /// SHA-256 over shape, stored numbers, labels and test rows, in hexadecimal; read as a stream, never copied whole.
    ///
    /// It identifies the data as stored: the same numbers as bytes and as floats have different fingerprints.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let test = self.test_rows.clone().unwrap_or(0..0);
        for number in [self.samples(), self.features(), test.start, test.end] {
            hash.update((number as u64).to_le_bytes());
        }
        self.values.hash(&mut hash);
        if let Some(labels) = &self.labels {
            labels.hash(&mut hash);
        }
        hexadecimal(&hash.finalize())
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What one number of every row belongs to; decides the default scaling and how results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Named columns of a CSV or Parquet file.
    Table,
    /// Vectors without named entries: NPY, NPZ, IDX other than images, fixed-size lists.
    Vectors,
    /// Pixels in row-major order, channels last.
    Image {
        /// Pixels from top to bottom.
        height: usize,
        /// Pixels from left to right.
        width: usize,
        /// 1 for grey, 3 for red, green, blue.
        channels: usize,
    },
    /// Samples drawn by [`crate::Synthetic`].
    Synthetic,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layout::Table => f.write_str("a table"),
            Layout::Vectors => f.write_str("vectors"),
            Layout::Image { height, width, channels } => {
                write!(f, "images of {width}x{height} pixels with {channels} channels")
            }
            Layout::Synthetic => f.write_str("synthetic samples"),
        }
    }
}

/// A feature: a numeric column of the source, or one level of a text column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name of the source's column.
    pub name: String,
    /// The text that this feature is 1 for, if the source's column is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.level {
            Some(level) => write!(f, "{}={level}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What the columns of a data set mean. Stored with a model; [`crate::open_like`] reads new data by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// What a row is.
    pub layout: Layout,
    /// The features in order, one for each number of a row.
    pub columns: Vec<Column>,
    /// All columns of a table as its file has them, label and id included; empty for what has no named columns.
    pub source_columns: Vec<String>,
    /// The column that the labels came from.
    pub label_column: Option<String>,
    /// The column that the ids came from.
    pub id_column: Option<String>,
    /// Names of the classes, if the labels are classes; new data is given the same numbers.
    pub class_names: Option<Vec<String>>,
    /// What was done with missing values.
    pub impute: Option<Impute>,
}

impl Schema {
    /// A schema of `features` columns called `prefix_0`, `prefix_1` and so on.
    pub fn unnamed(layout: Layout, prefix: &str, features: usize) -> Self {
        let columns = (0..features).map(|i| Column { name: format!("{prefix}_{i}"), level: None }).collect();
        Schema {
            layout,
            columns,
            source_columns: Vec::new(),
            label_column: None,
            id_column: None,
            class_names: None,
            impute: None,
        }
    }
}

/// What is known about each row, never seen by unsupervised training.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// Each row is of one class.
    Classes {
        /// Names of the classes.
        names: Vec<String>,
        /// The class of each row, an index of `names`.
        of: Vec<u32>,
    },
    /// Each row has a number.
    Numbers(Vec<f64>),
}

impl Labels {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Labels::Classes { of, .. } => of.len(),
            Labels::Numbers(numbers) => numbers.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Names of the classes; `None` for numbers.
    pub fn names(&self) -> Option<&[String]> {
        match self {
            Labels::Classes { names, .. } => Some(names),
            Labels::Numbers(_) => None,
        }
    }

    /// What a probe needs of these rows: for classes, at least two different ones.
    ///
    /// # Errors
    /// [`Error::OneClass`] if all the rows are of one class.
    pub fn check_for_probe(&self, rows: &[usize]) -> Result<(), Error> {
        let Labels::Classes { names, of } = self else { return Ok(()) };
        let Some(&first) = rows.first() else { return Ok(()) };
        if rows.iter().any(|&row| of[row] != of[first]) {
            return Ok(());
        }
        Err(Error::OneClass { class: names[of[first] as usize].clone(), rows: rows.len() })
    }

    fn hash(&self, hash: &mut Sha256) {
        match self {
            Labels::Classes { names, of } => {
                for name in names {
                    hash.update((name.len() as u64).to_le_bytes());
                    hash.update(name);
                }
                of.iter().for_each(|class| hash.update(class.to_le_bytes()));
            }
            Labels::Numbers(numbers) => numbers.iter().for_each(|number| hash.update(number.to_le_bytes())),
        }
    }
}
