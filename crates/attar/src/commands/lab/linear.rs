//! `lab linear`: why a linear autoencoder is principal component analysis, and when exactly.

mod arithmetic;
mod axes;
mod certificates;
mod figure;
mod ingredients;
mod optimality;
mod orthonormal;
mod probe;
mod source;
mod spectrum;
mod starts;
mod variants;

use std::path::{Path, PathBuf};
use std::time::Instant;

use attar_learn::write_atomically;
use attar_report::{Block, KeyValues, Report, Section, Statement, Verdict};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use self::source::{Gaussian, Source, Subject};
use super::answer::Answer;
use crate::cli::{Common, LinearData};
use crate::error::CliError;
use crate::machine::this_machine;
use crate::output::{print, print_json};

/// What the questions are asked of.
struct Lab {
    /// Data sets with labels.
    sources: Vec<Source>,
    /// Rows whose covariance is known exactly.
    spectra: Vec<Gaussian>,
    seed: u64,
    bar: ProgressBar,
}

impl Lab {
    /// Everything that needs no labels, by name.
    fn subjects(&self) -> impl Iterator<Item = (&'static str, &Subject)> {
        let spectra = self.spectra.iter().map(|spectrum| (spectrum.name, &spectrum.subject));
        spectra.chain(self.sources.iter().map(|source| (source.name, &source.subject)))
    }
}

/// What one question came to.
struct Part {
    answer: Answer,
    figures: Vec<Block>,
}

/// A question, with the number that `--only` takes.
type Question = fn(&Lab) -> Result<Part, CliError>;

const QUESTIONS: [(u8, Question); 8] = [
    (1, optimality::ask),
    (2, starts::ask),
    (3, ingredients::ask),
    (4, orthonormal::ask),
    (5, spectrum::ask),
    (6, axes::ask),
    (7, probe::ask),
    (8, certificates::ask),
];

/// A question that was answered.
struct Answered {
    number: u8,
    part: Part,
    seconds: f64,
}

/// Asks the questions, prints the answers and writes the report; an error when a claim fails.
pub(crate) fn linear(data: Option<LinearData>, only: &[u8], overwrite: bool, common: &Common) -> Result<(), CliError> {
    let folder = common.out.clone().unwrap_or_else(|| PathBuf::from("runs/lab-linear"));
    if folder.join("results.json").exists() && !overwrite {
        return Err(attar_learn::Error::RunExists { path: folder }.into());
    }
    let asked: Vec<(u8, Question)> =
        QUESTIONS.into_iter().filter(|(number, _)| only.is_empty() || only.contains(number)).collect();
    let seed = common.seed.unwrap_or(0);
    let sources = source::open_all(data, seed, common.data_dir.as_deref())?;
    let bar = crate::progress::bar(asked.len() * (sources.len() + source::SPECTRA.len()), "linear");
    let lab = Lab { sources, spectra: source::spectra(seed)?, seed, bar };
    let answered = asked.into_iter().map(|(number, ask)| answer(&lab, number, ask)).collect::<Result<Vec<_>, _>>()?;
    lab.bar.finish_and_clear();
    write_folder(&folder, &lab, &answered, common)?;
    if common.json {
        print_json(&results(&lab, &answered))?;
    } else {
        print(&answered.iter().map(|answered| format!("{}\n", answered.part.answer.text())).collect::<String>())?;
        print(&format!("Report: {}\n", folder.join("report.html").display()))?;
    }
    let failed = claims(&answered).filter(|claim| !claim.holds).count();
    if failed > 0 {
        return Err(CliError::run(format!("{failed} of the claims failed")));
    }
    Ok(())
}

fn answer(lab: &Lab, number: u8, ask: Question) -> Result<Answered, CliError> {
    let started = Instant::now();
    let part = ask(lab)?;
    lab.bar.inc((lab.sources.len() + lab.spectra.len()) as u64);
    Ok(Answered { number, part, seconds: started.elapsed().as_secs_f64() })
}

fn claims(answered: &[Answered]) -> impl Iterator<Item = &super::answer::Claim> {
    answered.iter().flat_map(|answered| &answered.part.answer.claims)
}

fn results(lab: &Lab, answered: &[Answered]) -> Value {
    let question = |answered: &Answered| {
        json!({
            "number": answered.number,
            "figures": figure::tables(&answered.part.figures),
            "claims": answered.part.answer,
            "seconds": answered.seconds,
        })
    };
    json!({
        "data": lab.sources.iter().map(|source| source.about.as_str()).collect::<Vec<_>>(),
        "questions": answered.iter().map(question).collect::<Vec<_>>(),
    })
}

fn write_folder(folder: &Path, lab: &Lab, answered: &[Answered], common: &Common) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(|error| CliError::run(format!("{}: {error}", folder.display())))?;
    let results = serde_json::to_string_pretty(&results(lab, answered))?;
    write_atomically(&folder.join("results.json"), results.as_bytes())?;
    Ok(attar_report::write(&page(lab, answered, common), folder.join("report.html"))?)
}

fn page(lab: &Lab, answered: &[Answered], common: &Common) -> Report {
    let mut sections: Vec<Section> = answered.iter().map(section).collect();
    sections.push(made(lab, answered, common));
    let all_hold = claims(answered).all(|claim| claim.holds);
    let count = claims(answered).count();
    let verdict = Statement {
        text: if all_hold { format!("All {count} claims hold.") } else { format!("Not all of {count} claims hold.") },
        verdict: if all_hold { Verdict::Good } else { Verdict::Bad },
    };
    Report {
        title: "Linear autoencoders: the laboratory".into(),
        subtitle: "Why a linear autoencoder is principal component analysis, and when exactly".into(),
        verdict: vec![verdict],
        sections,
    }
}

/// The question with its figures above its claims.
fn section(answered: &Answered) -> Section {
    let mut section = answered.part.answer.section();
    section.blocks.splice(0..0, answered.part.figures.iter().cloned());
    section
}

fn made(lab: &Lab, answered: &[Answered], common: &Common) -> Section {
    let machine = this_machine();
    let mut pairs = vec![
        ("attar".to_owned(), machine.version),
        ("machine".to_owned(), format!("{}, {}, {} threads", machine.processor, machine.system, machine.threads)),
        ("made".to_owned(), machine.created),
        ("seed".to_owned(), lab.seed.to_string()),
    ];
    pairs.extend(lab.sources.iter().map(|source| (source.name.to_owned(), source.about.clone())));
    pairs.extend(lab.spectra.iter().map(|spectrum| (spectrum.name.to_owned(), spectrum.about())));
    let time = |answered: &Answered| (format!("question {}", answered.number), format!("{:.1} s", answered.seconds));
    pairs.extend(answered.iter().map(time));
    pairs.extend(common.notes.iter().cloned());
    let block = Block::KeyValues(KeyValues { title: "Run".into(), pairs });
    Section { title: "How it was made".into(), text: Vec::new(), blocks: vec![block] }
}
