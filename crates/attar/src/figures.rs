//! Figures that more than one report draws.

use attar_data::{Labels, Layout, Prepared, Scaling};
use attar_report::{Axis, Colouring, Dash, Image, Lines, Panel, Scatter, Series, Spread};

use crate::error::CliError;

/// Points on a map.
pub(crate) const MAP_POINTS: usize = 1000;

/// Height, width and channels, where the rows are pictures in [0, 1].
pub(crate) fn picture_shape(data: &Prepared) -> Option<[usize; 3]> {
    match (data.dataset.schema.layout, data.preprocessing.scaling) {
        (Layout::Image { height, width, channels }, Scaling::None) if matches!(channels, 1 | 3) => {
            Some([height, width, channels])
        }
        _ => None,
    }
}

pub(crate) fn pictures(rows: &[f32], [height, width, channels]: [usize; 3]) -> Result<Vec<Image>, CliError> {
    let each = rows.chunks_exact(height * width * channels);
    each.map(|row| Image::from_unit(width as u32, height as u32, row))
        .collect::<Result<_, _>>()
        .map_err(|error| CliError::run(error.to_string()))
}

/// The given rows as points of the plane, coloured by their labels, with their pictures if they are pictures.
pub(crate) fn map(data: &Prepared, rows: &[usize], points: Vec<[f64; 2]>) -> Result<Scatter, CliError> {
    let thumbnails = match picture_shape(data) {
        Some(shape) => {
            let mut values = vec![0.0; rows.len() * data.dataset.features()];
            data.read(rows, &mut values);
            pictures(&values, shape)?
        }
        None => Vec::new(),
    };
    let name = |&row: &usize| data.dataset.ids.as_ref().map_or(format!("row {row}"), |ids| ids[row].clone());
    Ok(Scatter {
        title: "Map of the code".into(),
        caption: String::new(),
        x: Axis::linear("first component"),
        y: Axis::linear("second component"),
        points,
        colouring: colouring(data.dataset.labels.as_ref(), rows),
        names: rows.iter().map(name).collect(),
        thumbnails,
    })
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

/// The share of the total variance that the first components keep, by their number; `components` is where to look.
pub(crate) fn variance_kept(variances: &[f64], components: usize) -> Lines {
    // Constant data has no variance to share out.
    let total = variances.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let kept: Vec<f64> = variances
        .iter()
        .scan(0.0, |sum, variance| {
            *sum += variance;
            Some(*sum / total)
        })
        .collect();
    let components = components.min(kept.len());
    let at = kept.get(components.saturating_sub(1)).copied().unwrap_or(1.0);
    let series = Series {
        name: "variance kept".into(),
        x: (1..=kept.len()).map(|k| k as f64).collect(),
        y: kept,
        spread: Spread::None,
        markers: false,
        colour: 0,
        dash: Dash::Solid,
    };
    Lines {
        title: "PCA spectrum".into(),
        caption: format!("{components} components keep {:.1} % of the training variance.", 100.0 * at),
        x: Axis::log("components"),
        y: Axis::linear("share of variance kept"),
        panels: vec![Panel { title: String::new(), series: vec![series] }],
    }
}
