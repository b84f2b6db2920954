//! Every operation written out as its definition, in `f64`: slow, and what the fast ones are compared with.

use crate::{Activation, Float, Matrix};

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
