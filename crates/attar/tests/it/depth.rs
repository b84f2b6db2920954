//! `doctor depth` on few small images, and `lab debugging` but for the question that takes a minute.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{fail, run, succeed, text};

/// Eight layers and fourteen, two seeds: too little for a verdict.
const SMALL: &str = "doctor depth --depths 8,14 --seeds 2 --size 7 --samples 96 --epochs 2 --width 2";

#[test]
fn depth_is_judged_by_training_errors_with_intervals() {
    let folder = tempfile::tempdir().unwrap();
    let shown = succeed(folder.path(), &format!("{SMALL} -o depth.html"));
    for part in
        ["plain-14", "residual-14", "Undecided", "96 of 5000 images of digits, 7 x 7 pixels of 28 x 28", "6 and 24"]
    {
        assert!(shown.contains(part), "no `{part}` in: {shown}");
    }
    let page = fs::read_to_string(folder.path().join("depth.html")).unwrap();
    assert!(page.contains("Gradient norms by layer") && page.contains("default-src 'none'"));

    let json = |threads: usize| -> Value {
        let output = run(folder.path(), &format!("{SMALL} --json --threads {threads}"));
        serde_json::from_str(&text(&output.stdout)).unwrap()
    };
    let found = json(3);
    assert_eq!(found, json(1), "other bits on one thread");
    let outcomes = found["outcomes"].as_array().unwrap();
    assert_eq!(outcomes.len(), 12);
    let error = |net: &str, seed: u64, steps: u64| {
        let same = |of: &&Value| of["net"] == net && of["seed"] == seed && of["steps"] == steps;
        outcomes.iter().find(same).unwrap()["training_error"].as_f64().unwrap()
    };
    for (place, steps) in [(0, 6), (1, 24)] {
        let differences = [0, 1].map(|seed| error("plain-14", seed, steps) - error("plain-8", seed, steps));
        let contrast = &found["plain"][place];
        assert!((contrast["mean"].as_f64().unwrap() - (differences[0] + differences[1]) / 2.0).abs() < 1e-12);
        // Student's t with one degree of freedom: 12.706 standard errors, each half the distance of the two.
        let half = 12.706 * (differences[0] - differences[1]).abs() / 2.0;
        let low = contrast["interval"][0].as_f64().unwrap();
        assert!((contrast["mean"].as_f64().unwrap() - low - half).abs() < 1e-4 * half.max(1.0));
    }
}

/// Two steps have no tenth of their own, and 40 images no scatter.
#[test]
fn few_steps_are_no_verdict() {
    let line = "doctor depth --depths 8,14 --seeds 2 --size 7 --samples 40 --epochs 1 --width 2";
    let shown = succeed(Path::new("."), line);
    assert!(shown.contains("Undecided") && !shown.contains("NaN"), "{shown}");
    let steps = |of: &str| {
        let rows = shown.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let rows = rows.filter(|row| row.len() == 6 && row[0] == "plain-14" && row[1] == of);
        rows.map(|row| row[2].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (steps("2"), steps("8")),
        (vec!["0".into(), "1".into(), "2".into()], ["0", "1", "4", "8"].map(String::from).to_vec())
    );
}

#[test]
fn what_depth_cannot_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fail(folder.path(), "doctor depth --depths 20", 2, &["two numbers"]);
    fail(folder.path(), "doctor depth --depths 56,20", 2, &["`--depths`", "56,20"]);
    fail(folder.path(), "doctor depth --depths 20,57", 2, &["6n + 2", "57"]);
    fail(folder.path(), "doctor depth --seeds 18446744073709551615", 2, &["--seeds", "1000"]);
    fail(folder.path(), "doctor depth --budget 0", 2, &["`--budget`", "above 0"]);
    fail(folder.path(), "doctor depth --size 29", 2, &["`size`", "28"]);
    fail(folder.path(), "doctor depth --data synthetic", 2, &["images"]);
    fail(folder.path(), "doctor depth --data cifar10", 2, &["cifar10-train.parquet", "--data-dir"]);
}

#[test]
fn debugging_answers_leave_claims_that_hold() {
    let folder = tempfile::tempdir().unwrap();
    let said = succeed(folder.path(), "lab debugging --only accumulation,zero-grad --threads 3 --out lab");
    assert!(said.contains("[holds] layer norm: |g - g0| / |g0|") && !said.contains("FAILS"), "{said}");
    let results = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.path().join(name).join("results.json")).unwrap()).unwrap()
    };
    let questions = results("lab")["questions"].clone();
    let splits: Vec<&str> =
        questions[0]["figures"][0]["rows"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap()).collect();
    assert_eq!(splits, ["(32, 1)", "(16, 2)", "(8, 4)", "(4, 8)", "(2, 16)", "(1, 32)", "12/12/8"]);
    let page = fs::read_to_string(folder.path().join("lab/report.html")).unwrap();
    assert!(page.contains("The same net in five loops") && page.contains("All 20 claims hold"));
    fail(folder.path(), "lab debugging --only zero-grad --out lab", 2, &["--overwrite"]);
    succeed(folder.path(), "lab debugging --only zero-grad --threads 1 --out again");
    assert_eq!(results("again")["questions"][0]["claims"], questions[1]["claims"], "other bits on one thread");
    fail(folder.path(), "lab debugging --only all", 2, &["accumulation", "zero-grad"]);
}
