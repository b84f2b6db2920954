//! Records that `docs/recorded_loop.py` wrote of a PyTorch loop, diagnosed from the record alone.
//!
//! To make them anew: `python docs/recorded_loop.py crates/attar-doctor/tests/records/VARIANT.jsonl VARIANT`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use attar_doctor::{Finding, Gravity, Reader, Record, Thresholds, diagnose};

fn path(name: &str) -> String {
    format!("{}/tests/records/{name}.jsonl", env!("CARGO_MANIFEST_DIR"))
}

fn findings(name: &str) -> Vec<Finding> {
    diagnose(&Record::read(path(name)).unwrap(), &Thresholds::default())
}

/// The rules that no other finding explains.
fn causes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().filter(|finding| finding.consequence_of.is_none()).map(|finding| finding.rule).collect()
}

#[test]
fn every_event_is_known() {
    for name in ["sound", "no-zero-grad", "no-zero-grad-low-rate", "high-rate", "accumulation", "summed-accumulation"] {
        let mut reader = Reader::open(path(name)).unwrap();
        assert!(reader.by_ref().all(|event| event.is_ok()), "{name}");
        assert_eq!((reader.skipped(), reader.is_torn()), (0, false), "{name}");
    }
}

#[test]
fn sound_loops_have_no_findings() {
    assert_eq!(findings("sound"), []);
    assert_eq!(findings("accumulation"), []);
}

#[test]
fn a_missing_zero_grad_is_the_cause_and_the_curve_its_consequence() {
    let found = findings("no-zero-grad");
    assert_eq!(causes(&found), ["stale-gradient"], "{found:#?}");
    assert!(found[0].message.contains("called once, before the loop"), "{}", found[0].message);
    let diverged = found.iter().find(|finding| finding.rule == "divergence").unwrap();
    assert_eq!(diverged.consequence_of, Some("stale-gradient"));
    assert!(!diverged.message.contains("not stale"), "{}", diverged.message);
}

#[test]
fn a_missing_zero_grad_is_found_where_the_curve_looks_healthy() {
    let found = findings("no-zero-grad-low-rate");
    assert_eq!(causes(&found), ["stale-gradient"], "{found:#?}");
    assert!(found.iter().all(|finding| finding.rule != "divergence"));
}

#[test]
fn a_high_learning_rate_is_not_called_stale() {
    let found = findings("high-rate");
    assert!(found.iter().all(|finding| finding.rule != "stale-gradient"));
    assert_eq!((found[0].rule, found[0].gravity), ("divergence", Gravity::Fault), "{found:#?}");
    assert!(found[0].message.contains("not stale") && found[0].remedy.contains("learning rate"));
}

#[test]
fn a_missing_division_is_read_from_the_probes() {
    let found = findings("summed-accumulation");
    let causes = causes(&found);
    assert!(causes.iter().all(|rule| *rule == "accumulation"), "{found:#?}");
    assert!(found[0].message.contains("division by the number of micro-batches"), "{}", found[0].message);
}
