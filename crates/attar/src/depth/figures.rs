//! The figures of the experiment on depth.

use attar_learn::depth::{Depth, Family, LONGER};
use attar_report::{Axis, Block, Dash, Lines, Panel, Series, Table};

use super::Experiment;
use super::words::{COLUMNS, Group, SIGNAL_COLUMNS, groups, signals, table};

/// Everything that is drawn, tables first.
pub(crate) fn all(experiment: &Experiment, found: &Depth) -> Vec<Block> {
    let note = if experiment.is_jpeg { " The images are stored as JPEG." } else { "" };
    vec![
        text_table(
            "Training errors",
            &format!("Of all training images as they are, in training mode but for the column beside it.{note}"),
            &COLUMNS,
            table(&found.outcomes),
        ),
        losses(experiment, found, note),
        gradients(found, note),
        text_table(
            "Signals and gradients on their way",
            &format!(
                "Changes of the natural logarithms of variance and, towards the input, gradient norm from layer to layer, \
                 within groups of equal layers; the gradient's norm at the first layer over the last's; means over the \
                 seeds. Wide dense layers with batch norm have a gradient slope of +0.192 at initialisation (Yang et al. \
                 2019).{note}"
            ),
            &SIGNAL_COLUMNS,
            signals(&found.outcomes),
        ),
    ]
}

fn text_table(title: &str, caption: &str, columns: &[&str], rows: Vec<Vec<String>>) -> Block {
    let columns = columns.iter().map(|&column| column.to_owned()).collect();
    Block::Table(Table { title: title.into(), caption: caption.into(), columns, rows })
}

/// Mean losses over the seeds, a panel for each length.
fn losses(experiment: &Experiment, found: &Depth, note: &str) -> Block {
    let groups = groups(&found.outcomes);
    let curve = |group: &Group| {
        let epochs = group.outcomes.iter().map(|outcome| outcome.losses.len()).min().unwrap_or(0);
        let a_epoch = group.steps() as f64 / epochs.max(1) as f64;
        let y = (0..epochs).map(|epoch| group.mean(|outcome| outcome.losses[epoch])).collect();
        let x = (1..=epochs).map(|epoch| epoch as f64 * a_epoch).collect();
        Series { name: group.net.name(), x, y, colour: colour(experiment, group), markers: true, ..Series::default() }
    };
    let panel = |longer: usize| {
        let of: Vec<&Group> = groups.iter().filter(|group| group.longer == longer).collect();
        let steps = of.first().map_or(0, |group| group.steps());
        Panel { title: format!("{steps} steps"), series: of.into_iter().map(curve).collect() }
    };
    Block::Lines(Lines {
        title: "Losses while training".into(),
        caption: format!("Cross-entropy on what the nets were shown, means over an epoch and over the seeds.{note}"),
        x: Axis::linear("step"),
        y: Axis::linear("loss"),
        panels: vec![panel(1), panel(LONGER)],
    })
}

/// Gradient norms by layer at the first length, a panel for each net.
fn gradients(found: &Depth, note: &str) -> Block {
    let groups = groups(&found.outcomes);
    let panel = |group: &Group| {
        let outcome = group.outcomes[0];
        let series = outcome.signals.iter().enumerate().map(|(place, signal)| Series {
            name: format!("after {} steps", signal.step),
            x: signal.layers.iter().map(|layer| layer.layer as f64).collect(),
            y: signal.layers.iter().map(|layer| layer.gradient).collect(),
            colour: place,
            dash: if place == 0 { Dash::Dashed } else { Dash::Solid },
            ..Series::default()
        });
        Panel { title: group.net.name(), series: series.collect() }
    };
    Block::Lines(Lines {
        title: "Gradient norms by layer".into(),
        caption: format!(
            "Of the mean loss of a probe batch, by the outputs of each layer; one seed, at the first length. Steps down are \
             where images shrink.{note}"
        ),
        x: Axis::linear("layer"),
        y: Axis::log("norm of the gradient"),
        panels: groups.iter().filter(|group| group.longer == 1).map(panel).collect(),
    })
}

fn colour(experiment: &Experiment, group: &Group) -> usize {
    match group.net.family {
        Family::Residual => 2,
        Family::Plain => usize::from(group.net.depth == experiment.depths[1]),
    }
}
