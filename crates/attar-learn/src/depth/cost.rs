//! What a training costs, measured.

use std::time::Instant;

use burn::tensor::{DType, Device};

use super::{Images, NetSpec, Recipe};
use crate::nets::Net;
use crate::{Error, State, classify};

/// Steps of the training that is timed; the first is not.
const TIMED: usize = 3;

/// Seconds that one image of one epoch takes in training this net on one thread.
///
/// # Errors
/// As [`compare`](super::compare).
pub fn seconds_per_image(images: &Images, recipe: &Recipe, net: NetSpec) -> Result<f64, Error> {
    let device = Device::flex();
    let network = Net::new(&net.config(images, recipe)?, 0, DType::F32, &device)?;
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
