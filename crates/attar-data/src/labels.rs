//! When labels are classes and when they are numbers.

use crate::Labels;
use std::collections::{BTreeMap, HashMap};

/// Whole numbers with at most this many distinct values are classes.
const MOST_CLASSES: usize = 100;

/// Labels of numbers: classes if all are whole, at most 100 are distinct and each stands for two rows on average;
/// else numbers. The classes are named by their numbers and sorted by them.
pub(crate) fn labels_of_numbers(numbers: Vec<f64>) -> Labels {
    let Some(distinct) = few_whole_numbers(&numbers) else { return Labels::Numbers(numbers) };
    let of = numbers.iter().filter_map(|&number| distinct.get(&(number as i64)).copied()).collect();
    Labels::Classes { names: distinct.keys().map(i64::to_string).collect(), of }
}

fn few_whole_numbers(numbers: &[f64]) -> Option<BTreeMap<i64, u32>> {
    let mut distinct = BTreeMap::new();
    for &number in numbers {
        let whole = number.fract() == 0.0 && number.abs() < 9e15;
        distinct.insert(number as i64, 0);
        if !whole || distinct.len() > MOST_CLASSES || 2 * distinct.len() > numbers.len().max(2) {
            return None;
        }
    }
    distinct.values_mut().zip(0..).for_each(|(index, i)| *index = i);
    Some(distinct)
}

/// Collects text labels as classes.
#[derive(Default)]
pub(crate) struct Classes {
    index: HashMap<String, u32>,
    names: Vec<String>,
    of: Vec<u32>,
}

impl Classes {
    /// Classes that begin with known names, so that they keep their numbers.
    pub(crate) fn known(names: &[String]) -> Self {
        let mut classes = Classes::default();
        names.iter().for_each(|name| {
            classes.number(name);
        });
        classes
    }

    pub(crate) fn push(&mut self, name: &str) {
        let number = self.number(name);
        self.of.push(number);
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.index.get(name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.index.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }

    /// The labels, classes in the order in which they were met.
    pub(crate) fn finish(self) -> Labels {
        Labels::Classes { names: self.names, of: self.of }
    }

    /// The labels, classes sorted by name, so that the order of the rows has no influence on their numbers.
    pub(crate) fn finish_sorted(self) -> Labels {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_unstable_by(|&a, &b| self.names[a].cmp(&self.names[b]));
        let mut new = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(&old, rank)| new[old] = rank);
        let names = order.iter().map(|&old| self.names[old].clone()).collect();
        Labels::Classes { names, of: self.of.iter().map(|&old| new[old as usize]).collect() }
    }
}

/// Gives labels the class numbers that a trained model knows; classes that it does not know come after them.
pub(crate) fn with_known_names(labels: Labels, known: &[String]) -> Labels {
    let mut classes = Classes::known(known);
    match labels {
        Labels::Classes { names, of } => of.iter().for_each(|&class| classes.push(&names[class as usize])),
        Labels::Numbers(numbers) => numbers.iter().for_each(|number| classes.push(&number.to_string())),
    }
    classes.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_whole_numbers_are_classes() {
        let classes = |names: &[&str], of: &[u32]| Labels::Classes {
            names: names.iter().map(ToString::to_string).collect(),
            of: of.to_vec(),
        };
        let check = |numbers: Vec<f64>, expected: Labels| assert_eq!(labels_of_numbers(numbers), expected);
        check(vec![7.0, -1.0, 7.0, -1.0], classes(&["-1", "7"], &[1, 0, 1, 0]));
        check(vec![3.0, 3.0], classes(&["3"], &[0, 0]));
        check(vec![1.0, 2.5, 1.0, 2.5], Labels::Numbers(vec![1.0, 2.5, 1.0, 2.5]));
        check(vec![1.0, 2.0, 3.0], Labels::Numbers(vec![1.0, 2.0, 3.0]));
        let many: Vec<f64> = (0..400).map(|i| f64::from(i % 101)).collect();
        check(many.clone(), Labels::Numbers(many));
    }

    #[test]
    fn text_classes_are_sorted_and_known_ones_keep_their_numbers() {
        let mut classes = Classes::default();
        ["dog", "cat", "dog", "ant"].into_iter().for_each(|name| classes.push(name));
        let labels = classes.finish_sorted();
        let Labels::Classes { names, of } = &labels else { panic!("{labels:?}") };
        assert_eq!((names.join(" ").as_str(), &of[..]), ("ant cat dog", &[2, 1, 2, 0][..]));
        let known = ["dog".to_owned(), "ant".to_owned()];
        let Labels::Classes { names, of } = with_known_names(labels, &known) else { panic!() };
        assert_eq!((names.join(" ").as_str(), &of[..]), ("dog ant cat", &[0, 2, 0, 1][..]));
    }
}
