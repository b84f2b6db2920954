//! `lab attention`: what dividing by the root of d does, what argmax cannot learn, which similarities stay finite, the
//! quadratic kernel, and what it all costs.

mod arithmetic;
mod moments;
mod quadratic;
mod saturation;

use super::questions::{self, Folder, Question};
use crate::cli::{AttentionArgs, Common};
use crate::error::CliError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Method {
    Softmax,
}

/// What the questions are answered with.
struct Lab {
    seed: u64,
}

const QUESTIONS: [Question<Lab>; 2] = [(1, moments::ask), (4, quadratic::ask)];

/// Asks the questions, prints the answers and writes the report; an error when a claim fails.
pub(crate) fn attention(args: &AttentionArgs, common: &Common) -> Result<(), CliError> {
    let names = [
        "Attention: the laboratory",
        "Why scores are divided by the root of d, what argmax cannot learn, and what a kernel saves",
        "runs/lab-attention",
    ];
    let folder = Folder::new(names, args.overwrite, common)?;
    let questions = questions::chosen(&QUESTIONS, &args.only);
    let bar = crate::progress::bar(questions.len(), "attention");
    let lab = Lab { seed: common.seed.unwrap_or(0) };
    let answered = questions::ask(&lab, &questions, || bar.inc(1))?;
    bar.finish_and_clear();
    folder.write(&answered, Vec::new())
}
