//! The data sets that have a name.

use crate::mnist::local_folder;
use serde::Serialize;
use std::env;
use std::path::{Path, PathBuf};

/// A data set that [`crate::open`] knows by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What [`crate::open`] takes.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub description: &'static str,
    /// Rows.
    pub samples: usize,
    /// Numbers a row.
    pub features: usize,
    /// Classes of the labels.
    pub classes: usize,
    /// Who made it.
    pub origin: &'static str,
    /// Under which terms.
    pub licence: &'static str,
    /// Where it is.
    pub location: Location,
}

/// Where a known data set is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// In the program.
    Bundled,
    /// Drawn when it is opened.
    Computed,
    /// In this folder.
    Folder(PathBuf),
    /// Not here; it would be fetched into this folder.
    Absent(PathBuf),
}

/// The known data sets, and where they are.
pub fn catalogue(data_dir: Option<&Path>) -> Vec<Entry> {
    let mnist = local_folder(data_dir).map_or_else(|| Location::Absent(cache_folder().join("mnist")), Location::Folder);
    let origin = "Yann LeCun, Corinna Cortes, Christopher J. C. Burges; from NIST's databases";
    let licence = "CC BY-SA 3.0, as commonly stated";
    let digits = Entry {
        name: "digits",
        description: "5,000 training and 1,000 test images of MNIST, 28x28 grey pixels, drawn stratified",
        samples: 6_000,
        features: 784,
        classes: 10,
        origin,
        licence,
        location: Location::Bundled,
    };
    let full = Entry {
        name: "mnist",
        description: "handwritten digits, 60,000 training and 10,000 test images, 28x28 grey pixels",
        samples: 70_000,
        location: mnist,
        ..digits.clone()
    };
    let synthetic = Entry {
        name: "synthetic",
        description: "Gaussian, 100 dimensions, 20 of variance 10, randomly rotated; label: sign of their sum",
        samples: 20_000,
        features: 100,
        classes: 2,
        origin: "drawn from the seed",
        licence: "none needed",
        location: Location::Computed,
    };
    vec![digits, full, synthetic]
}

/// The folder for fetched data: `attar` in the user's cache folder, else in the system's temporary folder.
pub fn cache_folder() -> PathBuf {
    let folder = |variable| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = folder("XDG_CACHE_HOME")
        .or_else(|| folder("LOCALAPPDATA"))
        .or_else(|| folder("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(env::temp_dir).join("attar")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Labels, ReadOptions, open};

    /// What the catalogue says of the sets that are always here is what opening them gives.
    #[test]
    fn entries_are_as_they_say() {
        let entries = catalogue(None);
        let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["digits", "mnist", "synthetic"]);
        for entry in entries.iter().filter(|entry| matches!(entry.location, Location::Bundled | Location::Computed)) {
            let set = open(entry.name, &ReadOptions::default()).unwrap();
            let classes = set.labels.as_ref().and_then(Labels::names).map_or(0, <[String]>::len);
            let found = (set.name.as_str(), set.samples(), set.features(), classes);
            assert_eq!(found, (entry.name, entry.samples, entry.features, entry.classes));
        }
    }
}
