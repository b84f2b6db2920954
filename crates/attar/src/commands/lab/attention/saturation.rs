//! What a scale does to the weights and to the gradient through them.

use attar_attention::{Attention, Form, Inputs, Shape, Similarity};
use attar_linear::mean_interval;
use attar_report::{Axis, Block, Dash, Series, Spread};

use super::arithmetic::{largest, mean, median, norm, normals};
use super::moments::DIMENSIONS;
use crate::commands::lab::answer::{Claim, shown};
use crate::commands::lab::figure::{dotted, line, lines, panel, table};
use crate::commands::lab::power_law::log_slope;
use crate::error::CliError;
use crate::weights::weights;

const KEYS: usize = 64;
const QUERIES: usize = 64;
/// Sets of keys, each with its queries.
const SETS: usize = 16;
const VALUE_DIM: usize = 16;

/// Scales as powers of d.
const SCALES: [(&str, f64); 3] = [("s = 1", 0.0), ("s = 1/sqrt(d)", -0.5), ("s = 1/d", -1.0)];

/// What one scale does at one d.
struct Effect {
    dimension: f64,
    /// Mean entropy of the weights, with its interval over the sets of keys.
    entropy: [f64; 3],
    /// Median and mean norm of the gradient by a query.
    gradient: [f64; 2],
}

/// The claims and figures on scales.
pub(super) fn measure(seed: u64) -> Result<(Vec<Claim>, [Block; 3]), CliError> {
    let mut effects = [Vec::new(), Vec::new(), Vec::new()];
    for dimension in DIMENSIONS {
        let all = effects_at(dimension, seed)?;
        effects.iter_mut().zip(all).for_each(|(effects, effect)| effects.push(effect));
    }
    let figures = [entropies(&effects), gradients(&effects), numbers(&effects)];
    Ok((claims(&effects), figures))
}

/// Of every scale, on the same queries, keys and values.
fn effects_at(dimension: usize, seed: u64) -> Result<[Effect; 3], CliError> {
    let shape = Shape {
        batch: SETS,
        heads: 1,
        key_heads: 1,
        queries: QUERIES,
        keys: KEYS,
        dim: dimension,
        value_dim: VALUE_DIM,
    };
    let draw = |rows: usize, width: usize, part| normals(rows * width, seed, [1, 1000 + dimension as u64, part]);
    let (queries, keys) = (draw(SETS * QUERIES, dimension, 0), draw(SETS * KEYS, dimension, 1));
    let (values, mut of_output) = (draw(SETS * KEYS, VALUE_DIM, 2), draw(SETS * QUERIES, VALUE_DIM, 3));
    of_output.iter_mut().for_each(|value| *value /= (VALUE_DIM as f64).sqrt());
    let inputs = Inputs { shape, queries: &queries, keys: &keys, values: &values, hidden: None };
    let [one, root, whole] = SCALES.map(|(_, power)| effect(&inputs, (dimension as f64).powf(power), &of_output));
    Ok([one?, root?, whole?])
}

fn effect(inputs: &Inputs<'_, f64>, scale: f64, of_output: &[f64]) -> Result<Effect, CliError> {
    let attention = Attention::new(Similarity::Softmax { scale: Some(scale) });
    let weights = weights(&attention, Form::Tiled, inputs)?;
    let entropies: Vec<f64> = weights.chunks_exact(KEYS).map(entropy).collect();
    let sets: Vec<f64> = entropies.chunks_exact(QUERIES).map(mean).collect();
    let interval = mean_interval(&sets).and_then(|mean| Some([mean.mean, mean.interval?.low, mean.interval?.high]));
    let forward = attention.forward(Form::Tiled, inputs)?;
    let gradients = attention.backward(inputs, &forward, of_output)?;
    let norms: Vec<f64> = gradients.queries.chunks_exact(inputs.shape.dim).map(norm).collect();
    Ok(Effect {
        dimension: inputs.shape.dim as f64,
        entropy: interval.unwrap_or([f64::NAN; 3]),
        gradient: [median(&norms), mean(&norms)],
    })
}

/// In nats.
fn entropy(weights: &[f64]) -> f64 {
    -weights.iter().filter(|&&weight| weight > 0.0).map(|weight| weight * weight.ln()).sum::<f64>()
}

fn claims(effects: &[Vec<Effect>; 3]) -> Vec<Claim> {
    let [one, root, whole] = effects;
    let uniform = (KEYS as f64).ln();
    let last = |effects: &[Effect]| effects.last().map_or(f64::NAN, |effect| effect.entropy[0]);
    let slope = |effects: &[Effect], of: fn(&Effect) -> f64| {
        let points: Vec<(f64, f64)> = effects.iter().skip(2).map(|effect| (effect.dimension, of(effect))).collect();
        log_slope(&points)
    };
    let first_to_last = |effects: &[Effect]| match effects {
        [first, .., last] => last.gradient[0] / first.gradient[0],
        _ => f64::NAN,
    };
    let worst = largest(root.iter().skip(1).map(|effect| (effect.entropy[0] - (uniform - 0.5)).abs()));
    let deficit = whole.last().map_or(f64::NAN, |effect| 2.0 * effect.dimension * (uniform - effect.entropy[0]));
    vec![
        Claim::at_most(
            "s = 1: mean entropy of the weights at d = 4096, over that of uniform ones",
            last(one) / uniform,
            0.05,
        ),
        Claim::near(
            "s = 1: exponent of d by which the entropy falls, from d = 64",
            slope(one, |e| e.entropy[0]),
            -0.5,
            0.2,
        ),
        Claim::at_most("s = 1: median gradient by a query at d = 4096, over that at d = 4", first_to_last(one), 1e-3),
        Claim::at_most("s = 1/sqrt(d): largest distance of the entropy from ln N - 1/2, d from 16 to 4096", worst, 0.1),
        Claim::near(
            "s = 1/sqrt(d): exponent of d in the median gradient, from d = 64",
            slope(root, |e| e.gradient[0]),
            0.0,
            0.05,
        ),
        Claim::near("s = 1/d: what the entropy lacks of ln N at d = 4096, times 2 d", deficit, 1.0, 0.1),
        Claim::near(
            "s = 1/d: exponent of d in the median gradient, from d = 64",
            slope(whole, |e| e.gradient[0]),
            -0.5,
            0.05,
        ),
    ]
}

fn entropies(effects: &[Vec<Effect>; 3]) -> Block {
    let uniform = (KEYS as f64).ln();
    let mut series: Vec<Series> = Vec::new();
    for (colour, ((name, _), effects)) in SCALES.iter().zip(effects).enumerate() {
        let of = |which: usize| effects.iter().map(|effect| effect.entropy[which]).collect::<Vec<_>>();
        let points: Vec<(f64, f64)> = effects.iter().map(|effect| (effect.dimension, effect.entropy[0])).collect();
        let spread = Spread::Bars { low: of(1), high: of(2) };
        series.push(Series { spread, ..dotted(*name, colour, &points) });
    }
    for (name, value) in [("ln N: uniform", uniform), ("ln N - 1/2", uniform - 0.5)] {
        let ends = [DIMENSIONS[0], DIMENSIONS[DIMENSIONS.len() - 1]].map(|d| (d as f64, value));
        series.push(line(name, series.len(), Dash::Dotted, &ends));
    }
    let caption = format!(
        "Softmax over {KEYS} keys; queries and keys of independent standard normal components. Means over {} queries, \
         with 95 % intervals over {SETS} sets of keys.",
        SETS * QUERIES
    );
    let axes = [Axis::log("d"), Axis::linear("entropy of the weights, nats")];
    lines("Entropy of the weights by scale", &caption, axes, vec![panel("", series)])
}

fn gradients(effects: &[Vec<Effect>; 3]) -> Block {
    let panels = [("median over queries", 0), ("mean over queries", 1)].map(|(title, which)| {
        let series = SCALES.iter().zip(effects).enumerate().map(|(colour, ((name, _), effects))| {
            let points: Vec<(f64, f64)> =
                effects.iter().map(|effect| (effect.dimension, effect.gradient[which])).collect();
            dotted(*name, colour, &points)
        });
        panel(title, series.collect())
    });
    let caption = "Norm of the gradient by a query, through softmax, when that by the output has independent normal \
                   components and an expected square of 1. With s = 1 the mean is carried by the few queries whose two \
                   largest scores are close.";
    let axes = [Axis::log("d"), Axis::log("norm of the gradient")];
    lines("Gradient through the softmax by scale", caption, axes, panels.to_vec())
}

fn numbers(effects: &[Vec<Effect>; 3]) -> Block {
    let rows = SCALES.iter().zip(effects).flat_map(|((name, _), effects)| {
        effects.iter().map(|Effect { dimension, entropy: [mean, low, high], gradient }| {
            let entropy = format!("{} [{}, {}]", shown(*mean), shown(*low), shown(*high));
            vec![(*name).to_owned(), dimension.to_string(), entropy, shown(gradient[0]), shown(gradient[1])]
        })
    });
    let columns = ["scale", "d", "entropy", "median gradient", "mean gradient"];
    table("What a scale does", "Entropies with 95 % intervals.", &columns, rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropies_by_hand() {
        assert_eq!(entropy(&[0.0, 1.0]), 0.0);
        assert!((entropy(&[0.25; 4]) - 4.0_f64.ln()).abs() < 1e-15);
        assert!((entropy(&[0.5, 0.5, 0.0]) - 2.0_f64.ln()).abs() < 1e-15);
    }
}
