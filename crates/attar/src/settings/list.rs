//! Lists in flags and files: `512,256`, `[512, 256]`, `256`, `none`.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::ops::Deref;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Entries in order; written `a,b` in a flag and `["a", "b"]`, `"a,b"` or `"a"` in a file. `none` is empty.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: FromStr<Err: Display>> FromStr for List<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let entry = |word: &str| word.trim().parse().map_err(|error| format!("`{word}`: {error}"));
        text.split(',').map(entry).collect::<Result<_, _>>().map(Self)
    }
}

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Entries(PhantomData))
    }
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: FromStr<Err: Display>> Visitor<'de> for Entries<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one entry or a list of them")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<List<T>, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<List<T>, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<List<T>, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<List<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(List(entries)) = sequence.next_element::<List<T>>()? {
            all.extend(entries);
        }
        Ok(List(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attar_data::Budget;

    #[test]
    fn lists_are_read_as_flags_and_as_values() {
        let check = |flag: &str, value: serde_json::Value, expected: &[usize]| {
            assert_eq!(flag.parse::<List<usize>>().unwrap().0, expected);
            assert_eq!(serde_json::from_value::<List<usize>>(value).unwrap().0, expected);
        };
        check("512,256", serde_json::json!([512, 256]), &[512, 256]);
        check("5, 20", serde_json::json!("5, 20"), &[5, 20]);
        check("7", serde_json::json!(7), &[7]);
        check("none", serde_json::json!([]), &[]);
        let budgets: List<Budget> = serde_json::from_value(serde_json::json!([10, "all"])).unwrap();
        assert_eq!(budgets.0, [Budget::Labels(10), Budget::All]);
    }

    #[test]
    fn what_is_no_entry_is_named() {
        let check = |text: &str, named: &str| {
            let error = text.parse::<List<usize>>().unwrap_err();
            assert!(error.contains(named), "{error}");
        };
        check("5,x", "`x`");
        check("5,,6", "``");
        check("-1", "`-1`");
    }
}
