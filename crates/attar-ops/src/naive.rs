//! Every operation written out as its definition, in `f64`: slow, and what the fast ones are compared with.

use crate::{Activation, Convolution, Float, Matrix};

/// `left right`, row-major.
pub fn product<T: Float>(left: Matrix<'_, T>, right: Matrix<'_, T>) -> Vec<f64> {
    let mut out = Vec::with_capacity(left.rows() * right.columns());
    for row in 0..left.rows() {
        for column in 0..right.columns() {
            out.push((0..left.columns()).map(|k| left.at(row, k).to_f64() * right.at(k, column).to_f64()).sum());
        }
    }
    out
}

/// The value of an activation.
pub fn activation(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Gelu => x * 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2),
        Activation::Tanh => x.tanh(),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

/// The derivative of an activation, by central differences but for the kink of the rectifier.
pub fn slope(kind: Activation, x: f64) -> f64 {
    if kind == Activation::Relu {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    (activation(kind, x + 1e-5) - activation(kind, x - 1e-5)) / 2e-5
}

/// `scale * sum of weight * (output - target)^2`; every weight is 1 where there are none.
pub fn squared_error<T: Float>(output: &[T], target: &[T], weight: Option<&[T]>, scale: f64) -> f64 {
    let weight = |at: usize| weight.map_or(1.0, |weight| weight[at].to_f64());
    let errors = output.iter().zip(target).map(|(output, target)| output.to_f64() - target.to_f64());
    scale * errors.enumerate().map(|(at, error)| weight(at) * error.powi(2)).sum::<f64>()
}

/// The gradient of [`squared_error`] by the output.
pub fn squared_error_gradient<T: Float>(output: &[T], target: &[T], weight: Option<&[T]>, scale: f64) -> Vec<f64> {
    let weight = |at: usize| weight.map_or(1.0, |weight| weight[at].to_f64());
    let errors = output.iter().zip(target).map(|(output, target)| output.to_f64() - target.to_f64());
    errors.enumerate().map(|(at, error)| 2.0 * scale * weight(at) * error).collect()
}

/// `scale * sum over rows of -ln softmax(row)[label]`, and its gradient by the logits.
pub fn cross_entropy<T: Float>(logits: Matrix<'_, T>, labels: &[u32], scale: f64) -> (f64, Vec<f64>) {
    let (mut loss, mut gradient) = (0.0, Vec::new());
    for (row, &label) in labels.iter().enumerate() {
        let logit = |class| logits.at(row, class).to_f64();
        // Each class by how much more or less likely it is than another one: nothing overflows, nothing cancels.
        let sum = |class| (0..logits.columns()).map(|other| (logit(other) - logit(class)).exp()).sum::<f64>();
        loss += scale * sum(label as usize).ln();
        let others = (0..logits.columns()).filter(|&class| class != label as usize);
        let of_label = -others.map(|class| 1.0 / sum(class)).sum::<f64>();
        let of = |class| if class == label as usize { of_label } else { 1.0 / sum(class) };
        gradient.extend((0..logits.columns()).map(|class| scale * of(class)));
    }
    (loss, gradient)
}

/// Each row's values less their mean, over the square root of their variance and `epsilon`; and that root.
fn normalised<T: Float>(input: Matrix<'_, T>, row: usize, epsilon: f64) -> (Vec<f64>, f64) {
    let values: Vec<f64> = (0..input.columns()).map(|column| input.at(row, column).to_f64()).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    let deviation = (variance + epsilon).sqrt();
    (values.iter().map(|value| (value - mean) / deviation).collect(), deviation)
}

/// Layer normalisation over each row, row-major.
pub fn layer_norm<T: Float>(input: Matrix<'_, T>, gamma: &[T], beta: &[T], epsilon: f64) -> Vec<f64> {
    let mut out = Vec::new();
    for row in 0..input.rows() {
        let (values, _) = normalised(input, row, epsilon);
        let parameters = gamma.iter().zip(beta);
        out.extend(values.iter().zip(parameters).map(|(value, (gamma, beta))| value * gamma.to_f64() + beta.to_f64()));
    }
    out
}

/// The gradients of [`layer_norm`] by input, gamma and beta, from that of the output: each by the whole Jacobian.
pub fn layer_norm_gradients<T: Float>(
    input: Matrix<'_, T>,
    gamma: &[T],
    epsilon: f64,
    of_output: &[T],
) -> [Vec<f64>; 3] {
    let columns = input.columns();
    let (mut of_input, mut of_gamma, mut of_beta) = (Vec::new(), vec![0.0; columns], vec![0.0; columns]);
    for row in 0..input.rows() {
        let (values, deviation) = normalised(input, row, epsilon);
        let gradient = |column: usize| of_output[row * columns + column].to_f64();
        let jacobian = |out: usize, by: usize| {
            let same = if out == by { 1.0 } else { 0.0 };
            (same - (1.0 + values[out] * values[by]) / columns as f64) / deviation
        };
        of_input
            .extend((0..columns).map(|by| {
                (0..columns).map(|out| gradient(out) * gamma[out].to_f64() * jacobian(out, by)).sum::<f64>()
            }));
        for column in 0..columns {
            of_gamma[column] += gradient(column) * values[column];
            of_beta[column] += gradient(column);
        }
    }
    [of_input, of_gamma, of_beta]
}

/// Calls `visit` with the places of input, weight and output that meet in each term of a convolution.
fn terms(
    samples: usize,
    shape: Convolution,
    [inputs, outputs]: [usize; 2],
    mut visit: impl FnMut(usize, usize, usize),
) {
    let Convolution { height, width, kernel, stride, padding } = shape;
    let [rows, columns] = shape.output();
    let pixels = (0..samples).flat_map(|n| (0..rows).flat_map(move |y| (0..columns).map(move |x| (n, y, x))));
    for (sample, row, column) in pixels {
        for place in 0..kernel * kernel {
            let (y, x) = (row * stride + place / kernel, column * stride + place % kernel);
            if y < padding || y >= height + padding || x < padding || x >= width + padding {
                continue;
            }
            let from = ((sample * height + y - padding) * width + x - padding) * inputs;
            let to = ((sample * rows + row) * columns + column) * outputs;
            for pair in 0..inputs * outputs {
                let (input, output) = (pair / outputs, pair % outputs);
                visit(from + input, place * inputs * outputs + pair, to + output);
            }
        }
    }
}

fn samples_in<T>(input: &[T], shape: Convolution, inputs: usize) -> usize {
    input.len().checked_div(shape.height * shape.width * inputs).unwrap_or(0)
}

/// The convolution of `[samples, height, width, inputs]` with `[kernel, kernel, inputs, outputs]`.
pub fn conv2d<T: Float>(input: &[T], weight: &[T], shape: Convolution, channels: [usize; 2]) -> Vec<f64> {
    let samples = samples_in(input, shape, channels[0]);
    let [rows, columns] = shape.output();
    let mut out = vec![0.0; samples * rows * columns * channels[1]];
    terms(samples, shape, channels, |from, by, to| out[to] += input[from].to_f64() * weight[by].to_f64());
    out
}

/// The gradients of [`conv2d`] by input and weight, from that of the output.
pub fn conv2d_gradients<T: Float>(
    input: &[T],
    weight: &[T],
    shape: Convolution,
    channels: [usize; 2],
    of_output: &[T],
) -> [Vec<f64>; 2] {
    let (mut of_input, mut of_weight) = (vec![0.0; input.len()], vec![0.0; weight.len()]);
    terms(samples_in(input, shape, channels[0]), shape, channels, |from, by, to| {
        of_input[from] += weight[by].to_f64() * of_output[to].to_f64();
        of_weight[by] += input[from].to_f64() * of_output[to].to_f64();
    });
    [of_input, of_weight]
}

/// Each value less the mean of its set, over the root of the set's variance and `epsilon`; and that root, for each value.
fn normalised_in_sets<T: Float>(values: &[T], set: &impl Fn(usize) -> usize, epsilon: f64) -> (Vec<f64>, Vec<f64>) {
    let of_set = |at: usize| (0..values.len()).filter(move |&other| set(other) == set(at));
    let normalise = |at: usize| {
        let count = of_set(at).count() as f64;
        let mean = of_set(at).map(|other| values[other].to_f64()).sum::<f64>() / count;
        let variance = of_set(at).map(|other| (values[other].to_f64() - mean).powi(2)).sum::<f64>() / count;
        let deviation = (variance + epsilon).sqrt();
        ((values[at].to_f64() - mean) / deviation, deviation)
    };
    (0..values.len()).map(normalise).unzip()
}

/// Batch and group normalisation of `[.., channels of gamma]`: values are normalised by the moments of their `set`.
pub fn norm_in_sets<T: Float>(
    values: &[T],
    set: impl Fn(usize) -> usize,
    gamma: &[T],
    beta: &[T],
    epsilon: f64,
) -> Vec<f64> {
    let (normalised, _) = normalised_in_sets(values, &set, epsilon);
    let channel = |at: usize| at % gamma.len();
    let scaled = |(at, value)| value * gamma[channel(at)].to_f64() + beta[channel(at)].to_f64();
    normalised.into_iter().enumerate().map(scaled).collect()
}

/// The gradients of [`norm_in_sets`] by values, gamma and beta, from that of the output: each by the whole Jacobian.
pub fn norm_in_sets_gradients<T: Float>(
    values: &[T],
    set: impl Fn(usize) -> usize,
    gamma: &[T],
    epsilon: f64,
    of_output: &[T],
) -> [Vec<f64>; 3] {
    let (normalised, deviation) = normalised_in_sets(values, &set, epsilon);
    let channels = gamma.len();
    let gradient = |at: usize| of_output[at].to_f64();
    let of_value = |by: usize| {
        let of_set: Vec<usize> = (0..values.len()).filter(|&other| set(other) == set(by)).collect();
        let slope = |out: usize| {
            let same = if out == by { 1.0 } else { 0.0 };
            (same - (1.0 + normalised[out] * normalised[by]) / of_set.len() as f64) / deviation[by]
        };
        of_set.iter().map(|&out| gradient(out) * gamma[out % channels].to_f64() * slope(out)).sum()
    };
    let (mut of_gamma, mut of_beta) = (vec![0.0; channels], vec![0.0; channels]);
    for (at, value) in normalised.iter().enumerate() {
        of_gamma[at % channels] += gradient(at) * value;
        of_beta[at % channels] += gradient(at);
    }
    [(0..values.len()).map(of_value).collect(), of_gamma, of_beta]
}
