//! The judgement of a trained network: every figure that the summary and the report show.

use std::collections::BTreeMap;

use attar_data::{Labels, Layout, Prepared, Split};
use attar_learn::judge::{Comparison, Judging, Scores, compare, judge};
use attar_learn::{Autoencoder, CourseProbe, Curves, Reconstruction, Representation, pca};
use attar_linear::{CodeHealth, FittedPca};
use burn::tensor::Device;
use faer::MatRef;
use serde::{Deserialize, Serialize};

use crate::error::CliError;

/// Rows whose codes are looked at for rank and collapse.
const HEALTH_ROWS: usize = 10_000;

/// The tables behind every figure of a run; `results.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The run's name.
    pub(crate) name: String,
    pub(crate) data: DataSummary,
    pub(crate) network: NetworkSummary,
    /// Losses and probe accuracy over the epochs.
    pub(crate) curves: Curves,
    /// Held-out reconstruction of each feature.
    pub(crate) reconstruction: Reconstruction,
    pub(crate) code: CodeSummary,
    /// Each representation under the same probes; empty without labels.
    pub(crate) scores: Vec<Scores>,
    pub(crate) verdict: Vec<Sentence>,
    /// Variances of all principal components of the training split.
    pub(crate) pca_spectrum: Vec<f64>,
    pub(crate) notes: BTreeMap<String, String>,
    /// What may differ between two runs that are otherwise the same.
    pub(crate) machine: Machine,
}

/// What was learned from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DataSummary {
    pub(crate) source: String,
    pub(crate) fingerprint: String,
    pub(crate) features: usize,
    pub(crate) train: usize,
    pub(crate) validation: usize,
    pub(crate) test: usize,
    pub(crate) constant_columns: Vec<String>,
}

/// What was trained.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NetworkSummary {
    pub(crate) objective: String,
    pub(crate) widths: Vec<usize>,
    pub(crate) latent: usize,
    pub(crate) parameters: usize,
}

/// The health of the learned code on the test split.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CodeSummary {
    pub(crate) effective_rank: f64,
    pub(crate) dead: Vec<usize>,
    pub(crate) collapsed: bool,
    pub(crate) reason: Option<String>,
}

/// One statement of the verdict.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sentence {
    pub(crate) text: String,
    /// Whether it speaks for the learned code; absent when for neither.
    pub(crate) good: Option<bool>,
}

/// Where and when, and how long it took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) version: String,
    pub(crate) system: String,
    pub(crate) processor: String,
    pub(crate) threads: usize,
    pub(crate) created: String,
    /// Of the training, since the last resume if there was one.
    pub(crate) train_seconds: f64,
    pub(crate) judge_seconds: f64,
}

/// A trained network with the data it is judged on.
pub(crate) struct Subject<'a> {
    pub(crate) data: &'a Prepared,
    pub(crate) split: &'a Split,
    pub(crate) model: &'a Autoencoder,
    /// The same network before training.
    pub(crate) untrained: &'a Autoencoder,
    pub(crate) judging: &'a Judging,
    pub(crate) course_probe: Option<&'a CourseProbe>,
}

/// What judging finds, and the PCA that the report draws with.
pub(crate) struct Judgement {
    pub(crate) reconstruction: Reconstruction,
    pub(crate) code: CodeSummary,
    pub(crate) scores: Vec<Scores>,
    pub(crate) verdict: Vec<Sentence>,
    pub(crate) pca: FittedPca,
}

/// Judges a trained network against PCA, raw features and itself before training.
pub(crate) fn judge_subject(subject: &Subject) -> Result<Judgement, CliError> {
    let Subject { data, split, model, untrained, judging, course_probe } = *subject;
    let device = Device::flex();
    let pca = pca::baseline(data, &split.train, model.latent())?;
    let reconstruction = Reconstruction::of(model, &pca, data, &split.test, &device)?;
    let code = code_summary(model, data, split, &device)?;
    let representations = [
        Representation::Learned(model, device.clone()),
        Representation::Pca(&pca),
        Representation::Raw,
        Representation::Random(untrained, device),
    ];
    let scores = match &data.dataset.labels {
        Some(labels) => judge(&representations, data, split, labels, judging, course_probe)?,
        None => Vec::new(),
    };
    let numeric = matches!(data.dataset.labels, Some(Labels::Numbers(_)));
    let verdict = verdict(&scores, &reconstruction, &code, numeric);
    Ok(Judgement { reconstruction, code, scores, verdict, pca })
}

fn code_summary(model: &Autoencoder, data: &Prepared, split: &Split, device: &Device) -> Result<CodeSummary, CliError> {
    let rows = &split.test[..split.test.len().min(HEALTH_ROWS)];
    let codes = attar_learn::evaluate::codes(model, data, rows, device);
    let health = CodeHealth::of(MatRef::from_row_major_slice(&codes, rows.len(), model.latent()))
        .map_err(attar_learn::Error::from)?;
    let CodeHealth { effective_rank, dead, collapsed, reason } = health;
    Ok(CodeSummary { effective_rank, dead, collapsed, reason })
}

/// The statements at the top of the report and under the summary; none hides a defeat.
fn verdict(scores: &[Scores], reconstruction: &Reconstruction, code: &CodeSummary, numeric: bool) -> Vec<Sentence> {
    let mut sentences = Vec::new();
    if let Some((learned, baselines)) = scores.split_first() {
        for place in budgets_to_compare(learned) {
            sentences.push(compare_at(learned, baselines, place, numeric));
        }
    }
    sentences.push(compare_reconstruction(reconstruction));
    if code.collapsed {
        let reason = code.reason.clone().unwrap_or_default();
        sentences.push(Sentence { text: format!("The code has collapsed: {reason}."), good: Some(false) });
    }
    sentences
}

/// The places of the budget nearest to 200 labels and of the largest one.
fn budgets_to_compare(learned: &Scores) -> Vec<usize> {
    let few = (0..learned.budgets.len())
        .filter(|&place| !learned.budgets[place].all)
        .min_by_key(|&place| learned.budgets[place].labels.abs_diff(200));
    let last = learned.budgets.len().checked_sub(1);
    let mut places: Vec<usize> = few.into_iter().chain(last).collect();
    places.dedup();
    places
}

fn compare_at(learned: &Scores, baselines: &[Scores], place: usize, numeric: bool) -> Sentence {
    let budget = &learned.budgets[place];
    let phrases: Vec<(Comparison, String)> = baselines
        .iter()
        .map(|baseline| {
            let comparison = compare(budget, &baseline.budgets[place]);
            (comparison, format!("{} ({})", baseline.representation, score(baseline.budgets[place].mean, numeric)))
        })
        .collect();
    let beaten = |wanted: Comparison| {
        let names: Vec<&str> = phrases.iter().filter(|(c, _)| *c == wanted).map(|(_, name)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let parts: Vec<String> = [
        beaten(Comparison::Better).map(|names| format!("beats {names}")),
        beaten(Comparison::Alike).map(|names| format!("is not told apart from {names}")),
        beaten(Comparison::Worse).map(|names| format!("is beaten by {names}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let worse = phrases.iter().any(|(comparison, _)| *comparison == Comparison::Worse);
    let better = phrases.iter().all(|(comparison, _)| *comparison == Comparison::Better);
    let labels = if budget.all { format!("all {}", budget.labels) } else { budget.labels.to_string() };
    let text = format!("With {labels} labels the learned code ({}) {}.", score(budget.mean, numeric), parts.join("; "));
    Sentence {
        text,
        good: if worse {
            Some(false)
        } else if better {
            Some(true)
        } else {
            None
        },
    }
}

/// An accuracy in percent, or an R^2.
pub(crate) fn score(value: f64, numeric: bool) -> String {
    if numeric { format!("R² {value:.3}") } else { format!("{:.1} %", 100.0 * value) }
}

fn compare_reconstruction(reconstruction: &Reconstruction) -> Sentence {
    let per_feature = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    let (learned, pca) = (per_feature(&reconstruction.learned), per_feature(&reconstruction.pca));
    let word = if learned < pca { "less than" } else { "no less than" };
    Sentence {
        text: format!(
            "Held-out squared error per feature {learned:.5}, {word} PCA of the same size ({pca:.5}); \
             the training mean alone leaves {:.5}.",
            per_feature(&reconstruction.mean)
        ),
        good: None,
    }
}

/// A data set in figures.
pub(crate) fn data_summary(source: &str, data: &Prepared, split: &Split, fingerprint: String) -> DataSummary {
    let constant = data.preprocessing.constant_columns(&data.dataset.schema.columns);
    let is_image = matches!(data.dataset.schema.layout, Layout::Image { .. });
    DataSummary {
        source: source.to_owned(),
        fingerprint,
        features: data.dataset.features(),
        train: split.train.len(),
        validation: split.validation.len(),
        test: split.test.len(),
        constant_columns: if is_image { Vec::new() } else { constant.iter().map(ToString::to_string).collect() },
    }
}
