//! The parts of a step, each alone: what the time of a step goes into.

use std::time::Instant;

use attar::data::Prepared;
use attar::ops::{self, Activation, Averages, Matrix, Parameter, Precision, Update, network::Target};
use serde_json::{Value, json};

use crate::median;

/// Times that each part is measured.
const REPEATS: usize = 200;

/// Microseconds of the products, the passes over activations, the optimizer and the reading of a step of the symmetric
/// autoencoder of these widths, the code's last.
pub(crate) fn measure(down: &[usize], batch: usize, precision: Precision, data: &Prepared) -> Value {
    let up = down.iter().rev();
    let widths: Vec<usize> = down.iter().chain(up.skip(1)).copied().collect();
    ops::awake(|| {
        json!({
            "products": products(&widths, batch, precision),
            "passes": passes(&widths, batch),
            "optimizer": optimizer(&widths),
            "reading": reading(batch, data),
        })
    })
}

fn microseconds(mut work: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    median(&mut times)
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at as f32 * 0.37).sin()).collect()
}

fn products(widths: &[usize], batch: usize, precision: Precision) -> f64 {
    let layers: Vec<_> = widths.windows(2).map(|w| (w[0], w[1], values(w[0] * w[1]), values(batch * w[0]))).collect();
    let mut outs: Vec<_> = layers
        .iter()
        .map(|(inputs, outputs, ..)| {
            [vec![0.0; batch * outputs], vec![0.0; batch * inputs], vec![0.0; inputs * outputs]]
        })
        .collect();
    microseconds(|| {
        for (index, ((inputs, outputs, weight, input), [output, below, gradient])) in
            layers.iter().zip(&mut outs).enumerate()
        {
            let (weight, input) = (Matrix::row_major(weight, *outputs), Matrix::row_major(input, *inputs));
            ops::product(precision, output, input, weight);
            let output = Matrix::row_major(output, *outputs);
            ops::product(precision, gradient, input.transposed(), output);
            if index > 0 {
                ops::product(precision, below, output, weight.transposed());
            }
        }
    })
}

fn passes(widths: &[usize], batch: usize) -> f64 {
    let mut arrays: Vec<_> = widths[1..].iter().map(|width| (values(*width), values(batch * width))).collect();
    let target = values(batch * widths[0]);
    let kept = values(batch * widths.iter().max().copied().unwrap_or(0));
    microseconds(|| {
        let last = arrays.len() - 1;
        for (index, (bias, values)) in arrays.iter_mut().enumerate() {
            // None after the code nor after the output.
            let hidden = index != last && index != last / 2;
            let activation = if hidden { Activation::Relu } else { Activation::Identity };
            activation.add_bias_and_apply(values, Some(bias), &mut []);
            let count = values.len();
            activation.multiply_by_slope(values, &kept[..count], &[]);
            ops::column_sums(values, bias);
        }
        ops::squared_error(&mut arrays[last].1, &Target { values: &target, weight: None, scale: 1e-9 });
    })
}

fn optimizer(widths: &[usize]) -> f64 {
    let adam = Averages::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8 };
    let update = Update { averages: adam, rate: 1e-6, decay: 0.0, shrinkage: 0.0, second_scale: 1.0 };
    let sizes = widths.windows(2).flat_map(|w| [w[0] * w[1], w[1]]);
    let mut parameters: Vec<_> =
        sizes.map(|count| (values(count), values(count), vec![0.0; count], vec![0.0; count])).collect();
    microseconds(|| {
        for (values, gradient, first, second) in &mut parameters {
            update.apply(Parameter { values, gradient, first, second });
        }
    })
}

fn reading(batch: usize, data: &Prepared) -> f64 {
    let mut out = vec![0.0; batch * data.dataset.features()];
    let samples = data.dataset.samples();
    let rows: Vec<usize> = (0..batch).map(|at| at * 7919 % samples).collect();
    microseconds(|| data.read(&rows, &mut out))
}
