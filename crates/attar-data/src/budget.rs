//! Label budgets: which rows' labels a probe may see, nested and stratified.

use crate::Error;
use crate::random::{Purpose, stream};
use crate::split::interleave_classes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How many labels may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Budget {
    /// This many.
    Labels(usize),
    /// Every label there is.
    All,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Budget::Labels(labels) => labels.fmt(f),
            Budget::All => f.write_str("all"),
        }
    }
}

impl FromStr for Budget {
    type Err = Error;

    /// Parses `all` or a number of at least 1.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "all" => Ok(Budget::All),
            number => match number.parse() {
                Ok(labels) if labels > 0 => Ok(Budget::Labels(labels)),
                _ => Err(Error::Budget { text: number.to_owned() }),
            },
        }
    }
}

impl TryFrom<String> for Budget {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> Self {
        budget.to_string()
    }
}

/// Parses a list such as `10,50,all`.
///
/// # Errors
/// [`Error::Budget`] names the entry that is neither `all` nor a number of at least 1.
pub fn parse_budgets(text: &str) -> Result<Vec<Budget>, Error> {
    text.split(',').map(str::parse).collect()
}

/// Draws the rows whose labels may be seen: `[draw][budget]` gives row numbers.
///
/// `labels[i]` is the class of `rows[i]`. Within a draw the rows of a smaller budget are the first of a larger one's,
/// and each budget holds the classes in proportion (to within a row), so that curves over budgets compare like with like.
///
/// # Errors
/// [`Error::LabelCount`] if `labels` and `rows` differ in length, [`Error::OneClass`] if the rows are all of one class,
/// [`Error::BudgetTooLarge`] if there are fewer rows than a budget.
pub fn label_budgets(
    labels: &[u32],
    rows: &[usize],
    budgets: &[Budget],
    draws: usize,
    seed: u64,
) -> Result<Vec<Vec<Vec<usize>>>, Error> {
    if labels.len() != rows.len() {
        return Err(Error::LabelCount { labels: labels.len(), rows: rows.len() });
    }
    if labels.iter().all(|label| Some(label) == labels.first()) {
        let class = labels.first().map_or_else(|| "none".to_owned(), u32::to_string);
        return Err(Error::OneClass { class, rows: rows.len() });
    }
    let sizes = budgets.iter().map(|&budget| size(budget, rows.len())).collect::<Result<Vec<_>, _>>()?;
    Ok((0..draws)
        .map(|draw| {
            let order = interleave_classes(rows, labels, &mut stream(seed, Purpose::Budget, 0, 0, draw as u64));
            sizes.iter().map(|&size| order[..size].to_vec()).collect()
        })
        .collect())
}

fn size(budget: Budget, rows: usize) -> Result<usize, Error> {
    match budget {
        Budget::All => Ok(rows),
        Budget::Labels(labels) if labels <= rows => Ok(labels),
        Budget::Labels(labels) => Err(Error::BudgetTooLarge { budget: labels, rows }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn budgets_are_nested_distinct_and_in_proportion(seed: u64, weights in prop::collection::vec(5_usize..60, 2..6)) {
            let labels: Vec<u32> = weights.iter().enumerate().flat_map(|(c, &n)| vec![c as u32; n]).collect();
            let rows: Vec<usize> = (0..labels.len()).map(|i| 3 * i + 1).collect();
            let budgets = [Budget::Labels(10), Budget::Labels(5), Budget::All];
            for draw in label_budgets(&labels, &rows, &budgets, 3, seed).unwrap() {
                prop_assert_eq!(&draw[0][..5], &draw[1][..]);
                prop_assert_eq!(&draw[2][..10], &draw[0][..]);
                let mut all = draw[2].clone();
                all.sort_unstable();
                prop_assert_eq!(&all, &rows);
                for (class, &size) in weights.iter().enumerate() {
                    let seen = draw[0].iter().filter(|&&row| labels[row / 3] == class as u32).count() as f64;
                    prop_assert!((seen - 10.0 * size as f64 / rows.len() as f64).abs() <= 1.5);
                }
            }
        }
    }

    #[test]
    fn draws_differ() {
        let labels: Vec<u32> = (0..100).map(|i| i % 4).collect();
        let rows: Vec<usize> = (0..100).collect();
        let draws = label_budgets(&labels, &rows, &[Budget::Labels(20)], 2, 0).unwrap();
        assert_ne!(draws[0], draws[1]);
    }

    #[test]
    fn lists_parse_and_print() {
        let budgets = parse_budgets("10, 50,all").unwrap();
        assert_eq!(budgets, [Budget::Labels(10), Budget::Labels(50), Budget::All]);
        assert_eq!(serde_json::to_string(&budgets).unwrap(), r#"["10","50","all"]"#);
        assert_eq!(serde_json::from_str::<Vec<Budget>>(r#"["10","50","all"]"#).unwrap(), budgets);
        for text in ["", "0", "-1", "10,,20", "many"] {
            assert!(matches!(parse_budgets(text), Err(Error::Budget { .. })), "{text:?}");
        }
    }

    #[test]
    fn impossible_budgets_are_refused() {
        let check = |labels: &[u32], rows: &[usize], expected: &str| {
            let error = label_budgets(labels, rows, &[Budget::Labels(4)], 1, 0).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(&[1, 0], &[4, 5], "a label budget of 4 is more than the 2 labelled rows");
        check(&[1, 1, 1, 1], &[0, 1, 2, 3], "all 4 rows are of one class, `1`; a probe needs at least two");
        check(&[], &[], "all 0 rows are of one class, `none`; a probe needs at least two");
        check(&[1], &[0, 1], "1 labels for 2 rows");
    }
}
