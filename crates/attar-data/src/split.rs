//! Which rows train, validate and test: seeded, and stratified where the rows have classes.

use crate::random::{Purpose, shuffle, stream};
use crate::{Dataset, Error, Labels};
use rand::rand_core::Rng;
use serde::{Deserialize, Serialize};

/// Row numbers of the three parts, each in ascending order, disjoint, together all rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Rows that parameters, means and deviations are learned from.
    pub train: Vec<usize>,
    /// Rows that choices are made on, and that the probes of the course are trained on.
    pub validation: Vec<usize>,
    /// Rows that nothing but the final figures looks at.
    pub test: Vec<usize>,
}

/// The parts' shares of the rows; they add up to 1. The default is the course's .7, .2, .1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitFractions {
    /// Share of the training rows, above 0.
    pub train: f64,
    /// Share of the validation rows; 0 leaves the part empty.
    pub validation: f64,
    /// Share of the test rows; 0 leaves the part empty. Without influence where the source sets test rows aside.
    pub test: f64,
}

impl Default for SplitFractions {
    fn default() -> Self {
        SplitFractions { train: 0.7, validation: 0.2, test: 0.1 }
    }
}

impl SplitFractions {
    /// The default for a data set: .9 and .1 of what remains where the source sets test rows aside, else .7, .2, .1.
    pub fn default_for(dataset: &Dataset) -> Self {
        match dataset.test_rows {
            Some(_) => SplitFractions { train: 0.9, validation: 0.1, test: 0.0 },
            None => SplitFractions::default(),
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let all = [self.train, self.validation, self.test];
        let in_range = all.iter().all(|share| (0.0..=1.0).contains(share)) && self.train > 0.0;
        if in_range && (all.iter().sum::<f64>() - 1.0).abs() < 1e-6 {
            return Ok(());
        }
        Err(Error::Fractions { train: self.train, validation: self.validation, test: self.test })
    }
}

/// Splits the rows of a data set.
///
/// Where the source sets test rows aside, they are the test part and the others are divided train : validation. Parts
/// are filled from one stratified order of the rows, so that each holds the classes in proportion to within a row or so.
///
/// # Errors
/// [`Error::Fractions`], [`Error::EmptyPart`] if a part that was asked for gets no row, and
/// [`Error::FewerRowsThanClasses`] if there are more classes than training rows.
pub fn split(dataset: &Dataset, fractions: &SplitFractions, seed: u64) -> Result<Split, Error> {
    fractions.validate()?;
    let samples = dataset.samples();
    let set_aside = dataset.test_rows.clone().unwrap_or(0..0);
    let rows: Vec<usize> = (0..samples).filter(|row| !set_aside.contains(row)).collect();
    let mut order = stratified_order(&rows, dataset.labels.as_ref(), &mut stream(seed, Purpose::Split, 0, 0, 0));

    let test_share = if set_aside.is_empty() { fractions.test } else { 0.0 };
    let validation_share = fractions.validation / (fractions.train + fractions.validation) * (1.0 - test_share);
    let count = |share: f64| ((share * rows.len() as f64).round() as usize).min(rows.len());
    let rest = order.split_off(count(test_share));
    let (validation, train) = rest.split_at(count(validation_share).min(rest.len()));

    let test = if set_aside.is_empty() { order } else { set_aside.collect() };
    let split = Split { train: sorted(train.to_vec()), validation: sorted(validation.to_vec()), test: sorted(test) };
    check_parts(&split, validation_share, test_share, samples)?;
    check_classes(&split, dataset.labels.as_ref())?;
    Ok(split)
}

fn check_parts(split: &Split, validation: f64, test: f64, samples: usize) -> Result<(), Error> {
    let parts =
        [("training", 1.0, &split.train), ("validation", validation, &split.validation), ("test", test, &split.test)];
    match parts.into_iter().find(|(_, share, rows)| *share > 0.0 && rows.is_empty()) {
        Some((part, ..)) => Err(Error::EmptyPart { part, samples }),
        None => Ok(()),
    }
}

fn check_classes(split: &Split, labels: Option<&Labels>) -> Result<(), Error> {
    match labels {
        Some(Labels::Classes { names, .. }) if names.len() > split.train.len() => {
            Err(Error::FewerRowsThanClasses { rows: split.train.len(), classes: names.len() })
        }
        _ => Ok(()),
    }
}

fn sorted(mut rows: Vec<usize>) -> Vec<usize> {
    rows.sort_unstable();
    rows
}

fn stratified_order(rows: &[usize], labels: Option<&Labels>, rng: &mut impl Rng) -> Vec<usize> {
    match labels {
        Some(Labels::Classes { of, .. }) => {
            let classes: Vec<u32> = rows.iter().map(|&row| of[row]).collect();
            interleave_classes(rows, &classes, rng)
        }
        _ => {
            let mut order = rows.to_vec();
            shuffle(&mut order, rng);
            order
        }
    }
}

/// A random order of `rows` (of class `classes[i]` each) whose every prefix holds the classes in proportion.
///
/// The k-th row of a class of n rows is placed at (k + 1/2) / n: a prefix then has the counts of the apportionment of
/// Webster and Sainte-Laguë, which never takes a seat back when the house grows. Ties between classes fall at random.
pub(crate) fn interleave_classes(rows: &[usize], classes: &[u32], rng: &mut impl Rng) -> Vec<usize> {
    let number = classes.iter().max().map_or(0, |&class| class as usize + 1);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); number];
    for (&row, &class) in rows.iter().zip(classes) {
        members[class as usize].push(row);
    }
    let mut placed = Vec::with_capacity(rows.len());
    for rows in &mut members {
        shuffle(rows, rng);
        let size = rows.len() as f64;
        placed.extend(rows.iter().enumerate().map(|(k, &row)| ((k as f64 + 0.5) / size, rng.next_u64(), row)));
    }
    placed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    placed.into_iter().map(|(_, _, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layout, Matrix, Schema, Values};
    use proptest::prelude::*;

    fn dataset(classes: Option<Vec<u32>>, samples: usize) -> Dataset {
        let number = classes.iter().flatten().max().map_or(0, |&class| class as usize + 1);
        Dataset {
            name: "test".to_owned(),
            schema: Schema::unnamed(Layout::Vectors, "x", 1),
            values: Values::Memory(Matrix { features: 1, data: vec![0.0; samples] }),
            labels: classes.map(|of| Labels::Classes { names: (0..number).map(|i| i.to_string()).collect(), of }),
            ids: None,
            test_rows: None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Parts are disjoint and complete, and every class is shared out to within two rows.
        #[test]
        fn parts_are_a_stratified_partition(of in prop::collection::vec(0_u32..3, 60..200), seed: u64) {
            let set = dataset(Some(of.clone()), of.len());
            let split = split(&set, &SplitFractions::default(), seed).unwrap();
            let all = sorted([&split.train[..], &split.validation, &split.test].concat());
            prop_assert_eq!(all, (0..of.len()).collect::<Vec<_>>());
            for class in 0..3 {
                let count = |rows: &[usize]| rows.iter().filter(|&&row| of[row] == class).count() as f64;
                let size = of.iter().filter(|&&c| c == class).count() as f64;
                for (rows, share) in [(&split.train, 0.7), (&split.validation, 0.2), (&split.test, 0.1)] {
                    prop_assert!((count(rows) - share * size).abs() <= 2.0);
                }
            }
        }
    }

    #[test]
    fn sizes_are_the_rounded_shares_and_the_seed_decides() {
        let set = dataset(None, 20_000);
        let first = split(&set, &SplitFractions::default(), 1).unwrap();
        assert_eq!([first.train.len(), first.validation.len(), first.test.len()], [14_000, 4_000, 2_000]);
        assert_eq!(first, split(&set, &SplitFractions::default(), 1).unwrap());
        assert_ne!(first, split(&set, &SplitFractions::default(), 2).unwrap());
    }

    #[test]
    fn rows_that_the_source_sets_aside_are_the_test() {
        let set = Dataset { test_rows: Some(60..70), ..dataset(None, 70) };
        let parts = split(&set, &SplitFractions { train: 0.7, validation: 0.2, test: 0.1 }, 0).unwrap();
        assert_eq!(parts.test, (60..70).collect::<Vec<_>>());
        // 60 rows divided 7 : 2.
        assert_eq!([parts.train.len(), parts.validation.len()], [47, 13]);
    }

    #[test]
    fn impossible_splits_are_refused() {
        let default = SplitFractions::default();
        let check = |set: &Dataset, fractions: &SplitFractions, expected: &str| {
            assert_eq!(split(set, fractions, 0).unwrap_err().to_string(), expected);
        };
        let unequal = SplitFractions { train: 0.7, validation: 0.2, test: 0.2 };
        check(
            &dataset(None, 10),
            &unequal,
            "the shares of training, validation and test rows must add up to 1, got 0.7, 0.2, 0.2",
        );
        check(&dataset(None, 3), &default, "no row is left for the test part: the data has only 3 rows");
        check(
            &dataset(Some((0..10).collect()), 10),
            &default,
            "fewer training rows than classes: 7 rows for 10 classes",
        );
    }
}
