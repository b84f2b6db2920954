//! Times convolutions and steps of He's nets in `f32`, for `bench/convolution`: each line of standard input is a case,
//! each line of output its JSON.
//!
//! `layer 14 4 128 0.5`: a convolution 3 x 3 forward and backward; side of the images, channels in and out, samples,
//! seconds to spend. `plain 3 14 4 128 0.5` or `residual ..`: a step of `6n + 2` layers with batch norm, everything from
//! the batch to the new weights; n, side, width, samples, seconds.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use attar_learn::config::Optimizer;
use attar_learn::nets::{Kind, Net, NetConfig, Norm};
use attar_learn::{OptimizerState, Pass, Staged};
use attar_ops::{Activation, Buffers, Convolution, awake, conv2d, conv2d_backward};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

fn wave(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at as f32 * 0.737).sin()).collect()
}

/// The median milliseconds of a try, after one that is not counted.
fn milliseconds(seconds: f64, mut work: impl FnMut()) -> f64 {
    work();
    let (start, mut tries) = (Instant::now(), Vec::new());
    while tries.len() < 5 || start.elapsed().as_secs_f64() < seconds {
        let before = Instant::now();
        work();
        tries.push(before.elapsed().as_secs_f64() * 1e3);
    }
    tries.sort_by(f64::total_cmp);
    tries[tries.len() / 2]
}

fn layer(side: usize, width: usize, samples: usize, seconds: f64) -> f64 {
    let shape = Convolution { height: side, width: side, kernel: 3, stride: 1, padding: 1 };
    let (input, weight) = (wave(samples * side * side * width), wave(9 * width * width));
    milliseconds(seconds, || {
        let output = conv2d(&input, &weight, shape, [width; 2]);
        std::hint::black_box(conv2d_backward(&input, &weight, shape, [width; 2], &output, true));
    })
}

fn step(kind: Kind, side: usize, samples: usize, seconds: f64) -> Result<f64, Box<dyn Error>> {
    let activation = Activation::Relu;
    let config = NetConfig { kind, norm: Norm::Batch, activation, dropout: 0.0, input: [side, side, 1], classes: 10 };
    let (device, keys) = (Device::flex(), vec![0; samples]);
    let mut net = Net::new(&config, 0, DType::F32, &device)?;
    let (optimizer, mut state) = (Optimizer::Sgd { momentum: 0.9, weight_decay: 1e-4 }, OptimizerState::default());
    let mut buffers = Buffers::default();
    let images =
        Tensor::<3>::from_data(TensorData::new(wave(samples * side * side), [samples, side * side, 1]), &device);
    let labels: Vec<i64> = (0..samples as i64).map(|sample| sample % 10).collect();
    let labels = Tensor::<1, Int>::from_data(labels.as_slice(), &device);
    Ok(milliseconds(seconds, || {
        let trained = net.clone().train();
        let mut pass = Pass::training(0, state.steps, &keys);
        let logits = trained.logits(images.clone().autodiff(), &mut pass);
        let Ok(loss) = attar_ops::burn::cross_entropy(logits, labels.clone(), 1.0 / samples as f64) else { return };
        let gradients = GradientsParams::from_grads(loss.backward(), &trained);
        drop(trained);
        let moved = net.clone().absorb(&pass.statistics);
        net = optimizer.step(&mut state, 1e-3, moved, gradients, &mut buffers);
    }))
}

fn answer(case: &str) -> Result<String, Box<dyn Error>> {
    let words: Vec<&str> = case.split_whitespace().collect();
    let number = |at: usize| words.get(at).ok_or(case)?.parse::<usize>().map_err(|_| case);
    let seconds: f64 = words.last().ok_or(case)?.parse()?;
    let ms = match words[0] {
        "layer" => {
            let [side, width, samples] = [number(1)?, number(2)?, number(3)?];
            awake(|| layer(side, width, samples, seconds))
        }
        kind => {
            let [n, side, width, samples] = [number(1)?, number(2)?, number(3)?, number(4)?];
            let kind = if kind == "plain" { Kind::Plain { n, width } } else { Kind::Residual { n, width } };
            awake(|| step(kind, side, samples, seconds).map_err(|error| error.to_string()))?
        }
    };
    Ok(format!(r#"{{"ms": {ms:.4}}}"#))
}

fn main() -> Result<(), Box<dyn Error>> {
    // As in attention's times: memory that was freed once is kept for the next call.
    drop(std::hint::black_box(vec![1_u8; 31 << 20]));
    for case in std::io::stdin().lock().lines() {
        println!("{}", answer(&case?)?);
        std::io::stdout().flush()?;
    }
    Ok(())
}
