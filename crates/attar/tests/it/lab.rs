//! The laboratory on linear autoencoders, in part: its claims, its figures, and what it refuses.

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
