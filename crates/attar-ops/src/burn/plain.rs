//! What the operations stand for, in Burn's own: for every device and kind of number, and the reference in tests.

use burn::tensor::{Int, Tensor, activation as burn_activation};

use crate::Activation;

pub(super) fn dense(input: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, activation: Activation) -> Tensor<2> {
    let output = input.matmul(weight);
    let output = match bias {
        Some(bias) => output + bias.unsqueeze(),
        None => output,
    };
    self::activation(output, activation)
}

pub(super) fn activation<const D: usize>(input: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Identity => input,
        Activation::Relu => burn_activation::relu(input),
        Activation::Gelu => burn_activation::gelu(input),
        Activation::Tanh => burn_activation::tanh(input),
        Activation::Silu => burn_activation::silu(input),
    }
}

pub(super) fn squared_error<const D: usize>(
    output: Tensor<D>,
    target: Tensor<D>,
    weight: Option<Tensor<D>>,
    scale: f64,
) -> Tensor<1> {
    let errors = (output - target).square();
    let errors = match weight {
        Some(weight) => errors * weight,
        None => errors,
    };
    errors.sum() * scale
}

pub(super) fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, scale: f64) -> Tensor<1> {
    burn_activation::log_softmax(logits, 1).gather(1, labels.unsqueeze_dim(1)).sum() * -scale
}

pub(super) fn layer_norm<const D: usize>(
    input: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let centred = input.clone() - input.mean_dim(D - 1);
    let variance = centred.clone().square().mean_dim(D - 1);
    centred / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}
