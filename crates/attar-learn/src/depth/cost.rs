//! What a training costs, counted and measured.

use std::time::Instant;

use burn::tensor::Device;

use super::{Images, NetSpec, Recipe};
use crate::nets::{Kind, Net, NetConfig};
use crate::{Error, State, classify};

/// Multiplications of one image's way through a net of He et al., forward; backward takes twice as many.
pub fn multiplications(config: &NetConfig) -> u64 {
    let (Kind::Plain { n, width } | Kind::Residual { n, width }) = config.kind else { return 0 };
    let [mut rows, mut columns, channels] = config.input;
    let layer = |rows: usize, columns: usize, inputs: usize, outputs: usize| rows * columns * 9 * inputs * outputs;
    let mut sum = layer(rows, columns, channels, width);
    for group in 0..3 {
        let outputs = width << group;
        if group > 0 {
            (rows, columns) = (rows.div_ceil(2), columns.div_ceil(2));
            sum += layer(rows, columns, outputs / 2, outputs);
        } else {
            sum += layer(rows, columns, outputs, outputs);
        }
        sum += (2 * n - 1) * layer(rows, columns, outputs, outputs);
    }
    (sum + 4 * width * config.classes) as u64
}

/// Steps of the training that is timed; the first is not.
const TIMED: usize = 3;

/// Seconds that one image of one epoch takes in training this net on one thread.
///
/// # Errors
/// As [`compare`](super::compare).
pub fn seconds_per_image(images: &Images, recipe: &Recipe, net: NetSpec) -> Result<f64, Error> {
    let device = Device::flex();
    let network = Net::new(&net.config(images, recipe)?, 0, burn::tensor::DType::F32, &device)?;
    let batch = recipe.batch_size.min(images.samples());
    let mut labelled = images.labelled(&device);
    labelled.train = &labelled.train[..batch];
    let mut training = recipe.classification(net.depth, 1, 0, batch);
    let mut state = State::start(network);
    let mut best = f64::INFINITY;
    for epoch in 0..=TIMED {
        training.descent.epochs = epoch + 1;
        let started = Instant::now();
        state = classify(&labelled, &training, state, &mut ())?;
        if epoch > 0 {
            best = best.min(started.elapsed().as_secs_f64());
        }
    }
    Ok(best / batch as f64)
}
