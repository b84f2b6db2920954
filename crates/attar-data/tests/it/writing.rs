//! What is written is read back, and nothing is half-written.

use crate::files::*;
use attar_data::{Error, Labels, NpyFile, OutTable, ReadOptions, write_table};

fn table<'a>(names: &'a [String], ids: &'a [String], labels: &'a Labels, values: &'a [f32]) -> OutTable<'a> {
    OutTable { ids: Some(ids), labels: Some(labels), names, values }
}

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

#[test]
fn tables_come_back_as_they_were() {
    // More rows than a block holds, values without a short decimal form.
    let rows = 20_001;
    let values: Vec<f32> = (0..2 * rows).map(|i| (i as f32).sqrt() - 70.0).collect();
    let ids: Vec<String> = (0..rows).map(|i| format!("row {i}, \"quoted\"")).collect();
    let classes = Labels::Classes { names: texts(&["cat", "dog"]), of: (0..rows).map(|i| (i % 2) as u32).collect() };
    let regression = Labels::Numbers((0..rows).map(|i| i as f64 / 7.0).collect());
    let names = texts(&["code_0", "code_1"]);
    let folder = Folder::new();
    for labels in [&classes, &regression] {
        for ending in ["parquet", "npy", "csv"] {
            let path = folder.path().join(format!("codes.{ending}"));
            write_table(&path, &table(&names, &ids, labels, &values)).unwrap();
            let named = ending != "npy";
            let column = |name: &str| named.then(|| name.to_owned());
            let options =
                ReadOptions { label_column: column("label"), id_column: column("id"), ..ReadOptions::default() };
            let set = open(&path, &options).unwrap();
            assert_eq!(numbers(&set), values, "{ending}");
            assert_eq!(set.ids, named.then(|| ids.clone()), "{ending}");
            assert_eq!(set.labels, named.then(|| labels.clone()), "{ending}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "something was left behind");
}

#[test]
fn contradictory_tables_change_nothing() {
    let folder = Folder::new();
    let names = texts(&["a", "b"]);
    let labels = Labels::Numbers(vec![1.0]);
    let check = |name: &str, ids: &[&str], values: &[f32], expected: &str| {
        let path = folder.path().join(name);
        let error = write_table(&path, &table(&names, &texts(ids), &labels, values)).unwrap_err();
        assert!(matches!(error, Error::Output { .. }) && error.to_string().ends_with(expected), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    };
    check("t.txt", &["x"], &[1.0, 2.0], "the ending must be .parquet, .npy or .csv");
    check("t.csv", &["x"], &[1.0, 2.0, 3.0], "3 values are no whole rows of 2 columns");
    check("t.csv", &["x", "y"], &[1.0, 2.0], "2 ids for 1 rows");
    check("t.csv", &["x", "y"], &[1.0, 2.0, 3.0, 4.0], "1 labels for 2 rows");
}

#[test]
fn rows_of_an_npy_file_come_in_any_order_and_all_of_them() {
    let folder = Folder::new();
    let path = folder.path().join("codes.npy");
    let file = NpyFile::new(&path, 4, 3).unwrap();
    file.write(3, &[9.0, 10.0, 11.0]).unwrap();
    file.write(0, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
    assert!(!path.exists());
    file.write(2, &[6.0, 7.0, 8.0]).unwrap();
    file.finish().unwrap();
    let set = open(&path, &ReadOptions::default()).unwrap();
    assert_eq!(numbers(&set), (0..12).map(|value| value as f32).collect::<Vec<_>>());

    let missing = folder.path().join("missing.npy");
    let file = NpyFile::new(&missing, 4, 3).unwrap();
    file.write(1, &[0.0; 9]).unwrap();
    assert!(matches!(file.finish().unwrap_err(), Error::Output { reason, .. } if reason == "9 numbers of 4 rows of 3"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
