//! `doctor` on records that PyTorch loops wrote, and on none.

use std::path::Path;

use serde_json::Value;

use crate::{fail, run, succeed, text};

fn record(name: &str) -> String {
    let records = concat!(env!("CARGO_MANIFEST_DIR"), "/../attar-doctor/tests/records");
    format!("{records}/{name}.jsonl")
}

#[test]
fn a_sound_record_has_no_findings_and_says_what_it_holds() {
    let text = succeed(Path::new("."), &format!("doctor {}", record("sound")));
    assert!(text.starts_with("Nothing found in a record of ") && text.contains(" backward passes"), "{text}");
}

#[test]
fn a_missing_zero_grad_is_named_with_its_remedy() {
    let found = |line: &str| {
        let output = run(Path::new("."), line);
        assert_eq!(output.status.code(), Some(1), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let shown = found(&format!("doctor {}", record("no-zero-grad")));
    assert!(shown.contains("stale-gradient") && shown.contains("zero_grad") && shown.contains("remedy: "), "{shown}");
    let shown = found(&format!("doctor --json {}", record("no-zero-grad-low-rate")));
    let json: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(json["findings"][0]["rule"], "stale-gradient", "{json}");
    assert_eq!(json["findings"].as_array().unwrap().len(), 1, "{json}");
}

#[test]
fn rules_are_explained_and_unknown_ones_listed() {
    let text = succeed(Path::new("."), "doctor --explain stale-gradient");
    assert!(text.to_lowercase().contains("remedy"), "{text}");
    fail(Path::new("."), "doctor --explain nothing", 2, &["no rule `nothing`", "summed-loss"]);
    fail(Path::new("."), "doctor", 2, &["no run to examine", "--explain"]);
    let folder = tempfile::tempdir().unwrap();
    fail(folder.path(), "doctor .", 2, &["run.jsonl"]);
    std::fs::write(folder.path().join("run.jsonl"), "{\"event\":\"step\"}\n").unwrap();
    fail(folder.path(), "doctor run.jsonl", 2, &["line 1"]);
}
