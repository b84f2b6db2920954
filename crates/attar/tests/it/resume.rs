//! Interrupted and resumed, on one thread or several: a run ends with the same bits.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::{attar, fail, succeed};

/// A run of some seconds, with every objective's machinery and a schedule.
const TRAIN: &str = "train digits --hidden 128,64 --latent 8 --epochs 12 --accumulation 2 --clip-norm 50 \
                     --label-budget 50,200 --draws 3 --checkpoint-seconds 0.02";

/// What a run leaves that must not depend on how it came about.
fn outcome(run: &Path) -> (Vec<u8>, Value, Vec<String>) {
    let mut results: Value = serde_json::from_slice(&std::fs::read(run.join("results.json")).unwrap()).unwrap();
    let fields = results.as_object_mut().unwrap();
    assert!(fields.remove("machine").is_some() && fields.remove("name").is_some());
    let record = std::fs::read_to_string(run.join("run.jsonl")).unwrap();
    // All but the header, which says when the run was made.
    let events = record.lines().skip(1).map(str::to_owned).collect();
    (std::fs::read(run.join("model.safetensors")).unwrap(), results, events)
}

/// Numbers that look random and are the same each time (Knuth's MMIX generator).
fn delays() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(7_u64), |state| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    })
    .skip(1)
    .map(|state| Duration::from_millis(20 + (state >> 33) % 500))
}

#[test]
fn a_run_killed_twenty_times_ends_with_the_bits_of_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    succeed(folder.path(), &format!("{TRAIN} --out whole"));
    let mut killed = 0;
    for delay in delays() {
        let resume = if folder.path().join("killed/config.toml").exists() { "--resume" } else { "--overwrite" };
        let line = format!("{TRAIN} --out killed {resume}");
        let mut child = attar(folder.path(), &line.split_whitespace().collect::<Vec<_>>()).spawn().unwrap();
        std::thread::sleep(delay);
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            killed += 1;
        }
        child.wait().unwrap();
        if killed == 20 {
            break;
        }
    }
    succeed(folder.path(), &format!("{TRAIN} --out killed --resume"));
    assert_eq!(outcome(&folder.path().join("whole")), outcome(&folder.path().join("killed")));
}

#[test]
fn one_two_and_four_threads_give_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let train = |threads: usize| {
        let line = "train digits --epochs 1 --label-budget 200,all --draws 3";
        succeed(folder.path(), &format!("{line} --threads {threads} --out t{threads}"));
        succeed(folder.path(), &format!("embed t{threads} digits -o t{threads}.csv --threads {threads}"));
        (
            outcome(&folder.path().join(format!("t{threads}"))),
            std::fs::read(folder.path().join(format!("t{threads}.csv"))).unwrap(),
        )
    };
    let one = train(1);
    assert_eq!(one, train(2));
    assert_eq!(one, train(4));
}

#[test]
fn another_run_is_neither_overwritten_nor_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let line = "train synthetic --epochs 1 --latent 3 --draws 1 --label-budget 50 --out run";
    succeed(folder.path(), line);
    fail(folder.path(), line, 2, &["exists", "--overwrite"]);
    fail(folder.path(), &format!("{line} --resume --learning-rate 0.1"), 2, &["learning-rate", "0.1"]);
    fail(folder.path(), &format!("{line} --resume --seed 5"), 2, &["seed"]);
    succeed(folder.path(), &format!("{line} --resume"));
    succeed(folder.path(), &format!("{line} --overwrite --seed 5"));
}

#[test]
fn a_folder_that_is_no_run_is_left_alone_and_one_barely_begun_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let line = "train synthetic --epochs 1 --latent 3 --draws 1 --label-budget 50 --out run";
    let run = folder.path().join("run");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::write(run.join("config.toml"), "mine = true").unwrap();
    fail(folder.path(), &format!("{line} --overwrite"), 2, &["no run"]);
    assert_eq!(std::fs::read_to_string(run.join("config.toml")).unwrap(), "mine = true");
    // What a kill at the very start leaves.
    std::fs::remove_file(run.join("config.toml")).unwrap();
    std::fs::create_dir(run.join("checkpoints")).unwrap();
    succeed(folder.path(), line);
}
