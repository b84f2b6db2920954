//! `pca` and `certify` on a small table whose structure is known.

use std::fs;
use std::path::Path;

use attar::data::{ReadOptions, open};
use serde_json::Value;

use crate::{fail, run, succeed, text};

const ROWS: usize = 200;

/// Three columns of standard deviations near 5, 2 and 1, uncorrelated but for sampling, and a label.
fn write_table(folder: &Path) {
    let wave = |row: usize, step: f64| (row as f64 * step).sin() * 2.0_f64.sqrt();
    let line = |row: usize| {
        let [x, y, z] = [(5.0, 0.7), (2.0, 1.9), (1.0, 2.6)].map(|(size, step)| size * wave(row, step));
        format!("{},{},{},r{row},{}\n", x + 3.0, y - 1.0, z, row % 2)
    };
    let lines: String = (0..ROWS).map(line).collect();
    fs::write(folder.join("waves.csv"), format!("x,y,z,name,kind\n{lines}")).unwrap();
}

fn codes(path: &Path) -> Vec<Vec<f64>> {
    let options =
        ReadOptions { id_column: Some("id".into()), label_column: Some("label".into()), ..ReadOptions::default() };
    let data = open(path.to_str().unwrap(), &options).unwrap();
    let (rows, columns) = (data.samples(), data.features());
    let mut values = vec![0.0; rows * columns];
    data.values.read(&(0..rows).collect::<Vec<_>>(), &mut values);
    values.chunks(columns).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
}

fn covariance(rows: &[Vec<f64>], a: usize, b: usize) -> f64 {
    let mean = |column: usize| rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64;
    let (of_a, of_b) = (mean(a), mean(b));
    rows.iter().map(|row| (row[a] - of_a) * (row[b] - of_b)).sum::<f64>() / (rows.len() - 1) as f64
}

#[test]
fn pca_writes_uncorrelated_codes_with_their_ids_and_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder);
    let line = "pca waves.csv --label-column kind --id-column name --scaling none -k 2 -o codes.csv --json";
    let result: Value = serde_json::from_str(&succeed(folder, line)).unwrap();
    let codes = codes(&folder.join("codes.csv"));
    assert_eq!((codes.len(), codes[0].len()), (ROWS, 2));
    for code in 0..2 {
        let variance = result["explained_variance"][code].as_f64().unwrap();
        assert!((covariance(&codes, code, code) - variance).abs() < 1e-4 * variance);
    }
    assert!(covariance(&codes, 0, 1).abs() < 1e-4);
    let shares: f64 = (0..2).map(|code| result["explained_variance_ratio"][code].as_f64().unwrap()).sum();
    assert!((shares - 29.0 / 30.0).abs() < 0.02, "25 + 4 of 30, but for sampling: {shares}");
    let report = fs::read_to_string(folder.join("codes.html")).unwrap();
    for part in ["2 of 3 components keep", "Features of largest weight", "x +1.000", "Map of the code"] {
        assert!(report.contains(part), "{part}");
    }
}

#[test]
fn whitened_codes_have_variance_1_and_a_share_chooses_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder);
    for solver in ["auto", "covariance", "svd"] {
        let line = format!(
            "pca waves.csv --label-column kind --id-column name --scaling none -k 0.9 --whiten --solver {solver} -o codes.parquet"
        );
        succeed(folder, &line);
        let codes = codes(&folder.join("codes.parquet"));
        assert_eq!(codes[0].len(), 2, "{solver}");
        assert!((covariance(&codes, 1, 1) - 1.0).abs() < 1e-4, "{solver}");
    }
}

#[test]
fn pca_refuses_what_it_cannot_do_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder);
    fs::write(folder.join("same.csv"), "x,y\n1,2\n1,2\n1,2\n").unwrap();
    fail(folder, "pca waves.csv --id-column name -k 9 -o codes.csv", 2, &["between 1 and 4 components", "got 9"]);
    fail(folder, "pca waves.csv --id-column name -k all -o codes.csv", 2, &["number of at least 1"]);
    fail(folder, "pca waves.csv --id-column name --solver randomised -o codes.csv", 2, &["expected a number"]);
    fail(folder, "pca same.csv -k 1 -o codes.csv", 2, &["3 rows that are all the same"]);
    fail(folder, "pca waves.csv --id-column name -k 1", 2, &["no file to write to"]);
    assert!(!folder.join("codes.csv").exists() && !folder.join("codes.html").exists());
}

/// Trains a linear autoencoder to the minimum of its loss with weight decay 0.1: lambda 0.05 per sample.
fn train_to_the_minimum(folder: &Path) {
    write_table(folder);
    succeed(
        folder,
        "train waves.csv --label-column kind --id-column name --hidden none --latent 2 --objective vanilla \
         --optimizer adam --weight-decay 0.1 --learning-rate 0.02 --schedule cosine --epochs 3000 --batch-size 140 \
         --label-budget 10 --draws 1 --probe-epochs 0 -o run",
    );
}

#[test]
fn a_converged_run_is_certified_and_a_planted_error_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_to_the_minimum(folder);
    let certificate: Value = serde_json::from_str(&succeed(folder, "certify run --json")).unwrap();
    assert_eq!(certificate["holds"], Value::Bool(true));
    assert_eq!(certificate["objective"], "L2 { lambda: 0.05 }");
    let gap = certificate["checks"].as_array().unwrap().iter().find(|check| check["check"] == "loss gap").unwrap();
    assert!(gap["measured"].as_f64().unwrap() < 1e-4);

    let failing = |line: &str, names: &[&str]| {
        let output = run(folder, line);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}: {message}");
        assert!(text(&output.stdout).contains("FAILS"), "{line}");
        names.iter().for_each(|name| assert!(message.contains(name), "{line}: no {name} in {message}"));
    };
    failing("certify run --objective l2 --lambda 0.06", &["loss gap", "encoder singular values"]);
    failing("certify run --objective l2 --lambda 0.05 --normalisation sum", &["residual"]);
    failing("certify run --objective plain", &["map singular values"]);
    failing("certify run --tolerance 1e-14", &["residual"]);
}

#[test]
fn a_file_is_certified_on_the_data_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_to_the_minimum(folder);
    let file = "certify run/model.safetensors";
    fail(folder, file, 2, &["a file does not say", "--data"]);
    fail(folder, &format!("{file} --data waves.csv --id-column name --objective l2"), 2, &["one `--lambda`, got 0"]);
    fail(folder, "certify run --lambda 1", 2, &["need `--objective`"]);
    fail(folder, "certify run --tolerance 0", 2, &["above 0, got 0"]);
    fail(folder, "certify run --objective l2 --lambda NaN", 2, &["lambda", "above 0"]);
    fail(folder, "certify run --objective nested-dropout --rho 1.5", 2, &["prefixes", "above 0"]);
    let named = "--encoder encoder.0.weight --decoder decoder.1";
    fail(
        folder,
        &format!("{file} --data waves.csv --id-column name --label-column kind --objective plain {named}"),
        2,
        &["no `decoder.1.weight` among decoder.0.bias, decoder.0.weight, encoder.0.bias, encoder.0.weight"],
    );
    // Trained on 140 of the 200 rows, so that on all of them it is near the optimum only.
    let near = "--data waves.csv --id-column name --label-column kind --scaling standardise --objective l2 \
                --lambda 0.05 --tolerance 0.1 --json";
    let certificate: Value = serde_json::from_str(&succeed(folder, &format!("{file} {near}"))).unwrap();
    assert_eq!(certificate["rows"], ROWS);
}

#[test]
fn a_run_without_a_closed_form_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_table(folder);
    let train = |more: &str| {
        let line = format!(
            "train waves.csv --label-column kind --id-column name --latent 2 --epochs 1 --batch-size 20 \
             --label-budget 10 --draws 1 --probe-epochs 0 -o run --overwrite {more}"
        );
        succeed(folder, &line);
    };
    train("--hidden none --objective masked");
    fail(folder, "certify run", 2, &["its input was corrupted"]);
    train("--hidden none --objective vanilla --optimizer adam-w --weight-decay 0.1");
    fail(folder, "certify run", 2, &["decoupled weight decay"]);
    train("--hidden 3 --objective vanilla");
    fail(folder, "certify run", 2, &["one layer in the encoder", "decoder.2.weight"]);
}
