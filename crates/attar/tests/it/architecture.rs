//! The documents tell the truth: paths and names exist, the map is complete, dependencies point down.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::text;

const DOCUMENTS: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/performance.md"];

/// Each crate of the workspace, with those it may stand on.
const MAY_USE: [(&str, &[&str]); 8] = [
    (
        "attar",
        &["attar-attention", "attar-data", "attar-doctor", "attar-learn", "attar-linear", "attar-ops", "attar-report"],
    ),
    ("attar-attention", &["attar-ops"]),
    ("attar-data", &[]),
    ("attar-doctor", &[]),
    ("attar-learn", &["attar-attention", "attar-data", "attar-doctor", "attar-linear", "attar-ops"]),
    ("attar-linear", &[]),
    ("attar-ops", &[]),
    ("attar-report", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// What stands in backticks within the lines of a document, outside its blocks of code.
fn quoted(document: &str) -> Vec<String> {
    let prose: String = document.split("```").step_by(2).collect();
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a quotation means a file or folder of the repository: not a command, not what a run leaves behind.
fn is_path(quoted: &str) -> bool {
    let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let source = [".rs", ".md"].iter().any(|ending| quoted.ends_with(ending));
    plain && (source || quoted.contains('/')) && !["runs/", "target/"].iter().any(|own| quoted.starts_with(own))
}

#[test]
fn paths_in_documents_exist() {
    for name in DOCUMENTS {
        let paths: Vec<String> = quoted(&document(name)).into_iter().filter(|quoted| is_path(quoted)).collect();
        assert!(!paths.is_empty() || name == "CHANGELOG.md", "{name}: no path found");
        for path in paths {
            assert!(root().join(&path).exists(), "{name}: there is no {path}");
        }
    }
}

/// A type, or what ends in `()`: its last part must be defined somewhere.
#[test]
fn names_of_types_and_functions_in_documents_exist() {
    let sources: String = rust_files().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut found = 0;
    for name in ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/performance.md"] {
        for quoted in quoted(&document(name)) {
            let last = quoted.trim_end_matches("()").rsplit("::").next().unwrap_or_default();
            let is_function = quoted.ends_with("()") && last.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let is_type = last.starts_with(|c: char| c.is_ascii_uppercase())
                && last.contains(|c: char| c.is_ascii_lowercase())
                && last.chars().all(|c| c.is_ascii_alphanumeric());
            let definitions: &[&str] = match (is_function, is_type) {
                (true, _) => &["fn"],
                (_, true) => &["struct", "enum", "trait", "type"],
                _ => continue,
            };
            let defined = definitions.iter().any(|word| defines(&sources, word, last));
            assert!(defined, "{name}: nothing defines `{quoted}`");
            found += 1;
        }
    }
    assert!(found > 10, "only {found} names found");
}

fn defines(sources: &str, word: &str, name: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    sources.split(&format!("{word} {name}")).skip(1).any(ends)
}

#[test]
fn every_crate_is_on_the_map() {
    let map = quoted(&document("ARCHITECTURE.md"));
    for folder in fs::read_dir(root().join("crates")).unwrap() {
        let name = format!("crates/{}", folder.unwrap().file_name().display());
        assert!(map.contains(&name), "{name} is not in ARCHITECTURE.md");
    }
}

#[test]
fn dependencies_point_down() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: Vec<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let mut used = 0;
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let allowed = MAY_USE.iter().find(|(user, _)| *user == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name}: not in the table of who may use whom"));
        let needs = package["dependencies"].as_array().unwrap().iter().map(|need| need["name"].as_str().unwrap());
        for need in needs.filter(|need| names.contains(need)) {
            assert!(allowed.contains(&need), "{name} must not know {need}");
            used += 1;
        }
    }
    assert!(used > 5, "only {used} dependencies within the workspace found");
}

#[test]
fn every_source_file_says_what_it_is() {
    let files = rust_files();
    assert!(files.len() > 100, "{} files", files.len());
    for path in files {
        let source = fs::read_to_string(&path).unwrap();
        let says = source.starts_with("//! ") || source.starts_with("#![doc = include_str!(\"../README.md\")]");
        assert!(says, "{} does not open with what it is", path.display());
    }
}

/// All Rust sources of the workspace.
fn rust_files() -> Vec<PathBuf> {
    let mut folders = vec![root().join("crates")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The newest version in the change log, which may be followed by a date or by "unreleased".
#[test]
fn the_change_log_is_of_this_version() {
    let log = document("CHANGELOG.md");
    let newest = log.lines().find_map(|line| line.strip_prefix("## ["));
    let version = newest.and_then(|line| line.split(']').next());
    assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
}
