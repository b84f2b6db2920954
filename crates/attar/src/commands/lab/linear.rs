//! `lab linear`: why a linear autoencoder is principal component analysis, and when exactly.

mod arithmetic;
mod axes;
mod certificates;
mod ingredients;
mod optimality;
mod orthonormal;
mod probe;
mod source;
mod spectrum;
mod starts;
mod variants;

use indicatif::ProgressBar;

use self::source::{Gaussian, Source, Subject};
use super::questions::{self, Folder, Question};
use crate::cli::{Common, LinearData};
use crate::error::CliError;

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

const QUESTIONS: [Question<Lab>; 8] = [
    (1, optimality::ask),
    (2, starts::ask),
    (3, ingredients::ask),
    (4, orthonormal::ask),
    (5, spectrum::ask),
    (6, axes::ask),
    (7, probe::ask),
    (8, certificates::ask),
];

/// Asks the questions, prints the answers and writes the report; an error when a claim fails.
pub(crate) fn linear(data: Option<LinearData>, only: &[u8], overwrite: bool, common: &Common) -> Result<(), CliError> {
    let names = [
        "Linear autoencoders: the laboratory",
        "Why a linear autoencoder is principal component analysis, and when exactly",
        "runs/lab-linear",
    ];
    let folder = Folder::new(names, overwrite, common)?;
    let questions = questions::chosen(&QUESTIONS, only);
    let seed = common.seed.unwrap_or(0);
    let sources = source::open_all(data, seed, common.data_dir.as_deref())?;
    let bar = crate::progress::bar(questions.len() * (sources.len() + source::SPECTRA.len()), "linear");
    let lab = Lab { sources, spectra: source::spectra(seed)?, seed, bar };
    let done = || lab.bar.inc((lab.sources.len() + lab.spectra.len()) as u64);
    let answered = questions::ask(&lab, &questions, done)?;
    lab.bar.finish_and_clear();
    folder.write(&answered, about(&lab))
}

fn about(lab: &Lab) -> Vec<(String, String)> {
    let sources = lab.sources.iter().map(|source| (source.name.to_owned(), source.about.clone()));
    sources.chain(lab.spectra.iter().map(|spectrum| (spectrum.name.to_owned(), spectrum.about()))).collect()
}
