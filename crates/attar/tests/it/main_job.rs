//! The main job, short: `train digits` and what it leaves behind.

use std::fs;
use std::path::Path;

use attar::doctor::{Event, Reader, Status};
use serde_json::Value;

use crate::succeed;

const TRAIN: &str = "train digits --epochs 2 --label-budget 20,all --draws 2 --probe-epochs 2 --out run";

#[test]
fn two_epochs_of_digits_leave_a_whole_run_behind() {
    let folder = tempfile::tempdir().unwrap();
    let summary = succeed(folder.path(), TRAIN);
    let run = folder.path().join("run");
    check_record(&run);
    check_results(&run);
    check_report(&run);
    for representation in REPRESENTATIONS {
        assert!(summary.contains(representation), "{summary}");
    }
    assert!(summary.contains("report.html") && summary.contains("the learned code"), "{summary}");
    assert!(fs::read_to_string(run.join("config.toml")).unwrap().contains("epochs = 2"));
    assert!(fs::read_dir(run.join("checkpoints")).unwrap().count() > 0);
    assert!(fs::metadata(run.join("model.safetensors")).unwrap().len() > 4 * 784);
    let stray = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(stray.filter(|name| name.starts_with('.') || name.contains("tmp")).collect::<Vec<_>>(), [""; 0]);
}

const REPRESENTATIONS: [&str; 4] = ["learned code", "PCA", "raw features", "random encoder"];

/// A header, every step in order, an evaluation before training and after each epoch, a good end.
fn check_record(run: &Path) {
    let events: Vec<Event> = Reader::open(run.join("run.jsonl")).unwrap().map(Result::unwrap).collect();
    let Some(Event::Header(header)) = events.first() else { panic!("{:?}", events.first()) };
    let per_epoch = 4500_u64.div_ceil(header.batch_size);
    let steps = events.iter().filter_map(|event| if let Event::Step(step) = event { Some(step) } else { None });
    let (numbers, losses): (Vec<u64>, Vec<f64>) = steps.map(|step| (step.step, step.loss)).unzip();
    assert_eq!(numbers, (1..=2 * per_epoch).collect::<Vec<_>>());
    assert!(losses.iter().all(|loss| loss.is_finite()) && losses[losses.len() - 1] < losses[0], "{losses:?}");
    let evaluated = events.iter().filter_map(|event| match event {
        Event::Evaluation(evaluation) if evaluation.split == "validation" => Some(evaluation.epoch),
        _ => None,
    });
    assert_eq!(evaluated.collect::<Vec<_>>(), [0, 1, 2]);
    let Some(Event::Finish(finish)) = events.last() else { panic!("{:?}", events.last()) };
    assert_eq!(finish.status, Status::Completed);
}

/// All four representations under the same probes, each score a share.
fn check_results(run: &Path) {
    let results: Value = serde_json::from_slice(&fs::read(run.join("results.json")).unwrap()).unwrap();
    let scores = results["scores"].as_array().unwrap();
    let names: Vec<&str> = scores.iter().map(|score| score["representation"].as_str().unwrap()).collect();
    assert_eq!(names, REPRESENTATIONS);
    for score in scores {
        let budgets = score["budgets"].as_array().unwrap();
        let labels: Vec<u64> = budgets.iter().map(|budget| budget["labels"].as_u64().unwrap()).collect();
        assert_eq!(labels, [20, 4500]);
        let means: Vec<f64> = budgets.iter().map(|budget| budget["mean"].as_f64().unwrap()).collect();
        assert!(0.1 < means[0] && means[0] < means[1] && means[1] < 1.0, "{}: {means:?}", score["representation"]);
    }
    assert_eq!(results["curves"]["validation_losses"].as_array().unwrap().len(), 3);
    assert_eq!(results["reconstruction"]["learned"].as_array().unwrap().len(), 784);
}

/// Nothing on the page is loaded from another place; addresses within the chart library's text are not loads.
fn check_report(run: &Path) {
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("default-src 'none'"), "the page does not forbid itself to load");
    for load in ["src=\"http", "href=\"http", "url(http", "@import"] {
        let (before, library) = page.split_once("plotly.js v").unwrap();
        let (_, after) = library.split_once("</script>").unwrap();
        assert!(!before.contains(load) && !after.contains(load), "the page holds {load}");
    }
}
