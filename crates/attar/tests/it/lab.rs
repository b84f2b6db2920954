//! The laboratories on linear autoencoders and on attention, in part: claims, figures, and what they refuse.

use std::fs;

use serde_json::Value;

use crate::{fail, succeed};

#[test]
fn questions_leave_claims_that_hold_and_the_tables_behind_the_figures() {
    let folder = tempfile::tempdir().unwrap();
    let said = succeed(folder.path(), "lab linear --only 1,3 --data synthetic --out lab");
    assert!(said.contains("[holds] synthetic: AdamW") && !said.contains("FAILS"), "{said}");
    let results = fs::read(folder.path().join("lab/results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    let questions = results["questions"].as_array().unwrap();
    let numbers: Vec<u64> = questions.iter().map(|question| question["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 3]);
    for question in questions {
        let claims = question["claims"]["claims"].as_array().unwrap();
        assert!(claims.len() > 10 && claims.iter().all(|claim| claim["holds"] == true), "{claims:?}");
        assert!(!question["figures"].as_array().unwrap().is_empty());
    }
    let page = fs::read_to_string(folder.path().join("lab/report.html")).unwrap();
    assert!(page.contains("Ways down from saddles") && page.contains("default-src 'none'"));
    fail(folder.path(), "lab linear --only 1 --data synthetic --out lab", 2, &["--overwrite"]);
}

/// The numbers are the same bits at any number of threads; only the times differ.
#[test]
fn threads_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let claims = |threads: usize| {
        let line = format!("lab linear --only 1 --data synthetic --json --threads {threads} --out lab{threads}");
        let results: Value = serde_json::from_str(&succeed(folder.path(), &line)).unwrap();
        results["questions"][0]["claims"].clone()
    };
    assert_eq!(claims(1), claims(3));
}

#[test]
fn attention_answers_leave_claims_that_hold() {
    let folder = tempfile::tempdir().unwrap();
    let said = succeed(folder.path(), "lab attention --only 1,2,3,4 --threads 3 --out lab");
    assert!(said.contains("[holds] straight-through: worst accuracy") && !said.contains("FAILS"), "{said}");
    let results = fs::read(folder.path().join("lab/results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    let questions = results["questions"].as_array().unwrap();
    let counts: Vec<usize> =
        questions.iter().map(|question| question["claims"]["claims"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [13, 13, 13, 18]);
    let page = fs::read_to_string(folder.path().join("lab/report.html")).unwrap();
    assert!(page.contains("Finding an item") && page.contains("All 57 claims hold"));
    fail(folder.path(), "lab attention --only 3 --out lab", 2, &["--overwrite"]);

    let again = succeed(folder.path(), "lab attention --only 3,4 --threads 1 --out again --json");
    let again: Value = serde_json::from_str(&again).unwrap();
    for (at, other) in [(0, 2), (1, 3)] {
        assert_eq!(again["questions"][at]["claims"], questions[other]["claims"], "other bits on one thread");
    }
}

#[test]
fn cost_is_measured_in_processes_as_long_as_there_is_time() {
    let folder = tempfile::tempdir().unwrap();
    let line = "lab attention --measure quadratic-linear --length 200 --threads 2";
    let cell: Value = serde_json::from_str(&succeed(folder.path(), line)).unwrap();
    assert!(cell["forward"].as_f64().unwrap() > 0.0 && cell["backward"].as_f64().unwrap() > 0.0);
    if cfg!(target_os = "linux") {
        // At least output and gradients.
        assert!(cell["memory"].as_f64().unwrap() > 200.0 * 4.0 * 256.0, "{cell}");
    }
    let said = succeed(folder.path(), "lab attention --only 5 --budget 0.001 --out lab");
    assert!(said.contains("Too little was measured"), "{said}");
    let page = fs::read_to_string(folder.path().join("lab/report.html")).unwrap();
    assert!(page.contains("`--budget` gives more time") && page.contains("softmax, weights stored"));
    fail(folder.path(), "lab attention --budget 0", 2, &["`--budget`", "above 0, got 0"]);
}
