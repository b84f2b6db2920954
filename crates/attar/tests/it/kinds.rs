//! Training on tables with each kind of label, and sweeps.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::succeed;

/// Three sensors that follow two hidden numbers, a text column, and two columns of labels.
fn write_table(folder: &Path) {
    let mut text = String::from("id,a,b,\"c, d\",site,state,quality\n");
    for row in 0..600 {
        let (x, y) = ((row as f64 * 0.37).sin(), (row as f64 * 0.61).cos());
        let site = if row % 3 == 0 { "north" } else { "south" };
        let state = if x + y > 0.0 { "good" } else { "bad" };
        writeln!(text, "r{row},{},{},{},{site},{state},{}", x, 5.0 * y, x - y, 3.0 * x + y).unwrap();
    }
    std::fs::write(folder.join("table.csv"), text).unwrap();
}

fn results(folder: &Path, line: &str) -> Value {
    serde_json::from_str(&succeed(folder, &format!("{line} --json"))).unwrap()
}

const TRAIN: &str = "train table.csv --id-column id --latent 2 --epochs 25 --draws 4 --label-budget 20,100,all";

#[test]
fn class_labels_give_accuracies() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path());
    let line = format!("{TRAIN} --categorical drop --label-column state --out classes");
    let results = results(folder.path(), &line);
    assert_eq!(results["scores"].as_array().unwrap().len(), 4);
    for scores in results["scores"].as_array().unwrap() {
        let all = scores["budgets"][2]["mean"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&all));
        assert_eq!(scores["budgets"][0]["draws"].as_array().unwrap().len(), 4);
        assert_eq!(scores["other_probes"].as_array().unwrap().len(), 2);
    }
    let learned = results["scores"][0]["budgets"][2]["mean"].as_f64().unwrap();
    assert!(learned > 0.9, "{learned}");
}

#[test]
fn a_budget_that_misses_a_rare_class_is_scored_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..400).map(|row| {
        let class = if row % 40 == 7 { "rare" } else { "common" };
        format!("{},{},{},{class}\n", (row as f64).sin(), (row as f64 * 0.3).cos(), row % 7)
    });
    std::fs::write(folder.path().join("rare.csv"), format!("a,b,c,class\n{}", rows.collect::<String>())).unwrap();
    let line = "train rare.csv --label-column class --latent 2 --epochs 1 --draws 6 --label-budget 4,all --out run";
    let results = results(folder.path(), line);
    let few = results["scores"][0]["budgets"][0]["draws"].as_array().unwrap();
    let common = few.iter().filter(|score| (score.as_f64().unwrap() - 0.975).abs() < 0.02).count();
    assert!(few.len() == 6 && common > 0, "{few:?}");
}

#[test]
fn a_budget_of_fewer_labels_than_classes_is_scored_and_one_of_every_row_is_all() {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..360).map(|row| format!("{},{},c{}\n", row % 12 % 4, row % 12 / 4, row % 12));
    std::fs::write(folder.path().join("many.csv"), format!("a,b,class\n{}", rows.collect::<String>())).unwrap();
    let line = "train many.csv --label-column class --latent 2 --epochs 1 --draws 3 --label-budget 252,5 --out run";
    let results = results(folder.path(), line);
    let raw = results["scores"][2]["budgets"].as_array().unwrap();
    assert_eq!(raw.len(), 2);
    // Five classes of twelve can be told at most.
    for score in raw[0]["draws"].as_array().unwrap() {
        assert!(score.as_f64().unwrap() < 0.5, "{}", raw[0]);
    }
    assert_eq!((raw[1]["labels"].as_u64(), raw[1]["all"].as_bool()), (Some(252), Some(true)));
}

#[test]
fn numeric_labels_give_the_share_of_variance_explained() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path());
    let line = format!("{TRAIN} --categorical one-hot --label-column quality --out numbers");
    let results = results(folder.path(), &line);
    let raw = &results["scores"][2];
    assert_eq!(raw["representation"], "raw features");
    // The label is linear in the features.
    assert!(raw["budgets"][2]["mean"].as_f64().unwrap() > 0.999, "{raw}");
    assert!(results["scores"][0]["budgets"][2]["mean"].as_f64().unwrap() > 0.7);
    let page = std::fs::read_to_string(folder.path().join("numbers/report.html")).unwrap();
    assert!(page.contains("R²"));
}

#[test]
fn without_labels_the_code_is_judged_by_what_it_keeps() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path());
    let results = results(folder.path(), &format!("{TRAIN} --categorical drop --note hours=3 --out none"));
    assert_eq!(results["scores"], Value::Array(Vec::new()));
    assert!(results["code"]["effective_rank"].as_f64().unwrap() > 1.5);
    let sum = |of: &str| -> f64 {
        results["reconstruction"][of].as_array().unwrap().iter().map(|error| error.as_f64().unwrap()).sum()
    };
    assert!(sum("learned") < sum("mean") && sum("pca") < sum("mean"));
    assert_eq!(results["notes"]["hours"], "3");
    let record = std::fs::read_to_string(folder.path().join("none/run.jsonl")).unwrap();
    assert!(record.lines().next().unwrap().contains(r#""notes":{"hours":"3"}"#));
}

#[test]
fn a_sweep_has_a_run_for_each_choice_and_goes_on_where_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        "train synthetic --hidden none --latent 3,30 --objective vanilla,masked --repeats 2 --epochs 2 --out sweep";
    let first = results(folder.path(), line);
    assert_eq!(first["groups"].as_array().unwrap().len(), 4);
    for group in first["groups"].as_array().unwrap() {
        assert_eq!(group["repeats"].as_array().unwrap().len(), 2);
        let losses = group["repeats"][1]["validation_losses"].as_array().unwrap();
        assert!(losses.len() == 3 && losses[2].as_f64() < losses[0].as_f64(), "{group}");
    }
    let run = folder.path().join("sweep/masked-30-1");
    let record = std::fs::read_to_string(run.join("run.jsonl")).unwrap();
    assert!(record.contains(r#""event":"epoch""#) && !record.contains(r#""event":"step""#));
    let weights = std::fs::read(run.join("model.safetensors")).unwrap();
    std::fs::remove_dir_all(&run).unwrap();
    let mut again = results(folder.path(), &format!("{line} --resume"));
    again["machine"] = first["machine"].clone();
    assert_eq!(again, first);
    assert_eq!(std::fs::read(run.join("model.safetensors")).unwrap(), weights);
    // A run of the sweep reads the very data of the sweep.
    succeed(folder.path(), "probe sweep/masked-30-1 --json");
}

#[test]
fn a_sweep_says_which_training_failed() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        "train synthetic --latent 3,4 --objective vanilla --learning-rate 1e30 --optimizer sgd --epochs 1 --out sweep";
    crate::fail(
        folder.path(),
        line,
        1,
        &["vanilla training of latent size", "with seed 0", "the loss became", "--clip-norm"],
    );
}

#[test]
fn what_no_baseline_or_probe_can_take_is_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    write_table(folder.path());
    let line =
        "train table.csv --id-column id --categorical drop --label-column quality --label-budget 1,all --out run";
    crate::fail(folder.path(), line, 2, &["`label-budget` must be at least 2"]);
    let wide: String = (0..40).map(|row| format!("{row}{}\n", ",1".repeat(16_384))).collect();
    std::fs::write(folder.path().join("wide.csv"), wide).unwrap();
    crate::fail(folder.path(), "train wide.csv --out run", 2, &["at most 16384 features, got 16385"]);
    assert!(!folder.path().join("run").exists());
}
