//! `lab autoencoders`: the course's first problem, whole.

use std::path::{Path, PathBuf};
use std::time::Instant;

use attar_learn::write_atomically;
use attar_report::{Block, KeyValues, Report, Section, Statement, Verdict};
use serde_json::json;

use super::answer::Answer;
use super::{mnist, submission, synthetic};
use crate::cli::{Common, Only};
use crate::error::CliError;
use crate::machine::this_machine;
use crate::output::{print, print_json};
use crate::sweep_results::{FIGURES, Group};

/// What the laboratory measured.
struct Measured {
    synthetic: Option<synthetic::Sweeps>,
    mnist: Option<Vec<mnist::Kind>>,
    synthetic_seconds: f64,
    mnist_seconds: f64,
}

/// Runs the experiments, prints the answers and writes the report; an error when a claim fails.
pub(crate) fn autoencoders(
    only: Option<Only>,
    save_data: Option<&Path>,
    overwrite: bool,
    common: &Common,
) -> Result<(), CliError> {
    let folder = common.out.clone().unwrap_or_else(|| PathBuf::from("runs/lab-autoencoders"));
    if folder.join("results.json").exists() && !overwrite {
        return Err(attar_learn::Error::RunExists { path: folder }.into());
    }
    if let Some(path) = save_data {
        synthetic::save_data(common.seed.unwrap_or(0), path)?;
    }
    let measured = measure(only, common)?;
    let synthetic_answers = measured.synthetic.as_ref().map(synthetic::answers).unwrap_or_default();
    let mnist_answers = measured.mnist.as_deref().map(mnist::answers).unwrap_or_default();
    let answers = [synthetic_answers, mnist_answers].concat();
    write_folder(&folder, &measured, &answers, common)?;
    if common.json {
        print_json(&results(&measured, &answers))?;
    } else {
        print(&answers.iter().map(|answer| format!("{}\n", answer.text())).collect::<String>())?;
        print(&format!("Report: {}\n", folder.join("report.html").display()))?;
    }
    let failed = answers.iter().flat_map(|answer| &answer.claims).filter(|claim| !claim.holds).count();
    if failed > 0 {
        return Err(CliError::run(format!("{failed} of the claims failed")));
    }
    Ok(())
}

fn measure(only: Option<Only>, common: &Common) -> Result<Measured, CliError> {
    let seed = common.seed.unwrap_or(0);
    let started = Instant::now();
    let synthetic = if only != Some(Only::Mnist) { Some(synthetic::run(seed)?) } else { None };
    let synthetic_seconds = started.elapsed().as_secs_f64();
    let mnist = if only != Some(Only::Synthetic) { Some(mnist::run(seed, common.data_dir.clone())?) } else { None };
    let mnist_seconds = started.elapsed().as_secs_f64() - synthetic_seconds;
    Ok(Measured { synthetic, mnist, synthetic_seconds, mnist_seconds })
}

fn groups(measured: &Measured) -> Option<&[Group]> {
    measured.synthetic.as_ref().map(|sweeps| sweeps.groups.as_slice())
}

fn results(measured: &Measured, answers: &[Answer]) -> serde_json::Value {
    json!({
        "synthetic": groups(measured),
        "mnist": measured.mnist,
        "claims": answers,
        "seconds": { "synthetic": measured.synthetic_seconds, "mnist": measured.mnist_seconds },
    })
}

fn write_folder(folder: &Path, measured: &Measured, answers: &[Answer], common: &Common) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(|error| CliError::run(format!("{}: {error}", folder.display())))?;
    write_atomically(
        &folder.join("results.json"),
        serde_json::to_string_pretty(&results(measured, answers))?.as_bytes(),
    )?;
    let log = submission::log(groups(measured), measured.mnist.as_deref());
    write_atomically(&folder.join("submission_log.json"), serde_json::to_string_pretty(&log)?.as_bytes())?;
    let report = page(measured, answers, common);
    Ok(attar_report::write(&report, folder.join("report.html"))?)
}

fn page(measured: &Measured, answers: &[Answer], common: &Common) -> Report {
    let mut sections = Vec::new();
    if let Some(groups) = groups(measured) {
        let blocks = FIGURES.iter().map(|figure| Block::Lines(figure.by_objective(groups))).collect();
        sections.push(Section { title: "Linear autoencoders on a Gaussian".into(), text: Vec::new(), blocks });
    }
    if let Some(kinds) = &measured.mnist {
        let groups: Vec<Group> = kinds.iter().map(mnist::Kind::group).collect();
        let blocks = FIGURES.iter().map(|figure| Block::Lines(figure.together(&groups))).collect();
        sections.push(Section { title: "Few labels on MNIST".into(), text: Vec::new(), blocks });
    }
    sections.extend(answers.iter().map(Answer::section));
    sections.push(made(measured, common));
    let all_hold = answers.iter().all(Answer::holds);
    let claims: usize = answers.iter().map(|answer| answer.claims.len()).sum();
    let verdict = Statement {
        text: if all_hold { format!("All {claims} claims hold.") } else { format!("Not all of {claims} claims hold.") },
        verdict: if all_hold { Verdict::Good } else { Verdict::Bad },
    };
    Report {
        title: "Autoencoders: the laboratory".into(),
        subtitle: "Linear autoencoders, corruption, latent size, and few labels".into(),
        verdict: vec![verdict],
        sections,
    }
}

fn made(measured: &Measured, common: &Common) -> Section {
    let machine = this_machine();
    let mut pairs = vec![
        ("attar".to_owned(), machine.version),
        ("machine".to_owned(), format!("{}, {}, {} threads", machine.processor, machine.system, machine.threads)),
        ("made".to_owned(), machine.created),
        ("seed".to_owned(), common.seed.unwrap_or(0).to_string()),
    ];
    if measured.synthetic.is_some() {
        pairs.push(("synthetic sweep".to_owned(), format!("{:.1} s", measured.synthetic_seconds)));
    }
    if measured.mnist.is_some() {
        pairs.push(("MNIST".to_owned(), format!("{:.1} s", measured.mnist_seconds)));
    }
    pairs.extend(common.notes.iter().cloned());
    let block = Block::KeyValues(KeyValues { title: "Run".into(), pairs });
    Section { title: "How it was made".into(), text: Vec::new(), blocks: vec![block] }
}
