//! The curves of a sweep: mean, smallest and largest over repeats.

use attar_learn::Curves;
use attar_report::{Axis, Dash, Lines, Panel, Series, Spread};
use serde::{Deserialize, Serialize};

/// All repeats of one objective and latent size.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) objective: String,
    pub(crate) latent: usize,
    /// The curves of each repeat.
    pub(crate) repeats: Vec<Curves>,
}

/// A curve over the epochs with its spread over repeats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) mean: Vec<f64>,
    pub(crate) min: Vec<f64>,
    pub(crate) max: Vec<f64>,
}

impl Group {
    /// A curve of every repeat, summarised.
    pub(crate) fn summary(&self, curve: fn(&Curves) -> &[f64]) -> Summary {
        let curves: Vec<&[f64]> = self.repeats.iter().map(curve).collect();
        let epochs = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
        let over = |f: fn(&[f64]) -> f64| {
            (0..epochs).map(|epoch| f(&curves.iter().map(|curve| curve[epoch]).collect::<Vec<_>>())).collect()
        };
        Summary {
            mean: over(|values| values.iter().sum::<f64>() / values.len() as f64),
            min: over(|values| values.iter().copied().fold(f64::INFINITY, f64::min)),
            max: over(|values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        }
    }

    /// Mean of the last value of a curve over repeats; NaN for an empty one.
    pub(crate) fn last(&self, curve: fn(&Curves) -> &[f64]) -> f64 {
        self.summary(curve).mean.last().copied().unwrap_or(f64::NAN)
    }
}

pub(crate) fn validation_losses(curves: &Curves) -> &[f64] {
    &curves.validation_losses
}

pub(crate) fn accuracy(curves: &Curves) -> &[f64] {
    &curves.accuracy
}

/// A curve of every group over the epochs.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    /// Of the y axis.
    pub(crate) axis: &'static str,
    pub(crate) curve: fn(&Curves) -> &[f64],
}

/// The two figures that the course asks for.
pub(crate) const FIGURES: [Figure; 2] = [
    Figure { title: "Validation loss", axis: "validation loss", curve: validation_losses },
    Figure { title: "Probe accuracy", axis: "test accuracy", curve: accuracy },
];

impl Figure {
    /// A panel for each objective, a colour for each latent size.
    pub(crate) fn by_objective(&self, groups: &[Group]) -> Lines {
        let mut latents: Vec<usize> = groups.iter().map(|group| group.latent).collect();
        latents.sort_unstable();
        latents.dedup();
        let colour = |latent| latents.iter().position(|&other| other == latent).unwrap_or(0);
        let mut objectives: Vec<&str> = groups.iter().map(|group| group.objective.as_str()).collect();
        objectives.dedup();
        let panel = |objective: &&str| {
            let groups = groups.iter().filter(|group| group.objective == **objective);
            let series =
                groups.map(|group| self.series(group, format!("latent {}", group.latent), colour(group.latent)));
            Panel { title: (*objective).to_owned(), series: series.collect() }
        };
        self.lines(groups, objectives.iter().map(panel).collect())
    }

    /// All groups in one panel, each under its own name.
    pub(crate) fn together(&self, groups: &[Group]) -> Lines {
        let series = groups.iter().enumerate();
        let series = series.map(|(colour, group)| self.series(group, group.objective.clone(), colour)).collect();
        self.lines(groups, vec![Panel { title: String::new(), series }])
    }

    /// A dot for each epoch, the mean line, a translucent band from the smallest to the largest repeat.
    fn series(&self, group: &Group, name: String, colour: usize) -> Series {
        let Summary { mean, min, max } = group.summary(self.curve);
        Series {
            name,
            x: (0..mean.len()).map(|epoch| epoch as f64).collect(),
            y: mean,
            spread: Spread::Band { low: min, high: max },
            markers: true,
            colour,
            dash: Dash::Solid,
        }
    }

    fn lines(&self, groups: &[Group], panels: Vec<Panel>) -> Lines {
        let repeats = groups.iter().map(|group| group.repeats.len()).max().unwrap_or(0);
        Lines {
            title: self.title.to_owned(),
            caption: format!("Mean of {repeats} repeats; the band spans their smallest and largest value."),
            x: Axis::linear("epoch"),
            y: Axis::linear(self.axis),
            panels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_taken_over_repeats_at_each_epoch() {
        let curves = |losses: &[f64]| Curves { validation_losses: losses.to_vec(), ..Curves::default() };
        let repeats = vec![curves(&[4.0, 1.0]), curves(&[7.0, 2.0]), curves(&[1.0, 6.0])];
        let group = Group { objective: "vanilla".into(), latent: 5, repeats };
        let summary = group.summary(validation_losses);
        assert_eq!(summary, Summary { mean: vec![4.0, 3.0], min: vec![1.0, 1.0], max: vec![7.0, 6.0] });
        assert_eq!(group.last(validation_losses), 3.0);
        assert!(group.last(accuracy).is_nan());
    }
}
