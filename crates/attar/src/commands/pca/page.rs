//! The report of `attar pca`.

use attar_data::Prepared;
use attar_learn::pca;
use attar_linear::FittedPca;
use attar_report::{
    Axis, Block, Dash, ImageRow, Images, KeyValues, Lines, Panel, Report, Scatter, Section, Series, Spread, Statement,
    Table, Verdict,
};

use super::{Fitted, solver_name};
use crate::cli::{Common, PcaArgs};
use crate::error::CliError;
use crate::figures::{self, MAP_POINTS, picture_shape, pictures};
use crate::machine::this_machine;

/// Components in the table and in pictures.
const SHOWN: usize = 10;
/// Features named for each component.
const NAMED: usize = 4;

pub(super) fn page(fitted: &Fitted, codes: &[f32], args: &PcaArgs, common: &Common) -> Result<Report, CliError> {
    let Fitted { data, rows, .. } = *fitted;
    Ok(Report {
        title: format!("{}: principal components", data.dataset.name),
        subtitle: format!("{} rows of {} features", rows.len(), data.dataset.features()),
        verdict: vec![Statement { text: format!("{}.", fitted.sentence()), verdict: Verdict::Neutral }],
        sections: vec![kept(fitted), seen(fitted)?, map(fitted, codes)?, made(fitted, args, common)],
    })
}

fn kept(fitted: &Fitted) -> Section {
    let pca = fitted.pca;
    let mut blocks = vec![Block::Lines(spectrum(pca))];
    if let Some(variances) = &pca.spectrum {
        blocks.push(Block::Lines(figures::variance_kept(variances, pca.components.nrows())));
    }
    blocks.push(Block::Table(variances(pca)));
    Section { title: "What the components keep".into(), text: Vec::new(), blocks }
}

fn spectrum(pca: &FittedPca) -> Lines {
    let all = pca.spectrum.as_deref().unwrap_or(&pca.explained_variance);
    // A logarithmic axis has no place for directions without variance.
    let all: Vec<f64> = all.iter().copied().take_while(|&variance| variance > 0.0).collect();
    let series = |name: &str, values: &[f64], colour: usize| Series {
        name: name.into(),
        x: (1..=values.len()).map(|component| component as f64).collect(),
        y: values.to_vec(),
        spread: Spread::None,
        markers: false,
        colour,
        dash: if colour == 0 { Dash::Solid } else { Dash::Dashed },
    };
    let components = pca.components.nrows().min(all.len());
    let noise = vec![pca.noise_variance; if pca.noise_variance > 0.0 { all.len() } else { 0 }];
    Lines {
        title: "Variance along each component".into(),
        caption: format!("{components} are kept; the dashed line is the average of those left out."),
        x: Axis::log("component"),
        y: Axis::log("variance"),
        panels: vec![Panel {
            title: String::new(),
            series: vec![series("variance", &all, 0), series("noise variance", &noise, 1)],
        }],
    }
}

fn variances(pca: &FittedPca) -> Table {
    let mut sum = 0.0;
    let row = |(component, (variance, share)): (usize, (&f64, &f64))| {
        sum += share;
        vec![
            component.to_string(),
            format!("{variance:.4e}"),
            format!("{:.2} %", 100.0 * share),
            format!("{:.2} %", 100.0 * sum),
        ]
    };
    let pairs = pca.explained_variance.iter().zip(&pca.explained_variance_ratio);
    Table {
        title: "The first components".into(),
        caption: "Variances divide by the number of rows less one; shares are of the variance of all features.".into(),
        columns: ["code", "variance", "share", "together"].map(str::to_owned).to_vec(),
        rows: pairs.enumerate().take(SHOWN).map(row).collect(),
    }
}

/// The components as pictures where rows are pictures, else by the features of largest weight.
fn seen(fitted: &Fitted) -> Result<Section, CliError> {
    let blocks = match picture_shape(fitted.data) {
        Some(shape) => {
            vec![Block::Images(component_images(fitted.pca, shape)?), Block::Images(reconstructions(fitted, shape)?)]
        }
        None => vec![Block::Table(weights(fitted.pca, fitted.data))],
    };
    Ok(Section { title: "What the components are".into(), text: Vec::new(), blocks })
}

fn component_images(pca: &FittedPca, shape: [usize; 3]) -> Result<Images, CliError> {
    let shown = pca.components.nrows().min(SHOWN);
    let mut values: Vec<f32> = pca.mean.iter().map(|&mean| mean as f32).collect();
    for component in 0..shown {
        let row = pca.components.row(component);
        let largest = row.iter().fold(f64::MIN_POSITIVE, |largest: f64, weight| largest.max(weight.abs()));
        values.extend(row.iter().map(|weight| (0.5 + 0.5 * weight / largest) as f32));
    }
    Ok(Images {
        title: "Mean and first components".into(),
        caption: "Grey is 0; white and black are the largest weight of the component and its opposite.".into(),
        columns: std::iter::once("mean".to_owned()).chain((0..shown).map(|code| format!("code {code}"))).collect(),
        rows: vec![ImageRow { name: String::new(), images: pictures(&values, shape)? }],
    })
}

fn reconstructions(fitted: &Fitted, shape: [usize; 3]) -> Result<Images, CliError> {
    let Fitted { data, pca, .. } = *fitted;
    let rows = &fitted.rows[..fitted.rows.len().min(SHOWN)];
    let mut clean = vec![0.0; rows.len() * data.dataset.features()];
    data.read(rows, &mut clean);
    let image_row = |name: &str, values: &[f32]| -> Result<ImageRow, CliError> {
        Ok(ImageRow { name: name.to_owned(), images: pictures(values, shape)? })
    };
    Ok(Images {
        title: "Reconstructions".into(),
        caption: format!("From {} components.", pca.components.nrows()),
        columns: rows.iter().map(|row| format!("row {row}")).collect(),
        rows: vec![image_row("input", &clean)?, image_row("output", &pca::forward(pca, &clean)?)?],
    })
}

fn weights(pca: &FittedPca, data: &Prepared) -> Table {
    let columns = &data.dataset.schema.columns;
    let named = |component: usize| {
        let row = pca.components.row(component);
        let mut order: Vec<usize> = (0..columns.len()).collect();
        order.sort_by(|&a, &b| row[b].abs().total_cmp(&row[a].abs()));
        let weights = order.iter().take(NAMED).map(|&feature| format!("{} {:+.3}", columns[feature], row[feature]));
        vec![component.to_string(), weights.collect::<Vec<_>>().join(", ")]
    };
    Table {
        title: "Features of largest weight".into(),
        caption: "Of prepared features; the squared weights of a component sum to 1.".into(),
        columns: ["code", "features"].map(str::to_owned).to_vec(),
        rows: (0..pca.components.nrows().min(SHOWN)).map(named).collect(),
    }
}

fn map(fitted: &Fitted, codes: &[f32]) -> Result<Section, CliError> {
    let components = fitted.pca.components.nrows();
    let rows = spread(fitted.rows, MAP_POINTS);
    let point = |&row: &usize| {
        let code = &codes[row * components..(row + 1) * components];
        [f64::from(code[0]), code.get(1).map_or(0.0, |&value| f64::from(value))]
    };
    let points = rows.iter().map(point).collect();
    let caption = format!("{} rows, evenly taken.", rows.len());
    let scatter = Scatter { caption, ..figures::map(fitted.data, &rows, points)? };
    Ok(Section { title: "The code, seen".into(), text: Vec::new(), blocks: vec![Block::Scatter(scatter)] })
}

/// At most so many rows, evenly taken.
fn spread(rows: &[usize], most: usize) -> Vec<usize> {
    let count = rows.len().min(most);
    (0..count).map(|place| rows[place * rows.len() / count]).collect()
}

fn made(fitted: &Fitted, args: &PcaArgs, common: &Common) -> Section {
    let machine = this_machine();
    let pca = fitted.pca;
    let pair = |key: &str, value: String| (key.to_owned(), value);
    let mut pairs = vec![
        pair("attar", machine.version),
        pair("machine", format!("{}, {}, {} threads", machine.processor, machine.system, machine.threads)),
        pair("made", machine.created),
        pair("data", args.source.clone()),
        pair("data fingerprint", fitted.data.dataset.fingerprint()),
        pair("solver", solver_name(pca.solver).to_owned()),
        pair("fitted in", format!("{:.2} s", fitted.seconds)),
        pair("codes", if args.whiten { "whitened: variance 1" } else { "as projected" }.to_owned()),
    ];
    if let Some(estimate) = &pca.error_estimate {
        let left = format!("below {:.3e}, with probability 1 - 1e-10", estimate.left_out);
        pairs.push(pair("standard deviation along any direction left out", left));
    }
    pairs.extend(common.notes.iter().cloned());
    let block = Block::KeyValues(KeyValues { title: "Run".into(), pairs });
    Section { title: "How it was made".into(), text: Vec::new(), blocks: vec![block] }
}
