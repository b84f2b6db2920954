//! Scaling and imputation with statistics of the training rows alone.

use crate::{Column, Dataset, Error, Layout};
use serde::{Deserialize, Serialize};

/// What is done to every column before training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaling {
    /// Nothing; pixels are in [0, 1] as read.
    None,
    /// Mean 0 and variance 1 over the training rows.
    Standardise,
}

impl Scaling {
    /// Tables and vectors are standardised; images, in [0, 1] as read, and synthetic samples are left alone.
    pub fn default_for(layout: Layout) -> Self {
        match layout {
            Layout::Table | Layout::Vectors => Scaling::Standardise,
            Layout::Image { .. } | Layout::Synthetic => Scaling::None,
        }
    }
}

/// What was learned from the training rows, stored with a model and applied to all rows alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// What is done to the columns.
    pub scaling: Scaling,
    /// Mean of each column over the training rows, missing values left out; what a missing value becomes.
    pub mean: Vec<f64>,
    /// Standard deviation of each column (variance divided by n - 1); 1 for a constant column.
    pub deviation: Vec<f64>,
    /// Columns with a single value among the training rows, or none; they are kept.
    pub constant: Vec<usize>,
    /// Number of missing values of each column among the training rows; empty if there are none.
    #[serde(default)]
    pub imputed: Vec<u64>,
}

/// Numbers read at a time while fitting, or one row.
const BLOCK: usize = 1 << 16;

impl Preprocessing {
    /// Learns means and deviations from `train_rows`, in one pass, in f64, in the order of the rows.
    ///
    /// `scaling` is the user's choice; `None` takes [`Scaling::default_for`] the layout.
    ///
    /// # Errors
    /// [`Error::EmptyPart`] if there are no training rows.
    pub fn fit(dataset: &Dataset, train_rows: &[usize], scaling: Option<Scaling>) -> Result<Self, Error> {
        if train_rows.is_empty() {
            return Err(Error::EmptyPart { part: "training", samples: dataset.samples() });
        }
        let mut moments = Moments::new(dataset.features());
        let block_rows = (BLOCK / dataset.features().max(1)).clamp(1, train_rows.len());
        let mut buffer = vec![0.0; block_rows * dataset.features()];
        for rows in train_rows.chunks(block_rows) {
            let block = &mut buffer[..rows.len() * dataset.features()];
            dataset.values.read(rows, block);
            moments.add(block);
        }
        let scaling = scaling.unwrap_or_else(|| Scaling::default_for(dataset.schema.layout));
        Ok(moments.finish(scaling, train_rows.len() as u64))
    }

    /// Imputes and scales rows in place, row-major `[rows, features]`.
    ///
    /// # Panics
    /// If the length of `rows` is no multiple of the number of features.
    pub fn apply(&self, rows: &mut [f32]) {
        let features = self.mean.len();
        assert!(rows.is_empty() || (features > 0 && rows.len().is_multiple_of(features)), "not whole rows");
        for row in rows.chunks_exact_mut(features.max(1)) {
            match self.scaling {
                Scaling::None => self.impute(row),
                Scaling::Standardise => self.standardise(row),
            }
        }
    }

    fn impute(&self, row: &mut [f32]) {
        // Without a way out, so that it vectorises; nearly all rows end here.
        if !row.iter().fold(false, |any, value| any | value.is_nan()) {
            return;
        }
        for (value, &mean) in row.iter_mut().zip(&self.mean) {
            if value.is_nan() {
                *value = mean as f32;
            }
        }
    }

    fn standardise(&self, row: &mut [f32]) {
        for ((value, &mean), &deviation) in row.iter_mut().zip(&self.mean).zip(&self.deviation) {
            let scaled = ((f64::from(*value) - mean) / deviation) as f32;
            *value = if scaled.is_nan() { 0.0 } else { scaled };
        }
    }

    /// The columns that have a single value among the training rows, by name.
    pub fn constant_columns<'a>(&self, columns: &'a [Column]) -> Vec<&'a Column> {
        self.constant.iter().filter_map(|&column| columns.get(column)).collect()
    }
}

/// Running moments of every column (Welford 1962): no cancellation, whatever the mean.
struct Moments {
    count: Vec<u64>,
    mean: Vec<f64>,
    squares: Vec<f64>,
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Moments {
    fn new(features: usize) -> Self {
        Moments {
            count: vec![0; features],
            mean: vec![0.0; features],
            squares: vec![0.0; features],
            low: vec![f32::INFINITY; features],
            high: vec![f32::NEG_INFINITY; features],
        }
    }

    fn add(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.mean.len().max(1)) {
            for (column, &value) in row.iter().enumerate() {
                if !value.is_nan() {
                    self.add_value(column, value);
                }
            }
        }
    }

    #[inline]
    fn add_value(&mut self, column: usize, value: f32) {
        self.count[column] += 1;
        let distance = f64::from(value) - self.mean[column];
        self.mean[column] += distance / self.count[column] as f64;
        self.squares[column] += distance * (f64::from(value) - self.mean[column]);
        self.low[column] = self.low[column].min(value);
        self.high[column] = self.high[column].max(value);
    }

    fn finish(self, scaling: Scaling, rows: u64) -> Preprocessing {
        let constant: Vec<usize> = (0..self.mean.len()).filter(|&c| self.low[c] >= self.high[c]).collect();
        let mut deviation: Vec<f64> =
            self.squares.iter().zip(&self.count).map(|(s, &n)| (s / (n.max(2) - 1) as f64).sqrt()).collect();
        constant.iter().for_each(|&column| deviation[column] = 1.0);
        let missing: Vec<u64> = self.count.iter().map(|count| rows - count).collect();
        let imputed = if missing.iter().any(|&count| count > 0) { missing } else { Vec::new() };
        Preprocessing { scaling, mean: self.mean, deviation, constant, imputed }
    }
}

/// A data set whose rows are read imputed and scaled.
#[derive(Debug)]
pub struct Prepared {
    /// The data as stored.
    pub dataset: Dataset,
    /// What is done to every row that is read.
    pub preprocessing: Preprocessing,
}

impl Prepared {
    /// Copies the given rows into `out`, row-major `[rows, features]`, imputed and scaled.
    ///
    /// # Panics
    /// As [`crate::Values::read`].
    pub fn read(&self, rows: &[usize], out: &mut [f32]) {
        self.dataset.values.read(rows, out);
        self.preprocessing.apply(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Matrix, Schema, Values};
    use proptest::prelude::*;

    fn dataset(layout: Layout, features: usize, data: Vec<f32>) -> Dataset {
        Dataset {
            name: "test".to_owned(),
            schema: Schema::unnamed(layout, "x", features),
            values: Values::Memory(Matrix { features, data }),
            labels: None,
            ids: None,
            test_rows: None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Against the two-pass formula, with a mean a thousand times the deviation.
        #[test]
        fn standardised_training_rows_have_mean_0_and_variance_1(
            data in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 3..700),
        ) {
            let n = data.len();
            let flat = data.iter().flat_map(|&(a, b)| [a, 1000.0 + 3.0 * b]).collect();
            let set = dataset(Layout::Table, 2, flat);
            let rows: Vec<usize> = (0..n).collect();
            let fitted = Preprocessing::fit(&set, &rows, None).unwrap();
            prop_assume!(fitted.constant.is_empty() && fitted.deviation.iter().all(|&d| d > 0.05));
            let mut out = vec![0.0; 2 * n];
            Prepared { dataset: set, preprocessing: fitted }.read(&rows, &mut out);
            for column in 0..2 {
                let values: Vec<f64> = out.chunks_exact(2).map(|row| f64::from(row[column])).collect();
                let mean = values.iter().sum::<f64>() / n as f64;
                let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
                prop_assert!(mean.abs() < 1e-5, "mean {}", mean);
                prop_assert!((variance - 1.0).abs() < 1e-4, "variance {}", variance);
            }
        }
    }

    #[test]
    fn statistics_are_of_the_training_rows_alone() {
        let set = dataset(Layout::Table, 1, vec![1.0, 900.0, 3.0, -900.0]);
        let fitted = Preprocessing::fit(&set, &[0, 2], None).unwrap();
        assert_eq!((fitted.mean[0], fitted.deviation[0]), (2.0, 2.0_f64.sqrt()));
    }

    #[test]
    fn missing_values_become_the_training_mean() {
        let nan = f32::NAN;
        let set = dataset(Layout::Table, 2, vec![nan, 5.0, 2.0, nan, 4.0, 8.0]);
        let check = |scaling, expected: [f32; 2]| {
            let fitted = Preprocessing::fit(&set, &[0, 1, 2], Some(scaling)).unwrap();
            assert_eq!(fitted.imputed, [1, 1]);
            let mut row = [nan, nan];
            fitted.apply(&mut row);
            assert_eq!(row, expected, "{scaling:?}");
        };
        check(Scaling::None, [3.0, 6.5]);
        check(Scaling::Standardise, [0.0, 0.0]);
    }

    #[test]
    fn constant_columns_are_kept_and_named() {
        let set = dataset(Layout::Table, 3, vec![7.0, f32::NAN, 1.0, 7.0, f32::NAN, 2.0]);
        let fitted = Preprocessing::fit(&set, &[0, 1], None).unwrap();
        let names: Vec<String> = fitted.constant_columns(&set.schema.columns).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["x_0", "x_1"]);
        let mut row = [9.0, f32::NAN, 1.5];
        fitted.apply(&mut row);
        assert_eq!(row, [2.0, 0.0, 0.0]);
    }

    #[test]
    fn the_default_depends_on_the_layout() {
        let image = Layout::Image { height: 1, width: 1, channels: 1 };
        for (layout, expected) in [
            (Layout::Table, Scaling::Standardise),
            (Layout::Vectors, Scaling::Standardise),
            (image, Scaling::None),
            (Layout::Synthetic, Scaling::None),
        ] {
            let fitted = Preprocessing::fit(&dataset(layout, 1, vec![1.0, 2.0]), &[0, 1], None).unwrap();
            assert_eq!(fitted.scaling, expected);
        }
    }

    #[test]
    fn no_training_rows_is_an_error() {
        let set = dataset(Layout::Table, 1, vec![1.0]);
        assert!(matches!(Preprocessing::fit(&set, &[], None), Err(Error::EmptyPart { part: "training", .. })));
    }
}
