//! `doctor accumulation` and `doctor ranks`: what passes, what is named, and what the remedy shows.

use std::path::Path;

use serde_json::Value;

use crate::{fail, run, succeed, text};

/// What a certificate that fails prints as JSON.
fn failing(line: &str) -> Value {
    let output = run(Path::new("."), &format!("doctor {line} --dtype f64 --json"));
    assert_eq!(output.status.code(), Some(1), "{line}: {}", text(&output.stderr));
    serde_json::from_str(&text(&output.stdout)).unwrap()
}

fn faults(result: &Value) -> Vec<&str> {
    result["faults"].as_array().unwrap().iter().map(|found| found["fault"].as_str().unwrap()).collect()
}

#[test]
fn what_couples_no_samples_is_certified() {
    for net in ["mlp --norm group", "convnet --norm none", "resnet --norm layer", "attention --norm group"] {
        let text = succeed(Path::new("."), &format!("doctor accumulation --model {net} --dtype f64"));
        assert!(text.contains("\nCertified") && text.contains("\n(16, 2)") && text.contains("\n12/12/8"), "{text}");
        succeed(Path::new("."), &format!("doctor accumulation --model {net}"));
    }
}

#[test]
fn batch_norm_is_named_with_its_stage_and_passes_under_the_remedy() {
    let found = failing("accumulation --model resnet --norm batch");
    assert_eq!(faults(&found["result"]), ["coupled"]);
    assert_eq!(found["result"]["faults"][0]["stage"], "conv1.norm");
    for split in found["result"]["splits"].as_array().unwrap() {
        let whole = split["sizes"].as_array().unwrap().len() == 1;
        assert_eq!(split["outputs"].as_f64().unwrap() <= 1e-12, whole, "{split}");
    }
    assert_eq!((&found["remedied"]["passed"], &found["remedied"]["norm"]), (&true.into(), &"layer".into()));
    // A micro-batch of one has one value per channel.
    let found = failing("accumulation --model mlp --norm batch");
    assert_eq!(faults(&found["result"]), ["uncomputable", "coupled"]);
    let alone = &found["result"]["splits"][5];
    assert!(alone["failure"].as_str().unwrap().contains("hidden1.norm") && alone["error"].is_null(), "{alone}");
}

#[test]
fn each_planted_mistake_is_named_with_its_remedy() {
    let planted = [
        ("no-division", "no_division"),
        ("summed-loss", "summed_loss"),
        ("summed-then-divided", "summed_then_divided"),
        ("mean-of-means", "mean_of_means"),
        ("dropped-window", "dropped_window"),
        ("schedule-inside", "schedule_inside"),
        ("clip-inside", "clipped_inside"),
        ("dropout-by-batch", "masks_by_batch"),
        ("contrastive", "not_per_sample"),
        ("step-inside", "step_inside"),
        ("zero-grad-inside", "zeroed_inside"),
    ];
    for ((fault, name), model) in planted.into_iter().zip(["mlp", "convnet", "attention"].into_iter().cycle()) {
        let found = failing(&format!("accumulation --model {model} --fault {fault}"));
        assert_eq!(faults(&found["result"]), [name], "{model} {fault}");
        assert_eq!(found["remedied"]["passed"], true, "{model} {fault}");
    }
    let output = run(Path::new("."), "doctor accumulation --fault clip-inside");
    let shown = text(&output.stdout);
    assert!(shown.contains("remedy: clip once") && shown.contains("The same without the mistake:"), "{shown}");
}

/// Another norm does not mend the division.
#[test]
fn what_the_remedy_leaves_is_named() {
    for line in ["accumulation --model mlp --norm batch", "ranks --model convnet --norm batch"] {
        let remedied = &failing(&format!("{line} --fault no-division"))["remedied"];
        assert_eq!((&remedied["norm"], faults(remedied)), (&"layer".into(), vec!["no_division"]), "{line}");
    }
    let output = run(Path::new("."), "doctor ranks --norm batch --fault no-division");
    let shown = text(&output.stdout);
    assert!(
        shown.contains("The same with layer norm in place of batch norm:") && !shown.contains("Certified"),
        "{shown}"
    );
    let said = text(&output.stderr);
    assert!(said.contains("; with layer norm in place of batch norm: no division"), "{said}");
}

#[test]
fn ranks_are_certified_and_their_mistakes_named() {
    succeed(Path::new("."), "doctor ranks --model convnet");
    let named = |line: &str| faults(&failing(&format!("ranks --model {line}"))["result"]).join(" ");
    assert_eq!(named("mlp --fault no-division"), "no_division");
    assert_eq!(named("convnet --fault mean-of-means"), "mean_of_means");
    assert_eq!(named("attention --fault other-weights"), "ranks_drift");
    assert_eq!(named("mlp --fault own-gradient"), "ranks_drift");
    assert_eq!(named("convnet --norm batch"), "coupled");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let check = |line: &str, part: &str| fail(Path::new("."), line, 2, &[part]);
    check("doctor accumulation --fault forgotten", "no-division");
    check("doctor accumulation --model vgg", "convnet");
    check("doctor --explain divergence accumulation", "no record");
    check("doctor ./accumulation", "accumulation");
}
