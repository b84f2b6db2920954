//! `lab attention`: what dividing by the root of d does, what argmax cannot learn, which similarities stay finite, the
//! quadratic kernel, and what it all costs.

mod arithmetic;
mod cell;
mod composed;
mod cost;
mod finite;
mod hard;
mod moments;
mod quadratic;
mod retrieval;
mod saturation;

pub(crate) use self::cell::Method;
use super::questions::{self, Folder, Question};
use crate::cli::{AttentionArgs, Common};
use crate::error::CliError;

/// What the questions are answered with.
struct Lab {
    seed: u64,
    /// Seconds for question 5.
    budget: f64,
}

const QUESTIONS: [Question<Lab>; 5] =
    [(1, moments::ask), (2, hard::ask), (3, finite::ask), (4, quadratic::ask), (5, cost::ask)];

/// Asks the questions, prints the answers and writes the report; an error when a claim fails.
pub(crate) fn attention(args: &AttentionArgs, common: &Common) -> Result<(), CliError> {
    let seed = common.seed.unwrap_or(0);
    if let (Some(method), Some(length)) = (args.measure, args.length) {
        return cell::measure(method, length, seed);
    }
    if !(args.budget > 0.0 && args.budget.is_finite()) {
        return Err(CliError::input(format!("`--budget` must be a number of minutes above 0, got {}", args.budget)));
    }
    let names = [
        "Attention: the laboratory",
        "Why scores are divided by the root of d, what argmax cannot learn, and what a kernel saves",
        "runs/lab-attention",
    ];
    let folder = Folder::new(names, args.overwrite, common)?;
    let questions = questions::chosen(&QUESTIONS, &args.only);
    let bar = crate::progress::bar(questions.len(), "attention");
    let lab = Lab { seed, budget: 60.0 * args.budget };
    let answered = questions::ask(&lab, &questions, || bar.inc(1))?;
    bar.finish_and_clear();
    let budget = ("time for question 5".to_owned(), format!("{} minutes", args.budget));
    folder.write(&answered, vec![budget])
}
