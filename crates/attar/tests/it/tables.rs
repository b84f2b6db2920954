//! `attar data`: what it says of a source.

use std::fs;

use crate::succeed;

#[test]
fn the_known_data_sets_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let list = succeed(folder.path(), "data list");
    let names: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["digits", "mnist", "synthetic"]);
    let list: serde_json::Value = serde_json::from_str(&succeed(folder.path(), "data list --json")).unwrap();
    assert_eq!((list[0]["name"].as_str(), list[0]["samples"].as_u64()), (Some("digits"), Some(6_000)));
}

#[test]
fn a_table_is_described() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.csv"), "id,x,y,kind\np,1,2,red\nq,3,4,blue\nr,5,6.5,red\n").unwrap();
    let line = "data info a.csv --label-column kind --id-column id";
    let facts: serde_json::Value = serde_json::from_str(&succeed(folder.path(), &format!("{line} --json"))).unwrap();
    assert_eq!((facts["rows"].as_u64(), facts["features"].as_u64()), (Some(3), Some(2)));
    assert_eq!(facts["columns"], "x, y");
    assert_eq!(facts["labels"], "2 classes: blue (1), red (2)");
    assert_eq!(facts["ids"], "one a row");
    let text = succeed(folder.path(), line);
    assert!(
        text.lines().any(|line| line.starts_with("labels") && line.ends_with("2 classes: blue (1), red (2)")),
        "{text}"
    );
}

#[test]
fn the_bundled_digits_are_described() {
    let folder = tempfile::tempdir().unwrap();
    let text = succeed(folder.path(), "data info digits");
    for part in ["images of 28x28 pixels", "6000", "784", "10 classes: 0 (", "5000 to 5999"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
