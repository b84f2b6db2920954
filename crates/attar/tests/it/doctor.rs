//! `doctor` on records that PyTorch loops wrote, on runs of our own, and on none.

use std::path::Path;

use attar::doctor::{Event, Record};
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
fn a_sound_run_of_our_own_has_no_findings_and_all_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let line = "train digits --hidden 32 --latent 8 --epochs 3 --accumulation 2 --clip-norm 50 --schedule cosine \
                --draws 1 --label-budget 50 --out run";
    succeed(folder.path(), line);
    let text = succeed(folder.path(), "doctor run");
    assert!(text.starts_with("Nothing found"), "{text}");
    let record = Record::read(folder.path().join("run/run.jsonl")).unwrap();
    let count = |kind: fn(&Event) -> bool| record.events.iter().filter(|event| kind(event)).count();
    let steps = record.steps().count();
    assert_eq!(count(|event| matches!(event, Event::ZeroGrad(_))), steps);
    assert_eq!(count(|event| matches!(event, Event::Backward(_))), 2 * steps);
    assert_eq!(count(|event| matches!(event, Event::Clip(_))), steps);
    let rates: Vec<f64> = record.steps().map(|step| step.learning_rate).collect();
    let changes = rates.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes > steps / 2);
    assert_eq!(count(|event| matches!(event, Event::Schedule(_))), changes);
    assert_eq!(count(|event| matches!(event, Event::Norms(_))), 10 + steps / 20);
    assert_eq!(count(|event| matches!(event, Event::Activations(_))), 4);
    let names: Vec<&str> = record.header.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!(names[..3], ["encoder.0.weight", "encoder.0.bias", "encoder.2.weight"]);
    assert_eq!(record.header.tensors[0].shape, [32, 784]);
}

#[test]
fn a_learning_rate_that_is_far_too_high_is_found_in_a_run_of_our_own() {
    let folder = tempfile::tempdir().unwrap();
    let line = "train digits --hidden 32 --latent 8 --epochs 2 --learning-rate 1 --draws 1 --label-budget 50 --out run";
    succeed(folder.path(), line);
    let output = run(folder.path(), "doctor run");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("learning rate"), "{shown}");
    let output = run(folder.path(), "doctor run --rerun mended --json");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let of = |rule: &str| findings.iter().find(|finding| finding["rule"] == rule);
    assert!(of("stale-gradient").is_none(), "{shown}");
    // Whether so high a rate diverges or stalls is a matter of rounding; that the steps are too large is not.
    let rerun = of("update-ratio").unwrap()["rerun"].as_str().unwrap();
    assert!(rerun.starts_with("with a learning rate of 0.1 and not 1 it is not found, and 0 others are"), "{rerun}");
    assert!(succeed(folder.path(), "doctor mended").starts_with("Nothing found"));
    fail(folder.path(), "doctor run --rerun mended", 2, &["mended"]);
    fail(folder.path(), "doctor run/run.jsonl --rerun other", 2, &["config.toml"]);
    succeed(folder.path(), "doctor mended --rerun other");
    assert!(!folder.path().join("other").exists());
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
