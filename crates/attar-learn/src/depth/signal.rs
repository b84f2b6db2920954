//! How large signals and gradients are on their way through the layers.

use attar_doctor::StageStatistics;

use super::Family;
use crate::nets::Net;
use crate::{Error, ProbeBatch};

/// A layer's output, as the next layer gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The stage.
    pub name: String,
    /// Layers with weights up to here.
    pub layer: usize,
    /// Of all values of the batch.
    pub variance: f64,
    /// The norm of the gradient of the mean loss by these values.
    pub gradient: f64,
}

/// Signals and gradients of one batch, in training mode.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Optimizer steps before it.
    pub step: usize,
    /// From the input on.
    pub layers: Vec<Layer>,
    /// Mean change of the natural logarithm of the variance from layer to layer, within groups of equal layers.
    pub variance_slope: f64,
    /// The same of the gradient's norm, from a layer to the one before it: above 0 gradients explode towards the input,
    /// below they vanish. Yang et al. 2019 give `ln sqrt(pi / (pi - 1))` for wide dense layers with batch norm and
    /// rectifiers.
    pub gradient_slope: f64,
    /// The gradient's norm at the first layer over that at the last.
    pub ratio: f64,
}

impl Signal {
    /// What theory gives for [`Signal::gradient_slope`] of wide dense layers with batch norm and rectifiers, at
    /// initialisation (Yang et al. 2019): ln 1.211.
    pub const DENSE: f64 = 0.191_6;

    /// Of a net of this kind after `step` steps.
    ///
    /// # Errors
    /// [`Error::Label`].
    pub fn measure(net: &Net, family: Family, batch: &ProbeBatch, step: usize) -> Result<Self, Error> {
        let stages = batch.stages(net, step)?;
        let layers = layers(family, &stages);
        let slope = |of: fn(&Layer) -> f64| {
            let point = |layer: &Layer| (group(&layer.name).to_owned(), layer.layer as f64, of(layer).ln());
            slope_within(&layers.iter().map(point).collect::<Vec<_>>())
        };
        let (variance_slope, gradient_slope) = (slope(|layer| layer.variance), -slope(|layer| layer.gradient));
        let of = |layer: Option<&Layer>| layer.map_or(f64::NAN, |layer| layer.gradient);
        let ratio = of(layers.first()) / of(layers.last());
        Ok(Self { step, layers, variance_slope, gradient_slope, ratio })
    }
}

/// What goes from layer to layer: after each activation, or after each sum with a shortcut.
fn layers(family: Family, stages: &[StageStatistics]) -> Vec<Layer> {
    let is_normalised = stages.iter().any(|stage| stage.name.ends_with(".norm"));
    let ends_unit = |name: &str| name != "head" && name.ends_with(".norm") == is_normalised;
    let is_passed_on = |stage: &&StageStatistics| match family {
        Family::Plain => ends_unit(&stage.name),
        Family::Residual if stage.name.starts_with("group") => !stage.name.contains(".conv"),
        Family::Residual => ends_unit(&stage.name),
    };
    let step = if family == Family::Plain { 1 } else { 2 };
    let layer = |(index, stage): (usize, &StageStatistics)| Layer {
        name: stage.name.clone(),
        layer: 1 + step * index,
        variance: stage.deviation.powi(2),
        gradient: stage.gradient.unwrap_or(f64::NAN),
    };
    stages.iter().filter(is_passed_on).enumerate().map(layer).collect()
}

/// The layers of as many values as this one; the first convolution's are those of the first group.
fn group(name: &str) -> &str {
    if name.starts_with("group") { name.split('.').next().unwrap_or(name) } else { "group1" }
}

/// The slope of y over x by least squares, with an intercept of its own for each group.
fn slope_within(points: &[(String, f64, f64)]) -> f64 {
    let (mut products, mut squares) = (0.0, 0.0);
    for of_group in points.chunk_by(|a, b| a.0 == b.0) {
        let count = of_group.len() as f64;
        let mean = |of: fn(&(String, f64, f64)) -> f64| of_group.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.1), mean(|point| point.2));
        products += of_group.iter().map(|point| (point.1 - x) * (point.2 - y)).sum::<f64>();
        squares += of_group.iter().map(|point| (point.1 - x).powi(2)).sum::<f64>();
    }
    products / squares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_that_within_groups() {
        let points = [(1, 0.0), (2, 0.5), (3, 1.0), (4, 90.0), (5, 90.5)];
        let group = |x: i32| if x < 4 { "a" } else { "b" };
        let points = points.map(|(x, y)| (group(x).to_owned(), f64::from(x), y));
        assert!((slope_within(&points) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn layers_are_what_the_next_one_gets() {
        let check = |family, names: &[&str], expected: &[(&str, usize)]| {
            let stage = |name: &&str| StageStatistics {
                name: (*name).into(),
                mean: 0.0,
                deviation: 1.0,
                dead: None,
                saturated: None,
                nonfinite: 0,
                gradient: Some(1.0),
            };
            let found = layers(family, &names.iter().map(stage).collect::<Vec<_>>());
            let found: Vec<_> = found.iter().map(|layer| (layer.name.as_str(), layer.layer)).collect();
            assert_eq!(found, expected);
        };
        let names = ["conv1", "conv1.norm", "group1.block1.conv1", "group1.block1.conv1.norm", "head"];
        check(Family::Plain, &names, &[("conv1.norm", 1), ("group1.block1.conv1.norm", 2)]);
        check(Family::Plain, &["conv1", "group1.block1.conv1", "head"], &[("conv1", 1), ("group1.block1.conv1", 2)]);
        let names = ["conv1", "conv1.norm", "group1.block1.conv2.norm", "group1.block1", "group2.block1", "head"];
        check(Family::Residual, &names, &[("conv1.norm", 1), ("group1.block1", 3), ("group2.block1", 5)]);
    }

    #[test]
    fn dense_layers_lose_what_theory_says() {
        let pi = std::f64::consts::PI;
        assert!((Signal::DENSE - (pi / (pi - 1.0)).sqrt().ln()).abs() < 1e-4);
    }
}
