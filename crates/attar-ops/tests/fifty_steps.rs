//! Fifty steps of Adam, fused and by plain Burn operations: the losses stay together.
#![allow(clippy::expect_used, reason = "a test")]

use attar_ops::network::{Dense, DenseGradient, Target, gradients};
use attar_ops::{Activation, Averages, Buffers, Float, Parameter, Precision, Update};
use burn::tensor::{DType, Device, Tensor, TensorData, activation};

const WIDTHS: [usize; 5] = [30, 21, 4, 18, 30];
const SAMPLES: usize = 24;
const STEPS: i32 = 50;
const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;
const RATE: f64 = 0.02;

fn values(count: usize, size: f64, seed: f64) -> Vec<f64> {
    // What `f32` holds, so that both kinds of numbers start alike.
    (0..count).map(|at| f64::from((size * (at as f64 * 0.731 + seed).sin() + 0.1 * size) as f32)).collect()
}

/// Weights and biases, first layer to last.
fn start() -> Vec<Vec<f64>> {
    let layers = WIDTHS.windows(2).zip(1..);
    layers.flat_map(|(w, at)| [values(w[0] * w[1], 0.4, f64::from(at)), values(w[1], 0.1, f64::from(at))]).collect()
}

fn update(step: i32) -> Update {
    Update {
        averages: Averages::Adam { beta_1: BETAS[0], beta_2: BETAS[1], epsilon: EPSILON },
        rate: RATE / (1.0 - BETAS[0].powi(step)),
        decay: 0.0,
        shrinkage: 0.0,
        second_scale: 1.0 / (1.0 - BETAS[1].powi(step)).sqrt(),
    }
}

fn fused<T: Float>(function: Activation) -> Vec<f64> {
    let floats = |values: Vec<f64>| values.into_iter().map(T::from_f64).collect::<Vec<T>>();
    let mut parameters: Vec<Vec<T>> = start().into_iter().map(floats).collect();
    let mut moments: Vec<[Vec<T>; 2]> =
        parameters.iter().map(|p| [vec![T::ZERO; p.len()], vec![T::ZERO; p.len()]]).collect();
    let input = floats(values(SAMPLES * WIDTHS[0], 1.0, 0.0));
    let mut buffers = Buffers::default();
    let mut step = |step| {
        let layers = parameters.chunks(2).zip(WIDTHS.windows(2)).enumerate().map(|(index, (parameter, width))| Dense {
            weight: &parameter[0],
            bias: Some(&parameter[1]),
            inputs: width[0],
            outputs: width[1],
            activation: if index % 2 == 0 { function } else { Activation::Identity },
            precision: Precision::Full,
        });
        let layers: Vec<_> = layers.collect();
        let target = Target { values: &input, weight: None, scale: 1.0 / SAMPLES as f64 };
        let (loss, gradients) = gradients(&layers, &input, SAMPLES, &target, &mut buffers);
        let gradients = gradients.into_iter().flat_map(|DenseGradient { weight, bias }| [weight, bias]);
        for ((values, [first, second]), gradient) in parameters.iter_mut().zip(&mut moments).zip(gradients) {
            update(step).apply(Parameter { values, gradient: &gradient, first, second });
        }
        loss
    };
    (1..=STEPS).map(&mut step).collect()
}

fn plain(function: Activation, dtype: DType) -> Vec<f64> {
    let device = Device::flex();
    let tensor =
        |values: Vec<f64>, shape: [usize; 2]| Tensor::<2>::from_data(TensorData::new(values, shape), (&device, dtype));
    let shapes: Vec<[usize; 2]> = WIDTHS.windows(2).flat_map(|width| [[width[0], width[1]], [1, width[1]]]).collect();
    let mut parameters: Vec<_> =
        start().into_iter().zip(&shapes).map(|(values, &shape)| tensor(values, shape)).collect();
    let mut moments: Vec<_> = parameters.iter().map(|p| [p.zeros_like(), p.zeros_like()]).collect();
    let input = Tensor::from_inner(tensor(values(SAMPLES * WIDTHS[0], 1.0, 0.0), [SAMPLES, WIDTHS[0]]));
    let mut step = |step| {
        let leaves: Vec<_> = parameters.iter().map(|p| Tensor::from_inner(p.clone()).require_grad()).collect();
        let mut value = input.clone();
        for (index, layer) in leaves.chunks(2).enumerate() {
            value = value.matmul(layer[0].clone()) + layer[1].clone();
            if index % 2 == 0 {
                value = apply(function, value);
            }
        }
        let loss = (value - input.clone()).square().sum() / SAMPLES as f64;
        let gradients = loss.backward();
        let Update { rate, second_scale, .. } = update(step);
        for ((parameter, [first, second]), leaf) in parameters.iter_mut().zip(&mut moments).zip(leaves) {
            let gradient = leaf.grad(&gradients).expect("every leaf is part of the loss");
            *first = first.clone() * BETAS[0] + gradient.clone() * (1.0 - BETAS[0]);
            *second = second.clone() * BETAS[1] + gradient.square() * (1.0 - BETAS[1]);
            *parameter = parameter.clone() - first.clone() / (second.clone().sqrt() * second_scale + EPSILON) * rate;
        }
        loss.into_data().iter::<f64>().sum()
    };
    (1..=STEPS).map(&mut step).collect()
}

fn apply(function: Activation, value: Tensor<2>) -> Tensor<2> {
    match function {
        Activation::Identity => value,
        Activation::Relu => activation::relu(value),
        Activation::Gelu => activation::gelu(value),
        Activation::Tanh => value.tanh(),
        Activation::Silu => activation::silu(value),
    }
}

fn check<T: Float>(dtype: DType, tolerance: f64) {
    for function in [Activation::Identity, Activation::Relu, Activation::Gelu, Activation::Tanh, Activation::Silu] {
        let (fused, plain) = (fused::<T>(function), plain(function, dtype));
        assert!(plain[49] < 0.5 * plain[0], "{function:?}: nothing was learned, {} after {}", plain[49], plain[0]);
        let apart = fused.iter().zip(&plain).map(|(a, b)| (a - b).abs() / b).fold(0.0, f64::max);
        assert!(apart <= tolerance, "{function:?}: {apart:e} apart");
    }
}

#[test]
fn losses_in_f32_stay_together() {
    check::<f32>(DType::F32, 1e-5);
}

#[test]
fn losses_in_f64_stay_together() {
    check::<f64>(DType::F64, 1e-10);
}
