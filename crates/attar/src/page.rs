//! The report of one run: its results as a page.

use attar_data::{Labels, Layout, Scaling};
use attar_learn::config::{Objective, Training};
use attar_learn::judge::Scores;
use attar_learn::{Corruption, Curves, evaluate, pca_forward};
use attar_linear::{FittedPca, Pca};
use attar_report::{
    Axis, BarSeries, Bars, Block, Colouring, Dash, Image, ImageRow, Images, KeyValues, Lines, Panel, Report, Scatter,
    Section, Series, Spread, Statement, Table, Verdict,
};
use burn::tensor::Device;
use faer::MatRef;

use crate::error::CliError;
use crate::judging::{Results, Sentence, Subject};

/// Examples in the grid of reconstructions.
const EXAMPLES: usize = 10;
/// Points on the map of the code.
const MAP_POINTS: usize = 1000;
/// Features in the table of the worst reconstructed.
const WORST: usize = 12;

/// The page of a single run.
pub(crate) fn single(
    results: &Results,
    subject: &Subject,
    pca: &FittedPca,
    training: &Training,
    config: &str,
) -> Result<Report, CliError> {
    let sections = [
        Some(judged(results)),
        Some(learning(&results.curves)),
        reconstructions(subject, pca, training)?,
        Some(errors(results, subject, pca)),
        Some(map(results, subject)?),
        Some(spectrum(results)),
        Some(made(results, config)),
    ];
    Ok(Report {
        title: format!("{}: a {} autoencoder", results.name, results.network.objective),
        subtitle: format!(
            "{} numbers per sample from {} features of {}; {} training rows",
            results.network.latent, results.data.features, results.data.source, results.data.train
        ),
        verdict: results.verdict.iter().map(statement).collect(),
        sections: sections.into_iter().flatten().collect(),
    })
}

pub(crate) fn statement(sentence: &Sentence) -> Statement {
    let verdict = match sentence.good {
        Some(true) => Verdict::Good,
        Some(false) => Verdict::Bad,
        None => Verdict::Neutral,
    };
    Statement { text: sentence.text.clone(), verdict }
}

fn judged(results: &Results) -> Section {
    let numeric = results.scores.iter().any(Scores::is_numeric);
    let mut text = vec![
        "The encoder never saw a label. Each representation is frozen and given to the same probes, \
         which see labels of the training split only, the linear layer of the validation split, and are scored on the \
         test split. Intervals are over the draws of labels on this test split, or of one accuracy on it."
            .to_owned(),
    ];
    if results.scores.is_empty() {
        text = vec!["The data has no labels, so the code is judged by what it keeps: reconstruction and rank.".into()];
        return Section { title: "Is the code any good?".into(), text, blocks: vec![code_health(results)] };
    }
    let what = if numeric { "R²" } else { "test accuracy" };
    let blocks = vec![
        Block::Lines(budget_curves(&results.scores, what)),
        Block::Bars(probe_bars(&results.scores, what)),
        Block::Table(score_table(&results.scores)),
        code_health(results),
    ];
    Section { title: "Is the code any good?".into(), text, blocks }
}

fn code_health(results: &Results) -> Block {
    let code = &results.code;
    if code.collapsed {
        return Block::Warning(format!("The code has collapsed: {}", code.reason.clone().unwrap_or_default()));
    }
    Block::Note(format!(
        "Effective rank of the code: {:.1} of {} ({} dead).",
        code.effective_rank,
        results.network.latent,
        code.dead.len()
    ))
}

fn budget_curves(scores: &[Scores], what: &str) -> Lines {
    let series = scores.iter().enumerate().map(|(colour, row)| {
        let of = |f: fn(&attar_learn::judge::BudgetScore) -> f64| row.budgets.iter().map(f).collect::<Vec<f64>>();
        Series {
            name: format!("{} ({})", row.representation, row.size),
            x: of(|b| b.labels as f64),
            y: of(|b| b.mean),
            spread: Spread::Bars {
                low: of(|b| b.interval.map_or(b.mean, |i| i.0)),
                high: of(|b| b.interval.map_or(b.mean, |i| i.1)),
            },
            markers: true,
            colour,
            dash: if colour == 0 { Dash::Solid } else { Dash::Dashed },
        }
    });
    Lines {
        title: format!("{} against labels", capital(what)),
        caption: "Mean over draws of the labelled rows, the same draws for all; bars are 95 % intervals.".into(),
        x: Axis::log("labels that the probe saw"),
        y: Axis::linear(what),
        panels: vec![Panel { title: String::new(), series: series.collect() }],
    }
}

/// The main probe at the largest budget, and the others.
fn probe_bars(scores: &[Scores], what: &str) -> Bars {
    let all = |row: &Scores| {
        let main = row.budgets.last().map(|budget| (row.main_probe.clone(), budget.mean, budget.interval));
        let others = row.other_probes.iter().map(|probe| (probe.probe.clone(), probe.score, probe.interval));
        main.into_iter().chain(others).collect::<Vec<_>>()
    };
    let series = scores.iter().enumerate().map(|(colour, row)| BarSeries {
        name: format!("{} ({})", row.representation, row.size),
        values: all(row).iter().map(|(_, score, _)| *score).collect(),
        low: all(row).iter().map(|(_, score, interval)| interval.map_or(*score, |i| i.0)).collect(),
        high: all(row).iter().map(|(_, score, interval)| interval.map_or(*score, |i| i.1)).collect(),
        baseline: colour > 0,
        colour,
    });
    Bars {
        title: format!("{} under each probe", capital(what)),
        caption: "With the most labels that the probe may see: those of the training split; of the validation split \
                  for the linear layer. Error bars are 95 % intervals."
            .into(),
        y: Axis::linear(what),
        groups: scores.first().map(|row| all(row).into_iter().map(|(probe, ..)| probe).collect()).unwrap_or_default(),
        series: series.collect(),
    }
}

fn score_table(scores: &[Scores]) -> Table {
    let mut rows = crate::summary::score_rows(scores);
    let columns = if rows.is_empty() { Vec::new() } else { rows.remove(0) };
    Table { title: "The same in figures".into(), caption: "± is half a 95 % interval.".into(), columns, rows }
}

fn learning(curves: &Curves) -> Section {
    let epochs = |n: usize, from: usize| (from..from + n).map(|epoch| epoch as f64).collect::<Vec<_>>();
    let line = |name: &str, y: &[f64], from: usize, colour: usize, dash: Dash| Series {
        name: name.into(),
        x: epochs(y.len(), from),
        y: y.to_vec(),
        spread: Spread::None,
        markers: true,
        colour,
        dash,
    };
    let losses = Lines {
        title: "Loss".into(),
        caption: "Squared error summed over features, averaged over samples. Training: on what the network was shown, \
                  corrupted if the objective corrupts, averaged over the epoch. Validation: on clean inputs."
            .into(),
        x: Axis::linear("epoch"),
        y: Axis::linear("loss"),
        panels: vec![Panel {
            title: String::new(),
            series: vec![
                line("validation", &curves.validation_losses, 0, 0, Dash::Solid),
                line("training", &curves.train_losses, 1, 1, Dash::Dashed),
            ],
        }],
    };
    let mut blocks = vec![Block::Lines(losses)];
    if !curves.accuracy.is_empty() {
        blocks.push(Block::Lines(Lines {
            title: "Probe accuracy while learning".into(),
            caption: "One linear layer, fitted with Adam on the validation split's codes, on the test split.".into(),
            x: Axis::linear("epoch"),
            y: Axis::linear("test accuracy"),
            panels: vec![Panel {
                title: String::new(),
                series: vec![line("learned code", &curves.accuracy, 0, 0, Dash::Solid)],
            }],
        }));
    }
    Section { title: "How it learned".into(), text: Vec::new(), blocks }
}

/// Height, width and channels, where the rows are pictures in [0, 1].
fn picture_shape(subject: &Subject) -> Option<[usize; 3]> {
    match (subject.data.dataset.schema.layout, subject.data.preprocessing.scaling) {
        (Layout::Image { height, width, channels }, Scaling::None) if matches!(channels, 1 | 3) => {
            Some([height, width, channels])
        }
        _ => None,
    }
}

fn pictures(rows: &[f32], [height, width, channels]: [usize; 3]) -> Result<Vec<Image>, CliError> {
    let each = rows.chunks_exact(height * width * channels);
    each.map(|row| Image::from_unit(width as u32, height as u32, row))
        .collect::<Result<_, _>>()
        .map_err(|error| CliError::run(error.to_string()))
}

fn reconstructions(subject: &Subject, pca: &FittedPca, training: &Training) -> Result<Option<Section>, CliError> {
    let Some(shape) = picture_shape(subject) else { return Ok(None) };
    let rows = &subject.split.test[..subject.split.test.len().min(EXAMPLES)];
    let features = subject.data.dataset.features();
    let mut clean = vec![0.0; rows.len() * features];
    subject.data.read(rows, &mut clean);
    let forward = |input: &[f32]| evaluate::forward(subject.model, input, features, &Device::flex());
    let mut grid = vec![("input", clean.clone())];
    if training.objective != Objective::Vanilla {
        let corrupted = corrupted(&clean, rows, features, subject, training);
        grid.push(("from corrupted", forward(&corrupted)));
        grid.insert(1, ("corrupted", corrupted));
    }
    grid.push(("output", forward(&clean)));
    grid.push(("PCA's", pca_forward(pca, &clean)?));
    let image_rows: Result<Vec<ImageRow>, CliError> = grid
        .iter()
        .map(|(name, values)| Ok(ImageRow { name: (*name).to_owned(), images: pictures(values, shape)? }))
        .collect();
    let images = Images {
        title: "Reconstructions of test samples".into(),
        caption: format!("PCA's are from {} components.", pca.components.nrows()),
        columns: rows.iter().map(|row| format!("row {row}")).collect(),
        rows: image_rows?,
    };
    Ok(Some(Section { title: "What the code keeps".into(), text: Vec::new(), blocks: vec![Block::Images(images)] }))
}

fn corrupted(clean: &[f32], rows: &[usize], features: usize, subject: &Subject, training: &Training) -> Vec<f32> {
    let corruption = Corruption::of(training, subject.data, &subject.split.train);
    let mut corrupted = clean.to_vec();
    for (row, &sample) in corrupted.chunks_exact_mut(features).zip(rows) {
        corruption.corrupt(0, sample, row, &mut []);
    }
    corrupted
}

fn errors(results: &Results, subject: &Subject, pca: &FittedPca) -> Section {
    let reconstruction = &results.reconstruction;
    let total = |errors: &[f64]| errors.iter().sum::<f64>();
    let features = reconstruction.learned.len() as f64;
    let row = |name: &str, errors: &[f64]| {
        let share = 1.0 - total(errors) / total(&reconstruction.mean).max(f64::MIN_POSITIVE);
        vec![
            name.to_owned(),
            format!("{:.4}", total(errors)),
            format!("{:.6}", total(errors) / features),
            format!("{:.1} %", 100.0 * share),
        ]
    };
    let totals = Table {
        title: "Squared error on the test split".into(),
        caption: "Summed over features and averaged over samples; then divided by the number of features.".into(),
        columns: ["", "per sample", "per feature", "variance kept"].map(str::to_owned).to_vec(),
        rows: vec![
            row("learned code", &reconstruction.learned),
            row(&format!("PCA ({} components)", pca.components.nrows()), &reconstruction.pca),
            row("training mean alone", &reconstruction.mean),
        ],
    };
    let mut blocks = vec![Block::Table(totals)];
    if picture_shape(subject).is_none() {
        blocks.push(Block::Table(worst_features(results, subject)));
    }
    if !results.data.constant_columns.is_empty() {
        blocks.push(Block::Note(format!("Constant columns, kept: {}.", results.data.constant_columns.join(", "))));
    }
    Section { title: "Held-out reconstruction".into(), text: Vec::new(), blocks }
}

fn worst_features(results: &Results, subject: &Subject) -> Table {
    let reconstruction = &results.reconstruction;
    let mut order: Vec<usize> = (0..reconstruction.learned.len()).collect();
    order.sort_by(|&a, &b| reconstruction.learned[b].total_cmp(&reconstruction.learned[a]));
    let columns = &subject.data.dataset.schema.columns;
    let row = |&feature: &usize| {
        vec![
            columns[feature].to_string(),
            format!("{:.4}", reconstruction.learned[feature]),
            format!("{:.4}", reconstruction.pca[feature]),
            format!("{:.4}", reconstruction.mean[feature]),
        ]
    };
    Table {
        title: "Features with the largest error".into(),
        caption: "Squared error averaged over the test split, in units of the prepared feature; results.json has all."
            .into(),
        columns: ["feature", "learned code", "PCA", "training mean"].map(str::to_owned).to_vec(),
        rows: order.iter().take(WORST).map(row).collect(),
    }
}

fn map(results: &Results, subject: &Subject) -> Result<Section, CliError> {
    let Subject { data, split, model, .. } = *subject;
    let rows = &split.test[..split.test.len().min(MAP_POINTS)];
    let latent = model.latent();
    let codes = evaluate::codes(model, data, rows, &Device::flex());
    let points: Vec<[f64; 2]> = match plane(&codes, latent) {
        Some(points) => points,
        None => codes.chunks_exact(latent).map(|code| [f64::from(code[0]), 0.0]).collect(),
    };
    let thumbnails = match picture_shape(subject) {
        Some(shape) => {
            let mut values = vec![0.0; rows.len() * data.dataset.features()];
            data.read(rows, &mut values);
            pictures(&values, shape)?
        }
        None => Vec::new(),
    };
    let scatter = Scatter {
        title: "Map of the code".into(),
        caption: format!("The first two principal components of the codes of {} test samples.", rows.len()),
        x: Axis::linear("first component"),
        y: Axis::linear("second component"),
        points,
        colouring: colouring(data.dataset.labels.as_ref(), rows),
        names: rows
            .iter()
            .map(|&row| data.dataset.ids.as_ref().map_or(format!("row {row}"), |ids| ids[row].clone()))
            .collect(),
        thumbnails,
    };
    let text =
        format!("{} numbers per sample, seen in the plane that keeps most of their variance.", results.network.latent);
    Ok(Section { title: "The code, seen".into(), text: vec![text], blocks: vec![Block::Scatter(scatter)] })
}

/// The first two principal components; none where the code has fewer or no variance.
fn plane(codes: &[f32], latent: usize) -> Option<Vec<[f64; 2]>> {
    let codes = MatRef::from_row_major_slice(codes, codes.len() / latent, latent);
    let pca = Pca::new(2).fit(codes).ok()?;
    let plane = pca.transform(codes).ok()?;
    Some((0..plane.nrows()).map(|row| [f64::from(plane[(row, 0)]), f64::from(plane[(row, 1)])]).collect())
}

fn colouring(labels: Option<&Labels>, rows: &[usize]) -> Colouring {
    match labels {
        None => Colouring::None,
        Some(Labels::Classes { names, of }) => {
            Colouring::Classes { names: names.clone(), of: rows.iter().map(|&row| of[row] as usize).collect() }
        }
        Some(Labels::Numbers(numbers)) => {
            Colouring::Values { name: "label".into(), of: rows.iter().map(|&row| numbers[row]).collect() }
        }
    }
}

fn spectrum(results: &Results) -> Section {
    let variances = &results.pca_spectrum;
    // Constant data has no variance to share out.
    let total = variances.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let kept: Vec<f64> = variances
        .iter()
        .scan(0.0, |sum, variance| {
            *sum += variance;
            Some(*sum / total)
        })
        .collect();
    let series = Series {
        name: "variance kept".into(),
        x: (1..=kept.len()).map(|k| k as f64).collect(),
        y: kept.clone(),
        spread: Spread::None,
        markers: false,
        colour: 0,
        dash: Dash::Solid,
    };
    let components = results.network.latent.min(kept.len());
    let at = kept.get(components.saturating_sub(1)).copied().unwrap_or(1.0);
    let lines = Lines {
        title: "PCA spectrum".into(),
        caption: format!("{components} components keep {:.1} % of the training variance.", 100.0 * at),
        x: Axis::log("components"),
        y: Axis::linear("share of variance kept"),
        panels: vec![Panel { title: String::new(), series: vec![series] }],
    };
    Section { title: "What a linear code could keep".into(), text: Vec::new(), blocks: vec![Block::Lines(lines)] }
}

/// How the run was made: configuration, versions, machine, time, notes.
fn made(results: &Results, config: &str) -> Section {
    let machine = &results.machine;
    let data = &results.data;
    let pair = |key: &str, value: String| (key.to_owned(), value);
    let pairs = vec![
        pair("attar", machine.version.clone()),
        pair("machine", format!("{}, {}, {} threads", machine.processor, machine.system, machine.threads)),
        pair("made", machine.created.clone()),
        pair(
            "time",
            format!(
                "{:.1} s training (since the last resume, if any), {:.1} s judging",
                machine.train_seconds, machine.judge_seconds
            ),
        ),
        pair("rows", format!("{} training, {} validation, {} test", data.train, data.validation, data.test)),
        pair("data fingerprint", data.fingerprint.clone()),
        pair("widths", results.network.widths.iter().map(usize::to_string).collect::<Vec<_>>().join(" – ")),
        pair("parameters", results.network.parameters.to_string()),
    ];
    let mut blocks = vec![
        Block::KeyValues(KeyValues { title: "Run".into(), pairs }),
        Block::KeyValues(KeyValues { title: "Configuration".into(), pairs: config_pairs(config) }),
    ];
    if !results.notes.is_empty() {
        let pairs = results.notes.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        blocks.push(Block::KeyValues(KeyValues { title: "Notes".into(), pairs }));
    }
    Section { title: "How it was made".into(), text: Vec::new(), blocks }
}

pub(crate) fn config_pairs(config: &str) -> Vec<(String, String)> {
    let lines = config.lines().filter_map(|line| line.split_once('='));
    lines.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
