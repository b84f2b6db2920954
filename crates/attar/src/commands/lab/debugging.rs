//! `lab debugging`: why deep plain nets train badly, when a batch may be cut, and gradients that are never emptied.

mod accumulation;
mod depth;
mod zero_grad;

use attar_report::Block;

use crate::cli::{Common, DebuggingArgs, DebuggingQuestion, Reading, read_options};
use crate::depth::words::conditions;
use crate::depth::{Experiment, Wanted};
use crate::error::CliError;

use super::questions::{self, Folder, Question};

/// What the questions are asked of.
struct Lab {
    /// Nets of two depths, on images of which the other questions take some too.
    experiment: Experiment,
    seed: u64,
}

const QUESTIONS: [Question<Lab>; 3] = [(1, depth::ask), (2, accumulation::ask), (3, zero_grad::ask)];

/// Layers of the nets that are compared, and seeds that they are trained from.
const DEPTHS: [usize; 2] = [20, 56];
const SEEDS: u64 = 5;

/// Asks the questions, prints the answers and writes the report; an error when a claim fails.
pub(crate) fn debugging(args: &DebuggingArgs, common: &Common) -> Result<(), CliError> {
    let names = [
        "Debugging deep networks: the laboratory",
        "Why depth hurts, when a batch may be cut, and gradients that are never emptied",
        "runs/lab-debugging",
    ];
    let folder = Folder::new(names, args.overwrite, common)?;
    let numbers: Vec<u8> = args.only.iter().map(|question| number(*question)).collect();
    let questions = questions::chosen(&QUESTIONS, &numbers);
    let seed = common.seed.unwrap_or(0);
    let needs_budget = numbers.is_empty() || numbers.contains(&1);
    let wanted = Wanted {
        data: args.data.clone(),
        depths: DEPTHS,
        seeds: (seed..seed + SEEDS).collect(),
        width: None,
        size: None,
        samples: None,
        epochs: None,
        budget: args.budget.filter(|_| needs_budget),
    };
    let experiment = Experiment::plan(&wanted, &read_options(&Reading::default(), common))?;
    let bar = crate::progress::bar(questions.len(), "debugging");
    let lab = Lab { experiment, seed };
    let answered = questions::ask(&lab, &questions, || bar.inc(1))?;
    bar.finish_and_clear();
    folder.write(&answered, about(&lab))
}

fn number(question: DebuggingQuestion) -> u8 {
    match question {
        DebuggingQuestion::Depth => 1,
        DebuggingQuestion::Accumulation => 2,
        DebuggingQuestion::ZeroGrad => 3,
    }
}

/// What must be said beside figures of images that have gone through JPEG.
fn note(lab: &Lab) -> Option<Block> {
    let text = "The source stores its images as JPEG: these figures are of images with its artefacts.";
    lab.experiment.is_jpeg.then(|| Block::Note(text.into()))
}

fn about(lab: &Lab) -> Vec<(String, String)> {
    let made = conditions(&lab.experiment).join(" ");
    vec![("data".to_owned(), lab.experiment.source.clone()), ("nets of question 1".to_owned(), made)]
}
