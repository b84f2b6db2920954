//! Numbered questions, their answers, and the folder that they leave.

use std::path::PathBuf;
use std::time::Instant;

use attar_learn::write_atomically;
use attar_report::{Block, KeyValues, Report, Section, Statement, Verdict};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Claim};
use super::figure;
use crate::cli::Common;
use crate::error::CliError;
use crate::machine::this_machine;
use crate::output::{print, print_json};

/// What one question came to.
pub(super) struct Part {
    pub(super) answer: Answer,
    pub(super) figures: Vec<Block>,
}

/// A question asked of a laboratory, with the number that `--only` takes.
pub(super) type Question<L> = (u8, fn(&L) -> Result<Part, CliError>);

/// A question that was answered.
pub(super) struct Answered {
    number: u8,
    part: Part,
    seconds: f64,
}

/// The chosen questions; all of them where none is chosen.
pub(super) fn chosen<L>(questions: &[Question<L>], only: &[u8]) -> Vec<Question<L>> {
    questions.iter().copied().filter(|(number, _)| only.is_empty() || only.contains(number)).collect()
}

/// Asks the questions one after another; `done` after each.
pub(super) fn ask<L>(lab: &L, questions: &[Question<L>], done: impl Fn()) -> Result<Vec<Answered>, CliError> {
    let answer = |&(number, question): &Question<L>| {
        let started = Instant::now();
        let part = question(lab)?;
        done();
        Ok(Answered { number, part, seconds: started.elapsed().as_secs_f64() })
    };
    questions.iter().map(answer).collect()
}

/// Where a laboratory leaves its answers, and under which title.
pub(super) struct Folder<'a> {
    title: &'static str,
    subtitle: &'static str,
    path: PathBuf,
    common: &'a Common,
}

impl<'a> Folder<'a> {
    /// The folder that was asked for, else `path`; one that holds answers is refused unless they may be replaced.
    pub(super) fn new(
        [title, subtitle, path]: [&'static str; 3],
        overwrite: bool,
        common: &'a Common,
    ) -> Result<Self, CliError> {
        let path = common.out.clone().unwrap_or_else(|| PathBuf::from(path));
        if path.join("results.json").exists() && !overwrite {
            return Err(attar_learn::Error::RunExists { path }.into());
        }
        Ok(Self { title, subtitle, path, common })
    }

    /// Writes and prints the answers; an error when a claim fails. `about` says what the questions were asked of.
    pub(super) fn write(&self, answered: &[Answered], about: Vec<(String, String)>) -> Result<(), CliError> {
        let results = results(answered, &about);
        std::fs::create_dir_all(&self.path)
            .map_err(|error| CliError::run(format!("{}: {error}", self.path.display())))?;
        write_atomically(&self.path.join("results.json"), serde_json::to_string_pretty(&results)?.as_bytes())?;
        let report = self.path.join("report.html");
        attar_report::write(&self.page(answered, about), &report)?;
        if self.common.json {
            print_json(&results)?;
        } else {
            print(&answered.iter().map(|answered| format!("{}\n", answered.part.answer.text())).collect::<String>())?;
            print(&format!("Report: {}\n", report.display()))?;
        }
        match claims(answered).filter(|claim| !claim.holds).count() {
            0 => Ok(()),
            failed => Err(CliError::run(format!("{failed} of the claims failed"))),
        }
    }

    fn page(&self, answered: &[Answered], about: Vec<(String, String)>) -> Report {
        let mut sections: Vec<Section> = answered.iter().map(section).collect();
        sections.push(self.made(answered, about));
        let count = claims(answered).count();
        let (text, verdict) = match claims(answered).filter(|claim| !claim.holds).count() {
            _ if count == 0 => ("No claim was made.".to_owned(), Verdict::Neutral),
            0 => (format!("All {count} claims hold."), Verdict::Good),
            failed => (format!("{failed} of {count} claims fail."), Verdict::Bad),
        };
        let verdict = Statement { text, verdict };
        Report { title: self.title.into(), subtitle: self.subtitle.into(), verdict: vec![verdict], sections }
    }

    fn made(&self, answered: &[Answered], about: Vec<(String, String)>) -> Section {
        let machine = this_machine();
        let mut pairs = vec![
            ("attar".to_owned(), machine.version),
            ("machine".to_owned(), format!("{}, {}, {} threads", machine.processor, machine.system, machine.threads)),
            ("made".to_owned(), machine.created),
            ("seed".to_owned(), self.common.seed.unwrap_or(0).to_string()),
        ];
        pairs.extend(about);
        let time =
            |answered: &Answered| (format!("question {}", answered.number), format!("{:.1} s", answered.seconds));
        pairs.extend(answered.iter().map(time));
        pairs.extend(self.common.notes.iter().cloned());
        let block = Block::KeyValues(KeyValues { title: "Run".into(), pairs });
        Section { title: "How it was made".into(), text: Vec::new(), blocks: vec![block] }
    }
}

fn claims(answered: &[Answered]) -> impl Iterator<Item = &Claim> {
    answered.iter().flat_map(|answered| &answered.part.answer.claims)
}

fn results(answered: &[Answered], about: &[(String, String)]) -> Value {
    let question = |answered: &Answered| {
        json!({
            "number": answered.number,
            "figures": figure::tables(&answered.part.figures),
            "claims": answered.part.answer,
            "seconds": answered.seconds,
        })
    };
    json!({
        "about": about.iter().map(|(name, about)| (name.clone(), Value::from(about.as_str()))).collect::<Map<_, _>>(),
        "questions": answered.iter().map(question).collect::<Vec<_>>(),
    })
}

/// The question with its figures above its claims.
fn section(answered: &Answered) -> Section {
    let mut section = answered.part.answer.section();
    section.blocks.splice(0..0, answered.part.figures.iter().cloned());
    section
}
