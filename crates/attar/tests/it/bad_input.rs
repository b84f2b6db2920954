//! Bad input of every kind: one clear error with its place, exit status 2, nothing left behind.

use std::fs;
use std::path::Path;

use crate::{fail, succeed};

/// The files and folders below a folder.
fn tree(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.push(path.display().to_string());
        if path.is_dir() {
            all.extend(tree(&path));
        }
    }
    all.sort();
    all
}

/// A file that is no data, or not all of it, with the flags to read it and what must be said of it.
struct Bad {
    file: &'static str,
    content: &'static [u8],
    flags: &'static str,
    says: &'static [&'static str],
}

const BAD_FILES: [Bad; 14] = [
    Bad { file: "empty.csv", content: b"", flags: "", says: &["empty.csv", "no data"] },
    Bad { file: "header.csv", content: b"a,b\n", flags: "", says: &["header.csv", "0 rows"] },
    Bad { file: "ragged.csv", content: b"a,b\n1,2\n3\n", flags: "", says: &["line 3", "expected 2 fields, got 1"] },
    Bad { file: "gap.csv", content: b"a,b\n1,2\n3,\n", flags: "", says: &["row 3", "`b`", "--impute mean"] },
    Bad { file: "nan.csv", content: b"a,b\n1,2\n3,nan\n", flags: "", says: &["row 3", "`b`", "missing"] },
    Bad { file: "inf.csv", content: b"a,b\n1,2\n3,inf\n", flags: "", says: &["row 3", "`b`", "not finite"] },
    Bad { file: "text.csv", content: b"a,b\n1,x\n3,y\n", flags: "", says: &["text: `b`", "--categorical one-hot"] },
    Bad {
        file: "label.csv",
        content: b"a,b\n1,2\n3,4\n",
        flags: "--label-column c",
        says: &["no label column `c`", "`a`, `b`"],
    },
    Bad {
        file: "id.csv",
        content: b"a,b\n1,2\n3,4\n",
        flags: "--id-column c",
        says: &["no id column `c`", "`a`, `b`"],
    },
    Bad {
        file: "cut.gz",
        content: b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b",
        flags: "",
        says: &["cut.gz", "gzip"],
    },
    Bad {
        file: "short.idx",
        content: b"\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x02\x01\x02\x03",
        flags: "",
        says: &["promises 8 bytes", "holds 3"],
    },
    Bad { file: "cut.parquet", content: b"PAR1PAR1", flags: "", says: &["cut.parquet", "Parquet"] },
    Bad { file: "cut.npy", content: b"\x93NUMPY\x01\x00\x76\x00{'descr'", flags: "", says: &["cut.npy", "NPY"] },
    Bad { file: "noise.bin", content: b"\x01\x02\x00\x03", flags: "", says: &["not a known format"] },
];

#[test]
fn bad_files_are_refused_by_every_command_that_reads_them() {
    for Bad { file, content, flags, says } in BAD_FILES {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(file), content).unwrap();
        let before = tree(folder.path());
        fail(folder.path(), &format!("data info {file} {flags}"), 2, says);
        fail(folder.path(), &format!("train {file} --epochs 1 {flags}"), 2, says);
        assert_eq!(tree(folder.path()), before, "{file}");
    }
}

/// Settings that no run can have, on data that is good.
#[test]
fn bad_settings_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..40).map(|row| format!("{},{},{}\n", row, row * row % 7, row % 2)).collect();
    fs::write(folder.path().join("good.csv"), format!("a,b,class\n{rows}")).unwrap();
    let rows: String = (0..40).map(|row| format!("{row},{},same\n", row * row % 7)).collect();
    fs::write(folder.path().join("one.csv"), format!("a,b,class\n{rows}")).unwrap();
    let before = tree(folder.path());
    let check = |line: &str, says: &[&str]| {
        fail(folder.path(), line, 2, says);
        assert_eq!(tree(folder.path()), before, "{line}");
    };
    check("train", &["no source", "attar train digits"]);
    check("train good.csv --out good.csv", &["good.csv"]);
    check("train absent.csv", &["absent.csv", "attar data list"]);
    check("train digit", &["did you mean `digits`?"]);
    check("train good.csv --latent 0", &["`latent` must be at least 1"]);
    check("train good.csv --learning-rate 0", &["`learning-rate` must be a positive number"]);
    check("train good.csv --batch-size 0", &["`batch-size`"]);
    check("train good.csv --shift 2", &["`shift` distorts images", "a table"]);
    check("train good.csv --objective denoising --noise-std 0", &["every noise is 0"]);
    check("train good.csv --objective vanilla --noise-std 1", &["`noise-std` has no meaning"]);
    check("train good.csv --momentum 0.5", &["`momentum` has no meaning", "sgd"]);
    check("train good.csv --train-fraction 0.9 --test-fraction 0.9", &["must add up to 1", "--train-fraction"]);
    check("train good.csv --test-fraction 0", &["the test part must have at least 2 rows, got 0", "--test-fraction"]);
    check("train good.csv --latent none", &["`latent`", "at least one entry"]);
    check("train good.csv --label-column class --label-budget 1000", &["label budget of 1000", "--label-budget"]);
    check("train one.csv --label-column class", &["one class, `same`", "label-free"]);
}

#[test]
fn bad_configurations_name_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let check = |content: &str, says: &[&str]| {
        fs::write(folder.path().join("a.toml"), content).unwrap();
        fail(folder.path(), "train digits --config a.toml", 2, says);
    };
    check("latnet = 5", &["a.toml: unknown key `latnet`", "did you mean `latent`?"]);
    check("epochs = 1\nbatch-size = \"many\"", &["a.toml", "line 2"]);
    check("epochs = ", &["a.toml", "line 1"]);
    check("objective = \"masked\"\nshift = 2", &["`shift` has no meaning", "denoising"]);
    check("recipe = \"few-label\"", &["few-labels", "reconstruction"]);
    fail(folder.path(), "train digits --config b.toml", 2, &["b.toml", "No such file"]);
    assert_eq!(tree(folder.path()).len(), 1);
}

#[test]
fn folders_that_are_no_trained_run_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for run in ["sweep", "sweep/vanilla-5-0", "sweep/vanilla-5-1", "begun"] {
        fs::create_dir(path.join(run)).unwrap();
        fs::write(path.join(run).join("config.toml"), "source = \"digits\"\n").unwrap();
    }
    fs::write(path.join("sweep/vanilla-5-1/model.safetensors"), "").unwrap();
    let before = tree(path);
    let check = |line: &str, says: &[&str]| {
        fail(path, line, 2, says);
        assert_eq!(tree(path), before, "{line}");
    };
    for command in ["embed", "reconstruct"] {
        check(&format!("{command} absent digits -o a.csv"), &["absent", "no such folder"]);
        check(&format!("{command} sweep digits -o a.csv"), &["a sweep of 1", "sweep/vanilla-5-1"]);
        check(&format!("{command} begun digits -o a.csv"), &["no model yet", "--resume"]);
        check(&format!("{command} begun digits"), &["no file to write to", "-o codes.parquet"]);
        check(&format!("{command} begun digits -o a.txt"), &[".parquet, .npy or .csv"]);
        check(&format!("{command} begun digits -o b/a.csv"), &["there is no folder b"]);
    }
}

#[test]
fn fetching_what_needs_no_file_or_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let fetched = succeed(folder.path(), "data fetch digits --json");
    let fetched: serde_json::Value = serde_json::from_str(&fetched).unwrap();
    assert_eq!(fetched, serde_json::json!({ "name": "digits", "folder": null }));
    fail(folder.path(), "data fetch mnst", 2, &["`mnst`", "did you mean `mnist`?"]);
    fail(folder.path(), "data fetch zzz", 2, &["attar data list"]);
    assert!(tree(folder.path()).is_empty());
}

/// The proxy of the tests refuses every connection.
#[test]
fn without_a_network_the_error_says_where_the_files_belong() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("cache/attar/mnist").display().to_string();
    for command in ["data info mnist", "data fetch mnist", "train mnist"] {
        fail(folder.path(), command, 1, &["train-images-idx3-ubyte.gz", &place, "--data-dir", "`digits`"]);
    }
    assert!(tree(folder.path()).is_empty());
}
